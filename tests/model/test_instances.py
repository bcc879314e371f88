"""Touching animals come apart, one animal stays one, and outlines follow the probability."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from data_io.geometry import mask_of_parts
from model.instances import resample, tell_apart
from model.pieces import InstanceMaps
from model.targets import animal_targets


def ellipses(height: int, width: int, *bodies: tuple[float, float, float, float, float]):
    """Union of bodies (center x, y, half axes a, b, angle) as (H, W) bool."""
    mask = np.zeros((height, width), np.uint8)
    for x, y, a, b, angle in bodies:
        cv2.ellipse(mask, ((x, y), (2 * a, 2 * b), angle), 1, -1)
    return mask > 0


def probability_of(mask: np.ndarray, sure: float = 0.98) -> np.ndarray:
    """A two-class stride-4 map whose foreground is the mask, soft along the outline."""
    h, w = mask.shape
    padded = np.pad(mask.astype(np.float32), ((0, -h % 4), (0, -w % 4)), mode="edge")
    cells = padded.reshape(padded.shape[0] // 4, 4, padded.shape[1] // 4, 4).mean((1, 3))
    animal = ((1 - sure) + (2 * sure - 1) * cells).astype(np.float32)
    return np.stack([1 - animal, animal])


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def extracted(mask: np.ndarray):
    return tell_apart(probability_of(mask), *mask.shape, ["cow"], "v1").instances


def test_two_animals_touching_end_to_end_come_apart_in_the_neck() -> None:
    one, other = (80.0, 100.0, 45.0, 22.0, 10.0), (164.0, 106.0, 42.0, 20.0, -5.0)
    both = ellipses(200, 260, one, other)
    assert cv2.connectedComponents(both.astype(np.uint8))[0] == 2  # one blob and the ground
    found = extracted(both)
    assert len(found) == 2
    masks = [mask_of_parts(animal.parts, 200, 260) for animal in found]
    for body in (one, other):
        assert max(iou(mask, ellipses(200, 260, body)) for mask in masks) > 0.9
    assert (masks[0] & masks[1]).sum() < 0.01 * both.sum()


def test_a_calf_beside_a_cow_is_its_own_animal() -> None:
    both = ellipses(240, 320, (130, 110, 80, 40, 0), (228, 160, 36, 25, 60))
    assert len(extracted(both)) == 2


@pytest.mark.parametrize("angle", [0, 30, 77])
def test_one_long_animal_with_head_and_legs_stays_one(angle: float) -> None:
    body = ellipses(300, 300, (150, 150, 80, 30, angle))
    turn = np.deg2rad(angle)
    head = (150 + 88 * np.cos(turn), 150 + 88 * np.sin(turn), 18.0, 12.0, angle)
    mask = body | ellipses(300, 300, head)
    assert len(extracted(mask)) == 1


def test_nothing_gives_nothing() -> None:
    assert extracted(np.zeros((64, 96), np.bool_)) == ()


@pytest.mark.parametrize(("height", "width"), [(120, 200), (61, 83), (5, 7), (1, 1)])
def test_an_animal_that_fills_the_image_is_one_and_fills_it(height: int, width: int) -> None:
    found = extracted(np.ones((height, width), np.bool_))
    if height * width < 64:  # below the smallest animal
        assert found == ()
        return
    assert len(found) == 1
    assert mask_of_parts(found[0].parts, height, width).mean() > 0.98


def test_three_hundred_animals_are_all_found() -> None:
    bodies = [(24 + 45 * (k % 20), 20 + 35 * (k // 20), 16.0, 9.0, 17.0 * k) for k in range(300)]
    found = extracted(ellipses(540, 920, *bodies))
    assert len(found) == 300
    assert len({animal.id for animal in found}) == 300


def test_specks_are_dropped_relative_to_the_median_animal() -> None:
    big = [(60.0 + 110 * k, 60.0, 40.0, 24.0, 0.0) for k in range(3)]
    mask = ellipses(200, 400, *big, (200.0, 160.0, 7.0, 7.0, 0.0))
    assert len(extracted(mask)) == 3
    # The same small disc is an animal where all are small.
    small = ellipses(200, 400, *[(60.0 + 60 * k, 160.0, 7.0, 7.0, 0.0) for k in range(4)])
    assert len(extracted(small)) == 4


def test_scores_and_provenance() -> None:
    mask = ellipses(96, 96, (48, 48, 30, 20, 0))
    animal = tell_apart(probability_of(mask, sure=0.9), 96, 96, ["c-7"], "v3").instances[0]
    assert (animal.category, animal.version, animal.source) == ("c-7", "v3", "model")
    # 0.9 inside, lower along the rim, never below one half
    assert animal.score is not None
    assert 0.8 < animal.score < 0.9


def test_categories_do_not_mix() -> None:
    left, right = ellipses(96, 192, (50, 48, 30, 20, 0)), ellipses(96, 192, (140, 48, 30, 20, 0))
    a, b = probability_of(left)[1], probability_of(right)[1]
    both = np.stack([np.clip(1 - a - b, 0.001, 1), a, b])
    found = tell_apart(both / both.sum(0), 96, 192, ["cow", "calf"], "v").instances
    assert [animal.category for animal in found] == ["cow", "calf"]
    assert iou(mask_of_parts(found[1].parts, 96, 192), right) > 0.9


def test_votes_tell_animals_apart_that_no_shape_could() -> None:
    """Two rectangles side by side are one rectangle, for whoever sees the ground alone."""
    ids = np.zeros((96, 160), np.uint16)
    ids[20:76, 20:80], ids[20:76, 80:140] = 1, 2
    maps = InstanceMaps.of_targets(animal_targets(ids))
    probability = probability_of(ids > 0)
    assert len(tell_apart(probability, 96, 160, ["cow"], "v").instances) == 1
    found = tell_apart(probability, 96, 160, ["cow"], "v", maps).instances
    masks = [mask_of_parts(animal.parts, 96, 160) for animal in found]
    assert sorted(max(iou(mask, ids == k) > 0.93 for mask in masks) for k in (1, 2)) == [True, True]
    assert (masks[0] & masks[1]).sum() == 0
    assert all(animal.score and animal.score > 0.7 for animal in found)


def test_an_animal_whose_hill_is_missing_is_found_by_its_shape() -> None:
    ids = np.zeros((96, 160), np.uint16)
    ids[20:76, 10:60], ids[20:76, 90:140] = 1, 2
    maps = InstanceMaps.of_targets(animal_targets(ids))
    center = maps.center.copy()
    center[:, 20:] = 0
    maps = maps._replace(center=center)
    assert len(tell_apart(probability_of(ids > 0), 96, 160, ["cow"], "v", maps).instances) == 2


def test_one_animal_of_two_minds_has_one_category() -> None:
    ids = np.zeros((96, 160), np.uint16)
    ids[20:76, 20:140] = 1
    maps = InstanceMaps.of_targets(animal_targets(ids))
    inside = probability_of(ids > 0)[1]
    calf = np.where(np.arange(40) < 12, 0.9, 0.2).astype(np.float32) * inside
    probability = np.stack([1 - inside, inside - calf, calf])
    (found,) = tell_apart(probability, 96, 160, ["cow", "calf"], "v", maps).instances
    assert found.category == "cow"
    assert iou(mask_of_parts(found.parts, 96, 160), ids > 0) > 0.95


def test_outline_is_finer_than_the_network_grid() -> None:
    mask = ellipses(160, 160, (80.3, 79.1, 55, 33, 25))
    found = extracted(mask)
    blocks = cv2.resize(probability_of(mask)[1], (160, 160), interpolation=cv2.INTER_NEAREST) > 0.5
    fine = iou(mask_of_parts(found[0].parts, 160, 160), mask)
    assert fine > 0.97
    assert fine > iou(blocks, mask)


def test_resample_keeps_a_ramp_where_it_is() -> None:
    # A stride-4 map that holds the x coordinate of each cell's center: 2, 6, 10, ...
    ramp = np.broadcast_to(np.arange(8, dtype=np.float32) * 4 + 2, (8, 8)).copy()
    fine = resample(ramp, 0.25, 32, 32)
    inner = fine[8, 4:28]
    np.testing.assert_allclose(inner, np.arange(4, 28) + 0.5, atol=0.05)
    np.testing.assert_allclose(resample(ramp, 0.25, 8, 8, x0=12, y0=4), fine[4:12, 12:20], atol=0.1)


def test_specks_that_win_by_number_are_none_where_they_are_not_sure() -> None:
    """Three animals, a calf in the distance, forty specks: all as deep as animals, or shallow."""
    ids = np.zeros((400, 640), np.uint16)
    rows, columns = np.mgrid[:400, :640]
    spots = [(100 + 200 * k, 120, 60, 40) for k in range(3)] + [(600, 250, 14, 10)]
    spots += [(20 + 15 * k, 300 + 15 * (k % 2), 6, 6) for k in range(40)]
    for k, (x, y, a, b) in enumerate(spots, start=1):
        ids[((columns - x) / a) ** 2 + ((rows - y) / b) ** 2 <= 1] = k
    maps = InstanceMaps.of_targets(animal_targets(ids))
    speck = ids[2::4, 2::4] > 4
    shallow = maps._replace(core=np.where(speck, 0.3 * maps.core, maps.core).astype(np.float32))
    probability = probability_of(ids > 0)
    assert len(tell_apart(probability, 400, 640, ["cow"], "v", shallow).instances) == 4
    assert len(tell_apart(probability, 400, 640, ["cow"], "v", maps).instances) > 20
