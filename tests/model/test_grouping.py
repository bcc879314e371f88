"""Instances -> targets -> instances gives the same animals back; noise does not tear them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.semi_sets import coco_images
from data_io.scenes import CAMERAS, scene
from model.grouping import Grouping, InstanceMaps, group
from model.targets import HILL, STRIDE, animal_ids, animal_targets

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
Ids = NDArray[np.uint16]
LEAST = 64  # pixels of an animal that counts; four cells


def maps_of(ids: Ids) -> InstanceMaps:
    return InstanceMaps.of_targets(animal_targets(ids))


def padded(ids: Ids) -> Ids:
    """With sides that are multiples of the stride, as images are when predicting."""
    h, w = ids.shape
    return np.pad(ids, ((0, -h % STRIDE), (0, -w % STRIDE)))


def grouped(ids: Ids) -> tuple[NDArray[np.uint16], Grouping]:
    """The animal of each cell, and what was made of the targets."""
    cells = ids[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
    return cells, group(cells > 0, maps_of(ids))


def recovered(ids: Ids) -> list[bool]:
    """For each animal of at least `LEAST` pixels, whether its cells came back (IoU >= .9)."""
    cells, found = grouped(ids)
    back = []
    for k in np.flatnonzero(np.bincount(ids.ravel())[1:] >= LEAST) + 1:
        own = cells == k
        label = int(np.bincount(found.labels[own]).argmax()) if own.any() else 0
        other = found.labels == label
        back.append(bool(label and (own & other).sum() >= 0.9 * (own | other).sum()))
    return back


def canvas(height: int = 160, width: int = 240) -> Ids:
    """No animal."""
    return np.zeros((height, width), np.uint16)


def test_touching_pairs_come_apart() -> None:
    ids = canvas()
    ids[20:80, 20:70], ids[20:80, 70:120] = 1, 2
    ids[90:102, 20:32], ids[90:102, 32:44] = 3, 4  # as small as animals get
    assert recovered(ids) == [True] * 4


def test_the_arms_of_a_u_stay_one_and_what_stands_between_them_is_another() -> None:
    ids = canvas()
    ids[20:120, 20:160] = 1
    ids[20:90, 60:120] = 0  # its middle lies outside of it
    ids[24:80, 70:110] = 2
    assert recovered(ids) == [True, True]


def test_an_animal_cut_by_a_rail_is_one() -> None:
    ids = canvas()
    ids[30:110, 40:180] = 1
    ids[60:76] = 0
    cells, found = grouped(ids)
    assert len(found.certainty) == 1
    assert (found.labels[cells > 0] == 1).all()


def test_animals_cut_by_the_border_and_a_sliver_behind_another() -> None:
    ids = canvas()
    ids[0:30, 0:50], ids[130:160, 200:240] = 1, 2
    ids[60:120, 60:160] = 3
    ids[60:120, 160:168] = 4
    assert recovered(ids) == [True] * 4


def test_no_animal_and_one_that_fills_the_image() -> None:
    _, found = grouped(canvas())
    assert not found.labels.any()
    assert found.certainty.shape == (0,)
    _, found = grouped(canvas() + np.uint16(1))
    assert (found.labels == 1).all()


def test_three_hundred_animals() -> None:
    ids = canvas(540, 920)
    rows, columns = np.mgrid[:540, :920]
    for k in range(300):
        x, y = 24 + 45 * (k % 20), 20 + 35 * (k // 20)
        ids[((columns - x) / 22) ** 2 + ((rows - y) / 17) ** 2 <= 1] = k + 1
    assert recovered(ids) == [True] * 300


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_herds_come_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = canvas(192, 256)
    rows, columns = np.mgrid[:192, :256]
    for number in range(1, 13):
        y, x = rng.uniform(0, [192, 256])
        a, b = rng.uniform(8, 50, 2)
        ids[((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 <= 1] = number
    middles = animal_targets(ids)
    _, found = grouped(ids)
    # Two animals whose visible parts have about one middle cannot be told apart by it.
    back = recovered(ids)
    assert sum(back) >= len(back) - 2 * _shared(ids)
    assert found.labels.shape == middles.center.shape


def _shared(ids: Ids) -> int:
    """Pairs so near that the larger one's hill hides the other's: two cells, or two sigmas."""
    places = [np.argwhere(ids == k) for k in np.unique(ids)[1:]]
    known = [(place.mean(0), np.sqrt(len(place))) for place in places]
    return sum(
        bool(np.hypot(*(a - b)) < max(2 * STRIDE, 2 * HILL * max(s, t)))
        for i, (a, s) in enumerate(known)
        for b, t in known[:i]
    )


@pytest.mark.parametrize("seed", range(8))
def test_synthetic_herds_come_back(seed: int) -> None:
    drawn = scene(seed, list(CAMERAS)[seed % len(CAMERAS)])
    ids = np.zeros(drawn.image.shape[:2], np.uint16)
    for number, mask in enumerate(drawn.masks, start=1):
        ids[np.asarray(mask)] = number
    assert all(recovered(padded(ids)))


@pytest.mark.parametrize("name", ["cattle_drone_yak", "cattle_barn_topdown"])
def test_real_herds_come_back(name: str) -> None:
    if not (DATA / name).exists():
        pytest.skip(f"needs the image set {name}")
    back = []
    for record in list(coco_images(DATA / name).values())[::3]:
        ids = animal_ids([rle for _, rle in record.labels], record.height, record.width)
        back += recovered(padded(ids))
    assert np.mean(back) >= 0.995


def test_noisy_votes_and_a_weak_heat_map_do_not_tear_animals() -> None:
    ids = canvas()
    ids[20:100, 20:120], ids[20:100, 120:220] = 1, 2
    exact = maps_of(ids)
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.normal(0, 12, (*exact.center.shape, 2)), (0, 0), 2)
    blurred = 0.6 * cv2.GaussianBlur(exact.center, (0, 0), 2)
    maps = exact._replace(
        center=np.asarray(blurred, np.float32),
        offset=exact.offset + noise.transpose(2, 0, 1).astype(np.float32),
    )
    cells = ids[2::4, 2::4]
    found = group(cells > 0, maps)
    assert len(found.certainty) == 2
    for k in (1, 2):
        own = cells == k
        label = np.bincount(found.labels[own]).argmax()
        assert (found.labels[own] == label).mean() > 0.95


def test_lost_votes_are_flooded_up_to_the_contact() -> None:
    ids = canvas()
    ids[20:100, 20:120], ids[20:100, 120:220] = 1, 2
    exact = maps_of(ids)
    offset = exact.offset.copy()
    offset[:, :, 24:36] = 1000.0  # nobody knows where these cells belong, 6 each side
    cells = ids[2::4, 2::4]
    found = group(cells > 0, exact._replace(offset=offset))
    wrong = 0
    for k in (1, 2):
        own = cells == k
        wrong += int((found.labels[own] != np.bincount(found.labels[own]).argmax()).sum())
    assert len(found.certainty) == 2
    assert wrong <= 0.02 * (cells > 0).sum()


def test_votes_between_two_hills_are_in_doubt_and_others_are_not() -> None:
    ids = canvas()
    ids[20:100, 20:120], ids[20:100, 120:220] = 1, 2
    exact = maps_of(ids)
    cells = ids[2::4, 2::4]
    assert group(cells > 0, exact).doubt.max() < 0.05
    offset = exact.offset.copy()
    columns = (np.arange(cells.shape[1]) + 0.5)[None]
    strip = np.s_[:, 27:33]  # these cells vote for the border, right between both middles
    offset[0][strip] = np.broadcast_to(30.0 - columns, cells.shape)[strip]
    doubt = group(cells > 0, exact._replace(offset=offset)).doubt
    assert doubt[5:25, 27:33].min() > 0.5  # less than 1: these votes make one of them larger
    assert doubt[:, :26].max() < 0.05
    alone = group(cells == 1, exact._replace(offset=offset, center=exact.center * (cells == 1)))
    assert not alone.doubt.any()  # there is only one hill


def test_without_hills_nothing_is_decided() -> None:
    ids = canvas()
    ids[20:100, 20:120] = 1
    exact = maps_of(ids)
    found = group(ids[2::4, 2::4] > 0, exact._replace(center=np.zeros_like(exact.center)))
    assert not found.labels.any()
