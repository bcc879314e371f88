"""Crops from the images of a snapshot.

A batch is a function of (seed, step) alone, so a resumed run sees the batches it would have seen.
Verified ground teaches as labeled, all other ground is unlabeled: an image of which only a part is
verified serves both ways.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from torch import Tensor, from_numpy

from data_io.atomic import file_sha256
from data_io.errors import DataError
from data_io.geometry import mask_of_rle
from data_io.images import read
from data_io.snapshot import VOID, Snapshot, SnapshotImage
from model.augment import (
    Image,
    Labels,
    Window,
    light_jitter,
    strong_view,
    to_tensor,
    weak_numbers,
    weak_view,
)
from model.balance import Balanced
from model.config import IGNORE, Encoding, TrainConfig
from model.distributed import own
from model.instance_losses import AnimalLabels
from model.scale import Scaling, measured
from model.targets import UNKNOWN, Ids, animal_ids, animal_targets, contact_band

LABELED, UNLABELED = 0, 1  # streams of random numbers


@dataclass(frozen=True)
class LabeledBatch:
    """Crops with labels: image (B, 3, H, W) float32 normalized, label (B, H, W) int64."""

    image: Tensor
    label: Tensor
    animals: AnimalLabels | None = None  # for an instance head, at stride 4


@dataclass(frozen=True)
class UnlabeledBatch:
    """Weak and strong view of the same crops, and where they show unlabeled ground."""

    weak: Tensor  # (B, 3, H, W) float32 normalized
    strong: Tensor  # (B, 3, H, W), the same pixels in other colors
    valid: Tensor  # (B, H, W) bool


@dataclass(frozen=True)
class Pools:
    """The images of a snapshot by what they are good for."""

    labeled: tuple[SnapshotImage, ...]
    unlabeled: tuple[SnapshotImage, ...]
    validation: tuple[SnapshotImage, ...]


def pools(snapshot: Snapshot) -> Pools:
    """Sort the images; validation images, labeled or not, never train.

    Raises:
        DataError: nothing to learn from.
    """
    train = [image for image in snapshot.images if image.split != "val"]
    labeled = tuple(image for image in train if image.verified is not None)
    if not labeled:
        raise _empty("no image is labeled", "label and accept at least one image")
    if not any(_animal_boxes(image) for image in labeled):
        raise _empty("the labeled images show no animal", "label at least one animal")
    return Pools(
        labeled=labeled,
        unlabeled=tuple(image for image in train if not image.whole),
        validation=tuple(i for i in snapshot.images if i.split == "val" and i.verified is not None),
    )


def _empty(why: str, remedy: str) -> DataError:
    return DataError("training", why, remedy)


class Frames:
    """Decoded images and label maps at training size, the least recently used dropped first."""

    def __init__(self, scaling: Scaling, limit_mb: int, encoding: Encoding = "classes") -> None:
        self.scaling, self.encoding = scaling, encoding
        self.limit = limit_mb << 20
        self.size = 0
        self._kept: OrderedDict[str, tuple[NDArray[Any], ...]] = OrderedDict()
        self._lock = Lock()

    def get(self, record: SnapshotImage) -> tuple[Image, Labels]:
        """Pixels (h, w, 3) and labels (h, w) at training size, 255 outside the verified area.

        Raises:
            DataError: as `load_frame`.
        """
        pixels, labels = self._cached(
            record.id, lambda: load_frame(record, self.scaling, self.encoding)
        )
        return pixels, labels

    def animals(self, record: SnapshotImage) -> Ids:
        """Which animal each pixel of `get` shows, `UNKNOWN` where nobody vouches."""
        return self._cached(f"{record.id}/animals", lambda: (load_ids(record, self.scaling),))[0]

    def _cached(
        self, key: str, load: Callable[[], tuple[NDArray[Any], ...]]
    ) -> tuple[NDArray[Any], ...]:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        frame = load()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = frame
                self.size += _bytes(frame)
            while self.size > self.limit and len(self._kept) > 1:
                self.size -= _bytes(self._kept.popitem(last=False)[1])
        return frame


def load_frame(
    record: SnapshotImage, scaling: Scaling, encoding: Encoding = "classes"
) -> tuple[Image, Labels]:
    """Read and scale one image with its label map; see `Frames.get`.

    Raises:
        DataError: the file cannot be read any more, or is not the one that was labeled.
    """
    pixels = read(Path(record.path))
    if pixels.shape[:2] != (record.height, record.width):
        raise DataError(record.path, "the image changed its size", "import it again")
    _check_bytes(record)
    size = scaling.size(record)
    if size != (record.width, record.height):
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    labels = np.asarray(_scaled(label_map(record), size), np.uint8)
    if encoding == "contact_band":
        ids = load_ids(record, scaling)
        labels = np.where(labels == IGNORE, labels, contact_band(np.where(ids == UNKNOWN, 0, ids)))
    return pixels, labels


def load_ids(record: SnapshotImage, scaling: Scaling) -> Ids:
    """Which animal each pixel shows at training size, `UNKNOWN` where nobody vouches."""
    animals = [rle for index, rle in record.labels if index != VOID]
    ids = animal_ids(animals, record.height, record.width)
    ids[label_map(record) == IGNORE] = UNKNOWN
    return np.asarray(_scaled(ids, scaling.size(record)), np.uint16)


def _scaled(numbers: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """A map of numbers at another width and height."""
    if numbers.shape[::-1] == size:
        return numbers
    # Plain INTER_NEAREST reads at corners, half a step beside the pixels INTER_AREA averages.
    return np.asarray(cv2.resize(numbers, size, interpolation=cv2.INTER_NEAREST_EXACT))


def _check_bytes(record: SnapshotImage) -> None:
    """Labels drawn on one picture must not teach another that took its place."""
    try:
        same = file_sha256(Path(record.path)) == record.sha256
    except OSError as error:
        raise DataError(record.path, "cannot be read any more", "put it back") from error
    if not same:
        raise DataError(record.path, "the picture changed since its import", "import it again")


def label_map(record: SnapshotImage) -> Labels:
    """(height, width) uint8: 0 background, class index, 255 where nobody vouches."""
    if record.verified is None:
        return np.full((record.height, record.width), IGNORE, np.uint8)
    labels = np.zeros((record.height, record.width), np.uint8)
    for index, rle in record.labels:  # drawing order: later ones lie on top
        labels[mask_of_rle(rle)] = index
    if not record.whole:
        labels[~mask_of_rle(record.verified)] = IGNORE
    return labels


def _bytes(frame: tuple[NDArray[Any], ...]) -> int:
    return sum(array.nbytes for array in frame)


class Crops:
    """Draws batches; `labeled(step)` and `unlabeled(step)` always give the same batch.

    Of processes that train together each one gets its share of the batch.

    Args:
        new: ids of labeled images that get a share of their own, see `balance`.

    Attributes:
        left_out: why each unlabeled image that could not be read is passed over; one entry an
            image, for the log, which may take them out.
    """

    def __init__(
        self,
        images: Pools,
        config: TrainConfig,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        new: frozenset[str] = frozenset(),
    ) -> None:
        self.images, self.config = images, config
        self.mean, self.std = mean, std
        self.scaling = measured(images.labeled, config.max_side, config.least_animal)
        self.frames = Frames(self.scaling, config.cache_mb, config.encoding)
        self.left_out: deque[DataError] = deque()
        self._unreadable: set[str] = set()
        self._lock = Lock()
        found = {record.id: _animal_boxes(record) for record in images.labeled}
        self.animals = {name: boxes for name, boxes in found.items() if boxes}
        self.turns = Balanced.of(images.labeled, new)
        showing = [r for r in images.labeled if r.id in self.animals]
        self.turns_with_animals = Balanced.of(showing, new)
        self.animal_size = self._usual_size(found)
        groups = {record.group for record in images.labeled}
        self.near = tuple(r for r in images.unlabeled if r.group in groups)
        self.far = tuple(r for r in images.unlabeled if r.group not in groups)

    def _usual_size(self, found: dict[str, Boxes]) -> float:
        """Median square root of an animal's box area, pixels at training size, rounded."""
        sides = [
            np.sqrt(boxes[:, 2] * boxes[:, 3]) * self.scaling.of(record)
            for record in self.images.labeled
            for boxes in found[record.id].values()
        ]
        return max(1.0, float(np.round(np.median(np.concatenate(sides))))) if sides else 64.0

    def labeled(self, step: int) -> LabeledBatch:
        """`batch` crops, about `animal_share` of them around an animal."""
        images, labels, animals = [], [], []
        for k in own(range(self.config.batch)):
            record, window, rng = self.labeled_place(step, k)
            pixels, truth = weak_view(*self.frames.get(record), window, self.config.crop)
            images.append(light_jitter(pixels, rng) if self.config.labeled_jitter else pixels)
            labels.append(truth)
            if self.config.instances:
                ids = weak_numbers(self.frames.animals(record), window, self.config.crop)
                animals.append(animal_targets(ids))
        label = from_numpy(np.stack(labels).astype(np.int64))
        together = [from_numpy(np.stack(part)) for part in zip(*animals, strict=True)]
        known = AnimalLabels(*together) if animals else None
        return LabeledBatch(to_tensor(images, self.mean, self.std), label, known)

    def labeled_place(self, step: int, k: int) -> tuple[SnapshotImage, Window, np.random.Generator]:
        """Which image the k-th labeled crop of a step shows, where, and the numbers after that."""
        rng = np.random.default_rng((self.config.seed, LABELED, step, k))
        number = step * self.config.batch + k
        if rng.random() < self.config.animal_share:
            record = self._turn(*self.turns_with_animals.turn(number), LABELED)
            area = _pick_box(self.animals[record.id], rng)
        else:
            record = self._turn(*self.turns.turn(number), LABELED)
            area = _verified_box(record)
        return record, self._window(record, area, rng), rng

    def unlabeled(self, step: int) -> UnlabeledBatch:
        """`batch_unlabeled` crops in two views.

        Raises:
            DataError: not one unlabeled image can be read.
        """
        config = self.config
        weak, strong, valid = [], [], []
        for k in own(range(config.batch_unlabeled)):
            rng = np.random.default_rng((config.seed, UNLABELED, step, k))
            record, pixels, labels = self._next_unlabeled(step, k)
            ground = (labels == IGNORE).astype(np.uint8)
            window = self._window(record, (0, 0, record.width, record.height), rng)
            pixels, ground = weak_view(pixels, ground, window, config.crop)
            weak.append(pixels)
            strong.append(strong_view(pixels, rng, config.jitter, config.grey, config.blur))
            valid.append(ground == 1)  # padding is 255
        return UnlabeledBatch(
            to_tensor(weak, self.mean, self.std),
            to_tensor(strong, self.mean, self.std),
            from_numpy(np.stack(valid)),
        )

    def _next_unlabeled(self, step: int, k: int) -> tuple[SnapshotImage, Image, Labels]:
        """The image whose turn it is, or the next one in line that can be read.

        A training of hours must not end because one picture of thousands was lost meanwhile. A
        labeled one is missed: its labels are work somebody did.
        """
        for record in self._line(step * self.config.batch_unlabeled + k):
            if record.id in self._unreadable:
                continue
            try:
                pixels, labels = self.frames.get(record)
            except DataError as error:
                self._leave_out(record, error)
            else:
                return record, pixels, labels
        raise _empty("no unlabeled image can be read any more", "put them back or relink them")

    def _line(self, number: int) -> Iterator[SnapshotImage]:
        """Unlabeled images for the `number`-th crop, first the one whose turn it is.

        Every other crop is of a group that has labels: there the teacher knows most, and nobody
        labels one group to have another one done.
        """
        pool, others = self.near, self.far
        if pool and others:
            number, far = divmod(number, 2)
            pool, others = (others, pool) if far else (pool, others)
        for images in (pool, others):
            for skip in range(len(images)):
                yield self._turn(images, number, UNLABELED, skip)

    def _leave_out(self, record: SnapshotImage, error: DataError) -> None:
        with self._lock:  # two threads may miss the same picture at once
            if record.id not in self._unreadable:
                self._unreadable.add(record.id)
                self.left_out.append(error)

    def _turn(
        self, pool: Sequence[SnapshotImage], number: int, stream: int, skip: int = 0
    ) -> SnapshotImage:
        """Every image once before any image twice, in an order shuffled anew each time round.

        `skip` images further on in the same round, which goes on at its start.
        """
        turn, place = divmod(number, len(pool))
        order = np.random.default_rng((self.config.seed, 2 + stream, turn)).permutation(len(pool))
        return pool[int(order[(place + skip) % len(pool)])]

    def _window(
        self, record: SnapshotImage, area: Sequence[float], rng: np.random.Generator
    ) -> Window:
        """A window that shows a random point of `area` (x, y, w, h in original pixels)."""
        config = self.config
        scale = self.scaling.of(record)
        zoom = float(np.exp(rng.uniform(np.log(config.scale_low), np.log(config.scale_high))))
        side = config.crop / zoom
        corner = []
        for start, length, limit in (
            (area[0], area[2], record.width * scale),
            (area[1], area[3], record.height * scale),
        ):
            point = scale * (start + rng.uniform(0, length))
            lowest = point - side * rng.uniform(0.1, 0.9)
            # Inside the image where it fits, else the image somewhere inside the crop.
            slack = limit - side
            corner.append(min(max(lowest, min(0.0, slack)), max(0.0, slack)))
        return Window(corner[0], corner[1], zoom, bool(rng.random() < 0.5))


Boxes = dict[int, NDArray[np.float64]]  # class index -> (n, 4) x, y, w, h


def _animal_boxes(record: SnapshotImage) -> Boxes:
    """Boxes of what is verified of each animal; drafts outside the verified area do not count."""
    boxes: dict[int, list[NDArray[np.float64]]] = {}
    for index, rle in record.labels:
        if index == VOID:
            continue
        seen = rle if record.whole else coco_mask.merge([rle, record.verified], intersect=True)
        if coco_mask.area(seen):
            boxes.setdefault(index, []).append(np.asarray(coco_mask.toBbox(seen), np.float64))
    return {index: np.stack(found) for index, found in boxes.items()}


def _pick_box(boxes: Boxes, rng: np.random.Generator) -> Sequence[float]:
    """A category first, then one of its animals, so that rare categories are seen."""
    index = sorted(boxes)[int(rng.integers(len(boxes)))]
    x, y, width, height = boxes[index][int(rng.integers(len(boxes[index])))]
    return float(x), float(y), float(width), float(height)


def _verified_box(record: SnapshotImage) -> Sequence[float]:
    if record.whole or record.verified is None:
        return (0, 0, record.width, record.height)
    return [float(value) for value in coco_mask.toBbox(record.verified)]
