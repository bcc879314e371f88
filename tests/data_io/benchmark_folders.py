"""Tiny folders laid out like Pascal VOC 2012 and Cityscapes, made of noise and rectangles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from data_io.formats.voc_names import PALETTE

VOC_SIZE = (80, 96)  # height, width
CITY_SIZE = (96, 128)


def voc_ids(count: int, first: int = 0) -> list[str]:
    return [f"2007_{first + k:06d}" for k in range(count)]


def make_voc(root: Path, train: int = 8, more: int = 8, val: int = 2) -> Path:
    """`train` images with VOC's own masks, `more` with augmented ones only, `val` to validate."""
    lists = root / "ImageSets" / "Segmentation"
    for folder in (root / "JPEGImages", root / "SegmentationClass", root / "SegmentationClassAug"):
        folder.mkdir(parents=True)
    lists.mkdir(parents=True)
    own, added, judged = voc_ids(train), voc_ids(more, 100), voc_ids(val, 200)
    for name, ids in (("train", own), ("train_aug", [*own, *added]), ("val", judged)):
        (lists / f"{name}.txt").write_text("\n".join(ids) + "\n")
    for k, name in enumerate([*own, *added, *judged]):
        labels = voc_labels(k)
        save_noise(root / "JPEGImages" / f"{name}.jpg", labels)
        if name not in added:
            save_indexed(root / "SegmentationClass" / f"{name}.png", labels)
        if name not in judged:
            Image.fromarray(labels).save(root / "SegmentationClassAug" / f"{name}.png")
    return root


def voc_labels(k: int) -> np.ndarray:
    """Background, one rectangle of a category and a void line around it."""
    labels = np.zeros(VOC_SIZE, np.uint8)
    labels[18:62, 18:72] = 255
    labels[20:60, 20:70] = 1 + k % 20
    return labels


def make_cityscapes(root: Path, cities: Sequence[str] = ("aachen", "ulm"), images: int = 3) -> Path:
    """`images` of each city, numbered by training class in the first city and by label id else."""
    for split, names in (("train", cities), ("val", ("bonn",))):
        for c, city in enumerate(names):
            for kind in ("leftImg8bit", "gtFine"):
                (root / kind / split / city).mkdir(parents=True)
            for k in range(images):
                name = f"{city}_{k:06d}_000019"
                numbers = city_labels(by_training=c == 0)
                end = "labelTrainIds" if c == 0 else "labelIds"
                picture = root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png"
                save_noise(picture, numbers + k)
                Image.fromarray(numbers).save(
                    root / "gtFine" / split / city / f"{name}_gtFine_{end}.png"
                )
    return root


def city_labels(by_training: bool) -> np.ndarray:
    """From left to right void, road, car and bicycle: 255, 0, 13, 18 or the ids 4, 7, 26, 33."""
    labels = np.zeros(CITY_SIZE, np.uint8)
    numbers = (255, 0, 13, 18) if by_training else (4, 7, 26, 33)
    for k, number in enumerate(numbers):
        labels[:, 32 * k : 32 * k + 32] = number
    return labels


def save_noise(path: Path, labels: np.ndarray) -> None:
    """A picture with another color for each number."""
    noise = np.random.default_rng(0).integers(0, 40, (*labels.shape, 3))
    pixels = labels[..., None].astype(int) * (3, 7, 11) % 200 + noise
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def save_indexed(path: Path, labels: np.ndarray) -> None:
    image = Image.fromarray(labels)
    image.putpalette(PALETTE)
    image.save(path)
