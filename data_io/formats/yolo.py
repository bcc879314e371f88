"""YOLO segmentation folders, in and out (https://docs.ultralytics.com/datasets/segment/).

`data.yaml` names the classes; beside a picture `images/NAME.jpg` stands `labels/NAME.txt` with a
line ``class x1 y1 x2 y2 ...`` for each instance, x and y divided by the image's width and height.
An instance is one ring: parts and holes hang on bridges that cover no pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats.labels import (
    Export,
    ExportImage,
    FileCategory,
    FileImage,
    LabelFile,
    Picture,
    Pictures,
    Written,
)
from data_io.formats.text import (
    MAX_NAME,
    MAX_SHAPES,
    Entry,
    Found,
    Piece,
    drawn_region,
    files_under,
    instances_of,
    is_drawable,
    numbers_of_text,
    read_text,
)
from data_io.formats.text_write import (
    check_names,
    empty_ones,
    lost_fields,
    many,
    verified_state,
)
from data_io.formats.yolo_names import class_names, yaml_text
from data_io.rings import exact_rings, one_ring
from data_io.types import Instance, Part, Ring

_CONFIG = "data.yaml"
_LABELS, _IMAGES = "labels", "images"
_MAX_BYTES = 20_000_000  # of the label file of one picture
_MAX_SHARE = 10.0  # beyond, a coordinate is in pixels instead of divided by the image's size
_DECIMALS = 9  # of a pixel; rounding undoes what dividing and multiplying does to the last digits


# --- in -------------------------------------------------------------------------------------------


def read_yolo(source: Path, pictures: Pictures) -> LabelFile:
    """Read a YOLO segmentation folder, or the one its `data.yaml` lies in.

    Label files are the ``.txt`` files in any folder called `labels`, at any depth; those decide
    what is read, so the keys `path`, `train`, `val` and `test` are not needed. Pictures without a
    label file are not part of the result: a missing file does not say that nothing is in them.

    Args:
        source: the folder, or its `data.yaml`.
        pictures: gives each label file its picture and the size to multiply with.

    Raises:
        DataError: no `data.yaml`, no `names` in it, or no folder called `labels`.
    """
    config = _config(Path(source))
    found = Found()
    categories = _categories(config, found)
    root = config.parent
    if not any(path.is_dir() for path in root.rglob(_LABELS)):
        why = "there is no folder called labels"
        raise DataError(root, why, "choose the folder that holds data.yaml and labels")
    images: dict[str, FileImage] = {}
    for file in files_under(root, {".txt"}):
        if _LABELS not in file.relative_to(root).parts[:-1]:
            continue
        try:
            image = _image(file, root, categories, pictures, found)
            if image.file_name in images:
                why = f"{images[image.file_name].key} is for the same picture {image.file_name}"
                raise DataError(file, why, "keep one of the two")
            images[image.file_name] = image
        except DataError as error:
            found.refuse(error)
    return LabelFile(
        tuple(categories.values()),
        tuple(images.values()),
        tuple(found.refused),
        tuple(found.repaired),
    )


def _config(source: Path) -> Path:
    if not source.is_dir():
        return source
    if (source / _CONFIG).is_file():
        return source / _CONFIG
    others = [path for path in files_under(source, {".yaml", ".yml"}) if path.parent == source]
    if len(others) != 1:
        raise DataError(source, "there is no data.yaml", "choose the folder that holds it")
    return others[0]


def _categories(config: Path, found: Found) -> dict[int, FileCategory]:
    categories: dict[int, FileCategory] = {}
    for index, name in class_names(config).items():
        try:
            text = Entry(config, f"class {index}", {"name": name}).text("name", MAX_NAME)
            categories[index] = FileCategory(str(index), text)
        except DataError as error:
            found.refuse(error)
    return categories


def _image(
    file: Path,
    root: Path,
    categories: Mapping[int, FileCategory],
    pictures: Pictures,
    found: Found,
) -> FileImage:
    picture = _picture(file, root, pictures)
    lines = read_text(file, _MAX_BYTES).split("\n")
    if len(lines) > MAX_SHAPES:
        raise DataError(file, f"it has more than {MAX_SHAPES} lines", "check what it is")
    pieces: list[Piece] = []
    complete = True
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                entry = Entry(file, f"line {number}", {})
                pieces.append(_piece(entry, line, categories, picture, found))
            except DataError as error:
                found.refuse(error)
                complete = False
    return FileImage(
        key=file.relative_to(root).as_posix(),
        file_name=picture.name,
        width=picture.width,
        height=picture.height,
        instances=instances_of(pieces),
        complete=complete,
    )


def _picture(file: Path, root: Path, pictures: Pictures) -> Picture:
    fault: DataError | None = None
    for name in _picture_names(file.relative_to(root)):
        try:
            picture = pictures.find(name)
        except DataError as error:  # another name may say better which picture is meant
            fault = fault or error
        else:
            if picture is not None:
                return picture
    if fault is not None:
        raise fault
    why = f"there is no picture called {file.stem}"
    raise DataError(file, why, "say where the pictures are, or remove the file")


def _picture_names(file: Path) -> Iterator[str]:
    """Where the picture of a label file may be, without its extension, likely ones first."""
    parts = file.with_suffix("").parts
    for place in reversed([k for k, part in enumerate(parts[:-1]) if part == _LABELS]):
        above, below = parts[:place], parts[place + 1 :]
        beside = "/".join((*above, _IMAGES, *below))
        yield beside.removeprefix(f"{_IMAGES}/")
        yield "/".join(below)
        yield beside


def _piece(
    entry: Entry,
    line: str,
    categories: Mapping[int, FileCategory],
    picture: Picture,
    found: Found,
) -> Piece:
    numbers = numbers_of_text(line)
    if numbers is None:
        why = "the line is not a list of finite numbers"
        raise entry.refuse(why, "write class x1 y1 x2 y2 ...")
    if len(numbers) == 5:
        raise entry.refuse("a box alone is no outline", "export the dataset for segmentation")
    if len(numbers) < 7 or len(numbers) % 2 == 0:
        why = f"a class and {len(numbers) - 1} coordinates are no outline"
        raise entry.refuse(why, "write x and y of at least three vertices")
    index = int(numbers[0])
    if index != numbers[0] or index not in categories:
        raise entry.refuse("its class is not among the names", "add it to data.yaml", "class")
    if np.abs(numbers[1:]).max() > _MAX_SHARE:
        why = "the coordinates are not divided by the image's size"
        raise entry.refuse(why, "write shares from 0 to 1")
    ring = _pixels(numbers[1:].reshape(-1, 2), picture.width, picture.height)
    parts = drawn_region(entry, ring, (picture.width, picture.height), found, slits=True)
    return Piece(categories[index].key, parts)


def _pixels(shares: Ring, width: int, height: int) -> Ring:
    pixels: Ring = np.round(shares * [width, height], _DECIMALS)
    return pixels


# --- out ------------------------------------------------------------------------------------------


def write_yolo(target: Path, export: Export) -> Written:
    """Write a YOLO segmentation folder, without the pictures, which belong into ``images``.

    Coordinates have all digits a float has. An image that nobody vouches for has no label file,
    because YOLO takes what is not in a label file for background; one without instances has an
    empty file. `train.txt`, `val.txt` and `test.txt` list the pictures of each split; those
    without a split count as `train`.

    Args:
        target: an empty folder.
        export: what goes in.

    Raises:
        DataError: a file name cannot be written.
    """
    check_names(target, export)
    classes = {category.id: index for index, category in enumerate(export.categories)}
    written: list[tuple[ExportImage, str]] = []
    expected: dict[str, list[geo.Rle]] = {}
    taken: set[PurePosixPath] = set()
    (target / _LABELS).mkdir()
    for image, name in zip(export.images, export.names, strict=True):
        label = _label_of(name)
        if verified_state(image) == "none" or label in taken:
            continue
        taken.add(label)
        lines, expected[name] = _lines(export, image, classes)
        file = target / label
        file.parent.mkdir(parents=True, exist_ok=True)
        _write(file, lines)
        written.append((image, name))
    _write_lists(target, export, written)
    return Written(expected, tuple(_losses(export, [image for image, _ in written], expected)))


def _label_of(name: str) -> PurePosixPath:
    """Where YOLO looks for the labels of ``images/name``: `labels` for the last `images`."""
    path = PurePosixPath(_IMAGES, name).with_suffix(".txt")
    place = max(k for k, part in enumerate(path.parts[:-1]) if part == _IMAGES)
    return PurePosixPath(*path.parts[:place], _LABELS, *path.parts[place + 1 :])


def _lines(
    export: Export, image: ExportImage, classes: Mapping[str, int]
) -> tuple[list[str], list[geo.Rle]]:
    lines: list[str] = []
    rasters: list[geo.Rle] = []
    width, height = image.record.width, image.record.height
    for number, instance in image.instances:
        rle = export.raster(image, number, instance)
        if geo.area_of_rle(rle):
            shares = (_ring(instance, rle) / [width, height]).ravel().tolist()
            lines.append(" ".join([str(classes[instance.category]), *map(repr, shares)]) + "\n")
            rasters.append(rle)
    return lines, rasters


def _ring(instance: Instance, rle: geo.Rle) -> Ring:
    """The one ring that is read back to exactly this raster, which has pixels."""
    height, width = rle["size"]

    def stored(ring: Ring) -> Ring:
        return _pixels(np.clip(ring / [width, height], 0.0, 1.0), width, height)

    rings = exact_rings(instance.parts, rle, one_ring, stored)
    if rings is None or not is_drawable((Part(rings[0]),)):
        rings = exact_rings(geo.parts_of_rle(rle), rle, one_ring, stored)
    if rings is None:
        why = "an outline cannot be written as one ring"
        raise DataError("YOLO", why, "report this as a fault of Herdmark")
    return rings[0]


def _write_lists(target: Path, export: Export, written: list[tuple[ExportImage, str]]) -> None:
    lists: dict[str, list[str]] = {"train": []}
    for image, name in written:
        lists.setdefault(image.record.split or "train", []).append(f"./{_IMAGES}/{name}\n")
    keys = {split: f"{split}.txt" for split in lists}
    for split, lines in lists.items():
        _write(target / keys[split], lines)
    head = ["# Labels exported by Herdmark. The pictures belong into the folder images.\n"]
    if "val" not in keys:
        keys["val"] = keys["train"]
        head.append("# No image is in the split val, which YOLO needs: it measures on train.\n")
    names = [
        f"  {index}: {yaml_text(category.name)}\n"
        for index, category in enumerate(export.categories)
    ]
    pictures = [f"{split}: {file}\n" for split, file in keys.items()]
    _write(target / _CONFIG, [*head, *pictures, "names:\n" if names else "names: {}\n", *names])


def _write(file: Path, lines: list[str]) -> None:
    with file.open("x", encoding="utf-8", newline="\n") as stream:
        stream.writelines(lines)


def _losses(
    export: Export, written: list[ExportImage], expected: Mapping[str, list[geo.Rle]]
) -> Iterator[str]:
    states = [verified_state(image) for image in export.images]
    drafts, partly = states.count("none"), states.count("part")
    if drafts:
        yield f"YOLO has no drafts, so it leaves out {many(drafts, 'image')} without verified area"
    if clashes := len(states) - drafts - len(written):
        yield f"YOLO cannot hold {many(clashes, 'image')} that differ from another in suffix only"
    if partly:
        yield f"YOLO cannot hold the verified area of {many(partly, 'image')} verified in part"
    instances = [one for image in written for _, one in image.instances]
    yield from empty_ones("YOLO", len(instances) - sum(map(len, expected.values())))
    yield from lost_fields("YOLO", instances, kept=())
