"""Folders of plain instance masks, in and out: one 16-bit grey PNG for each image.

A pixel is the number of its instance in stacking order, 0 for ground, 65535 where nothing is
verified. `masks.json` says what the numbers are: ``{"categories": ["cow"], "images": {"a/1.jpg":
{"file": "a/1.png", "instances": {"1": {"category": "cow", "id": 17}}}}}``; `id` is the annotation
id of every other export. The keys `iscrowd`, `score`, `source`, `version`, `attributes` and
`extras` are there where an instance has them.
"""

from __future__ import annotations

import json
import math
import re
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, cast, get_args

import numpy as np

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
    safe_name,
)
from data_io.formats.png import (
    MAX_PIECES,
    Numbers,
    label_files,
    outline,
    painted_losses,
    painting,
    picture_of,
    read_png,
    verified_area,
    windows,
    write_png,
)
from data_io.formats.text import MAX_NAME, Entry, Found, files_under, finite_number, read_json
from data_io.types import Instance, Parts, Source

_INDEX = "masks.json"
_VOID = 65535  # not verified
_ENDINGS = ("_mask", "-mask")
_ANIMAL = FileCategory("animal", "animal")  # of masks that come without `masks.json`
_MAX_DEPTH = 20  # nesting of attributes


# --- in -------------------------------------------------------------------------------------------


def read_masks(source: Path, pictures: Pictures) -> LabelFile:
    """Read a folder of instance masks.

    Without `masks.json` every PNG in the folder is a mask: of the picture `a.jpg` it is called
    `a.png`, `a_mask.png` or `a-mask.png`. Palette indices and grey samples are numbers. A mask with
    one number besides 0 is taken apart into its 4-connected areas, else each number is an instance;
    all are of the category `animal`. A 16-bit 65535 among other numbers is ground not verified.

    Args:
        source: the folder.
        pictures: gives each mask its picture.

    Raises:
        DataError: no folder, a `masks.json` that is none, or no PNG at all.
    """
    root = Path(source)
    found = Found()
    images: dict[str, FileImage] = {}
    if root.joinpath(_INDEX).is_file():
        categories, read = _indexed(root, pictures, found)
    else:
        categories, read = (_ANIMAL,), _loose(root, pictures, found)
    for image in read:
        other = images.setdefault(image.file_name, image)
        if other is not image:
            why = f"{other.key} is for the same picture {image.file_name}"
            found.refuse(DataError(root / image.key, why, "keep one of the two"))
    return LabelFile(
        categories, tuple(images.values()), tuple(found.refused), tuple(found.repaired)
    )


def _mask(
    file: Path, root: Path, pictures: Pictures, names: list[str]
) -> tuple[Numbers, FileImage]:
    """The numbers of a mask, and its image without instances."""
    picture = picture_of(file, pictures, names)
    numbers = read_png(file, (picture.width, picture.height))
    key = file.relative_to(root).as_posix()
    return numbers, FileImage(key, picture.name, picture.width, picture.height)


# --- in, with masks.json --------------------------------------------------------------------------


def _indexed(
    root: Path, pictures: Pictures, found: Found
) -> tuple[tuple[FileCategory, ...], Iterator[FileImage]]:
    file = root / _INDEX
    tree = read_json(file)
    if not isinstance(tree, dict) or not isinstance(tree.get("images"), dict):
        raise DataError(file, "the object images is missing", "export the masks again")
    listed = tree.get("categories")
    if not isinstance(listed, list):
        raise DataError(file, "the list categories is missing", "export the masks again")
    names: dict[str, FileCategory] = {}
    for position, name in enumerate(listed):
        try:
            text = Entry(file, f"category {position}", {"name": name}).text("name", MAX_NAME)
            names[text] = FileCategory(text, text)
        except DataError as error:
            found.refuse(error)
    reading = _Index(root, names, pictures, found)
    return tuple(names.values()), reading.images(tree["images"])


@dataclass(frozen=True)
class _Index:
    root: Path
    categories: Mapping[str, FileCategory]
    pictures: Pictures
    found: Found

    def images(self, rows: Mapping[str, Any]) -> Iterator[FileImage]:
        for name, row in rows.items():
            try:
                yield self._image(name, self._entry(f"image {ascii(name)[1:-1][:200]}", row))
            except DataError as error:
                self.found.refuse(error)

    def _entry(self, index: str, row: object) -> Entry:
        if not isinstance(row, dict):
            why = "the entry is not an object"
            raise DataError(self.root / _INDEX, why, "write {...}", index=index)
        return Entry(self.root / _INDEX, index, row)

    def _image(self, text: str, entry: Entry) -> FileImage:
        name, label = safe_name(text), safe_name(entry.text("file"))
        if name is None or label is None:
            why = "a name leads out of the folder"
            raise entry.refuse(why, "write it relative to the folder", "file")
        rows = entry.keys.get("instances")
        if not isinstance(rows, dict):
            raise entry.refuse("instances are not an object", "write {...}", "instances")
        file = self.root / label
        if not file.resolve().is_relative_to(self.root.resolve()):
            raise entry.refuse("the file lies outside the folder", "copy it there", "file")
        numbers, image = _mask(file, self.root, self.pictures, [name])
        instances, complete = self._instances(entry, file, numbers, rows)
        return replace(
            image,
            instances=instances,
            verified=verified_area(numbers == _VOID),
            complete=complete,
        )

    def _instances(
        self, entry: Entry, file: Path, numbers: Numbers, rows: Mapping[str, Any]
    ) -> tuple[tuple[Instance, ...], bool]:
        places = windows(file, numbers, {0, _VOID})
        known = {key for number in places if (key := str(number)) in rows}
        faults = [
            entry.refuse(f"instance {ascii(key)[1:-1][:40]} covers no pixel", "remove it")
            for key in rows
            if key not in known
        ]
        instances = []
        for number, window in places.items():
            try:
                if str(number) not in rows:
                    why = f"instance {number} of {file.name} is not listed"
                    raise entry.refuse(why, "add it", "instances")
                row = self._entry(f"{entry.index}, instance {number}", rows[str(number)])
                parts = outline(numbers[window] == number, window)
                instances.append(self._instance(row, parts))
            except DataError as error:
                faults.append(error)
        for fault in faults:
            self.found.refuse(fault)
        return tuple(instances), not faults

    def _instance(self, entry: Entry, parts: Parts) -> Instance:
        category = entry.text("category")
        if category not in self.categories:
            raise entry.refuse("its category is not listed", "add it to categories", "category")
        iscrowd = entry.keys.get("iscrowd", False)
        if not isinstance(iscrowd, bool):
            raise entry.refuse("iscrowd is neither true nor false", "write true", "iscrowd")
        score, version = finite_number(entry.keys.get("score")), entry.keys.get("version")
        source = entry.keys.get("source", "human")
        if source not in get_args(Source) or not isinstance(version, str | None):
            raise entry.refuse("the source is unknown", "write human, model or edited", "source")
        return Instance(
            id=uuid.uuid4().hex,
            category=category,
            parts=parts,
            source=cast(Source, source),
            version=version,
            score=score if score is not None and 0 <= score <= 1 else None,
            iscrowd=iscrowd,
            attributes=_object(entry, "attributes"),
            extras=_object(entry, "extras"),
        )


def _object(entry: Entry, key: str) -> dict[str, Any]:
    value = entry.keys.get(key, {})
    if not isinstance(value, dict):
        raise entry.refuse(f"{key} are not an object", "write {...}", key)
    return cast("dict[str, Any]", _plain(entry, key, value))


def _plain(entry: Entry, key: str, value: Any, depth: int = 0) -> Any:
    """JSON that can be stored and written again: no NaN, no half characters, not endlessly deep."""
    if depth > _MAX_DEPTH:
        raise entry.refuse(f"{key} are nested too deep", "flatten them", key)
    if isinstance(value, dict):
        return {_text(name): _plain(entry, key, item, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(entry, key, item, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


# --- in, without ----------------------------------------------------------------------------------


def _loose(root: Path, pictures: Pictures, found: Found) -> Iterator[FileImage]:
    files = files_under(root, {".png"})
    if not files:
        raise DataError(root, "there is no PNG in this folder", "choose the folder of the masks")
    stems = {str(file.with_suffix("")) for file in files}
    for file in files:
        # Where a.png and a_mask.png lie side by side, the first one is the picture.
        if any(str(file.with_suffix("")) + end in stems for end in _ENDINGS):
            continue
        try:
            stem = file.relative_to(root).with_suffix("").as_posix()
            plain = re.sub(f"({'|'.join(_ENDINGS)})$", "", stem)
            numbers, image = _mask(file, root, pictures, [plain, stem])
            yield _with_animals(file, numbers, image)
        except DataError as error:
            found.refuse(error)


def _with_animals(file: Path, numbers: Numbers, image: FileImage) -> FileImage:
    places = windows(file, numbers, {0})
    void = places.pop(_VOID, None) if len(places) > 1 else None
    pieces: list[Parts] = []
    for number, window in places.items():
        parts = outline(numbers[window] == number, window)
        pieces += [(part,) for part in parts] if len(places) == 1 else [parts]
        if len(places) == 1 and len(pieces) > MAX_PIECES:
            why = f"the mask falls into more than {MAX_PIECES} areas"
            raise DataError(file, why, "check that this is a mask and no photo")
    return replace(
        image,
        instances=tuple(Instance(uuid.uuid4().hex, _ANIMAL.key, parts) for parts in pieces),
        verified=None if void is None else verified_area(numbers == _VOID),
    )


# --- out ------------------------------------------------------------------------------------------


def write_masks(target: Path, export: Export) -> Written:
    """Write a folder of instance masks, without the pictures.

    Args:
        target: an empty folder.
        export: what goes in.

    Raises:
        DataError: more than 65534 instances in an image, two images whose masks would have one
            name, or an attribute JSON cannot hold.
    """
    files = label_files(
        target, export, lambda _, name: PurePosixPath(name).with_suffix(".png").as_posix()
    )
    names = {category.id: category.name for category in export.categories}
    expected: dict[str, list[geo.Rle]] = {}
    lost: Counter[str] = Counter()
    rows: dict[str, Any] = {}
    for image, name, file in zip(export.images, export.names, files, strict=True):
        layers = painting(export, image, lost)
        count = len(layers.kept)
        if count >= _VOID:
            why = f"an image has room for {_VOID - 1} instances and there are {count}"
            raise DataError(target, why, "cut the image into tiles", index=name)
        table = np.array([*range(count + 1), _VOID], dtype=np.uint16)
        write_png(target / file, table[layers.numbers])
        rows[name] = {"file": file, "instances": _rows(image, layers.kept, names)}
        expected[name] = layers.rasters
    tree = {"categories": [category.name for category in export.categories], "images": rows}
    _write(target / _INDEX, tree)
    return Written(expected, tuple(painted_losses("Mask PNGs", lost)))


def _rows(
    image: ExportImage, kept: tuple[int, ...], names: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    plain = Instance("", "", ())
    rows = {}
    for number, position in enumerate(kept, start=1):
        annotation, one = image.instances[position]
        rows[str(number)] = {"category": names[one.category], "id": annotation} | {
            key: dict(value) if isinstance(value, Mapping) else value
            for key in ("iscrowd", "score", "source", "version", "attributes", "extras")
            if (value := getattr(one, key)) != getattr(plain, key)
        }
    return rows


def _write(file: Path, tree: Mapping[str, Any]) -> None:
    try:
        text = json.dumps(tree, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        why = "an attribute cannot be written as JSON"
        raise DataError(file, why, "remove it", field="attributes") from error
    with file.open("x", encoding="utf-8", newline="\n") as stream:
        stream.write(text + "\n")
