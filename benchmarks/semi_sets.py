"""The image sets of the study `semi_supervised`: what is labeled, unlabeled, and judged.

Cattle sets are one flight or one camera each: `test` holds later frames of the same one, so nothing
here speaks about an unseen camera. MSRC is split by image, CamVid by sequence.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from data_io.atomic import file_sha256
from data_io.geometry import Rle, rle_of_mask
from data_io.images import size_of
from data_io.snapshot import VOID, Label, SnapshotImage
from data_io.types import Category

DENOMINATOR = 8  # of the training images of MSRC and CamVid, one in so many is labeled
JUDGED = 48  # unlabeled images of them that are scored, evenly spread over the pool
MSRC_TEST = 4  # one image in so many is a test image
MSRC_TWINS = {"9_15", "9_10"}  # byte-identical with 1_27 and 1_26, labeled otherwise: left out
CAMVID_TEST = "0006R0"  # the sequence nobody trains on


@dataclass(frozen=True)
class Material:
    """One draw of a set. `test` and `pool` carry their truth, training sees none of it."""

    categories: tuple[Category, ...]
    labeled: tuple[SnapshotImage, ...]
    unlabeled: tuple[SnapshotImage, ...]
    test: tuple[SnapshotImage, ...]
    pool: tuple[SnapshotImage, ...]  # unlabeled training images


def material(data: Path, name: str, seed: int) -> Material:
    """The set `name` with the labels that `seed` draws."""
    return SETS[name](data, seed)


# --- cattle ---------------------------------------------------------------------------------------


def cattle(folder: str, labels: int, more: str = "") -> Callable[[Path, int], Material]:
    """A set of one flight or camera, so many labeled images of its pool drawn by the seed."""

    def draw(data: Path, seed: int) -> Material:
        blocks = json.loads((data / "blocks.json").read_text())[folder]
        records = coco_images(data / folder)
        names = np.random.default_rng(seed).permutation(blocks["pool"])
        labeled, rest = ([records[str(n)] for n in part] for part in np.split(names, [labels]))
        others = photos(data / more / "images") if more else []
        return Material(
            categories=(Category("cow", "cow", "#e69f00", 1),),
            labeled=tuple(labeled),
            unlabeled=(*map(without_labels, rest), *others),
            test=tuple(records[n] for n in blocks["test"]),
            pool=tuple(rest),
        )

    return draw


def coco_images(folder: Path, document: dict[str, Any] | None = None) -> dict[str, SnapshotImage]:
    """Every image of a COCO folder, its animals as one category, by file name.

    Args:
        document: what is read instead of its annotations.
    """
    document = document or json.loads((folder / "annotations.json").read_text())
    animals: dict[int, list[dict[str, Any]]] = {}
    for annotation in document["annotations"]:
        animals.setdefault(annotation["image_id"], []).append(annotation)
    found = {}
    for image in document["images"]:
        size = (image["height"], image["width"])
        labels = [(1, _rle(a["segmentation"], *size)) for a in animals.get(image["id"], [])]
        path = folder / "images" / image["file_name"]
        found[image["file_name"]] = labeled_image(path, size, tuple(labels))
    return found


def _rle(segmentation: Any, height: int, width: int) -> Rle:
    rle = coco_mask.frPyObjects(segmentation, height, width)
    merged: Rle = coco_mask.merge(rle) if isinstance(rle, list) else rle
    return merged


# --- semantic sets --------------------------------------------------------------------------------


def _msrc(data: Path, seed: int) -> Material:
    root = data / "msrc_v2"
    names = json.loads((root / "annotations.json").read_text())["categories"]
    photos = [p for p in sorted((root / "images").iterdir()) if p.stem not in MSRC_TWINS]
    order = np.random.default_rng(0).permutation(len(photos))  # the same test images for each seed
    test, train = ([photos[int(i)] for i in part] for part in (order[::MSRC_TEST], _others(order)))
    table = np.full(256, VOID, np.uint8)
    table[1 : len(names) + 1] = np.arange(1, len(names) + 1)
    return _semantic(root, [c["name"] for c in names], train, test, table, seed)


def _others(order: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.delete(order, np.s_[::MSRC_TEST])


def _camvid(data: Path, seed: int) -> Material:
    root = data / "camvid_small"
    names = json.loads((root / "classes.json").read_text())["classes"]
    photos = sorted((root / "images").iterdir())
    test = [p for p in photos if p.stem.startswith(CAMVID_TEST)]
    train = [p for p in photos if not p.stem.startswith(CAMVID_TEST)]
    table = np.full(256, VOID, np.uint8)
    table[: len(names)] = np.arange(1, len(names) + 1)
    return _semantic(root, names, train, test, table, seed)


def _semantic(
    root: Path,
    names: Sequence[str],
    train: Sequence[Path],
    test: Sequence[Path],
    table: NDArray[np.uint8],
    seed: int,
) -> Material:
    """A set with class PNGs; `table` turns their values into class indices from 1."""

    def read(photo: Path) -> SnapshotImage:
        values = np.asarray(Image.open(root / "SegmentationClass" / f"{photo.stem}.png"))
        classes = table[values]
        labels = tuple((int(c), rle_of_mask(classes == c)) for c in np.unique(classes))
        return labeled_image(photo, (classes.shape[0], classes.shape[1]), labels)

    order = np.random.default_rng(seed).permutation(len(train))
    count = len(train) // DENOMINATOR
    rest = [train[int(i)] for i in sorted(order[count:])]
    judged = rest[:: max(1, len(rest) // JUDGED)][:JUDGED]
    return Material(
        categories=tuple(Category(n, n, "#000000", k) for k, n in enumerate(names, 1)),
        labeled=tuple(read(train[int(i)]) for i in sorted(order[:count])),
        unlabeled=tuple(_photo(path) for path in rest),
        test=tuple(map(read, test)),
        pool=tuple(map(read, judged)),
    )


# --- records --------------------------------------------------------------------------------------


def labeled_image(path: Path, size: tuple[int, int], labels: tuple[Label, ...]) -> SnapshotImage:
    """A wholly verified image (height, width) with drawn labels."""
    everything = rle_of_mask(np.ones(size, np.bool_))
    return dataclasses.replace(_photo(path), labels=labels, verified=everything, whole=True)


def without_labels(image: SnapshotImage) -> SnapshotImage:
    """The same image as nobody has labeled it."""
    return dataclasses.replace(image, labels=(), verified=None, whole=False)


def photos(folder: Path) -> list[SnapshotImage]:
    """Every picture of a folder as an image without labels, by file name."""
    return [_photo(path) for path in sorted(folder.iterdir())]


def _photo(path: Path) -> SnapshotImage:
    width, height = size_of(path)
    return SnapshotImage(
        id=f"{path.parent.parent.name}/{path.name}",
        path=str(path.resolve()),
        width=width,
        height=height,
        sha256=file_sha256(path),
        group=path.parent.parent.name,
        split=None,
        labels=(),
        verified=None,
        whole=False,
    )


SETS: dict[str, Callable[[Path, int], Material]] = {
    "drone": cattle("cattle_drone_yak", 5),
    "barn": cattle("cattle_barn_topdown", 4, "cattle_barn_unlabeled"),
    "pasture": cattle("cattle_pasture_holstein", 4),
    "msrc": _msrc,
    "camvid": _camvid,
}
