"""Batches: exact masks, verified ground alone, empty images, the same for the same step."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from data_io.atomic import file_sha256
from data_io.geometry import mask_of_rle
from data_io.snapshot import VOID, SnapshotImage
from model.config import TrainConfig
from model.dataset import Crops, pools
from model.maskrcnn.data import AnimalBatch, AnimalCrops, target
from model.targets import UNKNOWN
from tests.model.test_dataset import HEIGHT, MEAN, STD, WIDTH, record, snapshot

PLAIN = TrainConfig(
    method="maskrcnn",
    crop=64,
    batch=2,
    scale_low=1.0,
    scale_high=1.0,
    labeled_jitter=False,
)
TWO = ((1, (20, 30, 60, 60)), (2, (50, 20, 90, 50)))


def crops_of(*images: SnapshotImage, **more: Any) -> AnimalCrops:
    config = dataclasses.replace(PLAIN, **more)
    return AnimalCrops(Crops(pools(snapshot(*images)), config, MEAN, STD))


def same(one: AnimalBatch, other: AnimalBatch) -> bool:
    targets = zip(one.targets, other.targets, strict=True)
    return torch.equal(one.image, other.image) and all(
        a["masks"].shape == b["masks"].shape and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in targets
    )


def test_batches_depend_on_seed_and_step_alone(tmp_path: Path) -> None:
    image = record(tmp_path, "a", animals=TWO)
    crops = crops_of(image, labeled_jitter=True, scale_low=0.6, scale_high=1.7)
    batch = crops.batch(3)
    crops.batch(4)
    assert same(batch, crops.batch(3))
    assert not same(batch, crops.batch(4))
    other = crops_of(image, labeled_jitter=True, scale_low=0.6, scale_high=1.7, seed=1)
    assert not same(batch, other.batch(3))


def test_masks_are_the_pixels_of_the_animals(tmp_path: Path) -> None:
    """Later animals lie on top; their red is as bright as their class."""
    crops = crops_of(record(tmp_path, "a", animals=TWO))
    seen = set()
    for step in range(6):
        batch = crops.batch(step)
        assert batch.image.shape == (2, 3, 64, 64)
        for image, found in zip(batch.image, batch.targets, strict=True):
            red = ((image[0] * 0.5 + 0.5) * 255).round()
            assert not (found["masks"].sum(0) > 1).any()
            for mask, index in zip(found["masks"], found["labels"], strict=True):
                seen.add(int(index))
                # but for the rim, where colors are interpolated
                assert (mask.bool() == (red == 100 * index)).float().mean() > 0.95
    assert seen == {1, 2}


def test_boxes_hold_their_masks_and_no_more(tmp_path: Path) -> None:
    crops = crops_of(record(tmp_path, "a", animals=TWO), scale_low=0.6, scale_high=1.7)
    for step in range(4):
        for found in crops.batch(step).targets:
            for mask, (x0, y0, x1, y1) in zip(found["masks"], found["boxes"].int(), strict=True):
                assert mask.sum() == mask[y0:y1, x0:x1].sum()
                inner = mask[y0:y1, x0:x1]
                assert inner[0].any()
                assert inner[-1].any()
                assert inner[:, 0].any()
                assert inner[:, -1].any()


def test_a_whole_image_in_a_crop_gives_the_raster_of_the_snapshot(tmp_path: Path) -> None:
    image = record(tmp_path, "a", animals=TWO)
    crops = crops_of(image, crop=256, animal_share=0.0, max_side=256)
    found = crops.batch(0).targets[0]
    first, second = (mask_of_rle(rle) for _, rle in image.labels)
    for mask, raster in zip(found["masks"].numpy(), (first & ~second, second), strict=True):
        shown, true = cut(mask), cut(raster)
        assert np.array_equal(shown, true) or np.array_equal(shown, true[:, ::-1])


def cut(mask: np.ndarray) -> np.ndarray:
    """A mask without empty rows and columns around it."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] != 0


def repainted(image: SnapshotImage, folder: Path) -> SnapshotImage:
    """The same image with other pixels, and other drafts, where nobody vouches."""
    pixels = cv2.imread(image.path)
    assert image.verified is not None
    outside = ~mask_of_rle(image.verified)
    pixels[outside] = np.random.default_rng(0).integers(0, 256, (int(outside.sum()), 3))
    path = folder / "repainted.png"
    cv2.imwrite(str(path), pixels)
    return dataclasses.replace(image, path=str(path), sha256=file_sha256(path))


def test_unverified_ground_teaches_nothing(tmp_path: Path) -> None:
    animals = ((1, (20, 30, 60, 60)), (1, (100, 30, 130, 60)))
    image = record(tmp_path, "a", animals=animals, verified=(0, 0, 40, HEIGHT))
    more = {"labeled_jitter": True, "scale_low": 0.6, "scale_high": 1.7}
    one, other = (crops_of(shown, **more) for shown in (image, repainted(image, tmp_path)))
    color = torch.tensor([128.0])
    for step in range(5):
        batch = one.batch(step)
        assert same(batch, other.batch(step))
        for picture, found in zip(batch.image, batch.targets, strict=True):
            assert len(found["labels"]) <= 1  # the draft far outside is no animal
            painted = ((picture * 0.5 + 0.5) * 255).round() == color
            assert not (found["masks"].bool() & painted.all(0)).any()
            assert painted.all(0).any()


def test_an_animal_counts_by_its_verified_part(tmp_path: Path) -> None:
    image = record(tmp_path, "a", animals=((1, (20, 30, 60, 60)),), verified=(0, 0, 40, HEIGHT))
    found = crops_of(image, crop=256, animal_share=0.0, max_side=256).batch(0).targets[0]
    assert int(found["masks"].sum()) == 20 * 30
    assert (found["boxes"][0, 2] - found["boxes"][0, 0]) == 20


def test_void_pixels_are_painted_and_no_animal(tmp_path: Path) -> None:
    animals = ((1, (20, 30, 60, 60)), (VOID, (50, 30, 160, 60)), (2, (10, 70, 30, 80)))
    image = record(tmp_path, "a", animals=animals)
    found = crops_of(image, crop=256, animal_share=0.0, max_side=256).batch(0).targets[0]
    assert found["labels"].tolist() == [1, 2]  # numbers of animals skip the void
    assert [int(mask.sum()) for mask in found["masks"]] == [30 * 30, 20 * 10]


def test_images_without_animals_train_as_background(tmp_path: Path) -> None:
    images = record(tmp_path, "a", animals=TWO), record(tmp_path, "empty")
    crops = crops_of(*images, animal_share=0.0, crop=256, max_side=256)
    counts = [len(found["labels"]) for step in range(2) for found in crops.batch(step).targets]
    assert sorted(counts) == [0, 0, 2, 2]


def test_a_target_knows_no_unknown_ground() -> None:
    ids = np.zeros((8, 8), np.uint16)
    ids[:2] = UNKNOWN
    empty = target(ids, [1])
    assert (empty["boxes"].shape, empty["labels"].shape) == ((0, 4), (0,))
    assert empty["masks"].shape == (0, 8, 8)
    ids[4, 4] = 2
    found = target(ids, [1, 3])
    assert found["boxes"].tolist() == [[4, 4, 5, 5]]
    assert found["labels"].tolist() == [3]


def test_crops_are_mirrored_and_scaled(tmp_path: Path) -> None:
    left_red = record(tmp_path, "a", animals=((1, (0, 0, WIDTH // 4, HEIGHT)),))
    crops = crops_of(left_red, crop=256, max_side=256, animal_share=0.0, scale_low=0.8)
    boxes = torch.cat([found["boxes"] for k in range(4) for found in crops.batch(k).targets])
    widths = boxes[:, 2] - boxes[:, 0]
    assert widths.min() < 38 < 42 > widths.max()
    assert len(widths.unique()) > 2
