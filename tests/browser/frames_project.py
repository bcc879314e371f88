"""A small project of three frames of one camera: textured ovals that walk over mottled ground."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from data_io.geometry import box_of_parts, mask_of_parts
from data_io.images import inspect
from data_io.store import NewImage, Store
from data_io.types import Instance, Part, Parts, Proposal, ReviewRegion

WIDTH, HEIGHT = 640, 400
NAMES = ("frame-2.png", "frame-10.png", "frame-11.png")  # as people count, not as letters sort
STEPS = ((0, 0), (17, 9), (30, 14))  # where each frame's animals have walked to
HERD = ((150, 130, 70, 40, 0.3), (420, 130, 80, 42, -0.4), (300, 290, 74, 40, 0.1))
CATEGORIES = ("cow", "calf", *(f"breed {k}" for k in range(3, 14)))


def oval(number: int, frame: int = 0, count: int = 40, grow: float = 0.0) -> Parts:
    """The outline of an animal in a frame."""
    cx, cy, a, b, tilt = HERD[number]
    dx, dy = STEPS[frame]
    turns = np.linspace(0, 2 * math.pi, count, endpoint=False)
    x, y = (a + grow) * np.cos(turns), (b + grow) * np.sin(turns)
    ring = np.stack(
        [
            cx + dx + x * math.cos(tilt) - y * math.sin(tilt),
            cy + dy + x * math.sin(tilt) + y * math.cos(tilt),
        ],
        1,
    )
    return (Part(np.round(ring, 2)),)


def truth(number: int, frame: int = 0) -> NDArray[np.bool_]:
    """The animal's pixels."""
    return mask_of_parts(oval(number, frame), HEIGHT, WIDTH)


def picture(frame: int) -> Image.Image:
    """The ground stands still; each animal takes its coat along."""
    noise = np.random.default_rng(1).integers(60, 95, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    image = Image.fromarray(noise).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    for number, (cx, cy, *_) in enumerate(HERD):
        coat = np.random.default_rng(10 + number).integers(150, 235, (24, 24, 3), np.uint8)
        cloth = Image.new("RGB", (WIDTH, HEIGHT))
        patch = Image.fromarray(coat).resize((192, 192), Image.Resampling.BICUBIC)
        cloth.paste(patch, (cx - 96 + STEPS[frame][0], cy - 96 + STEPS[frame][1]))
        mask = Image.new("L", (WIDTH, HEIGHT))
        flat = oval(number, frame)[0].outer.ravel().tolist()
        ImageDraw.Draw(mask).polygon(flat, fill=255)
        image.paste(cloth, mask=mask)
    return image.filter(ImageFilter.GaussianBlur(0.8))


def box(x: float, y: float, width: float, height: float) -> Parts:
    """A rectangle as a region."""
    ring = [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]
    return (Part(np.array(ring, float)),)


def regions(image: str, frame: int) -> list[ReviewRegion]:
    """One over an animal's edge, one over another's, one on empty ground; surest doubt first."""
    dx, dy = STEPS[frame]
    places = [
        ("boundary", box(190 + dx, 110 + dy, 40, 30), 0.9, "The outline is unclear"),
        ("boundary", box(400 + dx, 150 + dy, 40, 30), 0.8, "Two animals may touch"),
        ("possible miss", box(500, 300, 40, 30), 0.7, "An animal may be missing"),
    ]
    return [
        ReviewRegion(f"{image}-{k}", image, "v1", kind, parts, box_of_parts(parts), score, reason)
        for k, (kind, parts, score, reason) in enumerate(places)
    ]


def make(folder: Path) -> None:
    """A project with categories, and with two proposed cows and three regions an image."""
    with Store.open(folder) as store:
        _fill(store)


def _fill(store: Store) -> None:
    folder = store.project / "images" / "barn"
    folder.mkdir(parents=True)
    cow, *_ = [store.add_category(name).id for name in CATEGORIES]
    for frame, name in enumerate(NAMES):
        file = folder / name
        picture(frame).save(file)
        info = inspect(file)
        new = NewImage(info.path, info.width, info.height, info.sha256, "barn")
        image = store.add_images([new])[0].id
        herd = tuple(
            Instance(f"{image}-p{k}", cow, oval(k, frame, 24), "model", "v1", 0.8) for k in (0, 1)
        )
        score = 0.9 - frame / 10
        store.put_proposal(Proposal(image, "v1", herd, "", score), regions(image, frame))
