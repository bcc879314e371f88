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
from model.grouping import Grouping, _without_gaps, group
from model.pieces import GroupingConfig, InstanceMaps, Pieces
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


def random_herd(seed: int) -> Ids:
    """A dozen ellipses of any size that overlap at random."""
    rng = np.random.default_rng(seed)
    ids = canvas(192, 256)
    rows, columns = np.mgrid[:192, :256]
    for number in range(1, 13):
        y, x = rng.uniform(0, [192, 256])
        a, b = rng.uniform(8, 50, 2)
        ids[((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 <= 1] = number
    return ids


def test_random_herds_come_back() -> None:
    """At least 99.5 % of all animals, those left out that have about one middle with another."""
    lost = animals = 0
    for seed in range(60):
        ids = random_herd(seed)
        back = recovered(ids)
        animals += len(back)
        lost += max(0, len(back) - sum(back) - 2 * _shared(ids))
    assert animals > 600
    assert lost <= 0.005 * animals


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


def between(one: InstanceMaps, other: InstanceMaps, share: float) -> InstanceMaps:
    """Maps that say `share` of the second."""
    return InstanceMaps(
        *((1 - share) * a + share * b for a, b in zip(one, other, strict=True))  # type: ignore[arg-type]
    )


def test_one_or_two_is_in_doubt_between_both_and_nowhere_else() -> None:
    """From two animals to the same ground as one: in between the border is in doubt."""
    ids = canvas()
    ids[20:100, 20:120], ids[20:100, 120:220] = 1, 2
    two, one = maps_of(ids), maps_of(np.minimum(ids, 1))
    inside = ids[2::4, 2::4] > 0
    found = [group(inside, between(two, one, share)) for share in np.linspace(0, 1, 41)]
    counts = [len(one.certainty) for one in found]
    assert (counts[0], counts[-1]) == (2, 1)
    assert counts == sorted(counts, reverse=True)
    turn = counts.index(1)
    doubt = found[turn].doubt
    assert np.maximum(found[turn - 1].doubt, doubt)[5:25, 29:31].min() > 0.6
    assert not doubt[:, :27].any()
    assert not doubt[:, 33:].any()
    assert not doubt[~inside].any()
    assert max(found[0].doubt.max(), found[-1].doubt.max()) < 0.2
    # An animal that is nearly half of another one is less certain than a whole one.
    assert found[turn - 1].certainty.max() < 0.75 < found[0].certainty.min()


def test_without_a_heat_map_cores_and_contacts_decide() -> None:
    ids = canvas()
    ids[20:100, 20:120], ids[20:100, 120:220] = 1, 2
    exact = maps_of(ids)
    found = group(ids[2::4, 2::4] > 0, exact._replace(center=np.zeros_like(exact.center)))
    assert len(found.certainty) == 2


def test_ground_without_any_core_is_one_animal_each() -> None:
    ids = canvas()
    ids[20:100, 20:100], ids[20:100, 120:220] = 1, 2
    nothing = InstanceMaps(*(np.zeros_like(part) for part in maps_of(ids)))
    found = group(ids[2::4, 2::4] > 0, nothing)
    assert len(found.certainty) == 2
    assert (found.certainty < 0.01).all()


def test_the_surest_pairs_are_joined_first_and_borders_add_up() -> None:
    """Three pieces in a row, the outer ones no neighbors: joined, the border to the third stays."""
    labels = np.zeros((8, 30), np.int32)
    labels[1:7, 1:10], labels[1:7, 10:20], labels[1:7, 20:29] = 1, 2, 3
    core = np.where(labels > 0, 0.5, 0).astype(np.float32)
    core[:, 9:11] *= 0.9
    core[:, 19:21] *= 0.2
    flat = np.zeros((8, 30), np.float32)
    maps = InstanceMaps(flat, np.zeros((2, 8, 30), np.float32), flat, core)
    pieces = Pieces(labels, core, flat, maps, GroupingConfig())
    assert set(pieces.borders[1]) == {2}
    before = pieces.evidence(2, 3)
    assert before.level == pytest.approx(0.2)
    pieces.unite(1, 2, 1.5)
    assert set(pieces.borders[1]) == {3}
    assert pieces.evidence(1, 3).level == before.level
    assert pieces.area[1] == 6 * 19
    assert pieces.joined().max() == 2
    assert pieces.odds_of(1, 2) == 1.5
    assert pieces.odds_of(2, 3) == pieces.odds_of(1, 3)


def test_what_loses_every_cell_takes_its_certainty_along() -> None:
    labels = np.array([[0, 3, 3], [1, 0, 5]], np.int32)
    numbered, left = _without_gaps(labels)
    assert left.tolist() == [1, 3, 5]
    assert numbered.tolist() == [[0, 2, 2], [1, 0, 3]]
    assert _without_gaps(np.zeros((2, 2), np.int32))[1].size == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_number_has_cells_and_a_certainty_whatever_heads_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    share, inside = rng.random((3, 40, 60), np.float32), rng.random((40, 60)) < 0.7
    offset = rng.normal(0, 8, (2, 40, 60)).astype(np.float32)
    found = group(inside, InstanceMaps(share[0], offset, share[1], share[2]))
    assert np.unique(found.labels[inside]).tolist() == list(range(1, len(found.certainty) + 1))
    assert not found.labels[~inside].any()
    assert ((found.certainty >= 0) & (found.certainty <= 1)).all()
