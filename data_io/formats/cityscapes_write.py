"""Cityscapes folders out; in, and what is in them: `cityscapes.py`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats.cityscapes_labels import (
    FIRST_OWN,
    IDS,
    IMAGES,
    INSTANCES,
    LABELS,
    LAST_OWN,
    NUMBERS,
    OUT_OF_ROI,
    OUT_OF_ROI_ID,
    PHOTO,
    POLYGONS,
    ROOT,
    VOID,
)
from data_io.formats.labels import Export, ExportImage, Written
from data_io.formats.png import label_files, paint, write_png
from data_io.formats.text import is_drawable
from data_io.formats.text_write import empty_ones, lost_fields, many
from data_io.rings import exact_rings, one_ring, separate_rings
from data_io.types import Category, Instance, Part, Ring

_TITLE = "Cityscapes"
_MAX_CITY = 80
_PER_LABEL = 1000  # instances of one label that an image can number


def write_cityscapes(target: Path, export: Export) -> Written:
    """Write a Cityscapes folder, without the pictures.

    The city is the image's group, the name the image's without its folders; images without a split
    count as `train`. Categories called as one of Cityscapes' labels get its id, others those from
    34 on. Ground that is not verified is `out of roi`, in the PNGs on top of everything. The PNGs
    have pycocotools' raster; Cityscapes' own scripts paint polygons about half a pixel wider.

    Args:
        target: an empty folder.
        export: what goes in.

    Raises:
        DataError: more than 31 categories of other names, one called as a label for void ground, or
            two images whose files would have one name.
    """
    ids = _ids(target, export.categories)
    stems = label_files(target, export, _stem)
    target.joinpath(ROOT).mkdir()
    expected: dict[str, list[geo.Rle]] = {}
    lost: Counter[str] = Counter()
    for image, name, stem in zip(export.images, export.names, stems, strict=True):
        objects = _objects(export, image, ids, lost)
        _write_image(target, stem, image, objects)
        expected[name] = [one.rle for one in objects]
    _write(target / LABELS, ids)
    pairs = zip(stems, export.names, strict=True)
    _write(target / IMAGES, {f"{stem}{POLYGONS}": name for stem, name in pairs})
    return Written(expected, tuple(_losses(export, lost)))


def _ids(target: Path, categories: Iterable[Category]) -> dict[str, int]:
    """Category name -> label id."""
    ids: dict[str, int] = {}
    own = FIRST_OWN
    for category in categories:
        if category.name in VOID:
            why = f"{_TITLE} calls ground without labels {category.name}"
            raise DataError(target, why, "rename the category", field="categories")
        ids[category.name] = IDS.get(category.name, own)
        own += category.name not in IDS
    if own > LAST_OWN + 1:
        why = f"{_TITLE} has room for {LAST_OWN - FIRST_OWN + 1} categories of your own"
        why += f" and there are {own - FIRST_OWN}"
        raise DataError(target, why, "merge some, or export another format", field="categories")
    return ids


def _stem(image: ExportImage, name: str) -> str:
    """The relative name of an image's label files without their endings."""
    letters = (letter if letter.isalnum() else "-" for letter in image.record.group)
    city = "".join(letters)[-_MAX_CITY:].strip("-") or "city"
    stem = PurePosixPath(name).stem.removesuffix(PHOTO)
    return f"{ROOT}/{image.record.split or 'train'}/{city}/{stem}"


@dataclass(frozen=True, eq=False)
class _Object:
    """One instance as it is written: its label, polygon, raster and number in the PNGs."""

    label: str
    ring: Ring
    rle: geo.Rle
    number: int


def _objects(
    export: Export, image: ExportImage, ids: Mapping[str, int], lost: Counter[str]
) -> list[_Object]:
    names = {category.id: category.name for category in export.categories}
    objects: list[_Object] = []
    counts: Counter[str] = Counter()
    for annotation, instance in image.instances:
        rle = export.raster(image, annotation, instance)
        if not geo.area_of_rle(rle):
            lost["empty"] += 1
            continue
        label = name = names[instance.category]
        number = ids[name]
        if instance.iscrowd and _is_taken(f"{name}group", ids):
            lost["crowd"] += 1
        elif instance.iscrowd:
            label = f"{name}group"
        if label == name and counts[name] == _PER_LABEL:
            lost["unnumbered"] += 1
        elif label == name:
            number = ids[name] * 1000 + counts[name]
            counts[name] += 1
        objects.append(_Object(label, _ring(instance, rle), rle, number))
    return objects


def _is_taken(label: str, ids: Mapping[str, int]) -> bool:
    return label in ids or label in IDS


def _ring(instance: Instance, rle: geo.Rle) -> Ring:
    """One ring that has exactly this raster, which has pixels."""
    for parts in (instance.parts, geo.parts_of_rle(rle)):
        rings = exact_rings(parts, rle, one_ring)
        if rings is not None and is_drawable((Part(rings[0]),)):
            return rings[0]
    why = "an outline cannot be written as one polygon"
    raise DataError(_TITLE, why, "report this as a fault of Herdmark")


def _write_image(target: Path, stem: str, image: ExportImage, objects: list[_Object]) -> None:
    height, width = image.record.height, image.record.width
    numbers = np.array([0, *(one.number for one in objects)], dtype=np.uint16)
    painted = numbers[paint([one.rle for one in objects], height, width)]
    rows = [{"label": one.label, "polygon": _points(one.ring)} for one in objects]
    if image.verified is not None:
        void = ~geo.mask_of_parts(image.verified, height, width)
        painted[void] = OUT_OF_ROI_ID
        outlines = separate_rings(geo.parts_of_mask(void))
        rows += [{"label": OUT_OF_ROI, "polygon": _points(ring)} for ring in outlines]
    write_png(target / f"{stem}{INSTANCES}", painted)
    labels = np.where(painted < 1000, painted, painted // 1000).astype(np.uint8)
    write_png(target / f"{stem}{NUMBERS}", labels)
    tree = {"imgHeight": height, "imgWidth": width, "objects": rows}
    _write(target / f"{stem}{POLYGONS}", tree)


def _points(ring: Ring) -> list[list[float]]:
    """[[x, y], ...], whole numbers as integers."""
    return [[int(v) if v.is_integer() else v for v in point] for point in ring.tolist()]


def _write(file: Path, tree: Mapping[str, Any]) -> None:
    with file.open("x", encoding="utf-8", newline="\n") as stream:
        json.dump(tree, stream, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        stream.write("\n")


def _losses(export: Export, lost: Counter[str]) -> Iterator[str]:
    yield from empty_ones(_TITLE, lost["empty"])
    if count := lost["crowd"]:
        yield f"{_TITLE} cannot mark {many(count, 'crowd')} whose label is a category's name"
    if count := lost["unnumbered"]:
        yield (
            f"{_TITLE}' instance PNGs cannot number {many(count, 'instance')} beyond {_PER_LABEL}"
            " of a category in an image"
        )
    instances = [one for image in export.images for _, one in image.instances]
    yield from lost_fields(_TITLE, instances, {"iscrowd"})
