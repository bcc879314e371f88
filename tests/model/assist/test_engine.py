"""Clicks on an image, answered by hand."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from data_io.geometry import mask_of_parts, parts_of_mask
from model.assist.clicks import Click
from model.assist.crops import FINEST, SIDE
from model.assist.engine import change, clicked, in_box, through

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


def test_an_outline_is_mended_as_finely_as_the_image_shows_it():
    asked = []

    def answer(crop):
        asked.append(crop.shape)
        return by_color(crop)

    image, half = np.zeros((700, 900, 3), np.uint8), np.zeros((700, 900), np.bool_)
    half[200:400, 200:600] = True
    clicked(answer, image, half, [Click(650.5, 300.5, True)], 300.0)
    assert asked == [(6, FINEST, FINEST)]
    clicked(answer, PAINTED, box(30, 70, 40, 70), [Click(85.5, 50.5, True)], 50.0)
    clicked(answer, image, np.zeros_like(half), [Click(650.5, 300.5, True)], 300.0)
    assert asked[1:] == [(6, SIDE, SIDE)] * 2


def test_a_proposal_that_is_too_large_is_looked_at_once():
    asked = []

    def answer(crop):
        asked.append(crop.shape)
        return by_color(crop)

    much = box(0, 120, 10, 160)
    after = clicked(answer, PAINTED, much, [Click(30.5, 50.5, False)], 50.0, free=True)
    assert len(asked) == 1
    assert iou(after, COW) > iou(much, COW)


def test_an_outline_that_nobody_vouches_for_may_change_as_far_as_a_click_reaches():
    bump, hump, far = box(40, 50, 30, 40), box(20, 30, 45, 60), box(70, 80, 88, 100)
    much, click = COW | bump | hump | far, [Click(35.5, 45.5, False)]
    changed = clicked(by_color, PAINTED, much, click, 50.0, free=True)
    kept = clicked(by_color, PAINTED, much, click, 50.0)
    for after, gone, stays in ((changed, bump | hump, far), (kept, bump, hump | far)):
        assert np.count_nonzero(after & gone) < 0.2 * np.count_nonzero(gone)
        assert np.count_nonzero(after & stays) > 0.9 * np.count_nonzero(stays)


@pytest.mark.parametrize("click", [Click(-1, 10, True), Click(200, 10, False), Click(5, 120, True)])
def test_a_click_outside_the_image_changes_nothing(click):
    found = clicked(by_color, PAINTED, COW, [Click(60, 50, True), click], 50.0)
    np.testing.assert_array_equal(found, COW)


@pytest.mark.parametrize("free", [True, False])
@pytest.mark.parametrize("answer", [-1.0, 1.0])
def test_a_click_that_says_what_the_outline_says_changes_nothing(answer, free):
    always = partial(np.full, (SIDE, SIDE), answer, np.float32)
    for click in (Click(70.5, 50.5, True), Click(20.5, 50.5, False)):
        found = clicked(lambda _: always(), PAINTED, COW, [click], 50.0, free)
        np.testing.assert_array_equal(found, COW)


def test_two_hundred_clicks_on_one_animal():
    rng, mask, clicks = np.random.default_rng(0), NOTHING, []
    for _ in range(200):
        x, y = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
        clicks.append(Click(x, y, bool(COW[int(y), int(x)])))
        mask = clicked(by_color, PAINTED, mask, clicks, 50.0)
    assert iou(mask, COW) > 0.95


# --- outlines -------------------------------------------------------------------------------------

LARGE = np.zeros((600, 900, 3), np.uint8)
LARGE[300:400, 500:620] = 200


def raster(parts):
    return mask_of_parts(parts, 600, 900)


WHOLE = LARGE[..., 0] > 0


def test_a_first_click_adds_the_animal_where_it_lies_in_a_large_image():
    made = change(by_color, LARGE, (), [Click(560.5, 350.5, True)], 100.0)
    assert iou(raster(made.added), WHOLE) > 0.95
    assert made.removed == ()


def test_a_click_says_only_what_it_adds_or_takes():
    half = parts_of_mask(WHOLE & (np.arange(900) < 560))
    made = change(by_color, LARGE, half, [Click(600.5, 350.5, True)], 100.0)
    assert made.removed == ()
    assert not (raster(made.added) & raster(half)).any()
    assert iou(raster(made.added) | raster(half), WHOLE) > 0.93
    much = parts_of_mask(WHOLE | np.roll(WHOLE, 60, axis=1))
    made = change(by_color, LARGE, much, [Click(650.5, 350.5, False)], 100.0)
    assert made.added == ()
    assert iou(raster(much) & ~raster(made.removed), WHOLE) > 0.93


def test_what_is_right_gets_an_empty_answer():
    right = parts_of_mask(WHOLE)
    assert change(by_color, LARGE, right, [Click(560.5, 350.5, True)], 100.0) == ((), ())
    assert change(by_color, LARGE, right, [Click(-5, 350.5, True)], 100.0) == ((), ())


def test_an_animal_of_twelve_pixels():
    tiny = np.zeros((600, 900, 3), np.uint8)
    tiny[100:112, 200:212] = 200
    made = change(by_color, tiny, (), [Click(206.5, 106.5, True)], 12.0)
    assert iou(raster(made.added), tiny[..., 0] > 0) > 0.9


@pytest.mark.parametrize("box", [(490, 290, 630, 410), (630, 410, 490, 290)])
def test_a_box_whichever_way_it_was_drawn(box):
    assert iou(raster(in_box(by_color, LARGE, box)), WHOLE) > 0.95


@pytest.mark.parametrize("box", [(-50, -40, -10, -5), (10, 10, 10, 80), (5000, 0, 6000, 90)])
def test_a_box_without_a_pixel_holds_nothing(box):
    assert in_box(by_color, LARGE, box) == ()


def test_a_box_holds_nothing_of_what_lies_beside_it():
    herd = LARGE.copy()
    herd[300:400, 640:700] = 200
    assert iou(raster(in_box(by_color, herd, (490, 290, 630, 410))), WHOLE) > 0.95


def test_extreme_points_and_scribbles():
    ends = [(560, 301), (618, 350), (560, 398), (501, 350)]
    assert iou(raster(through(by_color, LARGE, ends)), WHOLE) > 0.95
    scribble = [(510 + 4 * k, 350 + 30 * (k % 2)) for k in range(25)]
    assert iou(raster(through(by_color, LARGE, scribble)), WHOLE) > 0.8
    assert through(by_color, LARGE, [(-5, 3)]) == ()
