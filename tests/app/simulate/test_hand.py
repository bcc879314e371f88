"""A hand that clicks: where, how often, and when it stops."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from app.assistant import UNKNOWN
from app.simulate.annotator import Annotator, Shown, Target, Traits
from app.simulate.clock import SECONDS, STANDARD
from app.simulate.hand import MOST_CLICKS, Hand
from app.simulate.shapes import iou
from data_io.geometry import parts_of_mask, rle_iou, rle_of_mask, rle_of_parts
from model.assist.crops import SIDE

SIZE = (120, 160)


def ellipse(x=80, y=60, a=40, b=24):
    mask = np.zeros(SIZE, np.uint8)
    cv2.ellipse(mask, (x, y), (a, b), 0, 0, 360, 1, -1)
    return mask.view(np.bool_)


COW, NOTHING = ellipse(), np.zeros(SIZE, np.bool_)
PICTURE = np.where(COW[..., None], np.uint8(200), np.uint8(10)) * np.ones(3, np.uint8)


def right(crop):
    return crop[0]


def useless(crop):
    return np.full((SIDE, SIDE), -1, np.float32)


def all_over(crop):
    return np.full((SIDE, SIDE), 1, np.float32)


def clicked(answer, before, enough=0.9, sees=True):
    hand = Hand(answer, PICTURE, [50.0])
    rng = np.random.default_rng(0)
    made = hand.click(before, COW, lambda *_: sees, lambda value: value >= enough, rng)
    return [action.kind for action in made[0]], *made[1:]


def test_one_click_at_an_animal_that_the_refiner_knows():
    kinds, mask, good = clicked(right, NOTHING, 0.8)
    assert (kinds, good) == (["think", "click"], True)
    assert iou(mask, COW) > 0.8


def test_a_part_is_completed():
    kinds, mask, good = clicked(right, COW & (np.arange(160) < 80))
    assert good
    assert kinds.count("click") <= 3
    assert iou(mask, COW) > 0.9


def test_who_gets_nowhere_stops():
    kinds, mask, good = clicked(useless, NOTHING)
    assert (kinds, good) == (["think", "click"], False)
    assert not mask.any()


def test_a_click_that_spoils_it_is_undone():
    before = COW & (np.arange(160) < 90)
    kinds, mask, good = clicked(all_over, before, 0.99)
    assert kinds[-1] == "undo"
    assert not good
    assert (mask == before).all()


def test_nobody_clicks_at_what_is_not_seen_nor_for_ever():
    before = COW & (np.arange(160) < 80)
    assert clicked(right, before, sees=False)[0] == ["think"]
    assert clicked(right, NOTHING, enough=1.1)[0].count("click") <= MOST_CLICKS


def test_some_animals_that_are_there_say_how_large_the_next_one_is():
    hand = Hand(right, PICTURE)
    assert hand.usual == pytest.approx(UNKNOWN * 160)
    for number in range(3):
        rng = np.random.default_rng(number)
        hand.click(NOTHING, COW, lambda *_: True, lambda value: value > 0.9, rng)
    assert hand.usual == pytest.approx(COW.sum() ** 0.5, rel=0.05)


# --- the person -----------------------------------------------------------------------------------

TRAITS = Traits(bias=0.0, notice=1.0)
TARGET = Target("a", "cow", rle_of_mask(COW))


def step_of(answer, shown=()):
    hand = Hand(answer, PICTURE)
    return Annotator(0, TRAITS).review("i", [TARGET], shown, (), 160, hand)[1]


def shown_as(mask):
    return Shown("p", "cow", parts_of_mask(mask), rle_of_mask(mask))


def quality(step):
    return rle_iou(rle_of_parts(step.label.parts, *SIZE), TARGET.rle)


def test_a_missing_animal_is_clicked_and_drawn_where_that_fails():
    quick, slow = step_of(right), step_of(useless)
    assert [action.kind for action in quick.actions] == ["think", "click"]
    assert quality(quick) > 0.9
    assert [action.kind for action in slow.actions] == ["think", "click", "think", "outline"]
    assert quality(slow) == pytest.approx(0.95, abs=0.03)


def test_a_proposal_is_clicked_right_and_keeps_its_id():
    step = step_of(right, [shown_as(ellipse(a=30))])
    kinds = [action.kind for action in step.actions]
    assert kinds[:2] == ["accept", "think"]
    assert set(kinds[2:]) == {"click"}
    assert (step.label.id, quality(step) > 0.87) == ("p", True)


def test_a_hopeless_proposal_is_rejected_and_clicked_anew():
    step = step_of(right, [shown_as(ellipse(100, 60, 30, 20))])
    assert "outline" not in [action.kind for action in step.actions]
    assert (step.label.id, quality(step) > 0.87) == (None, True)


def test_what_clicks_leave_is_repaired_by_hand():
    step = step_of(useless, [shown_as(ellipse(a=28))])
    kinds = {action.kind for action in step.actions}
    assert kinds & {"stroke", "drag", "insert", "outline"}
    assert quality(step) > 0.8


def test_without_a_hand_nothing_is_clicked():
    steps = Annotator(0, TRAITS).review("i", [TARGET], (), (), 160)
    assert {action.kind for action in steps[1].actions} == {"think", "outline"}
    assert STANDARD.seconds(step_of(right).actions) < 0.25 * STANDARD.seconds(steps[1].actions)
    assert SECONDS["click"] == pytest.approx(1.42)
