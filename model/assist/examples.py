"""What the refiner learns from: an animal, a bad mask of it, and the click that would mend it.

Bad masks are made as proposals are bad: nothing there yet, an outline that wanders, a part missing,
a neighbor taken along, ground taken along. Boxes and extreme points (Maninis et al. 2018,
arXiv:1711.09081) are bad masks as well, which nobody has clicked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from model.assist.appearance import disguised, tinted
from model.assist.clicks import Click, hull, next_click
from model.assist.crops import FIRST, GRAY, SIDE, Window, crop, cut

EARLIER = 3  # clicks at most that came before
REGION = 2.0  # longer sides of an animal around it that its examples may show
KINDS = ("nothing", "wandering", "part", "neighbor", "ground", "box", "extremes")
SHARES = (0.25, 0.25, 0.1, 0.15, 0.1, 0.1, 0.05)  # of the kinds
OFF = 0.06  # sides by which a drawn box misses the animal's, at most

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Rng = np.random.Generator


class Picture(NamedTuple):
    """An image and its animals."""

    image: Bytes  # (H, W, 3) RGB
    animals: Sequence[Mask]  # (H, W) each


class Example(NamedTuple):
    """One crop, and the right answer."""

    crop: Floats  # (6, SIDE, SIDE)
    truth: Floats  # (SIDE, SIDE): 1 = of the animal


def example(
    picture: Picture, animal: int, rng: Rng, before: Mask | None = None, drawn: bool = False
) -> Example:
    """Draw an example.

    Args:
        animal: its place in `picture.animals`; it has at least one pixel.
        before: (H, W) bool, a real bad mask; None makes one up.
        drawn: the picture is no photo, and is disguised as one.
    """
    picture, before = _near(picture, animal, before)
    truth = picture.animals[animal]
    others = [one for k, one in enumerate(picture.animals) if k != animal]
    bad, clicks = begun(truth, others, rng) if before is None else _clicked(truth, before, rng)
    window = _window(truth, bad, clicks, rng)
    seen = _seen(picture, window, drawn, rng)
    made = crop(seen, *_moved(bad, clicks, window))
    right = cut(truth.view(np.uint8), window, 0).astype(np.float32)
    target = cv2.resize(right, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        made, target = made[:, :, ::-1], target[:, ::-1]
    return Example(np.ascontiguousarray(made), np.ascontiguousarray(target))


def _near(picture: Picture, animal: int, before: Mask | None) -> tuple[Picture, Mask | None]:
    """The part of a picture that an example of this animal can show, its masks likewise."""
    rows, columns = (np.flatnonzero(picture.animals[animal].any(axis)) for axis in (1, 0))
    beside = int(REGION * max(np.ptp(rows), np.ptp(columns))) + 32
    part = np.s_[
        max(0, rows[0] - beside) : rows[-1] + beside,
        max(0, columns[0] - beside) : columns[-1] + beside,
    ]
    masks = [np.ascontiguousarray(one[part]) for one in picture.animals]
    kept = None if before is None else np.ascontiguousarray(before[part])
    return Picture(np.ascontiguousarray(picture.image[part]), masks), kept


def _moved(bad: Mask, clicks: Sequence[Click], window: Window) -> tuple[Mask, list[Click], Window]:
    """Mask and clicks as `crop` takes them when the picture is the window already."""
    inside = cut(bad.view(np.uint8), window, 0).view(np.bool_)
    moved = [Click(c.x - window.left, c.y - window.top, c.positive) for c in clicks]
    return inside, moved, Window(0, 0, window.side)


def _seen(picture: Picture, window: Window, drawn: bool, rng: Rng) -> Bytes:
    """The window in other colors; what is beyond the image stays gray."""
    part = cut(picture.image, window, GRAY)
    if drawn:
        masks = [cut(one.view(np.uint8), window, 0).view(np.bool_) for one in picture.animals]
        changed = disguised(part, masks, rng)
    else:
        changed = tinted(part, rng)
    inside = cut(np.ones(picture.image.shape[:2], np.uint8), window, 0).view(np.bool_)
    return np.where(inside[..., None], changed, np.uint8(GRAY))


def _window(truth: Mask, bad: Mask, clicks: Sequence[Click], rng: Rng) -> Window:
    """The window a person's click would give, not quite; narrow ones teach more about outlines."""
    size = float(np.sqrt(np.count_nonzero(truth)))
    usual = Window.for_click(bad, clicks, size / FIRST * rng.uniform(0.6, 2.0))
    side = max(32, round(usual.side * rng.uniform(0.6, 1.05)))
    x, y = rng.uniform(-0.1, 0.1, 2) * side
    middle = usual.side / 2 - side / 2
    return Window(round(usual.left + middle + x), round(usual.top + middle + y), side)


def _earlier(truth: Mask, bad: Mask, rng: Rng) -> list[Click]:
    """Clicks that are answered already: where the mask is right."""
    found = []
    for right, positive in ((truth & bad, True), (~truth & ~bad & _beside(truth), False)):
        places = np.flatnonzero(right)
        for place in rng.choice(places, min(places.size, int(rng.integers(0, EARLIER)))):
            row, column = divmod(int(place), truth.shape[1])
            found.append(Click(column + 0.5, row + 0.5, positive))
    return found


def _beside(truth: Mask) -> Mask:
    """Ground no farther from the animal than half its size."""
    away = cv2.distanceTransform((~truth).astype(np.uint8), cv2.DIST_L2, 3)
    return np.asarray(away <= 0.5 * np.sqrt(np.count_nonzero(truth)), np.bool_)


# --- bad masks ------------------------------------------------------------------------------------


def begun(truth: Mask, others: Sequence[Mask], rng: Rng) -> tuple[Mask, list[Click]]:
    """A bad mask (H, W) of an animal and the clicks it has had, the one that would mend it last.

    Without any pixel where nothing is there yet; without a click after a box.
    """
    kind = str(rng.choice(KINDS, p=SHARES))
    if kind == "box":
        return boxed(truth, rng), []
    if kind == "extremes":
        points = extremes(truth, rng)
        return hull(points, truth.shape), points
    return _clicked(truth, spoiled(truth, others, kind, rng), rng)


def _clicked(truth: Mask, bad: Mask, rng: Rng) -> tuple[Mask, list[Click]]:
    """The mask, and clicks at it."""
    last = next_click(truth, bad, rng)
    return bad, [*_earlier(truth, bad, rng), *([last] if last else [])]


def spoiled(truth: Mask, others: Sequence[Mask], kind: str, rng: Rng) -> Mask:
    """A mask (H, W) that is bad in one of the first five `KINDS`."""
    if kind == "nothing":
        return np.zeros_like(truth)
    bad = wandering(truth, rng)
    if kind == "part":
        bad &= ~_half(truth, rng)
    elif kind == "neighbor":
        bad |= _nearest(truth, others)
    elif kind == "ground":
        bad |= _patch(truth, rng)
    return bad


def boxed(truth: Mask, rng: Rng) -> Mask:
    """The box that a person draws around an animal, filled."""
    rows, columns = (np.flatnonzero(truth.any(axis)) for axis in (1, 0))
    ends = np.array([rows[0], rows[-1] + 1, columns[0], columns[-1] + 1], np.float64)
    sides = np.repeat([ends[1] - ends[0], ends[3] - ends[2]], 2)
    top, bottom, left, right = np.round(ends + rng.uniform(-OFF, OFF, 4) * sides).astype(int)
    box = np.zeros_like(truth)
    box[max(0, top) : max(top, bottom, 1), max(0, left) : max(left, right, 1)] = True
    return box


def extremes(truth: Mask, rng: Rng) -> list[Click]:
    """The topmost, lowest, leftmost and rightmost point of an animal, not quite."""
    rows, columns = np.nonzero(truth)
    size = float(np.sqrt(rows.size))
    ends = [rows.argmin(), rows.argmax(), columns.argmin(), columns.argmax()]
    shift = rng.uniform(-0.5, 0.5, (4, 2)) * OFF * size
    found = zip(columns[ends] + shift[:, 0], rows[ends] + shift[:, 1], strict=True)
    return [Click(float(x) + 0.5, float(y) + 0.5, True) for x, y in found]


def wandering(truth: Mask, rng: Rng, most: float = 0.12) -> Mask:
    """The animal with an outline that wanders by up to about `most` of its size."""
    size = float(np.sqrt(np.count_nonzero(truth)))
    depth = _signed(truth)
    cells = max(2, round(max(truth.shape) / max(4.0, 0.35 * size)))
    h, w = truth.shape
    coarse = rng.normal(0, 1, (max(2, round(cells * h / max(h, w))), max(2, cells)))
    noise = cv2.resize(coarse.astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    shift = rng.uniform(0, most) * size
    return np.asarray(depth + shift * (noise + rng.normal(0, 0.4)) > 0, np.bool_)


def _signed(truth: Mask) -> Floats:
    """Distance to the outline, positive inside."""
    inside = cv2.distanceTransform(truth.astype(np.uint8), cv2.DIST_L2, 3)
    outside = cv2.distanceTransform((~truth).astype(np.uint8), cv2.DIST_L2, 3)
    return np.asarray(inside - outside, np.float32)


def _half(truth: Mask, rng: Rng) -> Mask:
    """Everything on one side of a line through the animal."""
    rows, columns = np.nonzero(truth)
    through = int(rng.integers(rows.size))
    angle = rng.uniform(0, 2 * np.pi)
    y = np.arange(truth.shape[0])[:, None] - rows[through]
    x = np.arange(truth.shape[1]) - columns[through]
    return np.asarray(np.cos(angle) * x + np.sin(angle) * y > 0, np.bool_)


def _nearest(truth: Mask, others: Sequence[Mask]) -> Mask:
    """The neighbor whose pixels come nearest; nothing without any."""
    away = cv2.distanceTransform((~truth).astype(np.uint8), cv2.DIST_L2, 3)
    gaps = [float(away[other].min()) if other.any() else np.inf for other in others]
    if not gaps or min(gaps) == np.inf:
        return np.zeros_like(truth)
    return others[int(np.argmin(gaps))]


def _patch(truth: Mask, rng: Rng) -> Mask:
    """An ellipse on the outline."""
    size = float(np.sqrt(np.count_nonzero(truth)))
    rows, columns = np.nonzero(np.abs(_signed(truth)) <= 1.5)
    at = int(rng.integers(rows.size)) if rows.size else 0
    middle = (float(columns[at]), float(rows[at])) if rows.size else (0.0, 0.0)
    axes = tuple(float(a) for a in rng.uniform(0.2, 0.8, 2) * size)
    drawn = np.zeros(truth.shape, np.uint8)
    cv2.ellipse(drawn, (middle, axes, float(rng.uniform(0, 180))), 1, -1)
    return drawn.view(np.bool_)
