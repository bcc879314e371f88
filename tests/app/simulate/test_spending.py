"""What seconds went into, worked out by hand."""

from __future__ import annotations

import pytest

from app.simulate.clock import STANDARD
from app.simulate.spending import PURPOSES, spending


def animal(*kinds):
    return {"actions": [[kind, 1.0, 1.0] for kind in kinds]}


def test_thinking_belongs_to_what_followed():
    drawn = animal("glance", "accept", "drag", "think", "outline")
    moved = animal("accept", "think", "drag", "stroke")
    other = [["open", 1.0, 1.0], ["scan", 2.0, 1.0], ["accept", 1.0, 1.0]]
    spent = spending([{"animals": [drawn, moved], "other": other}], 7.0, STANDARD)
    assert spent == pytest.approx(
        {
            "look": (2.0 + 2 * 1.0) / 2,
            "glance": 1.35 / 2,
            "accept": 3 * 1.55 / 2,
            "repair": (2 * 2.40 + 1.35 + 3.55) / 2,
            "outline": (1.35 + 0.78) / 2,
            "failed": 7.0 / 2,
        }
    )
    assert tuple(spent) == PURPOSES


def test_without_animals_there_is_nothing_to_share():
    assert spending([{"animals": [], "other": [["open", 1.0, 1.0]]}], 0.0, STANDARD) is None
