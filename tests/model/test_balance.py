from __future__ import annotations

from collections import Counter

import pytest

from data_io.snapshot import SnapshotImage
from model.balance import LEAST_NEW, MOST_NEW, Balanced


def images(count: int) -> list[SnapshotImage]:
    return [SnapshotImage(str(k), "", 8, 8, "", "", None, (), None, False) for k in range(count)]


def drawn(total: int, new: int, crops: int = 400) -> Counter[bool]:
    """How many of the crops show new images, and that each kind's numbers have no gap."""
    fresh = frozenset(str(k) for k in range(new))
    turns = Balanced.of(images(total), fresh)
    numbers: dict[bool, list[int]] = {True: [], False: []}
    for crop in range(crops):
        pool, number = turns.turn(crop)
        numbers[pool[0].id in fresh].append(number)
    for found in numbers.values():
        assert found == list(range(len(found)))
    return Counter({kind: len(found) for kind, found in numbers.items()})


@pytest.mark.parametrize(
    ("total", "new", "share"),
    [(100, 2, LEAST_NEW), (10, 4, 0.4), (10, 9, MOST_NEW), (10, 0, 0.0), (3, 3, 1.0)],
)
def test_new_labels_neither_drown_nor_dominate(total: int, new: int, share: float) -> None:
    assert drawn(total, new)[True] == pytest.approx(400 * share, abs=1)


def test_without_new_labels_the_turns_are_the_pool_as_it_is() -> None:
    pool = images(5)
    assert [Balanced.of(pool, frozenset()).turn(k) for k in range(3)] == [
        (tuple(pool), k) for k in range(3)
    ]
