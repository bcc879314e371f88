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
    Samples,
    calibration,
    calibration_error,
    error_of,
    fit_temperature,
    samples,
    tempered,
)


def probabilities(classes: int, cells: int, seed: int = 0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(0, 2, (classes, cells))
    power = np.exp(logits)
    return (power / power.sum(0)).astype(np.float32)


def test_ten_pixels_by_hand() -> None:
    """Sure of .9 and right seven times of ten: the temperature makes .7 of .9."""
    said = np.tile(np.array([[0.9], [0.1]], np.float32), 10)
    known = Samples(said, np.array([0] * 7 + [1] * 3))
    temperature = fit_temperature(known)
    assert temperature == pytest.approx(np.log(9) / np.log(7 / 3), rel=1e-3)
    assert temperature is not None
    assert tempered(said, temperature)[0, 0] == pytest.approx(0.7, abs=1e-3)
    assert error_of(known, 1.0) == pytest.approx(0.2, abs=1e-6)
    assert error_of(known, temperature) == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("classes", [2, 3, 6])
@pytest.mark.parametrize("wanted", [0.7, 1.0, 2.5])
def test_the_temperature_that_was_taken_away_is_found(classes: int, wanted: float) -> None:
    true = probabilities(classes, 60_000)
    drawn = np.random.default_rng(1).random(60_000)
    truth = (drawn > true.cumsum(0)).sum(0).clip(max=classes - 1)
    found = fit_temperature(Samples(tempered(true, 1 / wanted), truth))
    assert found == pytest.approx(wanted, rel=0.03)


def test_perfect_answers_and_hopeless_ones_are_bounded() -> None:
    said = probabilities(2, 500)
    best = said.argmax(0)
    assert fit_temperature(Samples(said, best)) == pytest.approx(COOLEST, rel=1e-6)
    assert fit_temperature(Samples(said, 1 - best)) == pytest.approx(HOTTEST, rel=1e-6)


def test_nothing_to_learn_from_gives_no_temperature() -> None:
    said = probabilities(2, 100)
    assert fit_temperature(Samples(said[:, :0], np.zeros(0, np.int64))) is None
    ground = Samples(said, np.zeros(100, np.int64))
    assert fit_temperature(ground) is None
    assert calibration([]) == calibration([ground]) == Calibration()


def test_certainties_of_exactly_one_are_survived() -> None:
    said = np.array([[1, 0, 1, 0.6], [0, 1, 0, 0.4]], np.float32)
    assert fit_temperature(Samples(said, np.array([0, 1, 1, 0]))) == pytest.approx(HOTTEST)
    assert np.isfinite(tempered(said, 0.5)).all()


def test_images_together_are_one_calibration() -> None:
    said = np.tile(np.array([[0.9], [0.1]], np.float32), 10)
    truth = np.array([0] * 7 + [1] * 3)
    made = calibration([Samples(said[:, :5], truth[:5]), Samples(said[:, 5:], truth[5:])])
    assert made.images == 2
    assert made.temperature == pytest.approx(np.log(9) / np.log(7 / 3), rel=1e-3)
    assert made.before == pytest.approx(0.2, abs=1e-6)
    assert made.after == pytest.approx(0.0, abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6), st.floats(COOLEST, HOTTEST))
def test_the_winner_stays_and_the_sum_is_one(seed: int, classes: int, temperature: float) -> None:
    said = probabilities(classes, 64, seed)
    other = tempered(said, temperature)
    np.testing.assert_array_equal(other.argmax(0), said.argmax(0))
    np.testing.assert_allclose(other.sum(0), 1, atol=1e-5)
    if temperature > 1:
        assert (other.max(0) <= said.max(0) + 1e-6).all()


def test_samples_lie_between_the_middles_of_cells_and_know_their_class() -> None:
    said = np.zeros((2, 3, 6), np.float32)
    said[1, :, 3:] = 1
    said[0] = 1 - said[1]
    labels = np.zeros((12, 24), np.uint8)
    labels[:, 12:] = 1
    labels[6:] = 255
    found = samples(said, labels)
    assert found.truth.size == 2 * 8  # rows 1 and 4 of the known ones, every third column
    np.testing.assert_array_equal(found.truth[:8], [0, 0, 0, 0, 1, 1, 1, 1])
    # columns 10 and 13: 1.5 pixels before, 1.5 after the edge between the middles 9.5 and 13.5
    np.testing.assert_allclose(found.probability[1, 3:5], [0.125, 0.875], atol=1e-6)
    np.testing.assert_allclose(found.probability.sum(0), 1, atol=1e-6)


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
