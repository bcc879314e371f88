from __future__ import annotations

from model.glances import COST, EVERY_SECONDS, Glances


def test_the_first_look_comes_after_a_while() -> None:
    glances = Glances(100.0)
    assert not glances.due(100.0 + EVERY_SECONDS - 0.1)
    assert glances.due(100.0 + EVERY_SECONDS)


def test_costly_looks_come_seldom() -> None:
    glances = Glances(0.0)
    glances.took(10.0, 13.0)
    assert not glances.due(13.0 + 3.0 / COST - 0.1)
    assert glances.due(13.0 + 3.0 / COST)
    glances.took(200.0, 200.001)
    assert glances.due(200.001 + EVERY_SECONDS)
