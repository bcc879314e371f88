"""Clicks: discs, and where a simulated person clicks."""

from __future__ import annotations

import numpy as np
import pytest

from model.assist.clicks import Click, discs, next_click


def box(*window):
    mask = np.zeros((40, 60), np.bool_)
    mask[np.s_[window[0] : window[1], window[2] : window[3]]] = True
    return mask


NOTHING = box(0, 0, 0, 0)


def test_discs_lie_around_the_clicks_by_sign():
    maps = discs([Click(10.5, 20.5, True), Click(30.5, 5.5, False)], 40, 60, radius=3)
    assert maps[0, 20, 10] == maps[1, 5, 30] == 1
    assert maps[0].sum() == maps[1].sum() == 29  # pixels with middles within 3 of a middle
    assert maps[1, 20, 10] == 0


@pytest.mark.parametrize("x", [-2.0, -50.0, 61.0, 500.0])
def test_discs_beyond_the_window_are_cut(x):
    maps = discs([Click(x, -1.0, True)], 40, 60, radius=5)
    assert maps.shape == (2, 40, 60)
    assert (maps.sum() > 0) == (x in (-2.0, 61.0))


def test_the_middle_of_the_largest_error_is_clicked():
    truth, mask = box(5, 25, 5, 25), box(0, 4, 50, 60)
    assert next_click(truth, mask) == (pytest.approx(15, abs=1), pytest.approx(15, abs=1), True)
    large = box(5, 35, 30, 60)
    click = next_click(NOTHING, large)
    assert click is not None
    assert not click.positive
    assert large[int(click.y), int(click.x)]


def test_who_agrees_clicks_nowhere():
    assert next_click(box(5, 25, 5, 25), box(5, 25, 5, 25)) is None
    assert next_click(NOTHING, NOTHING) is None


def test_an_error_at_the_edge_is_not_clicked_at_the_edge():
    click = next_click(box(0, 40, 0, 10), NOTHING)
    assert click is not None
    assert click.x == pytest.approx(5, abs=1)


def test_a_drawn_click_lies_in_the_largest_error_and_repeats_with_its_seed():
    truth, mask = box(5, 25, 5, 25) | box(30, 33, 40, 44), NOTHING
    for seed in range(20):
        click = next_click(truth, mask, np.random.default_rng(seed))
        assert click == next_click(truth, mask, np.random.default_rng(seed))
        assert box(5, 25, 5, 25)[int(click.y), int(click.x)]
