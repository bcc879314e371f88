"""Clicks on an image, answered by hand."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from model.assist.clicks import Click
from model.assist.crops import SIDE
from model.assist.engine import clicked

HEIGHT, WIDTH = 120, 160


def box(top, bottom, left, right):
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


NOTHING, COW = box(0, 0, 0, 0), box(30, 70, 40, 100)
PAINTED = np.where(COW[..., None], np.uint8(200), np.uint8(10)) * np.ones(3, np.uint8)


def by_color(crop):
    """Everything bright is animal."""
    return (crop[0] > 0).astype(np.float32) - 0.5


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("usual", [10.0, 50.0, 300.0])
def test_one_click_finds_the_animal_whatever_size_is_usual(usual):
    found = clicked(by_color, PAINTED, NOTHING, [Click(60.5, 50.5, True)], usual)
    assert iou(found, COW) > (0.5 if usual == 10.0 else 0.95)


def test_a_part_is_completed_and_too_much_is_taken_away():
    part = box(30, 70, 40, 70)
    found = clicked(by_color, PAINTED, part, [Click(85.5, 50.5, True)], 50.0)
    assert iou(found, COW) > 0.93
    much = COW | box(30, 70, 100, 130)
    found = clicked(by_color, PAINTED, much, [Click(115.5, 50.5, False)], 50.0)
    assert iou(found, COW) > 0.95


@pytest.mark.parametrize("click", [Click(-1, 10, True), Click(200, 10, False), Click(5, 120, True)])
def test_a_click_outside_the_image_changes_nothing(click):
    found = clicked(by_color, PAINTED, COW, [Click(60, 50, True), click], 50.0)
    np.testing.assert_array_equal(found, COW)


def test_a_stray_click_in_a_right_mask_changes_nothing_whatever_is_answered():
    for answer in (-1.0, 1.0):
        always = partial(np.full, (SIDE, SIDE), answer, np.float32)
        click = Click(70.5, 50.5, True)
        found = clicked(lambda crop, same=always: same(), PAINTED, COW, [click], 50.0)
        np.testing.assert_array_equal(found, COW)


def test_two_hundred_clicks_on_one_animal():
    rng, mask, clicks = np.random.default_rng(0), NOTHING, []
    for _ in range(200):
        x, y = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
        clicks.append(Click(x, y, bool(COW[int(y), int(x)])))
        mask = clicked(by_color, PAINTED, mask, clicks, 50.0)
    assert iou(mask, COW) > 0.95
