"""Prices are those of the protocol, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from app.simulate.clock import CLOCKS, STANDARD, Action, between, noisy, total


@pytest.mark.parametrize(
    ("actions", "seconds"),
    [
        ([Action("accept")], 1.55),  # M + K
        ([Action("glance")], 1.35),  # M
        ([Action("drag")], 2.40),  # 2 P + 2 B
        ([Action("insert")], 3.70),  # a click on the edge, 1.30, and a drag
        ([Action("delete")], 1.50),  # P + 2 B + K
        ([Action("drag", 1.3)], 3.12),  # not the best of all edits
        ([Action("stroke"), Action("draw", 10)], 5.15),  # M + P + 2 B + .9 + .16 * 10 cm
        ([Action("open"), Action("scan", 3)], 5.0),
        ([Action("think"), Action("outline", 45)], 36.45),  # goats in Labelme: 36.34
        ([Action("accept", noise=2.0)], 3.10),
    ],
)
def test_prices(actions, seconds):
    assert STANDARD.seconds(actions) == pytest.approx(seconds)


def test_other_clocks_price_the_same_actions():
    actions = [Action("open"), Action("accept"), Action("outline", 10)]
    prices = {name: clock.seconds(actions) for name, clock in CLOCKS.items()}
    assert prices == pytest.approx(
        {
            "x1": 2 + 1.55 + 7.8,
            "x1/2": (2 + 1.55 + 7.8) / 2,
            "x2": 2 * (2 + 1.55 + 7.8),
            "help x1/2": 2 + 1.55 / 2 + 7.8,
            "help x2": 2 + 2 * 1.55 + 7.8,
        }
    )


def test_a_sequence_is_cut_in_the_middle_of_an_action():
    actions = [Action("open"), Action("outline", 10, 0.5), Action("accept")]  # 2 + 3.9 + 1.55
    first, second = between(actions, 0, 3.95), between(actions, 3.95, 100)
    assert first == pytest.approx({"open": 1.0, "outline": 2.5})
    assert second == pytest.approx({"outline": 2.5, "accept": 1.0})
    assert STANDARD.price(first) == pytest.approx(3.95)


def test_the_noise_leaves_the_mean():
    many = noisy([Action("accept")] * 4000, np.random.default_rng(0))
    factors = np.array([action.noise for action in many])
    assert total(many)["accept"] / 4000 == pytest.approx(1.0, abs=0.02)
    assert np.log(factors).std() == pytest.approx(0.3, abs=0.02)
