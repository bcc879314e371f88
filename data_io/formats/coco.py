"""COCO instance files in (https://cocodataset.org/#format-data); out: `coco_write.py`.

A bad entry costs itself and leaves one sentence in `refused`; only a file that is no COCO file at
all raises. Nothing in the file is trusted: every number is checked before pycocotools sees it.
"""

from __future__ import annotations

import codecs
import gc
import json
import math
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import orjson

from data_io.errors import DataError
from data_io.formats.coco_regions import region, simple_outlines, untangled
from data_io.formats.labels import (
    FileCategory,
    FileImage,
    LabelFile,
    Pictures,
    possible_size,
    safe_name,
)
from data_io.formats.text import (
    MAX_NAME,
    Entry,
    Found,
    whole_number,
)
from data_io.types import Instance, Parts, Source

_MAX_DEPTH = 20  # nesting of unknown keys that is kept
_CATEGORY = frozenset({"id", "name"})
_IMAGE = frozenset({"id", "file_name", "width", "height"})
_ANNOTATION = frozenset(
    {"id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd", "attributes"}
)


@dataclass
class _Found(Found):
    """What has been read so far."""

    seen: set[int] = field(default_factory=set)  # annotation ids
    incomplete: set[int] = field(default_factory=set)  # images that lost an annotation


def read_coco(source: str | Path, pictures: Pictures | None = None) -> LabelFile:
    """Read a COCO instance file: polygons, compressed and uncompressed RLE, iscrowd.

    Polygons keep their vertices; RLEs become exact outlines. An outline that leaves its image is
    cut at the border, one that crosses itself is drawn anew around the same pixels. Unknown
    annotation keys go to `Instance.extras`. A `score` in [0, 1] and the attributes `source` and
    `version` written by `write_coco` return to the instance.

    Args:
        source: the file.
        pictures: told early which pictures the file is about; it says names and sizes itself.

    Raises:
        DataError: not readable, broken JSON, or without the lists of a COCO file.
    """
    # Millions of values are made and none dropped: the collector would only walk them again.
    collects = gc.isenabled()
    gc.disable()
    try:
        return _read(Path(source), pictures)
    finally:
        if collects:
            gc.enable()


def _read(path: Path, pictures: Pictures | None) -> LabelFile:
    tree = _load(path)
    found = _Found()

    def rows(key: str, noun: str) -> Iterator[Entry]:
        for position, row in enumerate(tree[key]):
            if isinstance(row, dict):
                yield Entry(path, _name_of_entry(noun, position, row), row)
            else:
                why, index = "the entry is not an object", f"{noun} at position {position}"
                found.refused.append(DataError(path, why, "write {...}", index=index, field=key))

    categories = _unique(rows("categories", "category"), _category, found.refused)
    images = _images(rows("images", "image"), found.refused)
    if pictures is not None:
        pictures.expect([image.file_name for image in images.values()])
    entries = list(rows("annotations", "annotation"))
    outlines = simple_outlines([entry.keys.get("segmentation") for entry in entries])
    read: list[tuple[Entry, int, Instance]] = []
    for entry, outline in zip(entries, outlines, strict=True):
        try:
            image = _image_of(entry, images)
            parts = region(entry, image, outline, found)
            instance = _instance(entry, parts, categories, found)
            read.append((entry, entry.whole("image_id"), instance))
        except DataError as error:
            found.refuse(error)
            number = whole_number(entry.keys.get("image_id"))
            if number is not None:
                found.incomplete.add(number)
    stacks: dict[int, list[Instance]] = {key: [] for key in images}
    for number, instance in untangled(read, images, found):
        stacks[number].append(instance)
    filled = (
        replace(image, instances=tuple(stacks[key]), complete=key not in found.incomplete)
        for key, image in images.items()
    )
    return LabelFile(
        tuple(categories.values()), tuple(filled), tuple(found.refused), tuple(found.repaired)
    )


# --- the file -------------------------------------------------------------------------------------


def _load(path: Path) -> dict[str, list[Any]]:
    try:
        tree = _parse(path.read_bytes())
    except OSError as error:
        raise DataError(path, "the file cannot be read", "check the path") from error
    except RecursionError as error:
        raise DataError(path, "the JSON is nested too deep", "export the labels again") from error
    except ValueError as error:
        where = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        why = f"the file is not valid JSON{where}"
        raise DataError(path, why, "export the labels again") from error
    if not isinstance(tree, dict):
        why = "this is not a COCO instance file, which is one JSON object"
        raise DataError(path, why, "choose the file with images, annotations and categories")
    for key in ("images", "annotations", "categories"):
        if not isinstance(tree.get(key), list):
            why = f"the list {key} is missing"
            raise DataError(path, why, "choose a COCO instance file", field=key)
    return tree


def _parse(data: bytes) -> Any:
    try:
        return orjson.loads(data.removeprefix(codecs.BOM_UTF8))
    except orjson.JSONDecodeError:  # strict; NaN and the like cost their entry, not the file
        return json.loads(data.decode("utf-8-sig"))


def _name_of_entry(noun: str, position: int, row: Mapping[str, Any]) -> str:
    number = whole_number(row.get("id"))
    return f"{noun} at position {position}" if number is None else f"{noun} {number}"


# --- categories and images ------------------------------------------------------------------------


def _unique(
    rows: Iterator[Entry],
    build: Callable[[Entry], Any],
    refused: list[DataError],
) -> dict[int, Any]:
    """id -> what `build` makes of the row; of rows with one id the first wins."""
    found: dict[int, Any] = {}
    for entry in rows:
        try:
            number = entry.whole("id")
            if number in found:
                raise entry.refuse(
                    "the id is used twice, the first is kept", "give each its own id", "id"
                )
            found[number] = build(entry)
        except DataError as error:
            refused.append(error)
    return found


def _category(entry: Entry) -> FileCategory:
    return FileCategory(
        str(entry.whole("id")), entry.text("name", MAX_NAME), _rest(entry, _CATEGORY)
    )


def _images(rows: Iterator[Entry], refused: list[DataError]) -> dict[int, FileImage]:
    names: dict[str, str] = {}

    def build(entry: Entry) -> FileImage:
        image = _image(entry)
        other = names.setdefault(image.file_name, image.key)
        if other != image.key:
            why = f"{other} has the same file_name"
            raise entry.refuse(why, "merge the two", "file_name")
        return image

    return _unique(rows, build, refused)


def _image(entry: Entry) -> FileImage:
    name = safe_name(entry.text("file_name"))
    if name is None:
        why = "file_name leads out of the image folder"
        raise entry.refuse(why, "write it relative to the image folder", "file_name")
    width, height = entry.whole("width"), entry.whole("height")
    if not possible_size(width, height):
        why = f"an image cannot be {width} x {height} pixels"
        raise entry.refuse(why, "write the size of the file", "width")
    key = f"image {entry.whole('id')}"
    return FileImage(key, name, width, height, extras=_rest(entry, _IMAGE))


# --- annotations ----------------------------------------------------------------------------------


def _image_of(entry: Entry, images: Mapping[int, FileImage]) -> FileImage:
    number = entry.whole("image_id")
    if number not in images:
        why = f"image {number} is not among the images that could be read"
        raise entry.refuse(why, "add it or remove the annotation", "image_id")
    return images[number]


def _instance(
    entry: Entry, parts: Parts, categories: Mapping[int, FileCategory], found: _Found
) -> Instance:
    _check_id(entry, found)
    category = entry.whole("category_id")
    if category not in categories:
        why = f"category {category} is not in categories"
        raise entry.refuse(why, "add it or remove the annotation", "category_id")
    iscrowd = entry.keys.get("iscrowd", 0)
    if not isinstance(iscrowd, int) or iscrowd not in (0, 1):
        raise entry.refuse("iscrowd is neither 0 nor 1", "write 0 or 1", "iscrowd")
    extras = {key: value for key, value in entry.keys.items() if key not in _ANNOTATION}
    attributes = entry.keys.get("attributes", {})
    if not isinstance(attributes, dict):
        extras["attributes"], attributes = attributes, {}
    attributes, extras = _plain(attributes, entry), _plain(extras, entry)
    source, version = _provenance(attributes)
    return Instance(
        id=uuid.uuid4().hex,
        category=str(category),
        parts=parts,
        source=source,
        version=version,
        score=_score(extras),
        iscrowd=bool(iscrowd),
        attributes=attributes,
        extras=extras,
    )


def _check_id(entry: Entry, found: _Found) -> None:
    if "id" not in entry.keys:
        found.repair(entry, "the id is missing", "the project gives it one", "id")
        return
    number = entry.whole("id")
    if number in found.seen:
        raise entry.refuse("the id is used twice, the first is kept", "give each its own", "id")
    found.seen.add(number)


def _provenance(attributes: dict[str, Any]) -> tuple[Source, str | None]:
    """Take back what `write_coco` put there; anything else stays the user's own attribute."""
    if attributes.get("source") not in ("model", "edited"):
        return "human", None
    version = attributes.get("version")
    if version is not None and not isinstance(version, str):
        return "human", None
    attributes.pop("version", None)
    return cast(Source, attributes.pop("source")), version


def _score(extras: dict[str, Any]) -> float | None:
    score = extras.get("score")
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        return None
    return float(extras.pop("score"))


def _rest(entry: Entry, known: Collection[str]) -> dict[str, Any]:
    """The keys we have no use for, storable; they leave with the next export."""
    found = {key: value for key, value in entry.keys.items() if key not in known}
    return cast(dict[str, Any], _plain(found, entry))


def _plain(value: Any, entry: Entry, depth: int = 0) -> Any:
    """JSON that can be stored and written again: no NaN, no half characters, not endlessly deep."""
    if depth > _MAX_DEPTH:
        raise entry.refuse("its keys are nested too deep", "flatten them", "attributes")
    if isinstance(value, dict):
        return {_clean(key): _plain(item, entry, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, entry, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return _clean(value) if isinstance(value, str) else value


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
