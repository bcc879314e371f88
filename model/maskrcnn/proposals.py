"""Detections -> instances with outlines, and how probable every class is where.

Convention: as in `model.instances`. A mask fills its box: cell (i, j) of an m x m mask covers the
box's part [j/m, (j+1)/m) x [i/m, (i+1)/m); between the middles of cells it is interpolated, and
beyond its outer cells it falls to 0 within half a cell outside of the box.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from data_io.geometry import parts_of_mask
from data_io.simplify import simplify
from data_io.types import Instance
from model.instances import OUTLINE_BUDGET, STRIDE, ExtractionConfig, without_crumbs
from model.maskrcnn.detections import Detections

Floats = NDArray[np.float32]
Window = tuple[slice, slice]  # rows, columns

SHOWN = 0.5  # score from which a detection is proposed; the others only make the place uncertain
LEFT = 0.5  # share of its mask that animals with higher scores must leave an animal


def instances(
    found: Detections, height: int, width: int, categories: Sequence[str], version: str
) -> tuple[Instance, ...]:
    """The animals to propose, in drawing order: the highest score last, on top.

    Where masks overlap, a pixel belongs to the higher score. What is left of an animal becomes its
    outline unless that is a speck, or less than `LEFT` of it, which is another animal's echo.

    Args:
        height, width: size of the image in pixels.
        categories: category ids of the classes from 1.
        version: model version the instances carry.

    Returns:
        Instances with simplified outlines in image pixels; they do not overlap before
        simplification.
    """
    made = list(_outlined(found, height, width, categories, version))
    return tuple(reversed(made))


def _outlined(
    found: Detections, height: int, width: int, categories: Sequence[str], version: str
) -> Iterator[Instance]:
    """Highest score first."""
    taken = np.zeros((height, width), np.bool_)
    least = ExtractionConfig().min_area
    for k in np.argsort(-found.scores, kind="stable"):
        if found.scores[k] < SHOWN:
            return
        rows, columns = window = reach(found, int(k), 1, (height, width))
        mask = pasted(found, int(k), 1, window) > 0.5
        own = mask & ~taken[window]
        if own.sum() < max(least, LEFT * mask.sum()):
            continue
        taken[window] |= own
        whole = without_crumbs(parts_of_mask(own, columns.start, rows.start))
        yield Instance(
            id=uuid.uuid4().hex,
            category=categories[int(found.classes[k]) - 1],
            parts=simplify(whole, height, width, budget=OUTLINE_BUDGET),
            source="model",
            version=version,
            score=min(1.0, float(found.scores[k])),
        )


def probability(found: Detections, height: int, width: int, categories: int) -> Floats:
    """How probable each class is, (1 + categories, ceil(height/4), ceil(width/4)) float32.

    Detections are taken for independent: the background has the product of (1 - score * mask), and
    the categories share the rest by what their own detections say. Sums to 1 over the classes.
    """
    rows, columns = -(-height // STRIDE), -(-width // STRIDE)
    none = np.ones((categories, rows, columns), np.float32)  # no detection of the category
    for k in range(len(found.scores)):
        window = reach(found, k, STRIDE, (rows, columns))
        none[int(found.classes[k]) - 1][window] *= 1 - found.scores[k] * pasted(
            found, k, STRIDE, window
        )
    background, said = none.prod(0), 1 - none
    shares = said / np.maximum(said.sum(0), np.float32(1e-12)) * (1 - background)
    return np.concatenate([background[None], shares]).astype(np.float32)


def reach(found: Detections, k: int, step: int, shape: tuple[int, int]) -> Window:
    """The cells of a grid that a detection can reach.

    Args:
        k: which detection.
        step: image pixels a cell of the grid.
        shape: rows and columns of the grid.
    """
    box, cells = found.boxes[k].astype(np.float64), found.masks.shape[-1]
    margin = (box[2:] - box[:2]) / (2 * cells)
    low = np.floor((box[:2] - margin) / step).astype(int)
    high = np.ceil((box[2:] + margin) / step).astype(int)
    x0, y0 = np.clip(low, 0, shape[::-1])
    x1, y1 = np.clip(high, 0, shape[::-1])
    return slice(int(y0), int(y1)), slice(int(x0), int(x1))


def pasted(found: Detections, k: int, step: int, window: Window) -> Floats:
    """A detection's mask in the middles of a window's cells, (rows, columns) float32 in [0, 1].

    Args:
        k, step: as in `reach`.
        window: rows and columns of the grid.
    """
    rows, columns = window
    size = (columns.stop - columns.start, rows.stop - rows.start)
    if not all(size):
        return np.zeros(size[::-1], np.float32)
    box, cells = found.boxes[k].astype(np.float64), found.masks.shape[-1]
    per_cell = step * cells / np.maximum(box[2:] - box[:2], 1e-6)
    first = (np.array([columns.start, rows.start]) + 0.5) * step - box[:2]
    x, y = first * per_cell / step - 0.5
    matrix = np.array([[per_cell[0], 0, x], [0, per_cell[1], y]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    mask = np.ascontiguousarray(found.masks[k], np.float32)
    return np.asarray(cv2.warpAffine(mask, matrix, size, flags=flags), np.float32)
