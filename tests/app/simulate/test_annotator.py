"""The person's flaws, at their stated rates."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from app.simulate.annotator import Annotator, Shown, Target, Traits
from app.simulate.clock import STANDARD
from data_io.geometry import parts_of_rle, rle_iou, rle_of_mask, rle_of_parts

SIZE = (80, 120)
MANY = 400
DRAWS = Traits(hopeless=1.0)  # draws anew what is not accepted, which is quicker to simulate


def ellipse(center=(60, 40), axes=(30, 18)):
    mask = np.zeros(SIZE, np.uint8)
    cv2.ellipse(mask, center, axes, 0, 0, 360, 1, -1)
    return rle_of_mask(mask)


def shown_as(rle, category="cow", id="p"):
    return Shown(id, category, parts_of_rle(rle), rle)


TARGET = ellipse()
WRONG = ellipse((66, 40))  # IoU .78


def review(key, shown, highlights=(), traits=None, rle=TARGET):
    annotator = Annotator(0, traits or Traits())
    return annotator.review("i", [Target(key, "cow", rle)], shown, highlights, 120)


def label_of(steps, key):
    return next(step.label for step in steps if step.key == key)


def test_wrong_proposals_are_accepted_at_the_stated_rate():
    assert rle_iou(WRONG, TARGET) < 0.8
    kept = 0
    for k in range(MANY):
        label = label_of(review(f"a{k}", [shown_as(WRONG)], (), DRAWS), f"a{k}")
        kept += label.id == "p" and rle_iou(rle_of_parts(label.parts, *SIZE), WRONG) == 1
    assert kept / MANY == pytest.approx(0.1, abs=0.045)  # three sigma


def test_perfect_proposals_are_accepted_as_they_are():
    step = review("a", [shown_as(TARGET)])[1]
    assert rle_iou(rle_of_parts(step.label.parts, *SIZE), TARGET) == 1
    assert [action.kind for action in step.actions] == ["accept"]


def test_a_belief_near_the_threshold_errs_both_ways():
    near = ellipse((63, 40))
    truth = rle_iou(near, TARGET)
    traits = Traits(accepts=truth, bias=0.0, hopeless=1.0)
    kept = [review(f"a{k}", [shown_as(near)], (), traits)[1].label.id == "p" for k in range(MANY)]
    assert np.mean(kept) == pytest.approx(0.5, abs=0.075)


@pytest.mark.parametrize(("highlights", "rate"), [((), 0.6), ((TARGET,), 1.0)])
def test_missing_animals_are_noticed_at_the_stated_rate(highlights, rate):
    seen = [label_of(review(f"a{k}", [], highlights), f"a{k}") is not None for k in range(MANY)]
    assert np.mean(seen) == pytest.approx(rate, abs=0.075)


def test_a_highlight_costs_a_glance_wherever_it_is():
    elsewhere = ellipse((12, 10), (8, 6))
    steps = review("a", [shown_as(TARGET)], [TARGET, elsewhere])
    assert [action.kind for action in steps[1].actions] == ["glance", "accept"]
    assert (steps[2].key, [a.kind for a in steps[2].actions]) == (None, ["glance"])


@pytest.mark.parametrize(("highlights", "rate"), [((), 0.54), ((TARGET,), 0.9)])
def test_false_alarms_are_rejected_when_seen(highlights, rate):
    rejected = 0
    for k in range(MANY):
        annotator = Annotator(k)
        steps = annotator.review("i", [], [shown_as(TARGET)], highlights, 120)
        assert [action.kind for action in steps[1].actions] == ["accept"]
        rejected += steps[1].label is None
    assert rejected / MANY == pytest.approx(rate, abs=0.075)


def test_hopeless_proposals_are_drawn_anew():
    half = ellipse((85, 40))
    traits = Traits(bias=0.0)
    step = review("a", [shown_as(half)], (), traits)[1]
    assert [action.kind for action in step.actions] == ["accept", "think", "outline"]
    assert step.label.id is None


def test_unseen_errors_stay():
    step = review("a", [shown_as(WRONG)], (), Traits(bias=0.0, notice=0.0))[1]
    assert rle_iou(rle_of_parts(step.label.parts, *SIZE), WRONG) == 1


def test_who_has_repaired_something_looks_again():
    """Half of the errors are seen at a look: both at the first one in a quarter of the cases."""
    traits, mended = Traits(bias=0.0, notice=0.5), 0
    for k in range(120):
        step = review(f"a{k}", [shown_as(WRONG)], (), traits)[1]
        made = rle_of_parts(step.label.parts, *SIZE)
        mended += step.label.id == "p" and rle_iou(made, TARGET) > 0.88
    assert mended / 120 > 0.38


def test_repairs_make_labels_better_and_cost_less_than_drawing():
    traits = Traits(bias=0.0, notice=1.0)
    better = 0
    for k in range(6):
        step = review(f"a{k}", [shown_as(WRONG)], (), traits)[1]
        assert STANDARD.seconds(step.actions) < 60
        made = rle_of_parts(step.label.parts, *SIZE)
        better += rle_iou(made, TARGET) > rle_iou(WRONG, TARGET)
    assert better == 6


def test_another_category_takes_a_second_decision():
    step = review("a", [shown_as(TARGET, "calf")])[1]
    assert [action.kind for action in step.actions] == ["accept", "accept"]
    assert step.label.category == "cow"


def test_the_same_person_does_the_same():
    first, second = (review("a", [shown_as(WRONG)], [WRONG]) for _ in range(2))
    assert [step.actions for step in first] == [step.actions for step in second]


def test_the_label_depends_on_what_the_person_sees_and_not_on_the_truth():
    """Two truths with one target: nothing of them can be told apart in what is stored."""
    annotator = Annotator(3)
    target = annotator.target("a", "cow", TARGET)
    assert rle_iou(target.rle, TARGET) == pytest.approx(0.95, abs=0.01)
    for steps in (
        annotator.draw_all("i", [target]),
        annotator.review("i", [target], [shown_as(WRONG)], [WRONG, TARGET], 120),
    ):
        made = rle_of_parts(steps[1].label.parts, *SIZE)
        assert rle_iou(made, TARGET) < 0.99
        assert rle_iou(made, target.rle) < 1
