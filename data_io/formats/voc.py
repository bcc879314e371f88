"""Pascal VOC segmentation folders, in and out.

http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html: a picture's category indices
are the pixels of `SegmentationClass/NAME.png`, its object numbers those of
`SegmentationObject/NAME.png`; 0 is background, 255 is void. Void means not verified here, so the
rims that VOC's annotators left around objects are not verified. Stacking order is the order of
object numbers. An image of more than 254 instances has a 16-bit object PNG, whose void is 65535.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats.labels import Export, FileImage, LabelFile, Pictures, Written
from data_io.formats.png import (
    MAX_PIECES,
    Numbers,
    Painting,
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
from data_io.formats.text import Entry, Found, files_under
from data_io.formats.text_write import lost_fields, many
from data_io.formats.voc_names import COLORS, PALETTE, VOID, Names, labelmap, read_names
from data_io.types import Instance, Parts

_CLASSES, _OBJECTS, _SETS = "SegmentationClass", "SegmentationObject", "ImageSets/Segmentation"
_DEEP_VOID = 65535  # in PNGs of 16 bits
_TITLE = "Pascal VOC"


# --- in -------------------------------------------------------------------------------------------


def read_voc(source: Path, pictures: Pictures) -> LabelFile:
    """Read a Pascal VOC segmentation folder.

    Palette, grey and color PNGs are read. Names come from `labelmap.txt`, `classes.json` or
    `classes.txt`; without them they are VOC's twenty if the indices fit, else ``class 7``. Where a
    picture has a class PNG only, each 4-connected area of a class is an instance. A list of names
    without a background counts from 0, unless an index lies beyond its end: then from 1.

    Args:
        source: the folder that holds `SegmentationClass`.
        pictures: gives each PNG its picture.

    Raises:
        DataError: there is no `SegmentationClass`.
    """
    root = Path(source)
    if not root.joinpath(_CLASSES).is_dir():
        why = f"there is no folder {_CLASSES}"
        raise DataError(root, why, f"choose the folder that holds {_CLASSES}")
    found = Found()
    labels = sorted(
        {
            file.relative_to(root / folder).as_posix()
            for folder in (_CLASSES, _OBJECTS)
            for file in files_under(root / folder, {".png"})
        }
    )
    folder = _Folder(root, _counted(root, labels, read_names(root, found), found), pictures, found)
    images: dict[str, FileImage] = {}
    for label in labels:
        try:
            image = folder.image(label)
            if image.file_name in images:
                why = f"{images[image.file_name].key} is for the same picture {image.file_name}"
                raise DataError(root / _CLASSES / label, why, "keep one of the two")
            images[image.file_name] = image
        except DataError as error:
            found.refuse(error)
    used = {int(one.category) for image in images.values() for one in image.instances}
    return LabelFile(
        folder.names.categories(used),
        tuple(images.values()),
        tuple(found.refused),
        tuple(found.repaired),
    )


def _counted(root: Path, labels: Sequence[str], names: Names, found: Found) -> Names:
    """The names, counted from where the class PNGs do."""
    if not names.counted or names.listed is None:
        return names
    for label in labels:
        try:
            classes = read_png(root / _CLASSES / label, colors=names.colors)
        except DataError:  # its sentence comes when the picture is read
            continue
        if bool(((classes >= len(names.by_index)) & (classes != _void(classes))).any()):
            return names.from_one()
    first = Entry(names.listed, "class 0", {})
    found.repair(first, "the first name is no background", "index 0 was taken for it", "name")
    return names


def _void(numbers: Numbers) -> int:
    return VOID if numbers.dtype == np.uint8 else _DEEP_VOID


@dataclass
class _Content:
    """What the PNGs of one picture hold so far."""

    instances: list[Instance] = field(default_factory=list)
    complete: bool = True

    def add(self, category: int, parts: Parts) -> None:
        self.instances.append(Instance(uuid.uuid4().hex, str(category), parts))


@dataclass(frozen=True)
class _Folder:
    root: Path
    names: Names
    pictures: Pictures
    found: Found

    def image(self, label: str) -> FileImage:
        file, objects_file = self.root / _CLASSES / label, self.root / _OBJECTS / label
        if not file.is_file():
            why = f"there is no PNG of this name in {_CLASSES}"
            raise DataError(objects_file, why, "add it, it says the categories of objects")
        name = str(PurePosixPath(label).with_suffix(""))
        picture = picture_of(file, self.pictures, [name])
        size = picture.width, picture.height
        classes = read_png(file, size, self.names.colors)
        void = classes == _void(classes)
        content = _Content()
        if objects_file.is_file():
            objects = read_png(objects_file, size, COLORS)
            void |= objects == _void(objects)
            self._objects(objects_file, classes, np.where(void, 0, objects), void, content)
        else:
            self._areas(file, classes, content)
        return FileImage(
            key=f"{_CLASSES}/{label}",
            file_name=picture.name,
            width=picture.width,
            height=picture.height,
            instances=tuple(content.instances),
            verified=verified_area(void),
            complete=content.complete,
        )

    def _areas(self, file: Path, classes: Numbers, content: _Content) -> None:
        """Each 4-connected area of a class as an instance."""
        skip = {0, _void(classes)} if self.names.ground else {_void(classes)}
        for number, window in windows(file, classes, skip).items():
            pieces = outline(classes[window] == number, window)
            if len(content.instances) + len(pieces) > MAX_PIECES:
                why = f"the classes fall into more than {MAX_PIECES} areas"
                raise DataError(file, why, f"add {_OBJECTS}, or check that this is a label PNG")
            for part in pieces:
                content.add(number, (part,))

    def _objects(
        self, file: Path, classes: Numbers, objects: Numbers, void: Numbers, content: _Content
    ) -> None:
        """Each object as an instance of the class most of its pixels have."""
        for number, window in windows(file, objects, {0}).items():
            entry = Entry(file, f"object {number}", {})
            inside = objects[window] == number
            counts = np.bincount(classes[window][inside])
            several = np.count_nonzero(counts) > 1
            if self.names.ground:
                counts[0] = 0
            if not counts.any():
                why, remedy = f"the object has no class in {_CLASSES}", "give it one"
                self.found.refuse(entry.refuse(why, remedy))
                content.complete = False
                continue
            if several:
                why, done = "the object covers pixels of several classes", "most pixels decide"
                self.found.repair(entry, why, done, "")
            content.add(int(counts.argmax()), outline(inside, window))
        rest = (objects == 0) & ~void
        if self.names.ground:
            rest &= classes != 0
        if left := int(np.count_nonzero(rest)):
            why = f"{many(left, 'pixel')} with a class belong to no object"
            self.found.refuse(DataError(file, why, "give them an object's number"))
            content.complete = False


# --- out ------------------------------------------------------------------------------------------


def write_voc(target: Path, export: Export) -> Written:
    """Write a Pascal VOC segmentation folder, without the pictures.

    `ImageSets/Segmentation` lists all images but those of the split test in `trainval.txt`, and
    those of each split in a file of its name.

    Args:
        target: an empty folder.
        export: what goes in.

    Raises:
        DataError: more than 254 categories, more than 65534 instances in an image, or two images
            whose PNGs would have one name.
    """
    if len(export.categories) >= VOID:
        why = f"{_TITLE} has room for {VOID - 1} categories and there are {len(export.categories)}"
        raise DataError(target, why, "merge some, or export another format", field="categories")
    files = label_files(target, export, lambda _, name: _stem(name) + ".png")
    for folder in (_CLASSES, _OBJECTS):
        target.joinpath(folder).mkdir()
    indices = {category.id: index for index, category in enumerate(export.categories, start=1)}
    expected: dict[str, list[geo.Rle]] = {}
    lost: Counter[str] = Counter()
    for image, name, file in zip(export.images, export.names, files, strict=True):
        if _stem(name) in export.names:
            why = f"{_stem(name)} and {name} would share the label file {file}"
            raise DataError(target, why, "rename one of the two images", field="file_name")
        layers = painting(export, image, lost)
        classes = [indices[image.instances[position][1].category] for position in layers.kept]
        numbers = np.array([0, *classes, VOID], dtype=np.uint8)[layers.numbers]
        write_png(target / _CLASSES / file, numbers, PALETTE)
        _write_objects(target / _OBJECTS / file, layers)
        expected[name] = layers.rasters
    _write_lists(target, export)
    names = [category.name for category in export.categories]
    _write(target / "labelmap.txt", labelmap(names))
    return Written(expected, tuple(_losses(export, lost)))


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _write_objects(file: Path, layers: Painting) -> None:
    count = len(layers.kept)
    if count < VOID:
        table = np.array([*range(count + 1), VOID], dtype=np.uint8)
        write_png(file, table[layers.numbers], PALETTE)
    elif count < _DEEP_VOID:
        table = np.array([*range(count + 1), _DEEP_VOID], dtype=np.uint16)
        write_png(file, table[layers.numbers])
    else:
        why = f"an image has room for {_DEEP_VOID - 1} instances and there are {count}"
        raise DataError(file, why, "cut the image into tiles")


def _write_lists(target: Path, export: Export) -> None:
    lists: dict[str, list[str]] = {"trainval": []}
    for image, name in zip(export.images, export.names, strict=True):
        if image.record.split != "test":
            lists["trainval"].append(f"{_stem(name)}\n")
        if image.record.split is not None:
            lists.setdefault(image.record.split, []).append(f"{_stem(name)}\n")
    for split, lines in lists.items():
        _write(target / _SETS / f"{split}.txt", "".join(lines))


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("x", encoding="utf-8", newline="\n") as stream:
        stream.write(text)


def _losses(export: Export, lost: Counter[str]) -> Iterator[str]:
    yield from painted_losses(_TITLE, lost)
    yield from lost_fields(
        _TITLE, [one for image in export.images for _, one in image.instances], ()
    )
