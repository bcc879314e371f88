"""Outlines that a model has proposed, drawn again by the refiner.

A proposal is as sharp as the cells it was read from, four pixels wide; the refiner looks at each
animal by itself, as large as it can. It is shown the outline and no click, as in its training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data_io.geometry import parts_of_mask
from data_io.simplify import simplify
from data_io.types import Instance, Parts
from model.assist.crops import Window
from model.assist.engine import Answer, asked, raster, region
from model.assist.merge import touched
from model.instances import OUTLINE_BUDGET, without_crumbs

LEAST_LEFT = 0.3  # IoU of an outline with what it was; with less it is another animal's

Bytes = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # left, top, right, bottom, ends exclusive


def sharpened(answer: Answer, image: Bytes, instances: Sequence[Instance]) -> tuple[Instance, ...]:
    """The instances with new outlines.

    Args:
        answer: the refiner.
        image: (H, W, 3) uint8 RGB.
        instances: on it, with parts.

    Returns:
        As many, in their order. A pixel that two want stays with the one that had it, a new one
        goes to the first; what would hardly be where it was stays as it was.
    """
    height, width = image.shape[:2]
    boxes = [region(one.parts, (), 0.0, height, width) for one in instances]
    before, after = (np.zeros((height, width), np.int32) for _ in range(2))
    masks = []
    for number, (one, box) in enumerate(zip(instances, boxes, strict=True), start=1):
        own, found = _looked_at(answer, image, one.parts, box)
        _of(before, box)[own] = number
        masks.append(found)
    for number, (found, box) in enumerate(zip(masks, boxes, strict=True), start=1):
        taken = _of(after, box)
        taken[found & ((taken == 0) | (_of(before, box) == number))] = number
    return tuple(
        replace(one, parts=_parts(_of(after, box) == number, box, height, width) or one.parts)
        for number, (one, box) in enumerate(zip(instances, boxes, strict=True), start=1)
    )


def _looked_at(
    answer: Answer, image: Bytes, parts: Parts, box: Box
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The animal as it was and as the refiner sees it, in its box."""
    left, top, right, bottom = box
    part = np.ascontiguousarray(image[top:bottom, left:right])
    own = raster(parts, left, top, *part.shape[:2])
    if not own.any():
        return own, own
    found = touched(asked(answer, part, own, (), Window.for_click(own, (), 0.0)), own)
    shared, whole = np.count_nonzero(found & own), np.count_nonzero(found | own)
    return own, found if shared >= LEAST_LEFT * whole else own


def _of(labels: NDArray[np.int32], box: Box) -> NDArray[np.int32]:
    left, top, right, bottom = box
    return labels[top:bottom, left:right]


def _parts(mask: NDArray[np.bool_], box: Box, height: int, width: int) -> Parts:
    exact = without_crumbs(parts_of_mask(mask, box[0], box[1]))
    return simplify(exact, height, width, budget=OUTLINE_BUDGET) if exact else ()
