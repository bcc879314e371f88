"""The contact band, and what instance heads learn: what labels become, and back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from data_io.geometry import rle_of_mask
from model.config import IGNORE
from model.targets import (
    BAND,
    BODY,
    CORE,
    RADIUS,
    UNKNOWN,
    animal_ids,
    animal_targets,
    contact_band,
    decode_labels,
)


def herd(seed: int = 0) -> np.ndarray:
    """Animals (96, 128) of all sizes, some touching, some cut off by the border."""
    rng = np.random.default_rng(seed)
    ids = np.zeros((96, 128), np.uint16)
    rows, columns = np.mgrid[:96, :128]
    for number in range(1, 9):
        y, x, a, b = rng.integers(0, [96, 128, 30, 30])
        ids[((rows - y) / (a + 3)) ** 2 + ((columns - x) / (b + 3)) ** 2 <= 1] = number
    return ids


def two_touching() -> np.ndarray:
    ids = np.zeros((60, 120), np.uint16)
    ids[10:50, 10:60], ids[10:50, 60:110] = 1, 2
    return ids


def pieces(mask: np.ndarray) -> int:
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0] - 1


@pytest.mark.parametrize("seed", range(5))
def test_decoding_gives_exactly_the_animals(seed: int) -> None:
    ids = herd(seed)
    labels = contact_band(ids)
    assert set(np.unique(labels)) <= {0, BODY, BAND}
    np.testing.assert_array_equal(decode_labels(labels, "contact_band") == 1, ids > 0)


@pytest.mark.parametrize("seed", range(5))
def test_the_band_is_what_an_animal_loses_when_it_is_eroded(seed: int) -> None:
    """Against a distance transform of every animal alone."""
    ids = herd(seed)
    band = np.zeros(ids.shape, bool)
    for number in np.unique(ids[ids > 0]):
        own = np.pad(ids == number, 50, mode="edge")  # it goes on beyond the border
        distance = cv2.distanceTransform(own.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        distance = distance[50:-50, 50:-50]
        band |= (ids == number) & (distance - 0.5 <= RADIUS)
    different = band != (contact_band(ids) == BAND)
    assert different.mean() < 0.01  # distances to edges and to centers differ along diagonals


def test_between_touching_animals_a_band_parts_the_bodies() -> None:
    labels = contact_band(two_touching())
    assert (pieces(labels == BODY), pieces(labels > 0)) == (2, 1)
    row = labels[30]
    np.testing.assert_array_equal(row[52:68], BAND)
    assert (row[51], row[68]) == (BODY, BODY)


@pytest.mark.parametrize("offset", range(4))
def test_the_band_survives_stride_4_at_half_the_size(offset: int) -> None:
    labels = contact_band(two_touching())[::2, ::2]
    cells = labels[2 + offset :: 4, 2 + offset :: 4]
    assert pieces(cells == BODY) == 2


def test_the_image_border_is_no_outline() -> None:
    assert (contact_band(np.ones((40, 40), np.uint16)) == BODY).all()
    assert (contact_band(np.zeros((40, 40), np.uint16)) == 0).all()
    half = np.zeros((40, 40), np.uint16)
    half[:, 20:] = 1
    np.testing.assert_array_equal(contact_band(half)[5, 20:], [BAND] * 8 + [BODY] * 12)


def test_later_animals_lie_on_top() -> None:
    below, above = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    below[:, :5], above[:, 3:] = True, True
    ids = animal_ids([rle_of_mask(below), rle_of_mask(above)], 8, 8)
    assert ids[0].tolist() == [1, 1, 1, 2, 2, 2, 2, 2]


def test_unverified_ground_stays_unverified_and_classes_stay_as_they_are() -> None:
    labels = np.array([[0, BODY, BAND, IGNORE]], np.uint8)
    assert decode_labels(labels, "contact_band").tolist() == [[0, 1, 1, IGNORE]]
    assert decode_labels(labels, "classes").tolist() == [[0, 1, 2, IGNORE]]


def test_targets_point_to_the_middle_of_each_animal() -> None:
    ids = np.zeros((64, 96), np.uint16)
    ids[8:40, 16:64], ids[44:60, 70:86] = 1, 2
    found = animal_targets(ids)
    assert found.center.shape == found.size.shape == found.contact.shape == (16, 24)
    x, y = (np.arange(24) + 0.5) * 4, (np.arange(16) + 0.5) * 4
    for number, (cx, cy) in ((1, (40, 24)), (2, (78, 52))):
        own = ids[2::4, 2::4] == number
        np.testing.assert_allclose((found.offset[0] + x)[own], cx, atol=1e-4)
        np.testing.assert_allclose((found.offset[1] + y[:, None])[own], cy, atol=1e-4)
        np.testing.assert_allclose(found.size[own], np.sqrt((ids == number).sum()), rtol=1e-6)
        assert found.center[cy // 4, cx // 4] > 0.75
    outside = ids[2::4, 2::4] == 0
    assert not found.offset[:, outside].any()
    assert not found.size[outside].any()
    assert found.center[0, 23] == 0


def test_hills_grow_with_their_animals() -> None:
    ids = np.zeros((320, 640), np.uint16)
    ids[:300, :300], ids[10:26, 600:616] = 1, 2
    center = animal_targets(ids).center
    large, small = (center[:, :80] > 0.5).sum(), (center[:, 140:] > 0.5).sum()
    assert large > 20 * small > 0


def test_an_animal_that_reaches_unknown_ground_has_no_middle() -> None:
    ids = np.zeros((64, 96), np.uint16)
    ids[8:40, 8:40], ids[8:40, 60:80] = 1, 2
    ids[:, 80:] = UNKNOWN
    found = animal_targets(ids)
    assert found.size[6, 4] > 0
    assert not found.size[:, 12:].any()
    assert not found.offset[:, :, 12:].any()
    assert found.center[:, 13:].max() < 0.05


def test_cores_are_deep_in_each_animal_and_end_between_two_that_touch() -> None:
    """Sizes 40 and 20 pixels, side by side: depth is told relative to each one's size."""
    ids = np.zeros((64, 96), np.uint16)
    ids[8:48, 8:48], ids[8:28, 48:68] = 1, 2
    core = animal_targets(ids).core
    assert core[6, 6] == core[4, 14] == 1  # in the middle of each
    assert core[6, 2] == pytest.approx(2 / (CORE * 40))  # half a cell inside
    assert core[4, 11] == pytest.approx(2 / (CORE * 40))  # beside the other animal
    assert core[4, 12] == pytest.approx(2 / (CORE * 20))
    assert not core[ids[2::4, 2::4] == 0].any()


def test_a_core_goes_on_beyond_the_border_and_is_not_known_beside_unknown_ground() -> None:
    ids = np.zeros((64, 96), np.uint16)
    ids[:40, :40] = 1
    assert animal_targets(ids).core[0, 0] == 1
    ids[40:, :] = UNKNOWN
    assert not animal_targets(ids).core.any()


def test_contact_is_beside_another_animal_on_both_sides() -> None:
    found = animal_targets(np.pad(two_touching(), ((0, 0), (0, 0))))
    assert found.contact[6, 14] == found.contact[6, 15] == 1
    assert not found.contact[6, :14].any()
    assert not found.contact[6, 16:].any()
    assert not animal_targets(np.zeros((32, 32), np.uint16)).contact.any()
