"""A temperature undoes overconfidence, never moves the winner, and stays within its bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.calibrate import (
    COOLEST,
    HOTTEST,
    Calibration,
    calibration_error,
    class_shares,
    fit_temperature,
    tempered,
)


def probabilities(classes: int, cells: int, seed: int = 0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(0, 2, (classes, cells))
    power = np.exp(logits)
    return (power / power.sum(0)).astype(np.float32)


def test_two_cells_by_hand() -> None:
    """Ten cells that are sure of .9 and right seven times: T makes .7 of .9."""
    said = np.tile(np.array([[0.9], [0.1]], np.float32), 10)
    truth = np.zeros((2, 10), np.float32)
    truth[0, :7], truth[1, 7:] = 1, 1
    temperature = fit_temperature(said, truth)
    assert temperature == pytest.approx(np.log(9) / np.log(7 / 3), rel=1e-3)
    assert temperature is not None
    assert tempered(said, temperature)[0, 0] == pytest.approx(0.7, abs=1e-3)


@pytest.mark.parametrize("classes", [2, 3, 6])
@pytest.mark.parametrize("wanted", [0.7, 1.0, 2.5])
def test_the_temperature_that_was_taken_away_is_found(classes: int, wanted: float) -> None:
    """Truth in expectation: every cell shows each class as often as is true of it."""
    true = probabilities(classes, 4000)
    said = tempered(true, 1 / wanted)
    assert fit_temperature(said, 16 * true) == pytest.approx(wanted, rel=0.01)


def test_perfect_answers_and_hopeless_ones_are_bounded() -> None:
    said = probabilities(2, 500)
    best = said.argmax(0)
    right = np.eye(2, dtype=np.float32)[best].T
    assert fit_temperature(said, right) == pytest.approx(COOLEST, rel=1e-6)
    assert fit_temperature(said, right[::-1]) == pytest.approx(HOTTEST, rel=1e-6)


def test_nothing_to_learn_from_gives_no_temperature() -> None:
    said = probabilities(2, 100)
    assert fit_temperature(said, np.zeros((2, 100), np.float32)) is None
    assert fit_temperature(said[:, :0], np.zeros((2, 0), np.float32)) is None
    ground = np.zeros((2, 100), np.float32)
    ground[0] = 16
    assert fit_temperature(said, ground) is None


def test_certainties_of_exactly_one_are_survived() -> None:
    said = np.array([[1, 0, 1, 0.6], [0, 1, 0, 0.4]], np.float32)
    truth = np.array([[1, 0, 0, 1], [0, 1, 1, 0]], np.float32)
    temperature = fit_temperature(said, truth)
    assert temperature == pytest.approx(HOTTEST)
    assert np.isfinite(tempered(said, 0.5)).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6), st.floats(COOLEST, HOTTEST))
def test_the_winner_stays_and_the_sum_is_one(seed: int, classes: int, temperature: float) -> None:
    said = probabilities(classes, 64, seed)
    other = tempered(said, temperature)
    np.testing.assert_array_equal(other.argmax(0), said.argmax(0))
    np.testing.assert_allclose(other.sum(0), 1, atol=1e-5)
    if temperature > 1:
        assert (other.max(0) <= said.max(0) + 1e-6).all()


def test_shares_of_cells_leave_out_what_nobody_knows() -> None:
    labels = np.zeros((5, 8), np.uint8)
    labels[:4, 4:] = 1
    labels[0, :] = 255
    shares = class_shares(labels, 2)
    assert shares.shape == (2, 2, 2)
    np.testing.assert_array_equal(shares[0], [[12, 0], [4, 4]])
    np.testing.assert_array_equal(shares[1], [[0, 12], [0, 0]])


def test_calibration_error_by_hand() -> None:
    belief = np.array([0.6] * 10 + [0.9] * 10)
    right = np.array([1] * 6 + [0] * 4 + [1] * 5 + [0] * 5)
    # the second ten are .4 too sure
    assert calibration_error(belief, right, bins=2) == pytest.approx(0.2)
    assert calibration_error(belief, belief, bins=2) == pytest.approx(0.0)
    assert calibration_error(belief[:0], right[:0]) is None
    # ties stay together however many bins there are, and the order means nothing
    assert calibration_error(belief[::-1], right[::-1], bins=15) == pytest.approx(0.2)
    assert calibration_error(np.ones(7), np.ones(7)) == pytest.approx(0.0)


def test_bins_hold_the_same_number_of_samples() -> None:
    """A thousand easy samples do not hide what is wrong among the hardest fifth."""
    belief = np.linspace(0.5, 1.0, 1000)
    right = np.where(belief < 0.6, belief - 0.5, belief)
    assert calibration_error(belief, right, bins=5) == pytest.approx(0.1, abs=0.001)


def test_a_version_tells_whether_it_was_calibrated() -> None:
    assert Calibration.of_dict(None) == Calibration()
    assert Calibration().words.startswith("not calibrated")
    made = Calibration(1.5, 8, 0.04, 0.01)
    assert Calibration.of_dict(made.as_dict()) == made
    assert "temperature 1.50" in made.words
