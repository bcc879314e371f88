"""The map tells how likely a pixel is wrong, in bits, and the score counts the worst places."""

from __future__ import annotations

import math

import numpy as np
import pytest

from data_io.types import Part
from model.uncertainty import (
    WHOSE,
    class_doubt,
    entropy,
    expected_error,
    image_score,
    to_bytes,
    uncertainty_map,
    verified_cells,
    whose_doubt,
    without_verified,
)

CELLS = (100, 150)


def patch(*places: tuple[int, int, int, int], value: int = 255) -> np.ndarray:
    """A map that is sure but for patches (row, column, rows, columns) in cells."""
    result = np.zeros(CELLS, np.uint8)
    for row, column, rows, columns in places:
        result[row : row + rows, column : column + columns] = value
    return result


def test_entropy_of_hand_made_probabilities() -> None:
    p = np.array([[[0.5, 1.0, 0.9]], [[0.5, 0.0, 0.1]]], np.float32)
    tenth = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1)) / math.log(2)
    np.testing.assert_allclose(entropy(p)[0], [1.0, 0.0, tenth], atol=1e-5)
    thirds = np.full((3, 1, 1), 1 / 3, np.float32)
    assert entropy(thirds)[0, 0] == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_array_equal(to_bytes(entropy(p))[0], [255, 0, round(255 * tenth)])


def test_expected_error_inverts_the_entropy() -> None:
    assert expected_error(2)[0] == pytest.approx(0.0, abs=1e-3)
    assert expected_error(2)[255] == pytest.approx(0.5)
    # H(0.11) is one half of a bit to three places.
    assert expected_error(2)[round(0.4999 * 255)] == pytest.approx(0.11, abs=0.002)


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 21])
def test_two_rivals_weigh_the_same_beside_any_number_of_classes(classes: int) -> None:
    for chance in (0.02, 0.11, 0.3, 0.5):
        p = np.zeros((classes, 1, 1), np.float32)
        p[:2, 0, 0] = 1 - chance, chance
        told = expected_error(classes)[to_bytes(entropy(p))[0, 0]]
        assert told == pytest.approx(chance, abs=0.01 if chance < 0.5 else 0.06)  # of a byte


def test_without_verified_zeroes_every_touched_cell() -> None:
    one_pixel = (Part(np.array([[9, 5], [10, 5], [10, 6], [9, 6]], np.float64)),)
    np.testing.assert_array_equal(np.argwhere(verified_cells(one_pixel, 10, 14)), [[1, 2]])
    left = without_verified(np.full((3, 4), 9, np.uint8), one_pixel, 10, 14)
    assert left[1, 2] == 0
    assert left.sum() == 9 * 11


def test_image_score_weights_the_worst_places() -> None:
    mild = np.full(CELLS, 40, np.uint8)
    spot = np.full(CELLS, 10, np.uint8)
    spot[:12, :50] = 255  # 4 % of the image
    assert image_score(spot, 2) > 3 * image_score(mild, 2)
    assert image_score(patch((0, 0, 10, 10)), 2) < image_score(patch((0, 0, 20, 20)), 2) < 1


def test_doubts_about_whose_a_cell_is_raise_the_map_by_their_bits() -> None:
    """Weighed by `WHOSE`: a bit about the owner finds fewer wrong pixels."""
    doubt = np.zeros((4, 6), np.float32)
    doubt[1, 2] = doubt[1, 3] = 1.0
    for classes in (2, 4):
        p = np.full((classes, 4, 6), 0.0, np.float32)
        p[1] = 1.0
        p[:, 1, 3] = 0.0
        p[0, 1, 3] = 1.0  # no animal there, so nobody's cell
        whose = whose_doubt(p, doubt)
        assert whose[1, 2] == pytest.approx(1 / np.log2(classes))
        assert whose[1, 3] == 0
        alone = uncertainty_map(p)
        raised = uncertainty_map(p, whose)
        assert raised[1, 2] == max(alone[1, 2], round(255 * WHOSE / np.log2(classes)))
        assert (np.delete(raised.ravel(), [8]) == np.delete(alone.ravel(), [8])).all()


def test_an_outline_between_two_cells_is_seen_by_both() -> None:
    """At the middles of the cells both are sure; the pixels between them are not."""
    p = np.zeros((2, 12, 40), np.float32)
    p[0, :, :20], p[0, :, 20:] = 0.99, 0.01
    p[1] = 1 - p[0]
    assert entropy(p).max() < 0.1
    unsure = class_doubt(p)
    middle = unsure[6]
    assert middle[19] == pytest.approx(middle[20], abs=1e-5)
    assert middle[19] > 0.2
    assert middle[0] == pytest.approx(entropy(p)[6, 0], abs=1e-3)


def test_a_patch_of_doubt_weighs_more_than_a_line_of_it() -> None:
    p = np.zeros((2, 40, 40), np.float32)
    p[0] = 1
    p[:, 5, 5:35] = 0.5
    p[:, 20:30, 10:20] = 0.5
    unsure = class_doubt(p)
    assert unsure[25, 15] > 0.9
    assert unsure[5, 20] < 0.7
    assert 0 <= unsure.min() <= unsure.max() <= 1


def test_one_cell_is_a_map_too() -> None:
    coin = np.full((2, 1, 1), 0.5, np.float32)
    assert uncertainty_map(coin)[0, 0] == 255
