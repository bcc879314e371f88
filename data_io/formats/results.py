"""COCO results, in and out (https://cocodataset.org/#format-results).

A JSON list of what a model found: an image id, a category id, compressed run lengths, their box and
a score. Names of images and categories are not in it; they come from the file with the truth.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats.coco_rle import checked_runs
from data_io.formats.labels import (
    Export,
    FileCategory,
    FileImage,
    LabelFile,
    Picture,
    Pictures,
    Reader,
    Written,
)
from data_io.formats.text import (
    MAX_RUNS,
    Entry,
    Found,
    read_json,
)
from data_io.formats.text_write import (
    empty_ones,
    lost_fields,
    many,
)
from data_io.types import Instance

_FIELD = "segmentation"
_MAX_COUNTS = 4 * MAX_RUNS  # numbers, or characters, of which a number has one to seven


# --- in -------------------------------------------------------------------------------------------


def read_results(
    source: Path, truth: Mapping[int, Picture], categories: Mapping[int, str]
) -> LabelFile:
    """Read COCO results with run lengths, compressed or not, in the order of the file.

    Args:
        source: the JSON file.
        truth: COCO image id -> picture; all of them are in the answer, also those without results.
        categories: COCO category id -> name.

    Returns:
        What was found; nothing in it is verified.

    Raises:
        DataError: unreadable, broken JSON, or not a list.
    """
    path = Path(source)
    rows = read_json(path)
    if not isinstance(rows, list):
        why = "these are not COCO results, which are one JSON list"
        raise DataError(path, why, "choose the file with the results")
    found = Found()
    images = {
        number: FileImage(
            f"image {number}", picture.name, picture.width, picture.height, verified=()
        )
        for number, picture in truth.items()
    }
    stacks: dict[int, list[Instance]] = {number: [] for number in truth}
    incomplete: set[int] = set()
    for position, row in enumerate(rows):
        entry = Entry(path, f"result at position {position}", row if isinstance(row, dict) else {})
        number: int | None = None
        try:
            if not isinstance(row, dict):
                raise entry.refuse("the entry is not an object", "write {...}")
            number = _known(entry, "image_id", truth)
            stacks[number].append(_instance(entry, images[number], categories))
        except DataError as error:
            found.refuse(error)
            incomplete.update(() if number is None else (number,))
    return LabelFile(
        tuple(FileCategory(str(number), name) for number, name in categories.items()),
        tuple(
            replace(image, instances=tuple(stacks[number]), complete=number not in incomplete)
            for number, image in images.items()
        ),
        tuple(found.refused),
    )


def reader_of(export: Export) -> Reader:
    """The reader of results for an export's own images and categories."""
    truth = {
        image.record.coco_id: Picture(name, image.record.width, image.record.height)
        for image, name in zip(export.images, export.names, strict=True)
    }
    categories = {category.coco_id: category.name for category in export.categories}

    def read(source: Path, pictures: Pictures) -> LabelFile:
        return read_results(source, truth, categories)

    return read


def read_back_results(target: Path, export: Export) -> dict[str, list[geo.Rle]]:
    """The rasters in a file of `write_results` by image name.

    Raises:
        DataError: something in it cannot be read.
    """
    content = reader_of(export)(target, export.pictures())
    if content.refused:
        raise content.refused[0]
    return {
        image.file_name: [
            geo.rle_of_parts(one.parts, image.height, image.width) for one in image.instances
        ]
        for image in content.images
    }


def _known(entry: Entry, key: str, known: Mapping[int, object]) -> int:
    number = entry.whole(key)
    if number not in known:
        why = f"{key} {number} is not in the file with the truth"
        raise entry.refuse(why, "choose the truth that belongs to these results", key)
    return number


def _instance(entry: Entry, image: FileImage, categories: Mapping[int, str]) -> Instance:
    category = _known(entry, "category_id", categories)
    score = entry.number("score")
    if not 0 <= score <= 1:
        raise entry.refuse("score is not between 0 and 1", "write a probability", "score")
    parts = geo.parts_of_rle(_rle(entry, image))
    if not parts:
        raise entry.refuse("the RLE covers no pixel", "remove the result", _FIELD)
    return Instance(uuid.uuid4().hex, str(category), parts, source="model", score=score)


def _rle(entry: Entry, image: FileImage) -> geo.Rle:
    value = entry.keys.get(_FIELD)
    if not isinstance(value, dict):
        raise entry.refuse("the segmentation is not an RLE", "export masks as RLE", _FIELD)
    if value.get("size") != [image.height, image.width]:
        why = f"the RLE's size is not [{image.height}, {image.width}] as the image's"
        raise entry.refuse(why, "export it from the image itself", _FIELD)
    counts = value.get("counts")
    try:
        ragged = isinstance(counts, str | list) and len(counts) > _MAX_COUNTS
        runs = [] if ragged else checked_runs(counts, image.height * image.width)
    except ValueError as error:
        raise entry.refuse(str(error), "export it again", _FIELD) from error
    if ragged or len(runs) > MAX_RUNS:
        raise entry.refuse("the mask is too ragged for an outline", "smooth it", _FIELD)
    return geo.rle_of_runs(runs, image.height, image.width)


# --- out ------------------------------------------------------------------------------------------


def write_results(target: Path, export: Export) -> Written:
    """Write COCO results; an instance without a score gets 1.

    Rows have no `bbox`: with one, pycocotools would take areas, and so its sizes, from the boxes.

    Args:
        target: the file to create.
        export: what goes in.

    Raises:
        DataError: the ids of images or categories are not unique numbers from 1 on.
    """
    _check_ids(target, "image_id", [image.record.coco_id for image in export.images])
    _check_ids(target, "category_id", [category.coco_id for category in export.categories])
    ids = {category.id: category.coco_id for category in export.categories}
    expected: dict[str, list[geo.Rle]] = {}
    separator = "\n"
    with target.open("x", encoding="utf-8", newline="\n") as stream:
        stream.write("[")
        for image, name in zip(export.images, export.names, strict=True):
            rasters = expected[name] = []
            for number, instance in image.instances:
                rle = export.raster(image, number, instance)
                if not geo.area_of_rle(rle):
                    continue
                rasters.append(rle)
                row = _row(image.record.coco_id, ids[instance.category], instance, rle)
                stream.write(separator + json.dumps(row, separators=(",", ":"), allow_nan=False))
                separator = ",\n"
        stream.write("\n]\n")
    return Written(expected, tuple(_losses(export, expected)))


def _check_ids(target: Path, field: str, ids: list[int]) -> None:
    if len(set(ids)) < len(ids) or min(ids, default=1) < 1:
        why = "ids are not unique numbers from 1 on"
        raise DataError(target, why, "report this as a fault of Herdmark", field=field)


def _row(image: int, category: int, instance: Instance, rle: geo.Rle) -> dict[str, Any]:
    return {
        "image_id": image,
        "category_id": category,
        "segmentation": {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")},
        "score": 1.0 if instance.score is None else instance.score,
    }


def _losses(export: Export, expected: Mapping[str, list[geo.Rle]]) -> Iterator[str]:
    instances = [one for image in export.images for _, one in image.instances]
    if unscored := sum(one.score is None for one in instances):
        yield f"COCO results need scores, so {many(unscored, 'instance')} without one got 1"
    yield from empty_ones("COCO results", len(instances) - sum(map(len, expected.values())))
    yield from lost_fields("COCO results", instances, kept=("score", "source"))
