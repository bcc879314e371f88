"""What the writers of text formats share: shapes with the exact raster, and what gets lost."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats.labels import Export, ExportImage, safe_name
from data_io.formats.text import is_drawable
from data_io.types import Instance, Part, Parts, Ring


@dataclass(frozen=True, eq=False)
class Crop:
    """A mask (H, W), and x and y of its top-left pixel in the image."""

    mask: NDArray[np.bool_]
    x: int
    y: int


def shapes_of(parts: Parts, rle: geo.Rle) -> list[Ring | Crop]:
    """Shapes whose union is the region's raster: rings as drawn, masks of parts with holes.

    Parts that cover no pixel are left out.

    Args:
        parts: the region. rle: its raster.
    """
    found: list[Ring | Crop] = []
    for part in parts:
        own = rle if len(parts) == 1 else geo.rle_of_parts((part,), *rle["size"])
        if geo.area_of_rle(own):
            drawn = not part.holes and is_drawable((part,))
            found.append(part.outer if drawn else _crop(own))
    return found


def _crop(rle: geo.Rle) -> Crop:
    """The pixels in the box of an RLE that is not empty."""
    x, y, width, height = (int(value) for value in geo.box_of_rle(rle))
    corner = np.array([x, y], dtype=np.float64)
    moved = tuple(
        Part(part.outer - corner, tuple(hole - corner for hole in part.holes))
        for part in geo.parts_of_rle(rle)
    )
    return Crop(geo.mask_of_parts(moved, height, width), x, y)


# --- what is lost ---------------------------------------------------------------------------------

_FIELDS = {
    "attributes": "the attributes of",
    "score": "the scores of",
    "source": "where a model helped in",
    "version": "the model version of",
    "iscrowd": "the crowd mark of",
    "extras": "the unknown COCO keys of",
}


def lost_fields(title: str, instances: Sequence[Instance], kept: Collection[str]) -> list[str]:
    """A sentence for each field that instances have and a format does not keep."""
    plain = Instance("", "", ())
    sentences = []
    for name, words in _FIELDS.items():
        count = sum(getattr(one, name) != getattr(plain, name) for one in instances)
        if count and name not in kept:
            sentences.append(f"{title} cannot hold {words} {many(count, 'instance')}")
    return sentences


def empty_ones(title: str, count: int) -> list[str]:
    """The sentence for instances that cover no pixel, if there are any."""
    return [f"{title} cannot hold {many(count, 'instance')} without a pixel"] if count else []


def verified_state(image: ExportImage) -> Literal["whole", "part", "none"]:
    """How much of an image a person vouches for."""
    if image.verified is None:
        return "whole"
    height, width = image.record.height, image.record.width
    area = geo.area_of_rle(geo.rle_of_parts(image.verified, height, width))
    return "whole" if area == height * width else "part" if area else "none"


def check_names(target: Path, export: Export) -> None:
    """Refuse file names that a reader would not take back.

    Raises:
        DataError: a name leads out of the folder, or holds what is no text.
    """
    for name in export.names:
        if safe_name(name) != name:
            why = "this file name cannot be written"
            raise DataError(target, why, "rename the image", index=ascii(name), field="file_name")


def many(count: int, noun: str) -> str:
    """``1 instance``, ``2 instances``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
