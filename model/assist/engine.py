"""Clicks, boxes and points on an image -> the animal, whichever network answers them.

A click is answered by what it adds to or takes from the outline that was there, so that vertices
elsewhere stay as a person set them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_io.geometry import mask_of_parts, parts_of_mask
from data_io.types import Part, Parts
from model.assist.clicks import Click, hull, within
from model.assist.crops import FIRST, LEAST, MARGIN, SIDE, Window, crop, pasted
from model.assist.merge import TOUCH, answered, heard, touched

AGAIN, LOOKS = 1.5, 2  # where a window was so much off it is looked at again, so often

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Answer = Callable[[Floats], Floats]  # (6, side, side) -> logits (side, side)


class Change(NamedTuple):
    """What a click does to an outline, image pixels."""

    added: Parts
    removed: Parts


def change(
    answer: Answer,
    image: Bytes,
    parts: Parts,
    clicks: Sequence[Click],
    usual: float,
    free: bool = False,
) -> Change:
    """What the last of the clicks changes.

    Args:
        image: (H, W, 3) uint8 RGB.
        parts: the outline before that click; () = there is none.
        clicks: all of them, oldest first, at least one; those outside the image say nothing.
        usual: size (root of the area) of an animal here, image pixels: how much to look at first.
        free: nobody vouches for the outline, since a model proposed it or these clicks alone have
            made it: all of it that they reach may change; else the stretch that the last one lies
            in.

    Returns:
        Nothing where the last click lies outside the image.
    """
    height, width = image.shape[:2]
    if not (0 <= clicks[-1].x < width and 0 <= clicks[-1].y < height):
        return Change((), ())
    left, top, right, bottom = region(parts, clicks, usual, height, width)
    part = np.ascontiguousarray(image[top:bottom, left:right])
    before = raster(parts, left, top, *part.shape[:2])
    moved = [Click(one.x - left, one.y - top, one.positive) for one in clicks]
    after = clicked(answer, part, before, moved, usual, free)
    return Change(
        *(parts_of_mask(a & ~b, left, top) for a, b in ((after, before), (before, after)))
    )


def region(
    parts: Parts, clicks: Sequence[Click], usual: float, height: int, width: int
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of all that a click may look at or change; one of both there is."""
    rings = [part.outer for part in parts]
    places = np.array([(one.x, one.y) for one in clicks], np.float64).reshape(-1, 2)
    points = np.concatenate([places, *rings])
    low, high = points.min(0), points.max(0)
    more = MARGIN * max(float((high - low).max()), 2 * FIRST * usual, LEAST)
    left, top = np.maximum(0, np.floor(low - more)).astype(int)
    right, bottom = np.minimum([width, height], np.ceil(high + more)).astype(int)
    return int(left), int(top), int(right), int(bottom)


def raster(parts: Parts, left: int, top: int, height: int, width: int) -> Mask:
    """(H, W) bool, the parts in a piece of the image whose corner is at left, top."""
    if not parts:
        return np.zeros((height, width), np.bool_)
    corner = np.array([left, top])
    moved = [Part(p.outer - corner, tuple(hole - corner for hole in p.holes)) for p in parts]
    return mask_of_parts(tuple(moved), height, width)


def clicked(
    answer: Answer,
    image: Bytes,
    before: Mask,
    clicks: Sequence[Click],
    usual: float,
    free: bool = False,
) -> Mask:
    """`change` on masks, (H, W) bool before and after."""
    inside = heard(before, clicks)
    if not inside:
        return before
    nothing = not before.any()
    window = Window.for_click(before, inside, usual)
    found = asked(answer, image, before, inside, window)
    for _ in range(LOOKS if free or nothing else 0):
        better = Window.for_click(found, inside, usual)
        wider = better.side >= AGAIN * window.side
        # What is left of a proposal that is too large would make the next window large again.
        narrower = window.side >= AGAIN * better.side and nothing
        if not found.any() or not (wider or narrower):
            break
        found, window = asked(answer, image, before, inside, better), better
    touch = max(TOUCH, TOUCH * window.side / SIDE)
    return answered(before, found, inside, free, touch)


def in_box(answer: Answer, image: Bytes, box: tuple[float, float, float, float]) -> Parts:
    """The animal that fills a box (left, top, right, bottom), image pixels; () for none."""
    height, width = image.shape[:2]
    left, right = (min(max(0, round(x)), width) for x in sorted((box[0], box[2])))
    top, bottom = (min(max(0, round(y)), height) for y in sorted((box[1], box[3])))
    before = np.zeros((height, width), np.bool_)
    before[top:bottom, left:right] = True
    return _whole(answer, image, before, [])


def through(answer: Answer, image: Bytes, points: Sequence[tuple[float, float]]) -> Parts:
    """The animal with these points in it: a scribble, or its four extreme points; () for none."""
    height, width = image.shape[:2]
    clicks = within((Click(x, y, True) for x, y in points), height, width)
    if not clicks:
        return ()
    return _whole(answer, image, hull(clicks, (height, width)), clicks)


def _whole(answer: Answer, image: Bytes, before: Mask, clicks: Sequence[Click]) -> Parts:
    if not before.any():
        return ()
    window = Window.for_click(before, clicks, 0.0)
    found = asked(answer, image, before, clicks, window)
    return parts_of_mask(touched(found, before))


def asked(
    answer: Answer, image: Bytes, before: Mask, clicks: Sequence[Click], window: Window
) -> Mask:
    """What a network answers, clicks or none; as before where it was not shown the image."""
    side = window.finest if before.any() else SIDE
    seen = crop(image, before, clicks, window, side)
    found, shown = pasted(answer(seen), window, *before.shape)
    return np.asarray(np.where(shown, found, before), np.bool_)
