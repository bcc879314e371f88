"""Labelme files, in and out (https://github.com/wkentaro/labelme): one JSON file a picture.

A shape is a polygon, or a mask: a PNG in base64 and the inclusive corners of its box. Shapes of one
label and `group_id` are one instance. The image's flag `verified` says whether a person vouches for
the whole image.
"""

from __future__ import annotations

import base64
import io
import json
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats.labels import (
    Export,
    ExportImage,
    FileCategory,
    FileImage,
    LabelFile,
    Pictures,
    Written,
    possible_size,
    safe_name,
)
from data_io.formats.text import (
    MAX_NAME,
    MAX_SHAPES,
    Entry,
    Found,
    Piece,
    drawn_region,
    ellipse_ring,
    files_under,
    finite_number,
    instances_of,
    mask_region,
    read_json,
    whole_number,
)
from data_io.formats.text_write import (
    Crop,
    check_names,
    empty_ones,
    lost_fields,
    many,
    shapes_of,
    verified_state,
)
from data_io.types import Instance, Parts, Ring

_VERSION = "5.5.0"  # of the Labelme whose files these resemble
_VERIFIED = "verified"
_DESCRIPTION = "description"
_NO_AREA = frozenset({"line", "linestrip", "point", "points"})
_SLACK = 1  # pixels by which Labelme's own masks exceed their box or image

Size = tuple[int, int]  # width, height in pixels


# --- in -------------------------------------------------------------------------------------------


def read_labelme(source: Path, pictures: Pictures) -> LabelFile:
    """Read a Labelme file, or all in a folder: polygons, rectangles, circles and masks.

    A circle becomes a polygon of 64 corners. Flags of a shape become attributes, and so does its
    description. Without the flag `verified` the file does not say what is verified.

    Args:
        source: a JSON file, or a folder; picture names are relative to it.
        pictures: for files without the size of their picture, or with a path to it that leads out.

    Raises:
        DataError: there is no Labelme file.
    """
    path = Path(source)
    files = files_under(path, {".json"}) if path.is_dir() else [path]
    if not files:
        why = "there is no JSON file in this folder"
        raise DataError(path, why, "choose the folder with the Labelme files")
    root = path if path.is_dir() else path.parent
    found = Found()
    images: dict[str, FileImage] = {}
    for file in files:
        try:
            image = _image(file, root, pictures, found)
            if image.file_name in images:
                why = f"{images[image.file_name].key} is for the same picture {image.file_name}"
                raise DataError(file, why, "keep one of the two", field="imagePath")
            images[image.file_name] = image
        except DataError as error:
            found.refuse(error)
    if not images:
        raise found.refused[0]
    labels = dict.fromkeys(one.category for image in images.values() for one in image.instances)
    return LabelFile(
        tuple(FileCategory(label, label) for label in labels),
        tuple(images.values()),
        tuple(found.refused),
        tuple(found.repaired),
    )


def _image(file: Path, root: Path, pictures: Pictures, found: Found) -> FileImage:
    tree = read_json(file)
    if not isinstance(tree, dict) or not isinstance(tree.get("shapes"), list):
        why = "this is not a Labelme file, which has a list of shapes"
        raise DataError(file, why, "export it again or remove it", field="shapes")
    if len(tree["shapes"]) > MAX_SHAPES:
        why = f"it has more than {MAX_SHAPES} shapes"
        raise DataError(file, why, "check what it is", field="shapes")
    entry = Entry(file, "", tree)
    name = _file_name(entry, root, pictures, found)
    size = _size(entry, name, pictures)
    pieces: list[Piece] = []
    for position, row in enumerate(tree["shapes"]):
        shape = Entry(file, f"shape at position {position}", row if isinstance(row, dict) else {})
        try:
            if not isinstance(row, dict):
                raise shape.refuse("the entry is not an object", "write {...}", "shapes")
            pieces.append(_piece(shape, size, found))
        except DataError as error:
            found.refuse(error)
    flags = tree.get("flags")
    draft = isinstance(flags, dict) and flags.get(_VERIFIED) is False
    return FileImage(
        key=file.relative_to(root).as_posix(),
        file_name=name,
        width=size[0],
        height=size[1],
        instances=instances_of(pieces),
        verified=() if draft else None,
        complete=len(pieces) == len(tree["shapes"]),
    )


def _file_name(entry: Entry, root: Path, pictures: Pictures, found: Found) -> str:
    """The picture's name relative to the folder; `imagePath` is relative to the JSON file."""
    text = entry.text("imagePath").replace("\\", "/")
    folder = entry.file.parent.relative_to(root).as_posix()
    name = safe_name(posixpath.normpath(posixpath.join(folder, text)))
    if name is not None and not re.match(r"[A-Za-z]:", text):
        return name
    bare = safe_name(PurePosixPath(text).name)
    picture = None if bare is None else pictures.find(bare)
    if picture is None:
        why = "imagePath leads out of the folder"
        raise entry.refuse(why, "write it relative to the JSON file", "imagePath")
    found.repair(entry, "imagePath leads out of the folder", "its last part was used", "imagePath")
    return picture.name


def _size(entry: Entry, name: str, pictures: Pictures) -> Size:
    if entry.keys.get("imageWidth") is not None and entry.keys.get("imageHeight") is not None:
        size = entry.whole("imageWidth"), entry.whole("imageHeight")
    else:
        picture = pictures.find(name)
        if picture is None:
            why = f"neither imageWidth and imageHeight nor the picture {name} are there"
            raise entry.refuse(why, "add the picture or its size", "imageWidth")
        size = picture.width, picture.height
    if not possible_size(*size):
        why = f"an image cannot be {size[0]} x {size[1]} pixels"
        raise entry.refuse(why, "write the size of the picture", "imageWidth")
    return size


def _piece(entry: Entry, size: Size, found: Found) -> Piece:
    group = entry.keys.get("group_id")
    number = whole_number(group)
    if group is not None and number is None:
        found.repair(entry, "group_id is not an integer", "the shape stands alone", "group_id")
    label = entry.text("label", MAX_NAME)
    return Piece(label, _region(entry, size, found), number, _attributes(entry, found))


def _attributes(entry: Entry, found: Found) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    flags = entry.keys.get("flags")
    for key, value in flags.items() if isinstance(flags, dict) else ():
        if isinstance(value, bool):
            attributes[_clean(key)] = value
        else:
            found.repair(entry, "a flag is neither true nor false", "it was left out", "flags")
    description = entry.keys.get(_DESCRIPTION)
    if isinstance(description, str) and description:
        attributes[_DESCRIPTION] = _clean(description)
    return attributes


def _clean(text: str) -> str:
    """The text with half characters, which JSON can hold and no file, as question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _region(entry: Entry, size: Size, found: Found) -> Parts:
    kind = entry.keys.get("shape_type")
    points = _points(entry)
    if kind == "mask":
        return _mask(entry, points, size, found)
    if kind in ("rectangle", "circle"):
        if len(points) != 2:
            raise entry.refuse(f"a {kind} has two points", "draw it again", "points")
        points = (_rectangle if kind == "rectangle" else _circle)(points)
    elif kind not in (None, "polygon", "oriented_rectangle"):
        known = isinstance(kind, str) and kind in _NO_AREA
        why = f"a {kind} is no outline" if known else "the shape_type is unknown"
        raise entry.refuse(why, "draw a polygon or a mask", "shape_type")
    return drawn_region(entry, points, size, found)


def _points(entry: Entry) -> Ring:
    rows = entry.keys.get("points")
    if not isinstance(rows, list) or not all(isinstance(r, list) and len(r) == 2 for r in rows):
        raise entry.refuse("points are not a list of [x, y]", "draw it again", "points")
    numbers = [finite_number(value) for row in rows for value in row]
    if any(number is None for number in numbers):
        raise entry.refuse("a coordinate is not a finite number", "draw it again", "points")
    return np.array(numbers, dtype=np.float64).reshape(-1, 2)


def _rectangle(points: Ring) -> Ring:
    (x0, y0), (x1, y1) = points.tolist()
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _circle(points: Ring) -> Ring:
    radius = float(np.hypot(*(points[1] - points[0])))
    x, y = points[0].tolist()
    return ellipse_ring(x, y, radius, radius)


def _mask(entry: Entry, points: Ring, size: Size, found: Found) -> Parts:
    if len(points) != 2:
        raise entry.refuse("a mask has two points", "draw it again", "points")
    pixels = _pixels(entry, size)
    box = np.round(points[1]) - np.round(points[0]) + 1
    if (np.abs(box - pixels.shape[::-1]) > _SLACK).any():
        raise entry.refuse("the mask has not the size of its points", "draw it again", "mask")
    x, y = (int(value) for value in np.round(points[0]))
    return mask_region(entry, pixels, (x, y), size, found, "mask")


def _pixels(entry: Entry, size: Size) -> NDArray[np.bool_]:
    """(H, W) of the PNG under `mask`, decoded only when it fits into the image."""
    text = entry.keys.get("mask")
    why, remedy = "the mask is not a PNG image in base64", "draw it again"
    if not isinstance(text, str):
        raise entry.refuse(why, remedy, "mask")
    try:
        data = base64.b64decode(text, validate=True)
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            fits = image.width <= size[0] + _SLACK and image.height <= size[1] + _SLACK
            pixels = np.asarray(image) != 0 if fits and image.mode in ("1", "L", "P") else None
    except Exception as error:  # a damaged PNG makes Pillow raise nearly anything
        raise entry.refuse(why, remedy, "mask") from error
    if pixels is None:
        why = "the mask is larger than the image, or not a grey one"
        raise entry.refuse(why, remedy, "mask")
    return pixels


# --- out ------------------------------------------------------------------------------------------


def write_labelme(target: Path, export: Export) -> Written:
    """Write a Labelme file for each image, to lie beside the pictures.

    A part without holes is a polygon with the vertices it has, any other a mask. The attribute
    `description`, when it is a text, and those that are true or false are kept.

    Args:
        target: an empty folder.
        export: what goes in.

    Raises:
        DataError: there is no image, or a file name cannot be written.
    """
    if not export.images:
        raise DataError(target, "there is no image to write", "add images first")
    check_names(target, export)
    labels = {category.id: category.name for category in export.categories}
    expected: dict[str, list[geo.Rle]] = {}
    taken: set[PurePosixPath] = set()
    for image, name in zip(export.images, export.names, strict=True):
        path = PurePosixPath(name).with_suffix(".json")
        if path in taken:  # two pictures that differ in suffix only
            path = PurePosixPath(f"{name}.json")
        taken.add(path)
        tree, expected[name] = _tree(export, image, name, labels)
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as stream:
            stream.write(json.dumps(tree, allow_nan=False))
    return Written(expected, tuple(_losses(export, expected)))


def _tree(
    export: Export, image: ExportImage, name: str, labels: Mapping[str, str]
) -> tuple[dict[str, Any], list[geo.Rle]]:
    """The JSON value of an image, and the rasters of what is in it."""
    width, height = image.record.width, image.record.height
    shapes: list[dict[str, Any]] = []
    rasters: list[geo.Rle] = []
    for group, (number, instance) in enumerate(image.instances, start=1):
        rle = export.raster(image, number, instance)
        found = shapes_of(instance.parts, rle)
        shared = {
            "label": labels[instance.category],
            "group_id": group if len(found) > 1 else None,
            "description": instance.attributes[_DESCRIPTION] if _is_described(instance) else "",
            "flags": {k: v for k, v in instance.attributes.items() if isinstance(v, bool)},
        }
        shapes += [{**shared, **_shape(one)} for one in found]
        if found:
            rasters.append(rle)
    tree = {
        "version": _VERSION,
        "flags": {_VERIFIED: verified_state(image) == "whole"},
        "shapes": shapes,
        "imagePath": PurePosixPath(name).name,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }
    return tree, rasters


def _shape(shape: Ring | Crop) -> dict[str, Any]:
    if not isinstance(shape, Crop):
        return {"shape_type": "polygon", "points": shape.tolist(), "mask": None}
    height, width = shape.mask.shape
    stream = io.BytesIO()
    Image.fromarray(shape.mask.astype(np.uint8)).save(stream, "PNG")
    return {
        "shape_type": "mask",
        "points": [[shape.x, shape.y], [shape.x + width - 1, shape.y + height - 1]],
        "mask": base64.b64encode(stream.getvalue()).decode("ascii"),
    }


def _is_described(instance: Instance) -> bool:
    text = instance.attributes.get(_DESCRIPTION)
    return isinstance(text, str) and text != ""


def _losses(export: Export, expected: Mapping[str, list[geo.Rle]]) -> list[str]:
    instances = [one for image in export.images for _, one in image.instances]
    partly = sum(verified_state(image) == "part" for image in export.images)
    others = sum(
        any(
            not isinstance(value, bool) and not (key == _DESCRIPTION and _is_described(one))
            for key, value in one.attributes.items()
        )
        for one in instances
    )
    losses = empty_ones("Labelme", len(instances) - sum(map(len, expected.values())))
    if partly:
        losses.append(
            f"Labelme cannot hold the verified area of {many(partly, 'image')} verified in part"
        )
    if others:
        losses.append(
            f"Labelme cannot hold attributes of {many(others, 'instance')} that are neither true,"
            " false nor the description"
        )
    return losses + lost_fields("Labelme", instances, kept=("attributes",))
