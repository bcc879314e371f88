"""Windows, crops and the way back into the image."""

from __future__ import annotations

import numpy as np
import pytest

from model.assist.clicks import Click
from model.assist.crops import (
    FINEST,
    GRAY,
    LEAST,
    MULTIPLE,
    SIDE,
    Window,
    crop,
    cut,
    in_crop,
    pasted,
)


def image(height=90, width=120):
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.stack([rows, columns, rows ^ columns], -1)


def box(top, bottom, left, right, height=90, width=120):
    mask = np.zeros((height, width), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize("window", [Window(10, 20, 40), Window(-15, -10, 60), Window(100, 70, 50)])
def test_a_window_shows_the_image_where_it_lies_in_it(window):
    picture = image()
    made = cut(picture, window, GRAY)
    assert made.shape == (window.side, window.side, 3)
    for row, column in ((0, 0), (window.side // 2, window.side // 2), (window.side - 1, 3)):
        y, x = window.top + row, window.left + column
        inside = 0 <= y < 90 and 0 <= x < 120
        assert made[row, column].tolist() == (picture[y, x].tolist() if inside else [GRAY] * 3)


def test_a_window_beside_the_image_is_gray():
    assert (cut(image(), Window(500, 500, 40), GRAY) == GRAY).all()
    assert (cut(image(), Window(-90, 0, 40), GRAY) == GRAY).all()


def test_the_window_holds_the_mask_and_the_clicks():
    mask, click = box(30, 50, 20, 60), Click(80.5, 35.5, False)
    window = Window.for_click(mask, [click], 10.0)
    assert window.left <= 20
    assert window.left + window.side >= 81
    assert window.side == pytest.approx(2 * 60.5, abs=1)


def test_without_a_mask_the_usual_animal_fits():
    window = Window.for_click(box(0, 0, 0, 0), [Click(60, 45, True)], 40.0)
    assert window.side == 192  # twice 1.6 times one and a half of it
    assert (window.left + window.side / 2, window.top + window.side / 2) == (60, 45)
    assert Window.for_click(box(0, 0, 0, 0), [Click(5, 5, True)], 1.0).side == LEAST


def test_layers_of_a_crop():
    mask, click = box(30, 50, 20, 60), Click(40.5, 40.5, True)
    window = Window(10, 10, 64)
    made = crop(image(), mask, [click], window)
    assert made.shape == (6, SIDE, SIDE)
    assert made.dtype == np.float32
    at = in_crop(click, window)
    assert made[4, int(at.y), int(at.x)] == 1
    assert made[5].sum() == 0
    assert made[3].mean() == pytest.approx(40 * 20 / 64**2, abs=0.01)
    assert made[:3].min() >= -1
    assert made[:3].max() <= 1


@pytest.mark.parametrize("side", [32, SIDE, 500])
def test_an_answer_comes_back_to_where_it_was_cut(side):
    window = Window(-7, 11, side)
    wanted = box(20, 40, 15, 45)
    inside = crop(image(), wanted, [], window)[3]
    found, shown = pasted(inside - 0.5, window, 90, 120)
    assert (found & shown != wanted & shown).sum() <= 2 * (20 + 30) * max(1, side / SIDE)
    assert shown.sum() == min(120, side - 7) * min(79, side)


def test_a_window_beside_the_image_pastes_nothing():
    found, shown = pasted(np.ones((SIDE, SIDE), np.float32), Window(400, 0, 50), 90, 120)
    assert not found.any()
    assert not shown.any()


@pytest.mark.parametrize(
    ("side", "finest"), [(48, SIDE), (SIDE, SIDE), (247, SIDE), (300, 288), (900, FINEST)]
)
def test_the_finest_crop_shows_no_more_than_the_image_has(side, finest):
    assert Window(0, 0, side).finest == finest
    assert finest % MULTIPLE == 0


@pytest.mark.parametrize("side", [SIDE, FINEST])
def test_what_a_crop_of_any_side_shows_comes_back_to_its_place(side):
    mask, window = np.zeros((700, 800), np.bool_), Window(-50, 40, 640)
    mask[200:400, 100:500] = True
    made = crop(np.zeros((700, 800, 3), np.uint8), mask, [], window, side)
    assert made.shape == (6, side, side)
    found, shown = pasted(made[3] - 0.5, window, 700, 800)
    assert np.count_nonzero(found ^ mask) < 0.01 * np.count_nonzero(mask)
    assert shown[40:680, :590].all()
