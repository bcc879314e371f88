"""Seconds of a review region by hand."""

from __future__ import annotations

import pytest

from model.review_cost import ANSWER, review_seconds


def test_a_look_and_an_answer_are_what_every_region_costs() -> None:
    assert pytest.approx(1.55) == ANSWER
    for kind in ("boundary", "possible miss", "possible false alarm", "split or merge"):
        assert review_seconds(kind, 0.0, 100, 1000) == ANSWER


def test_a_fix_by_hand() -> None:
    # 100 of 1000 pixels are 2.5 cm of the screen
    stroke = 1.10 + 0.20 + 0.9 + 0.16 * 2.5
    assert review_seconds("boundary", 1.0, 100, 1000) == pytest.approx(1.55 + stroke)
    assert review_seconds("split or merge", 0.5, 100, 1000) == pytest.approx(1.55 + stroke / 2)
    assert review_seconds("possible miss", 1.0, 999, 1000) == pytest.approx(1.55 + 1.30 + 1.35)
    assert review_seconds("possible false alarm", 1.0, 999, 1000) == pytest.approx(1.55 + 0.20)
