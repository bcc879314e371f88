"""Clicks: what a person says, how a network hears it, and what a simulated person says next.

The simulated person clicks into the largest piece of what is wrong: "base" at the point farthest
from its border (Sofiiuk et al. 2021, arXiv:2102.06583, section 4), "sample" at a random one, points
far from the border being likelier. Pixel coordinates are (x, y) from the top-left corner of the
image, so a click into the middle of pixel (row, column) is (column + .5, row + .5).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

RADIUS = 5.0  # pixels of a crop: the disc that a click is shown to a network as

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Click(NamedTuple):
    """A point of an animal, or one that is not of it."""

    x: float
    y: float
    positive: bool


def within(clicks: Iterable[Click], height: int, width: int) -> list[Click]:
    """Those of the clicks that lie in an image of this size."""
    return [one for one in clicks if 0 <= one.x < width and 0 <= one.y < height]


def discs(clicks: Iterable[Click], height: int, width: int, radius: float = RADIUS) -> Floats:
    """(2, height, width) float32, 1 within `radius` of a click: positive ones, then negative ones.

    Clicks outside the window are shown as far as their discs reach into it.
    """
    maps = np.zeros((2, height, width), np.float32)
    for click in clicks:
        top, left = (max(0, int(at - radius - 1)) for at in (click.y, click.x))
        bottom, right = (max(0, int(at + radius + 2)) for at in (click.y, click.x))
        part = maps[0 if click.positive else 1, top:bottom, left:right]
        y = np.arange(top, top + part.shape[0]) + 0.5 - click.y
        x = np.arange(left, left + part.shape[1]) + 0.5 - click.x
        part[(y[:, None] ** 2 + x**2) <= radius**2] = 1
    return maps


def hull(points: Iterable[Click], shape: tuple[int, ...]) -> Mask:
    """(H, W) bool: the convex hull of the clicks."""
    corners = np.array([(click.x - 0.5, click.y - 0.5) for click in points], np.float32)
    drawn = np.zeros(shape, np.uint8)
    around = cv2.convexHull(corners).reshape(-1, 2)
    cv2.fillConvexPoly(drawn, np.round(around).astype(np.int32), 1)
    return drawn.view(np.bool_)


def next_click(truth: Mask, mask: Mask, rng: np.random.Generator | None = None) -> Click | None:
    """Where a person who wants `truth` clicks now; None where nothing is wrong.

    Args:
        truth, mask: (H, W) bool.
        rng: draws the point ("sample"); None takes the one farthest from the border ("base").
    """
    missing, extra = _deepest(truth & ~mask), _deepest(mask & ~truth)
    if not missing.any() and not extra.any():
        return None
    positive = bool(missing.max() >= extra.max())
    depth = missing if positive else extra
    if rng is None:
        place = int(depth.argmax())
    else:
        place = int(rng.choice(depth.size, p=(depth / depth.sum()).ravel()))
    row, column = divmod(place, depth.shape[1])
    return Click(column + 0.5, row + 0.5, positive)


def _deepest(wrong: Mask) -> NDArray[np.float64]:
    """(H, W): how far each pixel of the deepest piece lies from its border, 0 elsewhere.

    The edge of the picture counts as a border, so that nobody clicks on it.
    """
    framed = cv2.copyMakeBorder(wrong.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float64)
    _, pieces = cv2.connectedComponents(framed, connectivity=8)
    deepest = pieces.ravel()[depth.argmax()]
    return np.where((pieces == deepest) & (framed > 0), depth, 0)[1:-1, 1:-1]
