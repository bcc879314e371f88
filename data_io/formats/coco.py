"""COCO instance files in (https://cocodataset.org/#format-data); out: `coco_write.py`.

A bad entry costs itself and leaves one sentence in `refused`; only a file that is no COCO file at
all raises. Nothing in the file is trusted: every number is checked before pycocotools sees it.
"""

from __future__ import annotations

import codecs
import json
import math
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson

from data_io import geometry as geo
from data_io import shapes
from data_io.errors import DataError
from data_io.formats.coco_rle import checked_runs
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
    finite_number,
    is_drawable,
    mended,
    whole_number,
)
from data_io.types import Instance, Part, Parts, Ring, Source

_MAX_DEPTH = 20  # nesting of unknown keys that is kept
_KNOWN = frozenset(
    {"id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd", "attributes"}
)
_ROUNDING = 0.1, 2.0  # share of an area, and pixels, by which tools' own rasters differ from ours


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
        pictures: not needed, the file says names and sizes.

    Raises:
        DataError: not readable, broken JSON, or without the lists of a COCO file.
    """
    path = Path(source)
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
    read: list[tuple[Entry, int, Instance]] = []
    for entry in rows("annotations", "annotation"):
        try:
            image = _image_of(entry, images)
            instance = _instance(entry, image, categories, found)
            read.append((entry, entry.whole("image_id"), instance))
        except DataError as error:
            found.refuse(error)
            number = whole_number(entry.keys.get("image_id"))
            if number is not None:
                found.incomplete.add(number)
    stacks: dict[int, list[Instance]] = {key: [] for key in images}
    for number, instance in _untangled(read, images, found):
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
    return FileCategory(str(entry.whole("id")), entry.text("name", MAX_NAME))


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
    return FileImage(f"image {entry.whole('id')}", name, width, height)


# --- annotations ----------------------------------------------------------------------------------


def _image_of(entry: Entry, images: Mapping[int, FileImage]) -> FileImage:
    number = entry.whole("image_id")
    if number not in images:
        why = f"image {number} is not among the images that could be read"
        raise entry.refuse(why, "add it or remove the annotation", "image_id")
    return images[number]


def _instance(
    entry: Entry, image: FileImage, categories: Mapping[int, FileCategory], found: _Found
) -> Instance:
    _check_id(entry, found)
    category = entry.whole("category_id")
    if category not in categories:
        why = f"category {category} is not in categories"
        raise entry.refuse(why, "add it or remove the annotation", "category_id")
    iscrowd = entry.keys.get("iscrowd", 0)
    if not isinstance(iscrowd, int) or iscrowd not in (0, 1):
        raise entry.refuse("iscrowd is neither 0 nor 1", "write 0 or 1", "iscrowd")
    parts = _region(entry, image, found)
    extras = {key: value for key, value in entry.keys.items() if key not in _KNOWN}
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


# --- regions --------------------------------------------------------------------------------------


def _region(entry: Entry, image: FileImage, found: _Found) -> Parts:
    """The annotation's region, put right where it can be."""
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


def _untangled(
    read: Sequence[tuple[Entry, int, Instance]], images: Mapping[int, FileImage], found: _Found
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
        parts = mended(instance.parts, geo.rle_of_parts(instance.parts, *size))
        if not _same_area(instance.parts, parts):
            why, done = "the outline crosses itself", "it was drawn anew around the same pixels"
            found.repair(entry, why, done, "segmentation")
        elif not any(part.holes for part in parts):
            parts = instance.parts
        yield number, replace(instance, parts=parts)


def _same_area(slit: Parts, drawn: Parts) -> bool:
    """Whether rings only touched themselves, which is how they hold holes."""
    areas = [
        sum(abs(_signed_area(part.outer)) for part in slit),
        sum(
            abs(_signed_area(part.outer)) - sum(abs(_signed_area(hole)) for hole in part.holes)
            for part in drawn
        ),
    ]
    return abs(areas[0] - areas[1]) <= 1e-6 * max(1.0, *areas)


def _signed_area(ring: Ring) -> float:
    x, y = ring[:, 0] - ring[0, 0], ring[:, 1] - ring[0, 1]
    return float(x[:-1] @ y[1:] - x[1:] @ y[:-1]) / 2


def _compare_claims(entry: Entry, rle: geo.Rle, found: _Found) -> None:
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


def _clip(entry: Entry, parts: Parts, image: FileImage, found: _Found) -> Parts:
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
