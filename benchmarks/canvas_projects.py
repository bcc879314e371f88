"""Projects for the canvas's benchmark: large herds on 2-megapixel images, and 100,000 images.

Rows of the gallery's project are written straight into the database: importing that many pictures
would take an hour and measure something else.
"""

from __future__ import annotations

import math
import random
import uuid
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert

from data_io.images import inspect
from data_io.store import NewImage, Store, codec, schema
from data_io.types import Instance, Part, Parts

SIZE = (1920, 1080)  # 2.07 megapixels
GROUPS = 40
THUMB = (160, 120)
NOW = "2025-01-01T00:00:00+00:00"


def photo(rng: np.random.Generator) -> NDArray[np.uint8]:
    """(1080, 1920, 3) uint8 with the detail a barn photo has, so that the JPEG weighs as much."""
    coarse = rng.integers(40, 190, (27, 48, 3), np.uint8)
    ground = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC).astype(np.int16)
    grain = rng.normal(0, 9, (SIZE[1], SIZE[0], 1)).astype(np.int16)
    return np.clip(ground + grain, 0, 255).astype(np.uint8)


def wobbly(draw: random.Random, x: float, y: float, radius: float, vertices: int) -> Parts:
    """An outline around (x, y) that bends as a cow's does, inside the picture."""
    phases = [draw.random() * 2 * math.pi for _ in range(3)]
    ring = []
    for k in range(vertices):
        t = 2 * math.pi * k / vertices
        far = radius * (1 + sum(0.1 * math.sin((j + 2) * t + phases[j]) for j in range(3)))
        px, py = x + 1.3 * far * math.cos(t), y + 0.7 * far * math.sin(t)
        ring.append((min(max(px, 0.0), SIZE[0]), min(max(py, 0.0), SIZE[1])))
    return (Part(np.array(ring)),)


def herd(draw: random.Random, category: str, count: int, vertices: int) -> list[Instance]:
    """`count` outlines on a grid over the picture."""
    columns = math.ceil(math.sqrt(count * SIZE[0] / SIZE[1]))
    step = SIZE[0] / columns
    made = []
    for k in range(count):
        x, y = (k % columns + 0.5) * step, (k // columns + 0.5) * step
        shape = wobbly(draw, x, min(y, SIZE[1] - step / 2), 0.42 * step, vertices)
        made.append(Instance(uuid.UUID(int=draw.getrandbits(128)).hex, category, shape))
    return made


def herds(project: Path, counts: Sequence[tuple[int, int]], seed: int) -> list[str]:
    """A project with an image for each (outlines, vertices); their ids in this order."""
    draw, rng = random.Random(seed), np.random.default_rng(seed)
    folder = project / "images"
    folder.mkdir(parents=True)
    ids = []
    with Store.open(project) as store:
        category = store.add_category("cow").id
        for k, (count, vertices) in enumerate(counts):
            file = folder / f"{k:03}.jpg"
            cv2.imwrite(str(file), photo(rng), [cv2.IMWRITE_JPEG_QUALITY, 88])
            info = inspect(file)
            new = NewImage(info.path, info.width, info.height, info.sha256, "barn")
            (record,) = store.add_images([new])
            animals = herd(draw, category, count, vertices)
            store.save_revision(record.id, 0, animals, (), "benchmark")
            ids.append(record.id)
    return ids


def crowd(project: Path, count: int, seed: int = 0, pictures: int = 24) -> None:
    """A project of `count` images in `GROUPS` groups; a third saved, nine tenths proposed for.

    They share `pictures` plain files, each of another color, but every row has a thumbnail of its
    own to make.
    """
    draw = random.Random(seed)
    folder = project / "images"
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(pictures):
        color = (60 + 37 * k % 160, 60 + 91 * k % 160, 60 + 53 * k % 160)
        plain = np.full((THUMB[1], THUMB[0], 3), color, np.uint8)
        cv2.imwrite(str(folder / f"{k:02}.jpg"), plain)
    with Store.open(project) as store:
        category = store.add_category("cow").id
        ids = [uuid.UUID(int=draw.getrandbits(128)).hex for _ in range(count)]
        rows = _rows(draw, ids, category, pictures)
        with store._write() as connection:
            for table, values in rows:
                connection.execute(insert(schema.metadata.tables[table]), values)


def _rows(
    draw: random.Random, ids: Sequence[str], category: str, pictures: int
) -> list[tuple[str, list[dict[str, object]]]]:
    """(table, rows) in the order in which they can be inserted."""
    nothing = codec.instances_to_blob((), "benchmark")
    saved, proposed = ids[::3], ids[: len(ids) * 9 // 10]
    size = {"width": THUMB[0], "height": THUMB[1], "excluded": False}
    images: list[dict[str, object]] = [
        {
            "id": one,
            "coco_id": k + 1,
            "path": f"images/{k % pictures:02}.jpg",
            "sha256": f"{k:064x}",
            "group": f"barn-{k % GROUPS:02}",
            "split": draw.choice(["train", "val", None]),
            **size,
        }
        for k, one in enumerate(ids)
    ]
    revisions: list[dict[str, object]] = [
        {
            "image": one,
            "number": 1,
            "author": "benchmark",
            "time": NOW,
            "instance_count": 3,
            "verified_state": draw.choice(["none", "partial", "whole"]),
            "rejected": "[]",
            "instances": nothing,
            "verified": codec.parts_to_blob((), "benchmark"),
        }
        for one in saved
    ]
    common = {"version": "v1", "uncertainty": "", "time": NOW, "instances": nothing}
    proposals: list[dict[str, object]] = [
        {"image": one, "score": round(draw.random(), 3), **common} for one in proposed
    ]
    held: list[dict[str, object]] = [
        {"image": one, "source": "revision", "category": category} for one in saved
    ]
    return [
        ("images", images),
        ("revisions", revisions),
        ("proposals", proposals),
        ("contents", held),
    ]
