"""Carry instances over to the next frame of a group, following the animals' motion.

A walking animal of a barn camera keeps its shape from frame to frame, so its own pixels are a
template for where it is now. Correlation is masked by the animal: without the mask the ground,
which stands still, would win.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from app.workflow.client import clip, instances_of_client
from data_io import images
from data_io.errors import DataError
from data_io.geometry import (
    Rle,
    area_of_rle,
    box_of_parts,
    mask_of_parts,
    parts_to_json,
    rle_iou,
    rle_of_parts,
)
from data_io.store import Store
from data_io.types import ImageRecord, Instance, Part, Parts

SAME = 0.5  # IoU from which an animal is there already
SURE = 0.5  # correlation from which a motion is believed
REACH = 0.75  # of the animal's longer side: how far it may have moved
LEAST_REACH = 24  # px
TEMPLATE = 128  # px the longer side of a template has at most; larger animals are scaled down
FINE = 512  # px, likewise, for the search close to where the coarse one ended
_DIGITS = re.compile(r"(\d+)")
Gray = NDArray[np.uint8]


@dataclass(frozen=True)
class Shift:
    """A motion of whole pixels and how well the pixels fit there, 0 to 1."""

    x: int
    y: int
    confidence: float


def following(store: Store, image_id: str) -> ImageRecord | None:
    """The next frame of the image's group, None after the last.

    Frames are ordered as people count: 2 before 10.

    Raises:
        DataError: no such image.
    """
    group = store.image(image_id).group
    frames = [
        one
        for one in store.image_states().values()
        if one.group == group and (not one.excluded or one.id == image_id)
    ]
    places = {one.id: (_natural(one.path), one.id) for one in frames}
    later = [one.id for one in frames if places[one.id] > places[image_id]]
    return store.image(min(later, key=places.__getitem__)) if later else None


def carry(store: Store, target_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Where instances of one image lie on another; nothing is stored.

    Args:
        store: the project.
        target_id: the image that receives them.
        body: `source` (image id), `instances` (as in a save, of the source), `present` (instances
            already on the target's screen) and `follow` (look for each animal's motion).

    Returns:
        {"instances": [{index, category, parts, attributes, shift: [x, y], confidence}], "skipped":
        how many were there already, "lost": how many left the picture}. `index` is the place in
        what was sent; confidence is None where motion was not looked for, and where it is below 0.5
        the shift is [0, 0].

    Raises:
        DataError: an unknown image, or a body that does not fit.
    """
    source, target = store.image(_text(body.get("source"))), store.image(target_id)
    categories = {category.id: category.id for category in store.categories()}
    categories |= store.merged_categories()
    carried = instances_of_client(body.get("instances"), source, {}, categories)
    present = instances_of_client(body.get("present", []), target, {}, categories)
    there = [_raster(one.parts, target) for one in present]
    shifts = (
        _shifts(source, target, carried) if body.get("follow") is True else [None] * len(carried)
    )
    placed, skipped, lost = [], 0, 0
    for index, (one, shift) in enumerate(zip(carried, shifts, strict=True)):
        parts = clip(_moved(one.parts, shift), target.height, target.width)
        raster = _raster(parts, target)
        if area_of_rle(raster) == 0:
            lost += 1
        elif any(rle_iou(raster, other) >= SAME for other in there):
            skipped += 1
        else:
            placed.append({"index": index, **_row(one, parts, shift)})
    return {"instances": placed, "skipped": skipped, "lost": lost}


def best_shift(before: Gray, after: Gray, parts: Parts) -> Shift:
    """The motion of one animal between two pictures of equal size.

    Normalized, masked cross-correlation (OpenCV's `matchTemplate`, TM_CCOEFF_NORMED:
    https://docs.opencv.org/4.x/de/da9/tutorial_template_matching.html) within `REACH` of the place.

    Args:
        before, after: (H, W) uint8, gray.
        parts: the animal's outline in `before`.
    """
    height, width = before.shape
    x, y, w, h = box_of_parts(parts)
    left, top = max(int(x), 0), max(int(y), 0)
    right, bottom = min(int(np.ceil(x + w)), width), min(int(np.ceil(y + h)), height)
    if right - left < 4 or bottom - top < 4:
        return Shift(0, 0, 0.0)
    patch = before[top:bottom, left:right]
    mask = mask_of_parts(parts, height, width)[top:bottom, left:right].astype(np.uint8)
    reach = int(max(REACH * max(w, h), LEAST_REACH))
    coarse = _search(patch, mask, after, (left, top), reach, TEMPLATE)
    if coarse.confidence < SURE:
        return Shift(0, 0, max(coarse.confidence, 0.0))
    blur = max(patch.shape) // TEMPLATE  # px that one px of the coarse search stands for, less one
    if not blur:
        return coarse
    place = (left + coarse.x, top + coarse.y)
    fine = _search(patch, mask, after, place, blur + 2, FINE)
    confidence = max(coarse.confidence, fine.confidence)
    return Shift(coarse.x + fine.x, coarse.y + fine.y, confidence)


def _search(
    patch: Gray, mask: Gray, after: Gray, place: tuple[int, int], reach: int, side: int
) -> Shift:
    """Where a masked patch fits best within `reach` of (left, top); at most `side` px large."""
    (high, wide), (height, width) = patch.shape, after.shape
    left, top = place
    x0, y0 = max(left - reach, 0), max(top - reach, 0)
    x1, y1 = min(left + wide + reach, width), min(top + high + reach, height)
    if x1 - x0 < wide or y1 - y0 < high:
        return Shift(0, 0, 0.0)
    scale = min(1.0, side / max(patch.shape))
    window = _scaled(after[y0:y1, x0:x1], scale)
    small = _scaled(mask, scale, cv2.INTER_NEAREST)
    score = cv2.matchTemplate(window, _scaled(patch, scale), cv2.TM_CCOEFF_NORMED, mask=small)
    score[~np.isfinite(score) | (score > 1.001)] = -1.0  # ground without any contrast
    _, best, _, (column, row) = cv2.minMaxLoc(score)
    x, y = round(column / scale) + x0 - left, round(row / scale) + y0 - top
    return Shift(x, y, min(float(best), 1.0))


def _shifts(
    source: ImageRecord, target: ImageRecord, carried: Sequence[Instance]
) -> list[Shift | None]:
    if (source.width, source.height) != (target.width, target.height):
        return [Shift(0, 0, 0.0)] * len(carried)
    before, after = _gray(source), _gray(target)
    return [best_shift(before, after, one.parts) for one in carried]


def _gray(record: ImageRecord) -> Gray:
    return np.asarray(cv2.cvtColor(images.read(record.path), cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _scaled(picture: Gray, scale: float, how: int = cv2.INTER_AREA) -> Gray:
    if scale == 1.0:
        return np.ascontiguousarray(picture)
    height, width = picture.shape
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(picture, size, interpolation=how), dtype=np.uint8)


def _moved(parts: Parts, shift: Shift | None) -> Parts:
    if shift is None or (shift.x, shift.y) == (0, 0):
        return parts
    by = np.array([shift.x, shift.y], dtype=np.float64)
    return tuple(Part(part.outer + by, tuple(hole + by for hole in part.holes)) for part in parts)


def _raster(parts: Parts, record: ImageRecord) -> Rle:
    return rle_of_parts(parts, record.height, record.width)


def _row(one: Instance, parts: Parts, shift: Shift | None) -> dict[str, Any]:
    return {
        "category": one.category,
        "parts": parts_to_json(parts),
        "attributes": dict(one.attributes),
        "shift": [shift.x, shift.y] if shift else [0, 0],
        "confidence": round(shift.confidence, 3) if shift else None,
    }


def _natural(name: str) -> list[tuple[int, int, str]]:
    pieces = _DIGITS.split(name)
    return [(0, int(piece), "") if piece.isdigit() else (1, 0, piece) for piece in pieces]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise DataError("the canvas", "names no image to carry from", "reload the image")
    return value
