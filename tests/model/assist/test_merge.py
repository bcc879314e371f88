"""What a click may change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.assist.clicks import Click
from model.assist.merge import meant, merged

SIDE = 64


def box(top, bottom, left, right):
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


COW = box(20, 44, 10, 40)
NOTHING = box(0, 0, 0, 0)


def test_without_an_outline_the_pieces_under_positive_clicks_are_meant():
    calf, bush = box(50, 60, 10, 20), box(2, 8, 50, 60)
    clicks = [Click(20.5, 30.5, True), Click(55.5, 5.5, False)]
    np.testing.assert_array_equal(meant(NOTHING, COW | calf | bush, clicks), COW)
    more = [*clicks, Click(15.5, 55.5, True)]
    np.testing.assert_array_equal(meant(NOTHING, COW | calf | bush, more), COW | calf)


def test_the_pixel_of_a_click_is_what_it_says():
    clicks = [Click(20.5, 30.5, True), Click(50.5, 30.5, True), Click(12.5, 22.5, False)]
    after = meant(NOTHING, COW, clicks)
    assert after[30, 50]
    assert not after[22, 12]


def test_where_the_answer_sees_no_animal_nothing_is_added():
    clicks = [Click(20.5, 30.5, False), Click(60.5, 60.5, True)]
    assert not meant(NOTHING, COW, clicks).any()
    np.testing.assert_array_equal(meant(COW, NOTHING, clicks), COW)


def test_a_negative_click_takes_a_proposal_away_where_there_is_no_animal():
    assert not meant(COW, NOTHING, [Click(25.5, 32.5, False)]).any()


def test_of_an_outline_that_nobody_vouches_for_all_that_a_click_reaches_may_change():
    wide, bush = box(18, 46, 8, 42), box(50, 60, 50, 60)
    once = meant(wide, COW | bush, [Click(9.5, 30.5, False)])
    np.testing.assert_array_equal(once[:, :30], COW[:, :30])
    np.testing.assert_array_equal(once[:, 41:], wide[:, 41:])
    twice = meant(once, COW, [Click(9.5, 30.5, False), Click(41.5, 30.5, False)])
    np.testing.assert_array_equal(twice, COW)


def test_a_click_in_what_is_right_changes_nothing_although_the_answer_is_bad():
    answer = box(20, 30, 10, 20)
    np.testing.assert_array_equal(merged(COW, answer, Click(30.5, 30.5, True)), COW)


def test_only_the_stretch_under_the_click_moves():
    leg, horn = box(44, 54, 12, 16), box(14, 20, 34, 38)
    after = merged(COW, COW | leg | horn, Click(14.5, 48.5, True))
    np.testing.assert_array_equal(after, COW | leg)


def test_a_negative_click_takes_away_the_piece_and_nothing_is_added():
    both, neighbor = COW | box(20, 44, 40, 60), box(20, 44, 40, 60)
    after = merged(both, COW | box(0, 3, 0, 3), Click(50.5, 30.5, False))
    np.testing.assert_array_equal(after, both & ~neighbor)


def test_far_pixels_of_one_long_piece_stay():
    small = box(30, 34, 2, 6)
    strip = box(30, 34, 0, 64)
    after = merged(small, strip & box(0, 64, 0, 20) | small, Click(8.5, 32.5, True))
    assert after[32, 10]
    assert not after[32, 19]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), x=st.floats(-5, 70), y=st.floats(-5, 70), yes=st.booleans())
def test_a_positive_click_only_adds_a_negative_one_only_takes(seed, x, y, yes):
    rng = np.random.default_rng(seed)
    before = rng.random((SIDE, SIDE)) < rng.random()
    after = merged(before, rng.random((SIDE, SIDE)) < 0.5, Click(x, y, yes))
    inside = 0 <= x < SIDE and 0 <= y < SIDE
    if yes:
        assert (after >= before).all()
    else:
        assert (after <= before).all() or not before.any()
    if inside and before.any():
        assert after[int(y), int(x)] == yes


@pytest.mark.parametrize("click", [Click(-3, 10, True), Click(10, 900, False)])
def test_a_click_outside_changes_nothing(click):
    np.testing.assert_array_equal(merged(COW, NOTHING | COW, click), COW)
