"""Images are as small as time demands and as large as their animals demand."""

from __future__ import annotations

import numpy as np
import pytest

from data_io.geometry import rle_of_mask
from data_io.snapshot import VOID, SnapshotImage
from model.scale import Scaling, measured


def record(group: str, width: int, height: int, *sides: int, void: int = 0) -> SnapshotImage:
    """An image with square animals of these sizes, and perhaps ground that is no animal."""
    labels = []
    for index, side in [*((1, side) for side in sides), *([(VOID, void)] if void else [])]:
        mask = np.zeros((height, width), np.bool_)
        mask[:side, :side] = True
        labels.append((index, rle_of_mask(mask)))
    everything = rle_of_mask(np.ones((height, width), np.bool_))
    return SnapshotImage(
        id=f"{group}-{sides}", path="", sha256="", width=width, height=height, group=group,
        split="train", verified=everything, labels=tuple(labels), whole=True,
    )  # fmt: skip


def test_without_a_least_size_images_have_the_usual_one() -> None:
    scaling = measured([record("drone", 400, 300, 12)], 100, 0)
    assert scaling.of(record("drone", 400, 300)) == 0.25
    assert scaling.size(record("drone", 400, 300)) == (100, 75)
    assert scaling.of(record("drone", 80, 60)) == 1  # never up


def test_small_animals_keep_their_images_large() -> None:
    scaling = measured([record("drone", 400, 300, 40)], 100, 24)
    assert scaling.of(record("drone", 400, 300)) == pytest.approx(0.6)
    assert scaling.of(record("drone", 200, 150)) == pytest.approx(0.6)
    assert measured([record("drone", 400, 300, 12)], 100, 24).of(record("drone", 400, 300)) == 1


def test_each_group_has_its_animals_and_a_new_one_those_of_all() -> None:
    """12 and 240 pixels in one project: the smaller decide where nobody labeled anything."""
    few = [record("drone", 400, 300, *[30] * 9), record("barn", 400, 300, 240)]
    scaling = measured(few, 100, 24)
    assert scaling.of(record("drone", 400, 300)) == pytest.approx(0.8)
    assert scaling.of(record("barn", 400, 300)) == 0.25
    assert scaling.of(record("yard", 400, 300)) == pytest.approx(0.8)


def test_the_smaller_animals_count_but_not_the_smallest_speck() -> None:
    scaling = measured([record("drone", 400, 300, 2, *[60] * 20)], 100, 24)
    assert scaling.small == 60


def test_ground_to_be_ignored_is_no_animal_and_no_label_is_no_size() -> None:
    assert measured([record("drone", 400, 300, void=5)], 100, 24) == Scaling(100, 24)
    assert measured([], 100, 24).of(record("drone", 400, 300)) == 0.25
