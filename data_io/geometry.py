"""Rings <-> mask <-> RLE: the exact outline, the raster rule, area, box, validity.

Convention: a pixel belongs to a region when pycocotools says so. A part's raster is the raster of
its outer ring minus the rasters of its holes; a region is the union of its parts. Coordinates are
those of `data_io.types`: (x, y) pixels, origin at the top-left corner, pixel (0, 0) spans [0, 1]^2.
An exact outline runs along pixel EDGES, so all its coordinates are integers and its raster is the
mask it was traced from, bit for bit.

An `Rle` is pycocotools' compressed record: {"size": [height, width], "counts": bytes}.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from data_io.errors import DataError
from data_io.outline import parts_of_mask
from data_io.types import Box, Part, Parts, Ring

__all__ = [
    "MAX_OUTLINE",
    "Rle",
    "area_of_rle",
    "box_of_parts",
    "box_of_rle",
    "crop_of_rle",
    "full_image",
    "mask_of_parts",
    "mask_of_rle",
    "parts_of_json",
    "parts_of_mask",
    "parts_of_rle",
    "parts_to_json",
    "ring_of_flat",
    "ring_to_flat",
    "rle_difference",
    "rle_intersection",
    "rle_iou",
    "rle_of_mask",
    "rle_of_parts",
    "rle_of_runs",
    "rle_union",
    "runs_of_rle",
    "same_raster",
    "validate_parts",
    "window_of_rle",
]

MAX_OUTLINE = 4e6  # pixels along one ring; pycocotools needs about 100 bytes for each of them


class Rle(TypedDict):
    """pycocotools' compressed run-length record of one mask, column-major."""

    size: list[int]
    counts: bytes


# --- raster ---------------------------------------------------------------------------------------


def rle_of_parts(parts: Parts, height: int, width: int) -> Rle:
    """The raster of a region in an image of `height` x `width` pixels.

    Raises:
        DataError: a ring is not finite, has fewer than 3 vertices or is absurdly long.
    """
    if not parts:
        return rle_of_runs([height * width], height, width)
    pieces = []
    for part in parts:
        outer = _rle_of_ring(part.outer, height, width)
        holes = [_rle_of_ring(hole, height, width) for hole in part.holes]
        pieces.append(rle_difference(outer, rle_union(holes)) if holes else outer)
    return pieces[0] if len(pieces) == 1 else rle_union(pieces)


def mask_of_parts(parts: Parts, height: int, width: int) -> NDArray[np.bool_]:
    """(H, W) bool raster of a region; see `rle_of_parts`."""
    return mask_of_rle(rle_of_parts(parts, height, width))


def rle_of_mask(mask: NDArray[Any]) -> Rle:
    """RLE of an (H, W) mask; anything non-zero is inside."""
    encoded: Rle = coco_mask.encode(np.asfortranarray(np.asarray(mask) != 0, dtype=np.uint8))
    return encoded


def mask_of_rle(rle: Rle) -> NDArray[np.bool_]:
    """(H, W) bool mask of an RLE. Costs a full frame: use `parts_of_rle` inside loops."""
    return np.ascontiguousarray(coco_mask.decode(rle), dtype=np.bool_)


def parts_of_rle(rle: Rle) -> Parts:
    """The exact outline of an RLE (see `parts_of_mask`); decodes no more than its columns."""
    window = window_of_rle(rle)
    if window[0] == window[2]:
        return ()
    return parts_of_mask(crop_of_rle(rle, window), *window[:2])


def window_of_rle(rle: Rle, margin: int = 0) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of an RLE's pixels, ends exclusive, and `margin` more pixels as
    far as the image goes.
    """
    height, width = rle["size"]
    x, y, columns, rows = (int(value) for value in box_of_rle(rle))
    right, bottom = min(width, x + columns + margin), min(height, y + rows + margin)
    return max(0, x - margin), max(0, y - margin), right, bottom


def crop_of_rle(rle: Rle, window: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """(rows, columns) bool mask of a window of the image, see `window_of_rle`."""
    left, top, right, bottom = window
    height = rle["size"][0]
    ends = np.cumsum(runs_of_rle(rle))
    ends = np.clip(ends - left * height, 0, (right - left) * height)
    lengths = ends - np.append(0, ends[:-1])
    inside = np.zeros((right - left) * height, dtype=np.bool_)
    inside[: lengths.sum()] = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return inside.reshape(right - left, height)[:, top:bottom].T


def area_of_rle(rle: Rle) -> int:
    """Number of pixels inside."""
    return int(coco_mask.area(rle))


def box_of_rle(rle: Rle) -> Box:
    """(x, y, width, height) of the pixels inside; zeros when there is none."""
    x, y, width, height = (float(value) for value in coco_mask.toBbox(rle))
    return x, y, width, height


def rle_union(rles: Sequence[Rle]) -> Rle:
    """Union of one or more RLEs of the same size."""
    merged: Rle = coco_mask.merge(list(rles))
    return merged


def rle_intersection(rles: Sequence[Rle]) -> Rle:
    """Intersection of one or more RLEs of the same size."""
    merged: Rle = coco_mask.merge(list(rles), intersect=True)
    return merged


def rle_difference(a: Rle, b: Rle) -> Rle:
    """The pixels of `a` that are not in `b`."""
    runs = runs_of_rle(b).tolist()
    # Runs alternate outside, inside, outside...: an empty first run swaps the two.
    outside = rle_of_runs(runs[1:] if runs[0] == 0 else [0, *runs], *b["size"])
    return rle_intersection([a, outside])


def rle_iou(a: Rle, b: Rle) -> float:
    """Intersection over union in [0, 1]; two empty masks agree: 1."""
    # `coco_mask.iou` gives the same quotient and takes twice as long for a single pair.
    both = area_of_rle(rle_intersection([a, b]))
    either = area_of_rle(a) + area_of_rle(b) - both
    return both / either if either else 1.0


def same_raster(a: Rle, b: Rle) -> bool:
    """Whether two RLEs of one size hold the same pixels, however they are written."""
    return a["counts"] == b["counts"] or (area_of_rle(a) == area_of_rle(b) and rle_iou(a, b) == 1.0)


def _rle_of_ring(ring: Ring, height: int, width: int) -> Rle:
    if ring.ndim != 2 or ring.shape[0] < 3 or ring.shape[1] != 2:
        raise DataError("outline", "a ring has fewer than 3 vertices", "draw it again")
    _check_length(ring, "outline", "", "")
    # A list of one flat array: pycocotools takes a bare one of four numbers for a box.
    encoded: Rle = coco_mask.frPyObjects([np.ascontiguousarray(ring).ravel()], height, width)[0]
    return encoded


def rle_of_runs(runs: list[int], height: int, width: int) -> Rle:
    """The RLE of run lengths that start outside and add up to height * width."""
    record = {"size": [height, width], "counts": runs}
    encoded: Rle = coco_mask.frPyObjects(record, height, width)
    return encoded


def runs_of_rle(rle: Rle) -> NDArray[np.int64]:
    """Run lengths of a compressed RLE, starting outside.

    The format (pycocotools' rleToString): little-endian groups of 5 bits in a character offset by
    48, bit 0x20 = another group follows, bit 0x10 of the last group = sign; from the fourth run on
    a number is the difference to the run two before.
    """
    codes = np.frombuffer(rle["counts"], dtype=np.uint8).astype(np.int64) - 48
    if not len(codes):
        return np.zeros(1, dtype=np.int64)
    last = (codes & 0x20) == 0
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)
    values = np.add.reduceat((codes & 0x1F) << (5 * place), starts)
    negative = (codes[ends] & 0x10) != 0
    values -= np.where(negative, np.int64(1) << (5 * (ends - starts + 1)), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


# --- boxes and checks -----------------------------------------------------------------------------


def box_of_parts(parts: Parts) -> Box:
    """(x, y, width, height) around the outer rings; zeros when there is no part."""
    if not parts:
        return 0.0, 0.0, 0.0, 0.0
    points = parts[0].outer if len(parts) == 1 else np.concatenate([one.outer for one in parts])
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return left, top, right - left, bottom - top


def full_image(height: int, width: int) -> Parts:
    """The whole image as one part: the ring of its box."""
    return (Part(np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)),)


def validate_parts(
    parts: Parts, file: object = "outline", index: str = "", field: str = "segmentation"
) -> None:
    """Refuse what cannot be an area.

    Raises:
        DataError: no part at all, or a ring that is not (N >= 3, 2), not finite, absurdly long or
            whose vertices all lie on one line.
    """
    if not parts:
        raise DataError(file, "no outline", "give at least one ring", index=index, field=field)
    for ring in _rings(parts):
        if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3:
            why = "a ring has fewer than 3 vertices"
            raise DataError(file, why, "give at least three", index=index, field=field)
        _check_length(ring, file, index, field)
        if _on_one_line(ring):
            why = "a ring encloses no area"
            raise DataError(file, why, "draw around the animal", index=index, field=field)


def _rings(parts: Parts) -> Iterable[Ring]:
    for part in parts:
        yield part.outer
        yield from part.holes


def _check_length(ring: Ring, file: object, index: str, field: str) -> None:
    """Keep non-finite numbers and endless outlines away from pycocotools' integer arithmetic."""
    if float(np.abs(ring).max()) * 2 * len(ring) <= MAX_OUTLINE:  # false for NaN; most rings
        return
    if not np.isfinite(ring).all():
        why = "a coordinate is not a finite number"
        raise DataError(file, why, "give plain pixel coordinates", index=index, field=field)
    steps = np.abs(ring - np.roll(ring, 1, axis=0)).max(axis=1)
    if float(steps.sum()) > MAX_OUTLINE or float(np.abs(ring).max()) > MAX_OUTLINE:
        why = f"an outline is longer than {MAX_OUTLINE:.0f} pixels"
        raise DataError(file, why, "give pixel coordinates of the image", index=index, field=field)


def _on_one_line(ring: Ring) -> bool:
    a, b, c = (complex(*point) for point in ring[:: len(ring) // 3][:3].tolist())
    if abs(((b - a).conjugate() * (c - a)).imag) > 1e-3 * abs(b - a) * abs(c - a):
        return False  # three of its vertices span an area: so does nearly every ring
    arms = ring - ring[0]
    longest = arms[np.argmax((arms**2).sum(axis=1))]
    cross = arms[:, 0] * longest[1] - arms[:, 1] * longest[0]
    return bool(np.abs(cross).max() <= 1e-9 * max(1.0, float((longest**2).sum())))


# --- JSON -----------------------------------------------------------------------------------------


def ring_to_flat(ring: Ring) -> list[float]:
    """[x0, y0, x1, y1, ...]."""
    flat: list[float] = np.asarray(ring, dtype=np.float64).ravel().tolist()
    return flat


def ring_of_flat(flat: object, file: object = "outline", index: str = "", field: str = "") -> Ring:
    """The ring of [x0, y0, x1, y1, ...].

    A last vertex that repeats the first is dropped.

    Raises:
        DataError: not a list of an even number of finite numbers, or fewer than 3 vertices.
    """

    def refuse(why: str, remedy: str) -> DataError:
        return DataError(file, why, remedy, index=index, field=field)

    if not isinstance(flat, list | tuple) or not _are_numbers(flat):
        raise refuse("a ring is not a list of finite numbers", "write it as [x0, y0, x1, y1, ...]")
    if len(flat) % 2:
        raise refuse("a ring has an odd number of coordinates", "give x and y of every vertex")
    ring = np.array(flat, dtype=np.float64).reshape(-1, 2)
    if len(ring) > 3 and (ring[0] == ring[-1]).all():
        ring = ring[:-1]
    if len(ring) < 3:
        raise refuse(f"a ring has {len(ring)} vertices", "give at least three")
    return ring


def _are_numbers(values: Sequence[object]) -> bool:
    """Whether all are finite numbers that a float can hold; booleans are none."""
    if not set(map(type, values)) <= {int, float}:
        return False
    try:
        return bool(np.isfinite(np.array(values, dtype=np.float64)).all())
    except OverflowError:  # an integer beyond the range of a float
        return False


def parts_to_json(parts: Parts) -> list[dict[str, Any]]:
    """[{"outer": [x0, y0, ...], "holes": [[...], ...]}, ...]."""
    return [
        {"outer": ring_to_flat(part.outer), "holes": [ring_to_flat(hole) for hole in part.holes]}
        for part in parts
    ]


def parts_of_json(obj: object, file: object = "outline", index: str = "") -> Parts:
    """Inverse of `parts_to_json`.

    Raises:
        DataError: anything that is not such a list.
    """
    if not isinstance(obj, list | tuple):
        raise DataError(file, "parts are not a list", "send a list", index=index, field="parts")
    return tuple(_part_of_json(item, file, index) for item in obj)


def _part_of_json(item: object, file: object, index: str) -> Part:
    if not isinstance(item, dict):
        why, remedy = "a part is not an object", 'send {"outer": [...], "holes": [...]}'
        raise DataError(file, why, remedy, index=index, field="parts")
    holes = item.get("holes") or []
    if not isinstance(holes, list | tuple):
        raise DataError(file, "holes are not a list", "send a list", index=index, field="holes")
    outer = ring_of_flat(item.get("outer"), file, index, "outer")
    return Part(outer, tuple(ring_of_flat(hole, file, index, "holes") for hole in holes))
