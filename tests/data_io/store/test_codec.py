"""Columns give back exactly what went in."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_io.errors import DataError
from data_io.store import codec
from data_io.types import Instance, Part

coordinates = st.floats(allow_nan=False, allow_infinity=False)
rings = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=8).map(np.array)


@settings(max_examples=50, deadline=None)
@given(outer=rings, holes=st.lists(rings, max_size=2))
def test_every_coordinate_survives(outer: np.ndarray, holes: list[np.ndarray]) -> None:
    (back,) = codec.parts_of_blob(codec.parts_to_blob((Part(outer, tuple(holes)),), "test"))
    assert np.array_equal(back.outer, outer)
    assert len(back.holes) == len(holes)
    assert all(np.array_equal(a, b) for a, b in zip(back.holes, holes, strict=True))


def test_a_repeated_first_vertex_is_not_lost() -> None:
    closed = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 0.0]])
    (back,) = codec.parts_of_blob(codec.parts_to_blob((Part(closed),), "test"))
    assert np.array_equal(back.outer, closed)


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": object()}, {1, 2}])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(DataError, match="holds a value that cannot be stored"):
        codec.to_json(value, "thing")


def test_times_are_kept_in_utc() -> None:
    local = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=-5)))
    assert codec.time_of_text(codec.time_to_text(local)) == local
    naive = datetime(2026, 1, 2, 3, 4, 5)
    assert codec.time_of_text(codec.time_to_text(naive)) == naive.replace(tzinfo=timezone.utc)


def test_ids_are_fresh() -> None:
    assert len({codec.new_id() for _ in range(1000)}) == 1000


def test_integers_of_any_size_survive() -> None:
    ring = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0]])
    wide = {"n": 2**64, "m": [-(2**63) - 1, 2**63], "id": "7:12345678901234567890", "x": 1e300}
    stored = codec.instances_to_blob([Instance("a", "cow", (Part(ring),), extras=wide)], "test")
    (back,) = codec.instances_of_blob(stored, {})
    assert back.extras == wide
    assert [type(back.extras["n"]), type(back.extras["m"][1])] == [int, int]
