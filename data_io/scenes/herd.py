"""Who stands where: a herd drawn from a seed, and how it moves from frame to frame."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from data_io.scenes.camera import Camera
from data_io.scenes.cattle import Animal, Pose
from data_io.scenes.coats import Coat, draw_coat

_POSES: tuple[Pose, ...] = ("standing", "walking", "lying", "grazing")
_POSE_SHARE = {
    "straw": (0.38, 0.17, 0.38, 0.07),
    "slats": (0.50, 0.28, 0.17, 0.05),
    "mud": (0.50, 0.25, 0.12, 0.13),
    "grass": (0.28, 0.20, 0.17, 0.35),
}


@dataclass(frozen=True)
class Member:
    """An animal of a herd, its coat and its category name."""

    animal: Animal
    coat: Coat
    label: str


@dataclass(frozen=True)
class _Draft:
    x: float
    y: float
    heading: float
    scale: float
    pose: Pose

    @cached_property
    def axis(self) -> NDArray[np.float64]:
        """(5, 2) points from rump to muzzle; animals collide where these come close."""
        steps = np.array([-0.85, -0.3, 0.25, 0.8, 1.45]) * self.scale
        toward = np.array([np.cos(self.heading), np.sin(self.heading)])
        return np.array([self.x, self.y]) + steps[:, None] * toward


def _room(draft: _Draft, others: list[_Draft]) -> float:
    """Smallest distance between the long axes, in shares of the width two animals need."""
    if not others:
        return np.inf
    gap = draft.axis[:, None] - np.stack([other.axis for other in others])[:, None]
    need = 0.37 * (draft.scale + np.array([other.scale for other in others]))
    return float((np.sqrt((gap**2).sum(-1)).min((1, 2)) / need).min())


def _inside(camera: Camera, draft: _Draft, margin: float) -> bool:
    body = np.concatenate([draft.axis, np.full((5, 1), 0.9)], axis=1).astype(np.float32)
    pixels, _ = camera.project(body[1:4], 640, 480)
    low, high = margin, 1 - margin
    return bool(((pixels > (640 * low, 480 * low)) & (pixels < (640 * high, 480 * high))).all())


def _place(camera: Camera, rng: np.random.Generator, others: list[_Draft]) -> _Draft | None:
    """One more animal: alone, beside a neighbor (touching) or at the feeding rail."""
    x0, x1, y0, y1 = camera.pen
    scale = float(rng.uniform(0.94, 1.06) if rng.random() > 0.14 else rng.uniform(0.58, 0.7))
    for _ in range(40):
        pose: Pose = _POSES[int(rng.choice(4, p=_POSE_SHARE[camera.ground]))]
        x, y = float(rng.uniform(x0, x1)), float(rng.uniform(y0, y1))
        heading = float(rng.uniform(-np.pi, np.pi))
        way = rng.random()
        if camera.feed is not None and way < 0.33 and scale > 0.9:
            y, pose = camera.feed - 1.12 * scale, "feeding"
            heading = np.pi / 2 + float(rng.normal(0, 0.10))
        elif others and way < 0.62:
            beside = others[int(rng.integers(len(others)))]
            aside = beside.heading + np.pi / 2 * float(rng.choice([-1, 1]))
            reach = float(rng.uniform(0.36, 0.42)) * (scale + beside.scale)
            along = float(rng.uniform(-0.8, 0.8))
            x = beside.x + reach * np.cos(aside) + along * np.cos(beside.heading)
            y = beside.y + reach * np.sin(aside) + along * np.sin(beside.heading)
            heading = beside.heading + float(rng.normal(0, 0.12) + np.pi * (rng.random() < 0.3))
        draft = _Draft(x, y, heading, scale, pose)
        top = y1 if camera.feed is None else camera.feed - 0.9
        within = x0 < x < x1 and y < top and float(draft.axis[:, 1].min()) > y0
        if camera.feed is not None and pose != "feeding":
            within = within and float(draft.axis[:, 1].max()) < camera.feed - 0.15
        margin = 0.08 if len(others) < 2 else -0.04
        if within and _room(draft, others) > 0.92 and _inside(camera, draft, margin):
            return draft
    return None


def _animal(draft: _Draft, rng: np.random.Generator, frame: int) -> Animal:
    """Pose angles of a placed animal, moved on to `frame`."""
    sway = float(rng.uniform(0, 2 * np.pi))
    tempo, turned = float(rng.uniform(0.25, 0.6)), float(rng.normal(0, 0.35))
    pitch = {"standing": 0.45, "walking": 0.18, "lying": 0.55, "grazing": -0.95, "feeding": -0.42}
    nod = {"standing": -0.62, "walking": -0.62, "lying": -0.5, "grazing": -1.0, "feeding": -0.85}
    if draft.pose == "lying" and rng.random() < 0.3:
        turned = float(rng.choice([-1, 1]) * rng.uniform(1.0, 1.5))
    elif draft.pose == "standing" and rng.random() < 0.35:
        turned = float(rng.choice([-1, 1]) * rng.uniform(0.6, 1.1))
    speed = 0.09 if draft.pose == "walking" else 0.008
    moving = draft.pose in ("walking", "standing")
    drift = speed * frame if moving else 0.0
    heading = draft.heading + 0.012 * frame * float(rng.normal()) * moving
    swing = np.sin(sway + tempo * frame)
    return Animal(
        x=draft.x + drift * np.cos(heading),
        y=draft.y + drift * np.sin(heading),
        heading=heading,
        scale=draft.scale,
        pose=draft.pose,
        fat=float(rng.uniform(0.93, 1.12)),
        neck_yaw=turned * 0.8 + 0.10 * float(swing),
        neck_pitch=pitch[draft.pose] + float(rng.normal(0, 0.10)) + 0.05 * float(swing),
        head_pitch=nod[draft.pose] + float(rng.normal(0, 0.12)),
        phase=sway + 0.9 * frame * (draft.pose == "walking"),
        bend=float(np.clip(rng.normal(0, 0.10) + 0.08 * turned, -0.25, 0.25)),
        tail=float(rng.normal(0, 0.6)) + 0.5 * float(np.sin(2.3 * frame * tempo + sway)),
        lean=int(rng.choice([-1, 1])),
        horns=bool(rng.random() < 0.15),
    )


@lru_cache(maxsize=64)
def _layout(seed: int, camera: Camera) -> tuple[_Draft, ...]:
    """Places of a herd at frame 0, without collisions."""
    rng = np.random.default_rng([seed, zlib.crc32(camera.name.encode())])
    low, high = camera.herd
    wanted = int(np.clip(round(low + (high - low) * rng.beta(1.6, 1.4)), 2, 25))
    drafts: list[_Draft] = []
    for _ in range(3 * wanted):
        draft = _place(camera, rng, drafts)
        if draft is not None:
            drafts.append(draft)
        if len(drafts) == wanted:
            break
    return tuple(drafts)


def draw_herd(seed: int, camera: Camera, frame: int) -> list[Member]:
    """The herd of one sequence at one frame: 2 to 25 animals, the same for the same arguments."""
    herd = []
    for k, draft in enumerate(_layout(seed, camera)):
        own = np.random.default_rng([seed, zlib.crc32(camera.name.encode()), k])
        coat = draw_coat(own, camera.breeds)
        label = "calf" if draft.scale < 0.8 else "cow"
        herd.append(Member(_animal(draft, own, frame), coat, label))
    return herd
