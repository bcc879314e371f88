"""The hand: jitter at the stated agreement, strokes and vertices that repair."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from app.simulate.clock import STANDARD
from app.simulate.shapes import (
    Screen,
    brushed,
    errors,
    iou,
    jittered,
    outlined,
    reshaped,
    vertices_for,
)
from data_io.geometry import mask_of_rle, rle_iou, rle_of_mask, rle_of_parts

SCREEN = Screen(1000)


def ellipse(width=60, height=35, center=(100, 80)):
    mask = np.zeros((160, 200), np.uint8)
    cv2.ellipse(mask, center, (width, height), 20, 0, 360, 1, -1)
    return mask > 0


@pytest.mark.parametrize("agreement", [0.91, 0.95, 0.98])
def test_the_target_agrees_with_the_truth_as_stated(agreement):
    truth = rle_of_mask(ellipse())
    found = [rle_iou(jittered(truth, agreement, np.random.default_rng(k)), truth) for k in range(8)]
    assert found == pytest.approx([agreement] * 8, abs=0.002)


def test_targets_of_two_people_differ():
    truth = rle_of_mask(ellipse())
    a, b = (jittered(truth, 0.95, np.random.default_rng(seed)) for seed in (1, 2))
    assert rle_iou(a, b) < 0.98


def test_an_animal_of_a_few_pixels_has_a_target():
    mask = np.zeros((20, 20), np.bool_)
    mask[5:8, 5:8] = True
    assert mask_of_rle(jittered(rle_of_mask(mask), 0.95, np.random.default_rng(0))).any()


def test_an_outline_from_scratch_is_as_good_as_asked_and_no_copy():
    target = rle_of_mask(ellipse())
    parts = outlined(target, 0.95)
    assert 0.95 <= rle_iou(rle_of_parts(parts, 160, 200), target) < 1
    assert 5 < vertices_for(parts) <= 45


def test_errors_are_told_apart_by_sign_and_slivers_are_none():
    target = ellipse()
    shown = target.copy()
    shown[:, :60] = False
    shown[10:20, 10:20] = True
    shown |= cv2.dilate(shown.astype(np.uint8), np.array([[0, 1, 0]], np.uint8)) > 0
    shown[100, 10:40] = True  # one pixel high
    kinds = [(error.missing, error.area) for error in errors(shown, target)]
    assert [missing for missing, _ in kinds] == [True, False]
    assert kinds[1][1] == 100


def test_a_stroke_puts_most_of_a_bite_right():
    target = ellipse()
    shown = target & ~ellipse(20, 8, (70, 60))
    (error,) = errors(shown, target)
    repair = brushed(shown, error, SCREEN, None)
    assert iou(repair.mask, target) > iou(shown, target)
    assert np.count_nonzero(error.mask & repair.mask) > 0.6 * error.area
    assert repair.actions[0].kind == "stroke"
    assert 0 < repair.actions[1].amount < SCREEN.cm(60)


def test_the_hand_trembles():
    target = ellipse()
    shown = target & ~ellipse(20, 8, (70, 60))
    (error,) = errors(shown, target)
    made = {
        brushed(shown, error, SCREEN, np.random.default_rng(k)).mask.tobytes() for k in range(12)
    }
    assert 3 < len(made) <= 12


def test_vertices_repair_a_dent():
    target = ellipse()
    shown = target & ~ellipse(18, 18, (60, 60))
    error = errors(shown, target)[0]
    thought, first = reshaped(shown, target, error, True), reshaped(shown, target, error, False)
    assert thought is not None
    assert first is not None
    assert iou(thought.mask, target) > iou(shown, target) + 0.02
    assert {action.kind for action in thought.actions} <= {"drag", "insert", "delete"}
    assert {action.amount for action in thought.actions} == {1.3}
    seconds = STANDARD.seconds(first.actions) - STANDARD.seconds(thought.actions)
    assert seconds == pytest.approx(1.35)
