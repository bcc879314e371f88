"""Batches for a Mask R-CNN: labeled crops with a box, a category and a mask for every animal.

Where nobody vouches a crop shows the mean color, and an animal is what a verified area shows of it:
what a person has not looked at can be learned neither as an animal nor as ground without one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, from_numpy

from data_io.snapshot import VOID, SnapshotImage
from model.augment import Image, Labels, Window, light_jitter, to_tensor, weak_numbers, weak_view
from model.config import IGNORE
from model.dataset import Crops
from model.targets import UNKNOWN, Ids

Target = dict[str, Tensor]


@dataclass(frozen=True)
class AnimalBatch:
    """Crops and their animals.

    Attributes:
        image: (B, 3, H, W) float32 normalized.
        targets: for each crop boxes (n, 4) float32 as x0, y0, x1, y1 in pixels around the pixels of
            the animals, labels (n,) int64 from 1, masks (n, H, W) uint8; n may be 0.
    """

    image: Tensor
    targets: tuple[Target, ...]


class AnimalCrops:
    """Draws batches; `batch(step)` always gives the same one."""

    def __init__(self, crops: Crops) -> None:
        self.crops = crops
        self.color = np.round(255 * np.asarray(crops.mean)).astype(np.uint8)

    def batch(self, step: int) -> AnimalBatch:
        """`batch` crops, placed as those of the other methods.

        Raises:
            DataError: a labeled image cannot be read any more.
        """
        images, targets = [], []
        for k in range(self.crops.config.batch):
            record, window, rng = self.crops.labeled_place(step, k)
            pixels, known = self._view(record, window, rng)
            ids = weak_numbers(self.crops.frames.animals(record), window, self.crops.config.crop)
            images.append(self._painted(pixels, known))
            targets.append(target(ids, [c for c, _ in record.labels if c != VOID]))
        batch = to_tensor(images, self.crops.mean, self.crops.std)
        return AnimalBatch(batch, tuple(targets))

    def _view(
        self, record: SnapshotImage, window: Window, rng: np.random.Generator
    ) -> tuple[Image, Labels]:
        pixels, labels = self.crops.frames.get(record)
        # Before anything is interpolated, so that not even a rim shows what is not verified.
        pixels = self._painted(pixels, labels)
        pixels, labels = weak_view(pixels, labels, window, self.crops.config.crop)
        if self.crops.config.labeled_jitter:
            pixels = light_jitter(pixels, rng)
        return pixels, labels

    def _painted(self, pixels: Image, labels: Labels) -> Image:
        unknown = labels == IGNORE
        if not unknown.any():
            return pixels
        return np.where(unknown[..., None], self.color, pixels)


def target(ids: Ids, classes: list[int]) -> Target:
    """What a crop teaches.

    Args:
        ids: (H, W), k = the k-th animal of the image, 0 = none, `UNKNOWN` = nobody vouches.
        classes: class index of each animal of the image.
    """
    shown = [int(k) for k in np.unique(ids) if k not in (0, UNKNOWN)]
    masks = np.zeros((len(shown), *ids.shape), np.uint8)
    for row, number in enumerate(shown):
        masks[row] = ids == number
    boxes = np.array([_box(mask) for mask in masks], np.float32).reshape(-1, 4)
    labels = np.array([classes[number - 1] for number in shown], np.int64)
    return {"boxes": from_numpy(boxes), "labels": from_numpy(labels), "masks": from_numpy(masks)}


def _box(mask: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the pixels of a mask that is not empty, ends exclusive."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
