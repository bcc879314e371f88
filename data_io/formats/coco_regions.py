"""The regions of COCO annotations: checked in one go where they are plain, put right where not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_io import geometry as geo
from data_io import shapes
from data_io.formats.coco_rle import checked_runs
from data_io.formats.labels import FileImage
from data_io.formats.text import Entry, Found, finite_number, is_drawable, mended
from data_io.types import Box, Instance, Part, Parts, Ring

_ROUNDING = 0.1, 2.0  # share of an area, and pixels, by which tools' own rasters differ from ours
_FAT = 2.0  # pixels of area for a pixel of outline; such a ring surely covers some


@dataclass(frozen=True, eq=False)
class Outline:
    """One ring that needs no further look when it lies inside its image.

    Attributes:
        ring: finite, at least three vertices, not repeated, so fat that it covers pixels.
        area: inside, square pixels. box: around it.
    """

    ring: Ring
    area: float
    box: Box


def simple_outlines(segmentations: Sequence[object]) -> list[Outline | None]:
    """The outline of every segmentation that is one plain polygon, None for any other.

    Files hold hundreds of thousands of them; all are measured together.
    """
    found: list[Outline | None] = [None] * len(segmentations)
    places = [k for k, value in enumerate(segmentations) if _is_flat(value)]
    flats = [segmentations[k][0] for k in places]  # type: ignore[index]
    sizes = np.array([len(flat) for flat in flats], dtype=np.int64) // 2
    try:
        numbers = np.fromiter(chain.from_iterable(flats), np.float64, 2 * int(sizes.sum()))
    except OverflowError:  # an integer beyond the range of a float: each on its own
        return found
    if not len(sizes):
        return found
    points = numbers.reshape(-1, 2)
    ends = np.cumsum(sizes)
    starts = ends - sizes
    # Many tools repeat the first vertex at the end.
    closed = (sizes > 3) & (points[starts] == points[ends - 1]).all(axis=1)
    measured = _measure(points, starts, ends, ends - closed)
    for row, k in enumerate(places):
        if measured.plain[row]:
            ring = points[starts[row] : ends[row] - closed[row]]
            found[k] = Outline(ring, measured.areas[row], measured.boxes[row])
    return found


def _is_flat(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], list):
        return False
    flat = value[0]
    return len(flat) >= 6 and len(flat) % 2 == 0 and set(map(type, flat)) <= {int, float}


@dataclass(frozen=True, eq=False)
class _Measures:
    areas: list[float]
    boxes: list[Box]
    plain: list[bool]


def _measure(
    points: NDArray[np.float64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    lasts: NDArray[np.int64],
) -> _Measures:
    """Areas, boxes and whether a ring is plain, of the rings points[starts:lasts]."""
    after = np.arange(1, len(points) + 1)
    after[ends - 1] = starts
    after[lasts - 1] = starts
    finite = np.logical_and.reduceat(np.isfinite(points).all(axis=1), starts)
    with np.errstate(all="ignore"):  # what is not finite is not plain
        arms = points - np.repeat(points[starts], ends - starts, axis=0)
        cross = arms[:, 0] * arms[after, 1] - arms[after, 0] * arms[:, 1]
        steps = points[after] - points
        areas = np.abs(np.add.reduceat(cross, starts)) / 2
        lengths = np.add.reduceat(np.hypot(steps[:, 0], steps[:, 1]), starts)
        low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
        boxes = np.concatenate([low, high - low], axis=1)
        plain = finite & (areas >= _FAT * lengths) & (lengths <= geo.MAX_OUTLINE)
    return _Measures(areas.tolist(), [tuple(box) for box in boxes.tolist()], plain.tolist())


def region(entry: Entry, image: FileImage, outline: Outline | None, found: Found) -> Parts:
    """The annotation's region, put right where it can be.

    Args:
        entry: the annotation.
        image: the one it belongs to.
        outline: what `simple_outlines` made of it.
        found: gets what was put right.

    Raises:
        DataError: there is no outline, it is broken, outside the image, or covers no pixel.
    """
    if outline is not None and _needs_no_look(entry, image, outline):
        return (Part(outline.ring),)
    value = entry.keys.get("segmentation")
    if isinstance(value, dict):
        rle = _rle(entry, value, image)
        parts = geo.parts_of_rle(rle)
    elif isinstance(value, list) and value:
        parts = tuple(
            Part(geo.ring_of_flat(flat, entry.file, entry.index, "segmentation")) for flat in value
        )
        geo.validate_parts(parts, entry.file, entry.index)
        parts = _clip(entry, parts, image, found)
        rle = geo.rle_of_parts(parts, image.height, image.width)
    else:
        why = "there is no outline (a box alone is not enough)"
        raise entry.refuse(why, "add polygons or an RLE", "segmentation")
    if not geo.area_of_rle(rle):
        raise entry.refuse("the outline covers no pixel", "draw it larger", "segmentation")
    _compare_claims(entry, rle, found)
    return parts


def _needs_no_look(entry: Entry, image: FileImage, outline: Outline) -> bool:
    """Whether a plain outline lies inside its image and agrees with the claims about it."""
    x, y, width, height = outline.box
    if x < 0 or y < 0 or x + width > image.width or y + height > image.height:
        return False
    share, pixels = _ROUNDING
    area, box = entry.keys.get("area"), entry.keys.get("bbox")
    if area is not None:
        claimed = finite_number(area)
        if claimed is None or abs(claimed - outline.area) > share / 2 * outline.area:
            return False
    if box is None:
        return True
    claims = [finite_number(value) for value in box] if isinstance(box, list) else []
    # A raster's box lies within a pixel of its ring's.
    return len(claims) == 4 and None not in claims and _boxes_agree(claims, outline.box, pixels - 1)


def untangled(
    read: Sequence[tuple[Entry, int, Instance]], images: Mapping[int, FileImage], found: Found
) -> Iterator[tuple[int, Instance]]:
    """(image id, instance), rings that cross themselves drawn anew around the same pixels.

    Rings that only touch themselves stay as they are, unless they hold holes on slits.
    """
    bad = set(shapes.invalid([instance.parts for _, _, instance in read]))
    for position, (entry, number, instance) in enumerate(read):
        if position not in bad:
            yield number, instance
            continue
        size = images[number].height, images[number].width
        parts, crossed = mended(instance.parts, geo.rle_of_parts(instance.parts, *size))
        if crossed:
            why, done = "the outline crosses itself", "it was drawn anew around the same pixels"
            found.repair(entry, why, done, "segmentation")
        yield number, replace(instance, parts=parts)


def _compare_claims(entry: Entry, rle: geo.Rle, found: Found) -> None:
    """Report an area or box that is not the raster's; ours are computed anyway."""
    share, pixels = _ROUNDING
    area, real = finite_number(entry.keys.get("area")), geo.area_of_rle(rle)
    if area is not None and abs(area - real) > max(share * real, pixels * real**0.5 + 4):
        why = f"area says {area:.6g} pixels, the outline covers {real}"
        found.repair(entry, why, "the outline counts", "area")
    claimed = entry.keys.get("bbox")
    box = [finite_number(value) for value in claimed] if isinstance(claimed, list) else []
    if len(box) == 4 and None not in box and not _boxes_agree(box, geo.box_of_rle(rle), pixels):
        why = f"bbox says {claimed}, the outline has {list(geo.box_of_rle(rle))}"
        found.repair(entry, why, "the outline counts", "bbox")


def _boxes_agree(a: Sequence[Any], b: Sequence[float], pixels: float) -> bool:
    """Whether two boxes (x, y, width, height) differ by at most so many pixels on every side."""
    corners = [(box[0], box[1], box[0] + box[2], box[1] + box[3]) for box in (a, b)]
    return max(abs(p - q) for p, q in zip(*corners, strict=True)) <= pixels


def _clip(entry: Entry, parts: Parts, image: FileImage, found: Found) -> Parts:
    x, y, width, height = geo.box_of_parts(parts)
    if x >= 0 and y >= 0 and x + width <= image.width and y + height <= image.height:
        return parts
    if x >= image.width or y >= image.height or x + width <= 0 or y + height <= 0:
        why = f"the outline lies outside the image of {image.width} x {image.height} pixels"
        raise entry.refuse(why, "check which image it belongs to", "segmentation")
    rle = geo.rle_of_parts(parts, image.height, image.width)
    why, done = "the outline leaves the image", "it was cut at the border"
    found.repair(entry, why, done, "segmentation")
    inside = tuple(Part(np.clip(part.outer, 0, [image.width, image.height])) for part in parts)
    # Moving vertices to the border bends long edges: then only the raster tells what is inside.
    if is_drawable(inside) and geo.same_raster(
        geo.rle_of_parts(inside, image.height, image.width), rle
    ):
        return inside
    return geo.parts_of_rle(rle)


def _rle(entry: Entry, value: Mapping[str, Any], image: FileImage) -> geo.Rle:
    if value.get("size") != [image.height, image.width]:
        why = f"the RLE's size is not [{image.height}, {image.width}] as the image's"
        raise entry.refuse(why, "export it from the image itself", "segmentation")
    try:
        runs = checked_runs(value.get("counts"), image.height * image.width)
    except ValueError as error:
        raise entry.refuse(str(error), "export it again", "segmentation") from error
    return geo.rle_of_runs(runs, image.height, image.width)
