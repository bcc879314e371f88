"""Intervals against figures worked out elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from app.intervals import RESAMPLES, Estimate, ratio, resampled, running, wilson


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_wilson(hits: int, of: int, low: float, high: float) -> None:
    """Newcombe 1998 (Statistics in Medicine 17:857), Table I, method 3, and one by symmetry."""
    found = wilson(hits, of)
    assert found.value == hits / of
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_a_ratio_is_of_sums_and_its_band_of_resamples() -> None:
    # Of two pairs, three resamples in four hold at least one of a given kind.
    assert ratio(np.array([1.0, 9.0]), np.array([1.0, 3.0])) == Estimate(2.5, 1.0, 3.0)
    same = ratio(np.full(7, 2.0), np.full(7, 4.0))
    assert same == Estimate(0.5, 0.5, 0.5)


def test_resamples_without_a_lower_sum_are_left_out() -> None:
    found = ratio(np.array([3.0, 1.0]), np.array([1.0, 0.0]))
    assert found.value == 4.0
    assert (found.low, found.high) == (3.0, 4.0)


def test_arrays_of_one_length_are_resampled_alike() -> None:
    values = np.arange(5.0)
    assert np.array_equal(resampled(values) * 2, resampled(values * 2))
    assert resampled(np.ones((5, 3))).shape == (RESAMPLES, 3)
    assert (resampled(np.ones(5)) == 5).all()


def test_a_running_ratio_looks_back_a_window() -> None:
    above, below = np.array([0.0, 2.0, 4.0, 6.0]), np.array([0.0, 1.0, 1.0, 1.0])
    found = [(place, one.value) for place, one in running(above, below, 2, 2, 9)]
    assert found == [(1, 2.0), (2, 3.0), (3, 5.0)]
    assert list(running(above, np.zeros(4), 2, 2, 9)) == []
    assert list(running(above[:1], below[:1], 2, 2, 9)) == []


def test_a_long_curve_keeps_few_places_and_its_end() -> None:
    places = [place for place, _ in running(np.ones(1000), np.ones(1000), 2, 5, 20)]
    assert len(places) == 20
    assert (places[0], places[-1]) == (4, 999)
