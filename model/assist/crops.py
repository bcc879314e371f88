"""The square around an animal that the refiner looks at.

A window is (left, top, side) in whole image pixels; it may reach beyond the image, where all is
gray (mirrored pixels would show half an animal twice). It is scaled to `SIDE` crop pixels, or where
there is an outline to mend and the image has more to show, to as many as `FINEST`: so the network
sees animals of 12 and of 600 pixels alike, and outlines of large ones sharply.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from model.assist.clicks import Click, discs

SIDE, FINEST = 224, 320  # pixels of a crop: usually, and at most
MULTIPLE = 32  # pixels: sides of a crop are multiples of it
# Less shows too little of an animal that a first click has found in part (docs/decisions/0038).
MARGIN = 2.0  # side of a window over the longer side of what it is about
FIRST = 1.6  # usual sizes of an animal around a first click, before that margin
LARGE = 2048  # pixels of a window that is scaled before it is put together
GRAY = 127  # of the picture beyond the image
LEAST = 48  # pixels of an image: smaller windows show nothing but blur

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Window(NamedTuple):
    """Left, top and side in image pixels."""

    left: int
    top: int
    side: int

    @staticmethod
    def around(points: NDArray[np.float64]) -> Window:
        """The square around (n, 2) points x, y, n >= 1."""
        low, high = points.min(0), points.max(0)
        side = max(LEAST, round(float((high - low).max()) * MARGIN))
        middle = (low + high) / 2
        return Window(round(middle[0] - side / 2), round(middle[1] - side / 2), side)

    @staticmethod
    def for_click(mask: Mask, clicks: Sequence[Click], usual: float) -> Window:
        """The square to look at for the last of the clicks.

        Args:
            mask: (H, W) bool, what there is so far; some of it, or there are clicks.
            usual: size (root of the area) of an animal where there is nothing yet, image pixels.
        """
        points = np.array([(click.x, click.y) for click in clicks], np.float64).reshape(-1, 2)
        if mask.any():
            rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
            corners = [(columns[0], rows[0]), (columns[-1] + 1, rows[-1] + 1)]
            return Window.around(np.concatenate([points, np.array(corners, np.float64)]))
        reach = 0.75 * FIRST * usual
        return Window.around(np.concatenate([points - reach, points + reach]))

    @property
    def finest(self) -> int:
        """Side of the largest crop, in its pixels, that shows no more than the image has."""
        return min(max(SIDE, self.side // MULTIPLE * MULTIPLE), FINEST)


def cut(values: NDArray[np.uint8], window: Window, outside: int) -> NDArray[np.uint8]:
    """The window of (H, W) or (H, W, 3) bytes, (side, side) or (side, side, 3).

    Args:
        outside: the value of what lies beyond the image.
    """
    height, width = values.shape[:2]
    right, bottom = window.left + window.side, window.top + window.side
    inside = values[
        min(max(0, window.top), height) : max(0, min(height, bottom)),
        min(max(0, window.left), width) : max(0, min(width, right)),
    ]
    made = np.full((window.side, window.side, *values.shape[2:]), outside, np.uint8)
    row, column = max(0, -window.top), max(0, -window.left)
    if inside.size:
        made[row : row + inside.shape[0], column : column + inside.shape[1]] = inside
    return made


def crop(
    image: Bytes, mask: Mask, clicks: Sequence[Click], window: Window, side: int = SIDE
) -> Floats:
    """(6, side, side) float32, see `model.assist.network.Refiner`.

    Args:
        image: (H, W, 3) uint8 RGB. mask: (H, W) bool. clicks: in image pixels.
    """
    picture = scaled(image, window, GRAY, side).astype(np.float32)
    before = scaled(255 * mask.view(np.uint8), window, 0, side)
    seen = [in_crop(click, window, side) for click in clicks]
    # In [-1, 1], as the default backbone wants it; `model.backbone` would load torch to say so.
    layers = [
        (picture / np.float32(127.5) - 1).transpose(2, 0, 1),
        before[None].astype(np.float32) / 255,
    ]
    return np.concatenate([*layers, discs(seen, side, side)])


def scaled(
    values: NDArray[np.uint8], window: Window, outside: int, size: int = SIDE
) -> NDArray[np.uint8]:
    """`cut`, scaled to (size, size) or (size, size, 3); large windows never get larger than that.

    Args:
        outside: the value of what lies beyond the image.
    """
    if window.side <= LARGE:
        return _resized(cut(values, window, outside), size, size)
    height, width = values.shape[:2]
    left, right = (min(max(0, x), width) for x in (window.left, window.left + window.side))
    top, bottom = (min(max(0, y), height) for y in (window.top, window.top + window.side))
    made = np.full((size, size, *values.shape[2:]), outside, np.uint8)
    scale = size / window.side
    first, last = (round((x - window.left) * scale) for x in (left, right))
    upper, lower = (round((y - window.top) * scale) for y in (top, bottom))
    if last > first and lower > upper:
        inside = values[top:bottom, left:right]
        made[upper:lower, first:last] = _resized(inside, lower - upper, last - first)
    return made


def _resized(values: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    way = cv2.INTER_AREA if values.shape[0] > height else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, (width, height), interpolation=way), np.uint8)


def in_crop(click: Click, window: Window, side: int = SIDE) -> Click:
    """A click of the image, in pixels of a crop with such a side."""
    scale = side / window.side
    return Click((click.x - window.left) * scale, (click.y - window.top) * scale, click.positive)


def pasted(answer: Floats, window: Window, height: int, width: int) -> tuple[Mask, Mask]:
    """An answer (side, side) in the image.

    Returns:
        (H, W) bool, where it is above 0, and (H, W) bool, where the window shows the image.
    """
    found, shown = np.zeros((height, width), np.bool_), np.zeros((height, width), np.bool_)
    top, left = max(0, window.top), max(0, window.left)
    bottom, right = min(height, window.top + window.side), min(width, window.left + window.side)
    if top < bottom and left < right:
        scale = answer.shape[0] / window.side
        # Where the middle of each visible pixel lies in the answer, whose pixels have middles too.
        x, y = (
            (start - corner + 0.5) * scale - 0.5
            for start, corner in ((left, window.left), (top, window.top))
        )
        way = np.array([[scale, 0, x], [0, scale, y]], np.float64)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        part = cv2.warpAffine(
            answer, way, (right - left, bottom - top), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        found[top:bottom, left:right] = part > 0
        shown[top:bottom, left:right] = True
    return found, shown
