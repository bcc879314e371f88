"""Operations on regions: union, difference, intersection, split, merge, repair, no overlap.

The first four work on outlines and keep the vertices a person set; what crosses itself is taken by
the even-odd rule, as pycocotools does. `flatten` and `repair` answer to the raster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.types import Part, Parts, Ring

_LEAST_AREA = 1e-6  # square pixels; what is smaller is left over from rounding
_LINE = "draw it from outside to outside, right across the animal"


# --- two regions ----------------------------------------------------------------------------------


def union(a: Parts, b: Parts) -> Parts:
    """What belongs to `a` or `b`; what touches becomes one part.

    Raises:
        DataError: as `geometry.validate_parts`; an empty region is allowed.
    """
    return merge([a, b])


def difference(a: Parts, b: Parts) -> Parts:
    """What belongs to `a` and not to `b`; () when nothing is left.

    Raises:
        DataError: as `geometry.validate_parts`; an empty region is allowed.
    """
    return _combined(shapely.difference, a, b)


def intersection(a: Parts, b: Parts) -> Parts:
    """What belongs to both `a` and `b`; () when nothing does.

    Raises:
        DataError: as `geometry.validate_parts`; an empty region is allowed.
    """
    return _combined(shapely.intersection, a, b)


def merge(regions: Sequence[Parts]) -> Parts:
    """One region of several; those that do not touch stay separate parts.

    Raises:
        DataError: as `geometry.validate_parts`; empty regions are allowed.
    """
    shapes = [_shape(parts) for parts in regions]
    return _parts(_tried(lambda: shapely.union_all(shapes)))


def _combined(
    operation: Callable[[shapely.Geometry, shapely.Geometry], shapely.Geometry], a: Parts, b: Parts
) -> Parts:
    one, other = _shape(a), _shape(b)
    return _parts(_tried(lambda: operation(one, other)))


# --- split ----------------------------------------------------------------------------------------


def split(parts: Parts, line: Ring) -> list[Parts]:
    """Cut a region by a drawn line; the pieces share the vertices of the cut.

    Pieces on one side of the line, lengthened at both ends, stay one region: a line across the body
    sends the legs below a rail along with their halves.

    Args:
        parts: the region.
        line: (N, 2) vertices of the line, N >= 2, pixels; may be bent.

    Returns:
        at least two regions, the largest first.

    Raises:
        DataError: the line is none, or does not cross the animal.
    """
    if line.ndim != 2 or line.shape[1] != 2 or len(line) < 2 or not np.isfinite(line).all():
        raise DataError("split", "the line has no two points", _LINE)
    shape, cut = _shape(parts), shapely.LineString(line)
    before = len(_polygons(shape))
    pieces = _tried(lambda: _cut(shape, cut))
    if len(pieces) <= before:
        raise DataError("split", "the line must cross the animal", _LINE)
    sides = _tried(lambda: _sides(pieces, line))
    if len(set(sides.tolist())) < 2:  # the lengthened line crossed itself, or left all on one side
        sides = np.arange(len(pieces))
    groups = [shapely.multipolygons(pieces[sides == side]) for side in np.unique(sides)]
    groups.sort(key=lambda group: -float(group.area))
    return [_parts(group) for group in groups]


def _cut(shape: shapely.Geometry, line: shapely.LineString) -> shapely.Geometry:
    """Array of the polygons that the line makes of a shape."""
    faces = shapely.get_parts(shapely.polygonize([shapely.union(shape.boundary, line)]))
    inside = shapely.contains_properly(shape, shapely.point_on_surface(faces))
    return faces[inside & (shapely.area(faces) > _LEAST_AREA)]


def _sides(pieces: shapely.Geometry, line: Ring) -> NDArray[np.int64]:
    """For each polygon the number of the side of the lengthened line that most of it lies on."""
    x0, y0, x1, y1 = shapely.total_bounds(np.append(pieces, shapely.LineString(line)))
    reach = 4 * (x1 - x0 + y1 - y0)
    ends = [
        end + reach * (end - inner) / max(1e-9, float(np.hypot(*(end - inner))))
        for end, inner in ((line[0], line[1]), (line[-1], line[-2]))
    ]
    long = shapely.LineString(np.concatenate([ends[:1], line, ends[1:]]))
    field = shapely.box(x0 - 1, y0 - 1, x1 + 1, y1 + 1)
    faces = _cut(field, long)
    shared = shapely.area(shapely.intersection(pieces[:, None], faces[None]))
    return np.asarray(shared.argmax(axis=1))


# --- stacking order -------------------------------------------------------------------------------


def flatten(regions: Sequence[Parts], height: int, width: int) -> list[Parts]:
    """The regions without overlap: where several have a pixel, the last one keeps it.

    Args:
        regions: in stacking order, later on top.
        height: of the image, pixels.
        width: of the image, pixels.

    Returns:
        for each region itself where nothing lies on it, else the exact outline of the pixels left
        to it, () when all are covered.

    Raises:
        DataError: as `geometry.rle_of_parts`.
    """
    rles = [geo.rle_of_parts(parts, height, width) for parts in regions]
    boxes = np.array([geo.box_of_rle(rle) for rle in rles]).reshape(-1, 4)
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    result = list(regions)
    for number, rle in enumerate(rles):
        later = slice(number + 1, None)
        meets = (low[later] < high[number]) & (high[later] > low[number])
        above = [rles[number + 1 + k] for k in np.flatnonzero(meets.all(axis=1))]
        if not above:
            continue
        left = geo.rle_difference(rle, geo.rle_union(above))
        if geo.area_of_rle(left) < geo.area_of_rle(rle):
            result[number] = geo.parts_of_rle(left)
    return result


def band_of_mask(mask: NDArray[np.bool_], distance: int) -> NDArray[np.bool_]:
    """The pixels of an (H, W) mask at most `distance` (chessboard) from its contour.

    What lies outside the array is outside the region.
    """
    side = 2 * distance + 1
    framed = np.pad(mask, distance).astype(np.uint8)
    inner = cv2.erode(framed, np.ones((side, side), np.uint8))
    return np.asarray(mask & (inner[distance:-distance, distance:-distance] == 0))


# --- repair ---------------------------------------------------------------------------------------


def repair(parts: Parts, height: int, width: int) -> tuple[Parts, bool]:
    """The region with valid polygons around the same pixels, and whether anything was changed.

    Rings that cross themselves are cut where they do if that keeps the raster; else the region
    becomes the exact outline of its raster, () when that is empty.

    Args:
        parts: the region.
        height: of the image, pixels.
        width: of the image, pixels.

    Raises:
        DataError: as `geometry.rle_of_parts`.
    """
    if all(_is_valid(part) for part in parts):
        return parts, False
    before = geo.rle_of_parts(parts, height, width)
    try:
        fixed = tuple(piece for part in parts for piece in _repaired(part))
        if fixed and geo.same_raster(geo.rle_of_parts(fixed, height, width), before):
            return fixed, True
    except (DataError, shapely.GEOSException):
        pass
    return geo.parts_of_rle(before), True


def invalid(regions: Sequence[Parts]) -> list[int]:
    """Positions of the regions that have a part which is no valid polygon.

    Valid: rings of finite coordinates that cross neither themselves nor each other, with the holes
    inside. Parts of one region may overlap. All polygons are checked in one call.
    """
    rings: list[Ring] = []
    owners: list[int] = []  # for each ring the number of its polygon
    of_region: list[int] = []  # for each polygon its region
    bad: set[int] = set()
    for number, parts in enumerate(regions):
        for part in parts:
            own = (part.outer, *part.holes)
            if not all(_is_ring(ring) for ring in own):
                bad.add(number)
                continue
            owners += [len(of_region)] * len(own)
            of_region.append(number)
            rings += own
    if rings:
        lines = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
        closed = shapely.linearrings(np.concatenate(rings), indices=lines)
        valid = shapely.is_valid(shapely.polygons(closed, indices=owners))
        bad.update(np.asarray(of_region)[~valid].tolist())
    return sorted(bad)


def _is_ring(ring: Ring) -> bool:
    shaped = ring.ndim == 2 and ring.shape[1] == 2 and len(ring) >= 3
    return shaped and bool(np.isfinite(ring).all())


def _is_valid(part: Part) -> bool:
    """As `invalid`, which is slower for one part and faster for many."""
    rings = all(_is_ring(ring) for ring in (part.outer, *part.holes))
    return rings and bool(shapely.Polygon(part.outer, part.holes).is_valid)


def _repaired(part: Part) -> Parts:
    return (part,) if _is_valid(part) else _parts(_polygon(part))


# --- shapely --------------------------------------------------------------------------------------


def _shape(parts: Parts) -> shapely.Geometry:
    """A valid (multi)polygon of a region."""
    if parts:
        geo.validate_parts(parts)
    return _tried(
        lambda: shapely.multipolygons(
            _polygons(shapely.union_all([_polygon(part) for part in parts]))
        )
    )


def _polygon(part: Part) -> shapely.Geometry:
    whole = shapely.Polygon(part.outer, part.holes)
    if shapely.is_valid(whole):
        return whole
    # One ring at a time: a hole takes away, even where it leaves the outer ring.
    outer, *holes = shapely.make_valid(
        [shapely.Polygon(ring) for ring in (part.outer, *part.holes)]
    )
    return shapely.difference(outer, shapely.union_all(holes)) if holes else outer


def _polygons(shape: shapely.Geometry) -> shapely.Geometry:
    """Array of a shape's polygons; points and lines, where outlines only touch, are dropped."""
    pieces = shapely.get_parts(shapely.get_parts(shape))  # a collection may hold multipolygons
    return pieces[(shapely.get_type_id(pieces) == 3) & (shapely.area(pieces) > _LEAST_AREA)]


def _parts(shape: shapely.Geometry) -> Parts:
    """Clockwise outer rings on the screen, holes the other way, as those of an exact outline."""
    polygons = shapely.orient_polygons(_polygons(shape), exterior_cw=False)
    return tuple(
        Part(_ring(polygon.exterior), tuple(_ring(hole) for hole in polygon.interiors))
        for polygon in polygons
    )


def _ring(line: shapely.LinearRing) -> Ring:
    return np.asarray(shapely.get_coordinates(line)[:-1], dtype=np.float64)


def _tried(operation: Callable[[], shapely.Geometry]) -> shapely.Geometry:
    try:
        return operation()
    except shapely.GEOSException as error:
        why = "the outlines cannot be computed with"
        raise DataError("outline", why, "move a vertex a little and try again") from error
