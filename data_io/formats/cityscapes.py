"""Cityscapes folders (https://github.com/mcordts/cityscapesScripts); out: `cityscapes_write.py`.

`gtFine/SPLIT/CITY/NAME_gtFine_polygons.json` holds a label and one polygon for each object, later
on top, so overlaps survive. Holes hang on slits and parts on bridges that cover no pixel. A label
that ends with `group` is a crowd. Objects called `out of roi`, `ego vehicle`, `rectification
border` or `unlabeled` are ground that nobody vouches for.

`_gtFine_instanceIds.png` is read where there are no polygons. A pixel is 1000 * label id + number;
below 1000 it is a label id alone, which makes a crowd of a label that has instances and nothing of
others; 1, 2 and 3 are not verified.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats.cityscapes_labels import (
    FIRST_ID,
    FIRST_WITH_INSTANCES,
    IDS,
    IMAGES,
    INSTANCES,
    LABELS,
    NUMBERS,
    PHOTO,
    POLYGONS,
    ROOT,
    VOID,
)
from data_io.formats.cityscapes_write import write_cityscapes
from data_io.formats.labels import (
    FileCategory,
    FileImage,
    LabelFile,
    Picture,
    Pictures,
    safe_name,
)
from data_io.formats.png import outline, picture_of, read_png, verified_area, windows
from data_io.formats.text import (
    MAX_NAME,
    Entry,
    Found,
    drawn_region,
    files_under,
    finite_number,
    read_json,
    whole_number,
)
from data_io.types import Instance, Parts, Ring

__all__ = ["read_cityscapes", "write_cityscapes"]

_MAX_OUTLINES = 2.5e7  # pixels along all polygons of one file; drawing them takes a few seconds


def read_cityscapes(source: Path, pictures: Pictures) -> LabelFile:
    """Read a Cityscapes folder.

    `labels.json` names the label ids of a folder, `images.json` the picture of each polygon file;
    without it NAME, or NAME_leftImg8bit, is the picture's name.

    Args:
        source: the folder that holds `gtFine`, or `gtFine` itself.
        pictures: gives each label file its picture.

    Raises:
        DataError: there is no `gtFine`.
    """
    root = Path(source)
    if root.name == ROOT and not root.joinpath(ROOT).is_dir():
        root = root.parent
    if not root.joinpath(ROOT).is_dir():
        why = f"there is no folder {ROOT}"
        raise DataError(root, why, f"choose the folder that holds {ROOT}")
    found = Found()
    folder = _Folder(root, pictures, found, _ids(root, found), _image_names(root, found))
    images: dict[str, FileImage] = {}
    for stem in _stems(root):
        try:
            image = folder.image(stem)
            if image.file_name in images:
                why = f"{images[image.file_name].key} is for the same picture {image.file_name}"
                raise DataError(root / stem, why, "keep one of the two")
            images[image.file_name] = image
        except DataError as error:
            found.refuse(error)
    used = (one.category for image in images.values() for one in image.instances)
    names = dict.fromkeys((*folder.ids, *used))
    return LabelFile(
        tuple(FileCategory(name, name) for name in names),
        tuple(images.values()),
        tuple(found.refused),
        tuple(found.repaired),
    )


def _stems(root: Path) -> list[str]:
    """Label files below a root without their endings, relative, sorted."""
    stems: set[str] = set()
    ends = (POLYGONS, INSTANCES, NUMBERS)
    for file in files_under(root / ROOT, {".json", ".png"}):
        name = file.relative_to(root).as_posix()
        stems.update(name.removesuffix(end) for end in ends if name.endswith(end))
    return sorted(stems)


def _ids(root: Path, found: Found) -> dict[str, int]:
    """Label name -> id, as `labels.json` has it."""
    ids: dict[str, int] = {}
    for name, value in _object(root / LABELS, found).items():
        entry = Entry(root / LABELS, f"label {ascii(name)[1:-1][:MAX_NAME]}", {"name": name})
        number = whole_number(value)
        try:
            if number is None or not FIRST_ID <= number < 1000:
                why = f"the id is not a number from {FIRST_ID} to 999"
                raise entry.refuse(why, "write its label id")
            ids[entry.text("name", MAX_NAME)] = number
        except DataError as error:
            found.refuse(error)
    return ids


def _image_names(root: Path, found: Found) -> dict[str, str]:
    """Polygon file -> image file name, as `images.json` has it."""
    names: dict[str, str] = {}
    for file, value in _object(root / IMAGES, found).items():
        name = safe_name(value) if isinstance(value, str) else None
        if name is None:
            why, remedy = "the image's name is none, or leads out of its folder", "correct it"
            index = ascii(file)[1:-1][:200]
            found.refuse(DataError(root / IMAGES, why, remedy, index=index))
        else:
            names[file] = name
    return names


def _object(file: Path, found: Found) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        tree = read_json(file)
        if not isinstance(tree, dict):
            raise DataError(file, "this is not a JSON object", "export the labels again")
    except DataError as error:
        found.refuse(error)
        return {}
    return tree


@dataclass
class _Content:
    """What the label file of one picture holds so far."""

    instances: list[Instance] = field(default_factory=list)
    void: list[geo.Rle] = field(default_factory=list)
    complete: bool = True
    outlines: float = 0.0  # pixels along the polygons drawn so far


@dataclass(frozen=True)
class _Folder:
    root: Path
    pictures: Pictures
    found: Found
    ids: Mapping[str, int]
    image_names: Mapping[str, str]

    def image(self, stem: str) -> FileImage:
        polygons, instances = (self.root / f"{stem}{end}" for end in (POLYGONS, INSTANCES))
        file = polygons if polygons.is_file() else instances
        if not file.is_file():
            why = "label ids alone do not tell one instance from another"
            raise DataError(self.root / f"{stem}{NUMBERS}", why, f"add {polygons.name}")
        picture = picture_of(file, self.pictures, self._names(stem))
        content = _Content()
        if file == polygons:
            self._polygons(file, picture, content)
            verified = _without(content.void, picture)
        else:
            verified = self._numbers(file, picture, content)
        return FileImage(
            key=file.relative_to(self.root).as_posix(),
            file_name=picture.name,
            width=picture.width,
            height=picture.height,
            instances=tuple(content.instances),
            verified=verified,
            complete=content.complete,
        )

    def _names(self, stem: str) -> Iterator[str]:
        """What the picture may be called, likely names first."""
        known = self.image_names.get(f"{stem}{POLYGONS}")
        if known is not None:
            yield known
            return
        *_, city, name = PurePosixPath(stem).parts
        for stem in (f"{city}/{name}", name):
            yield f"{stem}{PHOTO}"
            yield stem

    # --- polygons ---------------------------------------------------------------------------------

    def _polygons(self, file: Path, picture: Picture, content: _Content) -> None:
        tree = read_json(file)
        if not isinstance(tree, dict) or not isinstance(tree.get("objects"), list):
            raise DataError(file, "the list objects is missing", "export the labels again")
        entry = Entry(file, "", tree)
        size = entry.whole("imgWidth"), entry.whole("imgHeight")
        if size != (picture.width, picture.height):
            why = f"the labels are for {size[0]} x {size[1]} pixels"
            why += f", their picture has {picture.width} x {picture.height}"
            raise entry.refuse(why, "use the pictures that were labeled", "imgWidth")
        for position, row in enumerate(tree["objects"]):
            try:
                if not isinstance(row, dict):
                    why, index = "the entry is not an object", f"object {position}"
                    raise DataError(file, why, "write {...}", index=index, field="objects")
                self._add(Entry(file, f"object {position}", row), picture, content)
            except DataError as error:
                self.found.refuse(error)
                content.complete = False

    def _add(self, entry: Entry, picture: Picture, content: _Content) -> None:
        if entry.keys.get("deleted") in (1, True):
            return
        label = entry.text("label", MAX_NAME + len("group"))
        ring = _ring(entry)
        length = float(np.abs(ring - np.roll(ring, 1, axis=0)).max(axis=1).sum())
        content.outlines += length if length < geo.MAX_OUTLINE else 0  # else it is not drawn at all
        if content.outlines > _MAX_OUTLINES:
            raise entry.refuse("the polygons of this file are too long", "draw fewer", "polygon")
        size = picture.width, picture.height
        parts = drawn_region(entry, ring, size, self.found, slits=_has_slit(ring))
        if label in VOID:
            content.void.append(geo.rle_of_parts(parts, size[1], size[0]))
        else:
            content.instances.append(self._instance(label, parts))

    def _instance(self, label: str, parts: Parts) -> Instance:
        known = label in self.ids or label in IDS
        single = label.removesuffix("group")
        crowd = bool(single) and single != label and not known
        return Instance(uuid.uuid4().hex, single if crowd else label, parts, iscrowd=crowd)

    # --- instance numbers -------------------------------------------------------------------------

    def _numbers(self, file: Path, picture: Picture, content: _Content) -> Parts | None:
        numbers = read_png(file, (picture.width, picture.height))
        names = {number: name for name, number in IDS.items()}
        names.update({number: name for name, number in self.ids.items()})
        skip = set(range(FIRST_WITH_INSTANCES)) - set(self.ids.values())
        for number, window in windows(file, numbers, skip).items():
            label, crowd = (number, True) if number < 1000 else (number // 1000, False)
            category = names.get(label, f"class {label}")
            parts = outline(numbers[window] == number, window)
            content.instances.append(Instance(uuid.uuid4().hex, category, parts, iscrowd=crowd))
        return verified_area((numbers > 0) & (numbers < FIRST_ID))


def _without(void: list[geo.Rle], picture: Picture) -> Parts | None:
    if not void:
        return None
    whole = geo.rle_of_runs([0, picture.height * picture.width], picture.height, picture.width)
    return geo.parts_of_rle(geo.rle_difference(whole, geo.rle_union(void)))


def _ring(entry: Entry) -> Ring:
    points = entry.keys.get("polygon")
    if not isinstance(points, list) or not points:
        raise entry.refuse("there is no polygon", "write [[x, y], ...]", "polygon")
    flat = [
        finite_number(value)
        for point in points
        for value in (point if isinstance(point, list) and len(point) == 2 else (None, None))
    ]
    numbers = [value for value in flat if value is not None]
    if len(numbers) < len(flat):
        why = "a vertex is not two finite numbers"
        raise entry.refuse(why, "write [[x, y], ...]", "polygon")
    return np.array(numbers, dtype=np.float64).reshape(-1, 2)


def _has_slit(ring: Ring) -> bool:
    """Whether a vertex is passed twice, as where holes and parts are joined to one polygon."""
    vertices = ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)]
    return len(set(map(tuple, vertices.tolist()))) < len(vertices)
