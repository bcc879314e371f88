"""Fewer vertices for the same animal, as far as the raster allows."""

from __future__ import annotations

import numpy as np
import shapely

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.types import Part, Parts, Ring

# Douglas-Peucker tolerances in pixels, 25 % apart: from nothing but collinear vertices to coarse.
_TOLERANCES = tuple(float(value) for value in 0.2 * 1.25 ** np.arange(24))


def simplify(parts: Parts, height: int, width: int, budget: float = 0.99) -> Parts:
    """The region with fewer vertices, its raster's IoU with the original's at least `budget`.

    Each part keeps the budget for itself, so that a leg cut off by a rail is not spent on the
    rest of the animal. A part that cannot be simplified within it comes back as it was.

    Args:
        parts: the region; may be an exact outline or anything a person drew.
        height: of the image, pixels.
        width: of the image, pixels.
        budget: least IoU in (0, 1]; 1 keeps the raster as it is.

    Returns:
        parts in the same order, every ring with at least 3 vertices; of a hand-drawn outline a
        subset of its vertices. Changed parts are valid polygons.

    Raises:
        DataError: as `geometry.rle_of_parts`.
    """
    result = tuple(_simplified(part, height, width, budget) for part in parts)
    before, after = (geo.rle_of_parts(item, height, width) for item in (parts, result))
    return result if geo.rle_iou(before, after) >= budget else parts


def _simplified(part: Part, height: int, width: int, budget: float) -> Part:
    if _vertices(part) <= 4:  # a triangle may have a pixel's raster, but it is no better outline
        return part
    rle = geo.rle_of_parts((part,), height, width)
    starts = (_through_steps(part), part) if _is_stepped(part) else (part,)
    for start in starts:
        found = _coarsest(start, rle, budget)
        if found is not None and _vertices(found) < _vertices(part):
            return found
    return part


def _coarsest(start: Part, rle: geo.Rle, budget: float) -> Part | None:
    """What the largest tolerance within the budget leaves of `start`, by binary search."""
    polygon = shapely.Polygon(start.outer, start.holes)
    if not polygon.is_valid:
        return None
    best, low, high = None, 0, len(_TOLERANCES)
    while low < high:
        middle = (low + high) // 2
        found = _at(polygon, _TOLERANCES[middle])
        if found is not None and _fits(found, rle, budget):
            best, low = found, middle + 1
        else:
            high = middle
    return best


def _at(polygon: shapely.Polygon, tolerance: float) -> Part | None:
    # The plain algorithm is ten times faster and seldom makes a ring cross itself.
    coarse = shapely.simplify(polygon, tolerance, preserve_topology=False)
    if not _is_whole(coarse):
        coarse = shapely.simplify(polygon, tolerance, preserve_topology=True)
    if not _is_whole(coarse):
        return None
    return Part(_ring(coarse.exterior), tuple(_ring(hole) for hole in coarse.interiors))


def _is_whole(shape: shapely.Geometry) -> bool:
    return isinstance(shape, shapely.Polygon) and not shape.is_empty and bool(shape.is_valid)


def _ring(line: shapely.LinearRing) -> Ring:
    return np.array(line.coords, dtype=np.float64)[:-1, :2]


def _fits(part: Part, rle: geo.Rle, budget: float) -> bool:
    height, width = rle["size"]
    try:
        return geo.rle_iou(geo.rle_of_parts((part,), height, width), rle) >= budget
    except DataError:
        return False


def _vertices(part: Part) -> int:
    return sum(len(ring) for ring in (part.outer, *part.holes))


def _is_stepped(part: Part) -> bool:
    """Whether this is an outline along pixel edges; what a person drew keeps its own vertices."""
    return all(
        bool(((ring == np.roll(ring, 1, axis=0)).any(axis=1) & (ring % 1 == 0).all(axis=1)).all())
        for ring in (part.outer, *part.holes)
    )


def _through_steps(part: Part) -> Part:
    """The outline led through the middle of its short edges.

    On the staircase of an exact outline a chord between corners lies half a step off to one side;
    between the middles of the steps it lies where the animal's contour did.
    """
    return Part(_middles(part.outer), tuple(_middles(hole) for hole in part.holes))


def _middles(ring: Ring) -> Ring:
    after = np.roll(ring, -1, axis=0)
    step = after - ring
    length = np.hypot(step[:, 0], step[:, 1])[:, None]
    # A longer edge is a real side: keep it but for half a pixel at its ends.
    inset = np.minimum(0.5, 0.5 * length) * step / np.maximum(length, 1e-12)
    points = np.stack([ring + inset, after - inset], axis=1).reshape(-1, 2)
    kept = (points != np.roll(points, 1, axis=0)).any(axis=1)
    return points[kept] if kept.sum() >= 3 else ring
