"""CVAT for images, XML 1.1, in; out: `cvat_write.py`.

https://docs.cvat.ai/docs/manual/advanced/xml_format/

A shape is a polygon or a mask: run lengths, row by row from outside, in its box. Shapes of one
label and `group_id` are one instance, and `z_order` is the stacking order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from data_io.errors import DataError
from data_io.formats.cvat_write import OCCLUDED, SOURCES, write_cvat
from data_io.formats.cvat_xml import Labels, RawImage, RawShape, images_in
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
    MAX_RUNS,
    Entry,
    Found,
    Piece,
    drawn_region,
    ellipse_ring,
    instances_of,
    mask_region,
    numbers_of_text,
    whole_number,
)
from data_io.types import Parts, Ring, Source

__all__ = ["read_cvat", "write_cvat"]

_NO_AREA = frozenset({"polyline", "points", "cuboid", "skeleton"})
_PLACES = ("left", "top", "width", "height", "xtl", "ytl", "xbr", "ybr", "cx", "cy", "rx", "ry")
_NUMBERS = frozenset((*_PLACES, "rotation", "id", "z_order", "group_id"))
_PAIRS = re.compile(r"[^,;]+,[^,;]+(?:;[^,;]+,[^,;]+)*")
_MAX_DIGITS = 300

Size = tuple[int, int]  # width, height in pixels


def read_cvat(source: Path, pictures: Pictures | None = None) -> LabelFile:
    """Read a CVAT for images file: polygons, masks, boxes and ellipses.

    An ellipse becomes a polygon of 64 corners. Attributes have the type that the file declares for
    them, `occluded` shapes have the attribute `occluded`, and `source` returns to the instance.

    Args:
        source: the XML file, or a folder with `annotations.xml`.
        pictures: not needed, the file says names and sizes.

    Raises:
        DataError: unreadable, not CVAT for images, or broken before the first image.
    """
    path = Path(source)
    file = path / "annotations.xml" if path.is_dir() else path
    found = Found()
    labels: Labels = {}
    images: dict[str, FileImage] = {}
    try:
        for position, raw in enumerate(images_in(file, labels)):
            try:
                image = _image(file, position, raw, labels, found)
                if image.file_name in images:
                    why = f"{images[image.file_name].key} has the same name"
                    raise DataError(file, why, "merge the two", index=image.key, field="name")
                images[image.file_name] = image
            except DataError as error:
                found.refuse(error)
    except DataError as error:
        if not images:
            raise
        found.refuse(error)
    return LabelFile(
        tuple(_categories(file, labels, images, found)),
        tuple(images.values()),
        tuple(found.refused),
        tuple(found.repaired),
    )


def _categories(
    file: Path, labels: Labels, images: Mapping[str, FileImage], found: Found
) -> Iterator[FileCategory]:
    used = [one.category for image in images.values() for one in image.instances]
    for label in dict.fromkeys([*labels, *used]):
        try:
            name = Entry(file, "label", {"name": label}).text("name", MAX_NAME)
            yield FileCategory(name, name)
        except DataError as error:
            found.refuse(error)


def _entry(file: Path, index: str, keys: Mapping[str, str]) -> Entry:
    """The element with numbers where there should be some; what is none stays a text."""

    def value(key: str, text: str) -> object:
        number = _number(text) if key in _NUMBERS else None
        return text if number is None else number

    return Entry(file, index, {key: value(key, text) for key, text in keys.items()})


def _number(text: str) -> int | float | None:
    """The number of a decimal text: ``7`` an int, ``7.0`` and ``7e0`` floats, all else none."""
    text = text.strip()
    if len(text) > _MAX_DIGITS or not text.isascii():
        return None
    if re.fullmatch(r"[-+]?\d+", text):
        return int(text)
    if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def _image(file: Path, position: int, raw: RawImage, labels: Labels, found: Found) -> FileImage:
    entry = _entry(file, f"image at position {position}", raw.keys)
    number = whole_number(entry.keys.get("id"))
    if number is not None:
        entry = Entry(file, f"image {number}", entry.keys)
    name = safe_name(entry.text("name"))
    if name is None:
        why = "the name leads out of the image folder"
        raise entry.refuse(why, "write it relative to the image folder", "name")
    size = entry.whole("width"), entry.whole("height")
    if not possible_size(*size):
        why = f"an image cannot be {size[0]} x {size[1]} pixels"
        raise entry.refuse(why, "write the size of the picture", "width")
    pieces: list[tuple[int, Piece]] = []
    complete = True
    for place, shape in enumerate(raw.shapes):
        own = _entry(file, f"{entry.index}, shape at position {place}", shape.keys)
        if shape.tag == "tag":
            found.repair(own, "a tag has no outline", "it was left out", "tag")
            continue
        try:
            piece = _piece(own, shape, size, labels, found)
            pieces.append((_optional(own, "z_order", found), piece))
        except DataError as error:
            found.refuse(error)
            complete = False
    stack = sorted(pieces, key=lambda item: item[0])
    return FileImage(
        entry.index, name, *size, instances_of(piece for _, piece in stack), complete=complete
    )


def _piece(entry: Entry, raw: RawShape, size: Size, labels: Labels, found: Found) -> Piece:
    label = entry.text("label", MAX_NAME)
    kinds = labels.get(label, {})
    attributes = {name: _value(text, kinds.get(name)) for name, text in raw.attributes.items()}
    if entry.keys.get(OCCLUDED) == "1":
        attributes[OCCLUDED] = True
    sources: dict[object, Source] = {word: source for source, word in SOURCES.items()}
    return Piece(
        label,
        _region(entry, raw.tag, size, found),
        _optional(entry, "group_id", found) or None,
        attributes,
        sources.get(entry.keys.get("source"), "human"),
    )


def _optional(entry: Entry, key: str, found: Found) -> int:
    value = entry.keys.get(key, 0)
    number = whole_number(value)
    if number is None:
        found.repair(entry, f"{key} is not an integer", "it was taken for 0", key)
    return number or 0


def _value(text: str, kind: str | None) -> bool | int | float | str:
    if kind == "checkbox" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    number = _number(text) if kind == "number" else None
    return text if number is None else number


def _region(entry: Entry, tag: str, size: Size, found: Found) -> Parts:
    if tag == "mask":
        return _mask(entry, size, found)
    if tag == "polygon":
        return drawn_region(entry, _polygon(entry), size, found)
    if tag == "box":
        left, top, right, bottom = (entry.number(key) for key in ("xtl", "ytl", "xbr", "ybr"))
        ring = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
        center = np.array([(left + right) / 2, (top + bottom) / 2])
    elif tag == "ellipse":
        x, y, x_radius, y_radius = (entry.number(key) for key in ("cx", "cy", "rx", "ry"))
        ring, center = ellipse_ring(x, y, x_radius, y_radius), np.array([x, y])
    else:
        why = f"{tag} is no outline" if tag in _NO_AREA else "this is no shape of CVAT"
        raise entry.refuse(why, "draw a polygon or a mask")
    degrees = entry.number("rotation") if "rotation" in entry.keys else 0.0
    return drawn_region(entry, _turned(ring, center, degrees), size, found)


def _polygon(entry: Entry) -> Ring:
    text = entry.keys.get("points")
    if not isinstance(text, str) or not _PAIRS.fullmatch(text):
        raise entry.refuse("points are not x,y;x,y;...", "draw it again", "points")
    numbers = numbers_of_text(re.sub(r"[,;]", " ", text))
    if numbers is None or len(numbers) % 2:
        raise entry.refuse("a coordinate is not a finite number", "draw it again", "points")
    return numbers.reshape(-1, 2)


def _turned(ring: Ring, center: Ring, degrees: float) -> Ring:
    """The ring turned about a point, clockwise on the screen, where y points down."""
    if not degrees:
        return ring
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    moved: Ring = (ring - center) @ np.array([[cosine, sine], [-sine, cosine]]) + center
    return moved


def _mask(entry: Entry, size: Size, found: Found) -> Parts:
    width, height = entry.whole("width"), entry.whole("height")
    if not (1 <= width <= size[0] and 1 <= height <= size[1]):
        why = f"a mask of {width} x {height} pixels does not fit into the image"
        raise entry.refuse(why, "draw it again", "width")
    text = entry.keys.get("rle")
    if not isinstance(text, str) or text.count(",") > 2 * MAX_RUNS:
        raise entry.refuse("rle is no list of run lengths", "draw it again", "rle")
    runs = numbers_of_text(text.replace(",", " "))
    total = width * height
    if runs is None or ((runs < 0) | (runs > total) | (runs != np.floor(runs))).any():
        raise entry.refuse("rle is no list of run lengths", "draw it again", "rle")
    if runs.sum() != total:
        why = f"the run lengths do not add up to {total} pixels"
        raise entry.refuse(why, "draw it again", "rle")
    inside = np.arange(len(runs)) % 2 == 1
    mask = np.repeat(inside, runs.astype(np.int64)).reshape(height, width)
    corner = entry.whole("left"), entry.whole("top")
    return mask_region(entry, mask, corner, size, found, "rle")
