"""Folders of the benchmarks that U2PL reports (https://arxiv.org/abs/2203.03884) as snapshots.

Pascal VOC 2012 with the labels of SBD: 20 categories and a background. Cityscapes: 19 categories
that fill the image, so that class 0 never occurs. Part of the training images keeps its labels, the
others are unlabeled. Pixels labeled 255, and Cityscapes' other labels, are void: nothing is learned
from them or scored on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from data_io.atomic import file_sha256
from data_io.errors import DataError
from data_io.formats.cityscapes_labels import IDS, NUMBERS, PHOTO, ROOT
from data_io.formats.png import read_png
from data_io.formats.voc_names import COLOR_MAP, COLORS, VOC_NAMES
from data_io.geometry import rle_of_mask
from data_io.images import size_of
from data_io.snapshot import VOID, Label, Snapshot, SnapshotImage, write_content
from data_io.splits import SplitImage, partition
from data_io.types import Category, Split

Variant = Literal["classic", "blender"]
VARIANTS: tuple[str, ...] = get_args(Variant)

# fmt: off
CITYSCAPES_NAMES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign",
    "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle",
    "bicycle",
)
# fmt: on
TRAIN_NUMBERS = f"_{ROOT}_labelTrainIds.png"
_AUGMENTED_LISTS = ("train_aug.txt", "trainaug.txt")
_LAST_ID = 33  # of Cityscapes' label ids
_UNKNOWN = -1

Table = NDArray[np.int16]  # number in a label PNG -> class index, VOID or _UNKNOWN


@dataclass(frozen=True)
class LabeledPart:
    """Which training images keep their labels.

    Attributes:
        denominator, seed: one of so many of them, drawn as `splits.partition` does.
        listed: a file with one id a line instead; of a path only its name counts.
    """

    denominator: int = 1
    seed: int = 0
    listed: Path | None = None


@dataclass(frozen=True)
class Item:
    """One image of a benchmark: its id, group (city) and files; no label file = unlabeled."""

    id: str
    group: str
    picture: Path
    labels: Path | None = None


@dataclass(frozen=True, eq=False)
class Study:
    """The images of a benchmark, and how its label PNGs are read."""

    names: tuple[str, ...]
    labeled: tuple[Item, ...]
    unlabeled: tuple[Item, ...]
    validation: tuple[Item, ...]
    read: Callable[[Path, tuple[int, int]], NDArray[np.uint8]]  # file, (w, h) -> class indices


# --- Pascal VOC -----------------------------------------------------------------------------------


def voc(root: Path, variant: Variant, part: LabeledPart) -> Study:
    """Pascal VOC 2012: JPEGImages, SegmentationClass, ImageSets/Segmentation.

    classic: labels are kept by images of train.txt (1464), the masks are VOC's own; unlabeled are
    the other images of train_aug.txt, without that list the other ones of train.txt.
    blender: labels are kept by images of train_aug.txt (10582), from SegmentationClassAug.

    Args:
        root: the folder VOC2012.

    Raises:
        DataError: a folder, list or file is missing, or an id of `part` is no training image.
    """
    _need_folders(root, ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"))
    lists = root / "ImageSets" / "Segmentation"
    augmented = next((lists / n for n in _AUGMENTED_LISTS if (lists / n).is_file()), None)
    if variant == "blender":
        _need_folders(root, ("SegmentationClassAug",))
        if augmented is None:
            remedy = "add the list of 10582 images that belongs to SegmentationClassAug"
            raise DataError(lists / _AUGMENTED_LISTS[0], "the list is missing", remedy)
        able, masks = _ids(augmented), root / "SegmentationClassAug"
    else:
        able, masks = _ids(lists / "train.txt"), root / "SegmentationClass"
    every = list(dict.fromkeys([*able, *(_ids(augmented) if augmented else ())]))
    validation = _ids(lists / "val.txt")
    kept = _kept([(name, "") for name in able], part)

    def item(name: str, folder: Path | None) -> Item:
        labels = folder / f"{name}.png" if folder else None
        return Item(name, "", root / "JPEGImages" / f"{name}.jpg", labels)

    judged = set(validation)
    return Study(
        names=VOC_NAMES,
        labeled=tuple(item(name, masks) for name in able if name in kept),
        unlabeled=tuple(item(name, None) for name in every if name not in kept | judged),
        validation=tuple(item(name, root / "SegmentationClass") for name in validation),
        read=_read_voc,
    )


def _read_voc(file: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    table = np.full(256, _UNKNOWN, np.int16)
    table[: len(VOC_NAMES) + 1] = np.arange(len(VOC_NAMES) + 1)
    table[VOID] = VOID
    return _classes(file, read_png(file, size, COLORS), table)


def _ids(file: Path) -> list[str]:
    """The ids of a list, in its order."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        remedy = "complete the folder or choose another one"
        raise DataError(file, "the list of images is missing or unreadable", remedy) from error
    ids = [Path(line.split()[0]).stem for line in lines if line.strip()]
    if not ids:
        raise DataError(file, "the list names no image", "write one id a line")
    return list(dict.fromkeys(ids))


# --- Cityscapes -----------------------------------------------------------------------------------


def cityscapes(root: Path, part: LabeledPart) -> Study:
    """Cityscapes: leftImg8bit/SPLIT/CITY and gtFine/SPLIT/CITY, labelTrainIds or else labelIds.

    Args:
        root: the folder that holds both.

    Raises:
        DataError: as `voc`.
    """
    _need_folders(root, [f"{name}/{split}" for name in _CITY_FOLDERS for split in ("train", "val")])
    train = _city_items(root, "train")
    kept = _kept([(item.id, item.group) for item in train], part)
    return Study(
        names=CITYSCAPES_NAMES,
        labeled=tuple(item for item in train if item.id in kept),
        unlabeled=tuple(
            Item(item.id, item.group, item.picture) for item in train if item.id not in kept
        ),
        validation=tuple(_city_items(root, "val")),
        read=_read_cityscapes,
    )


_CITY_FOLDERS = (PHOTO.removeprefix("_"), ROOT)


def _city_items(root: Path, split: str) -> list[Item]:
    pictures, labels = (root / name / split for name in _CITY_FOLDERS)
    items = []
    for picture in sorted(pictures.glob(f"*/*{PHOTO}.png")):
        city, name = picture.parent.name, picture.stem.removesuffix(PHOTO)
        trained, plain = (labels / city / f"{name}{end}" for end in (TRAIN_NUMBERS, NUMBERS))
        items.append(Item(name, city, picture, trained if trained.is_file() else plain))
    if not items:
        raise DataError(pictures, f"there is no CITY/*{PHOTO}.png", "complete the folder")
    return items


def _read_cityscapes(file: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    table = np.full(256, _UNKNOWN, np.int16)
    if file.name.endswith(TRAIN_NUMBERS):
        table[: len(CITYSCAPES_NAMES)] = np.arange(1, 1 + len(CITYSCAPES_NAMES))
        table[VOID] = VOID
    else:
        table[: _LAST_ID + 1] = VOID
        table[[IDS[name] for name in CITYSCAPES_NAMES]] = np.arange(1, 1 + len(CITYSCAPES_NAMES))
    return _classes(file, read_png(file, size), table)


# --- what they share ------------------------------------------------------------------------------


def _need_folders(root: Path, names: Iterable[str]) -> None:
    for name in names:
        if not (root / name).is_dir():
            why = f"there is no folder {name}" if root.is_dir() else "there is no such folder"
            raise DataError(root, why, "choose the folder of the benchmark")


def _kept(images: Sequence[tuple[str, str]], part: LabeledPart) -> set[str]:
    """Ids, of (id, group) pairs, whose labels are kept."""
    if part.listed is None:
        # All of them show something; one group, because the benchmark draws from the whole list.
        able = [SplitImage(name, "", name, animals=1) for name, _ in images]
        return set(partition(able, part.denominator, part.seed))
    known = {name for name, _ in images}
    kept = [name.removesuffix(PHOTO) for name in _ids(part.listed)]
    for name in kept:
        if name not in known:
            why = f"it is none of the {len(known)} labeled training images"
            raise DataError(part.listed, why, "correct the id or choose another list", index=name)
    return set(kept)


def _classes(file: Path, numbers: NDArray[np.unsignedinteger], table: Table) -> NDArray[np.uint8]:
    """Class indices of the numbers of a label PNG."""
    largest = int(numbers.max())
    found = table[numbers] if largest < len(table) else np.array([_UNKNOWN])
    if (found == _UNKNOWN).any():
        number = largest if largest >= len(table) else int(numbers[found == _UNKNOWN][0])
        why = f"the number {number} is no label of this benchmark"
        raise DataError(file, why, "choose the folder of the benchmark's own label PNGs")
    return found.astype(np.uint8)


def write_study(study: Study, folder: Path, workers: int = 4) -> Snapshot:
    """Write ``folder/<hash>`` with every category of the benchmark, whether it is shown or not.

    Raises:
        DataError: a picture or a label PNG is missing, damaged, or does not fit the other.
        StoreError: the disk is full or cannot be written.
    """
    work = [(item, "train") for item in (*study.labeled, *study.unlabeled)]
    work += [(item, "val") for item in study.validation]
    with ThreadPoolExecutor(workers) as threads:
        images = list(threads.map(lambda one: _image(study, *one), work))
    return write_content(_categories(study.names), images, folder)


def _image(study: Study, item: Item, split: Split) -> SnapshotImage:
    width, height = size_of(item.picture)
    labels: tuple[Label, ...] = ()
    verified = None
    if item.labels is not None:
        classes = study.read(item.labels, (width, height))
        labels = tuple((int(c), rle_of_mask(classes == c)) for c in np.unique(classes) if c)
        verified = rle_of_mask(np.ones((height, width), np.bool_))
    return SnapshotImage(
        id=item.id,
        path=str(item.picture.resolve()),
        width=width,
        height=height,
        sha256=file_sha256(item.picture),
        group=item.group,
        split=split,
        labels=labels,
        verified=verified,
        whole=verified is not None,
    )


def _categories(names: Sequence[str]) -> list[Category]:
    return [
        Category(name, name, "#" + bytes(COLOR_MAP[number]).hex(), number)
        for number, name in enumerate(names, start=1)
    ]
