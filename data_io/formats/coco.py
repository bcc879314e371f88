"""COCO instance files in; `write_coco` (re-exported) is the way out.

A bad entry costs itself and leaves one sentence in `refused`; only a file that is no COCO file at
all raises. Nothing in the file is trusted: every number is checked before pycocotools sees it.
"""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats.coco_rle import checked_runs
from data_io.formats.coco_write import ExportImage, ExportReport, write_coco
from data_io.images import MAX_PIXELS, MAX_SIDE
from data_io.types import Instance, Part, Parts, Source

__all__ = [
    "CocoCategory",
    "CocoFile",
    "CocoImage",
    "ExportImage",
    "ExportReport",
    "read_coco",
    "write_coco",
]

CLIPPED = "clipped_to_image"  # attribute of an instance whose outline left its image
_MAX_NAME = 80
_MAX_DEPTH = 20  # nesting of unknown keys that is kept
_KNOWN = frozenset(
    {"id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd", "attributes"}
)


@dataclass(frozen=True)
class CocoCategory:
    """A category as the file has it; ids may be 0 or negative."""

    coco_id: int
    name: str


@dataclass(frozen=True, eq=False)
class CocoImage:
    """An image as the file has it; `file_name` is relative, with forward slashes and no `..`.

    `Instance.category` is the file's category id as a string, for the caller to map.
    """

    coco_id: int
    file_name: str
    width: int
    height: int
    instances: tuple[Instance, ...] = ()


@dataclass(frozen=True, eq=False)
class CocoFile:
    """What could be read, and a sentence for everything that could not."""

    categories: tuple[CocoCategory, ...]
    images: tuple[CocoImage, ...]
    refused: tuple[DataError, ...]


@dataclass(frozen=True)
class _Entry:
    """One object of one list of the file, which can refuse itself."""

    file: Path
    index: str
    keys: Mapping[str, Any]

    def refuse(self, why: str, remedy: str, field: str) -> DataError:
        return DataError(self.file, why, remedy, index=self.index, field=field)

    def whole(self, key: str) -> int:
        """The integer under `key`; 7.0 is one, true and "7" are not."""
        value = self.keys.get(key)
        number = _integer(value)
        if number is None:
            shown = "is missing" if value is None else "is not an integer"
            raise self.refuse(f"{key} {shown}", "write a whole number", key)
        return number


def read_coco(file: str | Path) -> CocoFile:
    """Read a COCO instance file: polygons, compressed and uncompressed RLE, iscrowd.

    Polygons keep their vertices; RLEs become exact outlines. An outline that leaves its image is
    cut at the border, with the attribute `clipped_to_image`. Unknown annotation keys go to
    `Instance.extras`. A `score` in [0, 1] and the attributes `source` and `version` written by
    `write_coco` return to the instance.

    Raises:
        DataError: not readable, broken JSON, or without the lists of a COCO file.
    """
    path = Path(file)
    tree = _load(path)
    refused: list[DataError] = []

    def rows(key: str, noun: str) -> Iterator[_Entry]:
        for position, row in enumerate(tree[key]):
            if isinstance(row, dict):
                yield _Entry(path, _name_of_entry(noun, position, row), row)
            else:
                why, index = "the entry is not an object", f"{noun} at position {position}"
                refused.append(DataError(path, why, "write {...}", index=index, field=key))

    categories = _unique(rows("categories", "category"), _category, refused)
    images = _images(rows("images", "image"), refused)
    stacks: dict[int, list[Instance]] = {key: [] for key in images}
    seen: set[int] = set()
    for entry in rows("annotations", "annotation"):
        try:
            image = _image_of(entry, images)
            instance = _instance(entry, image, categories, seen)
            stacks[image.coco_id].append(instance)
        except DataError as error:
            refused.append(error)
    filled = (
        CocoImage(key, image.file_name, image.width, image.height, tuple(stacks[key]))
        for key, image in images.items()
    )
    return CocoFile(tuple(categories.values()), tuple(filled), tuple(refused))


# --- the file -------------------------------------------------------------------------------------


def _load(path: Path) -> dict[str, list[Any]]:
    try:
        tree = json.loads(path.read_bytes().decode("utf-8-sig"))
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


def _name_of_entry(noun: str, position: int, row: Mapping[str, Any]) -> str:
    number = _integer(row.get("id"))
    return f"{noun} at position {position}" if number is None else f"{noun} {number}"


def _integer(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None
    return int(value) if abs(value) < 2**63 else None


def _text(entry: _Entry, key: str) -> str:
    value = entry.keys.get(key)
    if not isinstance(value, str) or not value.strip():
        raise entry.refuse(f"{key} is not a text", "write a name", key)
    if any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in value):
        raise entry.refuse(f"{key} holds characters that are no text", "write a plain name", key)
    return value.strip()


# --- categories and images ------------------------------------------------------------------------


def _unique(
    rows: Iterator[_Entry],
    build: Callable[[_Entry], Any],
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


def _category(entry: _Entry) -> CocoCategory:
    name = _text(entry, "name")
    if len(name) > _MAX_NAME:
        raise entry.refuse(f"the name has more than {_MAX_NAME} characters", "shorten it", "name")
    return CocoCategory(entry.whole("id"), name)


def _images(rows: Iterator[_Entry], refused: list[DataError]) -> dict[int, CocoImage]:
    names: dict[str, int] = {}

    def build(entry: _Entry) -> CocoImage:
        image = _image(entry)
        other = names.setdefault(image.file_name, image.coco_id)
        if other != image.coco_id:
            why = f"image {other} has the same file_name"
            raise entry.refuse(why, "merge the two", "file_name")
        return image

    return _unique(rows, build, refused)


def _image(entry: _Entry) -> CocoImage:
    name = PurePosixPath(_text(entry, "file_name").replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or re.match(r"[A-Za-z]:", str(name)):
        why = "file_name leads out of the image folder"
        raise entry.refuse(why, "write it relative to the image folder", "file_name")
    if not name.name:
        raise entry.refuse("file_name names no file", "write the file's name", "file_name")
    width, height = entry.whole("width"), entry.whole("height")
    if min(width, height) < 1 or max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        why = f"an image cannot be {width} x {height} pixels"
        raise entry.refuse(why, "write the size of the file", "width")
    return CocoImage(entry.whole("id"), str(name), width, height)


# --- annotations ----------------------------------------------------------------------------------


def _image_of(entry: _Entry, images: Mapping[int, CocoImage]) -> CocoImage:
    number = entry.whole("image_id")
    if number not in images:
        why = f"image {number} is not among the images that could be read"
        raise entry.refuse(why, "add it or remove the annotation", "image_id")
    return images[number]


def _instance(
    entry: _Entry, image: CocoImage, categories: Mapping[int, CocoCategory], seen: set[int]
) -> Instance:
    if "id" in entry.keys:
        number = entry.whole("id")
        if number in seen:
            raise entry.refuse("the id is used twice, the first is kept", "give each its own", "id")
        seen.add(number)
    category = entry.whole("category_id")
    if category not in categories:
        why = f"category {category} is not in categories"
        raise entry.refuse(why, "add it or remove the annotation", "category_id")
    iscrowd = entry.keys.get("iscrowd", 0)
    if not isinstance(iscrowd, int) or iscrowd not in (0, 1):
        raise entry.refuse("iscrowd is neither 0 nor 1", "write 0 or 1", "iscrowd")
    parts, clipped = _region(entry, image)
    extras = {key: value for key, value in entry.keys.items() if key not in _KNOWN}
    attributes = entry.keys.get("attributes", {})
    if not isinstance(attributes, dict):
        extras["attributes"], attributes = attributes, {}
    attributes, extras = _plain(attributes, entry), _plain(extras, entry)
    if clipped:
        attributes[CLIPPED] = True
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


def _plain(value: Any, entry: _Entry, depth: int = 0) -> Any:
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


# --- regions --------------------------------------------------------------------------------------


def _region(entry: _Entry, image: CocoImage) -> tuple[Parts, bool]:
    """The annotation's region, and whether it had to be cut at the image's border."""
    value = entry.keys.get("segmentation")
    if isinstance(value, dict):
        rle = _rle(entry, value, image)
        parts, clipped = geo.parts_of_rle(rle), False
    elif isinstance(value, list) and value:
        parts = tuple(
            Part(geo.ring_of_flat(flat, entry.file, entry.index, "segmentation")) for flat in value
        )
        geo.validate_parts(parts, entry.file, entry.index)
        parts, clipped = _clip(entry, parts, image)
        rle = geo.rle_of_parts(parts, image.height, image.width)
    else:
        why = "there is no outline (a box alone is not enough)"
        raise entry.refuse(why, "add polygons or an RLE", "segmentation")
    if not geo.area_of_rle(rle):
        raise entry.refuse("the outline covers no pixel", "draw it larger", "segmentation")
    return parts, clipped


def _clip(entry: _Entry, parts: Parts, image: CocoImage) -> tuple[Parts, bool]:
    x, y, width, height = geo.box_of_parts(parts)
    if x >= 0 and y >= 0 and x + width <= image.width and y + height <= image.height:
        return parts, False
    if x >= image.width or y >= image.height or x + width <= 0 or y + height <= 0:
        why = f"the outline lies outside the image of {image.width} x {image.height} pixels"
        raise entry.refuse(why, "check which image it belongs to", "segmentation")
    rle = geo.rle_of_parts(parts, image.height, image.width)
    inside = tuple(Part(np.clip(part.outer, 0, [image.width, image.height])) for part in parts)
    # Moving vertices to the border bends long edges: then only the raster tells what is inside.
    if _is_valid(inside) and geo.same_raster(
        geo.rle_of_parts(inside, image.height, image.width), rle
    ):
        return inside, True
    return geo.parts_of_rle(rle), True


def _is_valid(parts: Parts) -> bool:
    try:
        geo.validate_parts(parts)
    except DataError:
        return False
    return True


def _rle(entry: _Entry, value: Mapping[str, Any], image: CocoImage) -> geo.Rle:
    if value.get("size") != [image.height, image.width]:
        why = f"the RLE's size is not [{image.height}, {image.width}] as the image's"
        raise entry.refuse(why, "export it from the image itself", "segmentation")
    try:
        runs = checked_runs(value.get("counts"), image.height * image.width)
    except ValueError as error:
        raise entry.refuse(str(error), "export it again", "segmentation") from error
    return geo.rle_of_runs(runs, image.height, image.width)
