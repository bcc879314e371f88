"""Where the robot's hand has to go: vertices, strokes and cutting lines, from masks in image px."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from data_io.geometry import parts_of_mask
from data_io.simplify import through_steps

Mask = NDArray[np.bool_]
Point = tuple[float, float]
Line = list[Point]

SMALLEST = 0.006  # of the animal's area; people do not draw smaller parts and holes
CLOSING = 13  # screen px around the first vertex, where a click would close the outline
DISC_STEPS = 10  # places a disc may be put, along its radius; bounds the search only
DONE = 0.12  # of an error that may be left
CUT_REACH = 4  # image px a cutting line leads beyond the animal


def outlines(mask: Mask, scale: float) -> list[tuple[str, Line]]:
    """Outlines to click for an animal at a zoom: ("new" | "add" | "subtract", vertices) each.

    As many vertices as one needs to stay within a screen pixel, or three quarters of an image
    pixel, of the animal's edge (Douglas and Peucker).
    """
    area = float(mask.sum())
    tolerance = max(1 / scale, min(0.75, 0.03 * math.sqrt(area)))
    parts = [through_steps(part) for part in parts_of_mask(mask)]
    parts.sort(key=lambda part: -shapely.Polygon(part.outer).area)
    rings: list[tuple[str, Line]] = []
    for part in parts:
        if _counts(part.outer, area):
            how = "add" if rings else "new"
            rings.append((how, vertices(part.outer, tolerance, scale)))
    for part in parts:
        holes = (hole for hole in part.holes if _counts(hole, area))
        rings += [("subtract", vertices(hole, tolerance, scale)) for hole in holes]
    return [(how, ring) for how, ring in rings if len(ring) >= 3]


def _counts(ring: NDArray[np.float64], area: float) -> bool:
    return bool(shapely.Polygon(ring).area >= max(SMALLEST * area, 4))


def vertices(ring: NDArray[np.float64], tolerance: float, scale: float) -> Line:
    """A ring with few vertices, none but the first where a click would close it."""
    simple = shapely.Polygon(ring).simplify(tolerance)
    if simple.is_empty:
        return []
    points = np.asarray(simple.exterior.coords)[:-1]
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(gaps, np.inf)
    start = int(gaps.min(axis=1).argmax())  # the loneliest
    points = np.roll(points, -start, axis=0)
    far = np.linalg.norm(points - points[0], axis=1) * scale > CLOSING
    far[0] = True
    return [(float(x), float(y)) for x, y in points[far]]


def blobs(wrong: Mask, smallest: float) -> list[Mask]:
    """Connected errors with at least `smallest` pixels that are no slivers, largest first."""
    opened = cv2.morphologyEx(wrong.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    count, labels = cv2.connectedComponents(opened, connectivity=8)
    found = [labels == k for k in range(1, count)]
    return sorted((b for b in found if b.sum() >= smallest), key=lambda blob: -int(blob.sum()))


def depth(mask: Mask) -> NDArray[np.float32]:
    """(H, W) distance of each pixel of the mask to its border; the image's edge is no border."""
    padded = np.pad(mask, 1, mode="edge").astype(np.uint8)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1], np.float32)


def strokes(blob: Mask, allowed: Mask, radius: float) -> list[Line]:
    """Strokes with a disc that cover most of `blob` and keep to `allowed`, the blob included."""
    deep = depth(allowed)
    x, y, w, h = cv2.boundingRect(blob.astype(np.uint8))
    step = max(1, int(radius / DISC_STEPS * 3))
    reach = math.ceil(radius)
    height, width = blob.shape
    rows = range(max(0, y - reach), min(height, y + h + reach), step)
    columns = range(max(0, x - reach), min(width, x + w + reach), step)
    places = [(cx, cy) for cy in rows for cx in columns if deep[cy, cx] >= radius - 0.25]
    return _joined(_cover(blob, places, radius), deep, radius)


def _cover(blob: Mask, places: Sequence[tuple[int, int]], radius: float) -> list[tuple[int, int]]:
    """Places of discs, each the one that covers most of what is left."""
    if not places:
        return []
    rows, columns = np.nonzero(blob)
    at = np.asarray(places, float)
    inside = (columns - at[:, :1]) ** 2 + (rows - at[:, 1:]) ** 2 <= radius**2
    left = np.ones(len(rows), bool)
    chosen: list[tuple[int, int]] = []
    while left.sum() > DONE * len(rows):
        gains = (inside & left).sum(axis=1)
        best = int(gains.argmax())
        if gains[best] < 2:
            break
        chosen.append(places[best])
        left &= ~inside[best]
    return chosen


def _joined(places: list[tuple[int, int]], deep: NDArray[np.float32], radius: float) -> list[Line]:
    """Lines through the places, nearest next; lifted where the way would leave what is allowed."""
    lines: list[Line] = []
    left = list(places)
    while left:
        here = lines[-1][-1] if lines else left[0]
        nearest = min(left, key=lambda place: math.dist(place, here))
        left.remove(nearest)
        point = (nearest[0] + 0.5, nearest[1] + 0.5)
        if lines and _is_free(here, point, deep, radius):
            lines[-1].append(point)
        else:
            lines.append([point])
    return lines


def _is_free(a: Point, b: Point, deep: NDArray[np.float32], radius: float) -> bool:
    if math.dist(a, b) > 6 * radius:
        return False
    steps = np.linspace(a, b, max(2, int(math.dist(a, b))))
    rows, columns = steps[:, 1].astype(int), steps[:, 0].astype(int)
    return bool((deep[rows, columns] >= radius - 0.75).all())


def cut(shown: Mask, a: Mask, b: Mask, scale: float) -> Line:
    """A line between `a` and `b` across `shown`, from outside to outside; [] where there is none.

    The line keeps the same distance from both.
    """
    away = [cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5) for mask in (a, b)]
    nearer = (away[0] < away[1]).astype(np.uint8)
    kernel = np.ones((2 * CUT_REACH + 1, 2 * CUT_REACH + 1), np.uint8)
    near = cv2.dilate(shown.astype(np.uint8), kernel).astype(bool)
    near[[0, -1]] = False
    near[:, [0, -1]] = False
    best: Line = []
    most = 0
    rings, _ = cv2.findContours(nearer, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    for ring in (contour[:, 0] for contour in rings):
        for run in _runs(near[ring[:, 1], ring[:, 0]]):
            line = ring[run]
            inside = int(shown[line[:, 1], line[:, 0]].sum())
            if inside > most and len(line) > 2:
                most, best = inside, _simple(line, scale)
    return best


def _runs(flags: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Indices of the stretches of a ring where the flags are set."""
    if flags.all():
        return [np.arange(len(flags))]
    start = int(np.flatnonzero(~flags)[0])
    order = (np.arange(len(flags)) + start) % len(flags)
    ends = np.flatnonzero(np.diff(np.r_[0, flags[order].astype(int), 0]))
    return [order[first:last] for first, last in ends.reshape(-1, 2)]


def _simple(line: NDArray[np.int32], scale: float) -> Line:
    shape = shapely.LineString(line + 0.5).simplify(max(0.75, 1 / scale))
    return [(float(x), float(y)) for x, y in shape.coords]


def inner_point(mask: Mask, hidden: Mask) -> Point:
    """The point of a mask farthest from its border and from what lies on top of it."""
    free = mask & ~hidden
    deep = depth(free if free.any() else mask)
    row, column = np.unravel_index(int(deep.argmax()), deep.shape)
    return float(column) + 0.5, float(row) + 0.5
