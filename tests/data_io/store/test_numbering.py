"""Annotation numbers: one for each instance, for ever."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from data_io.store import Store
from data_io.types import Category, ImageRecord, Instance, Proposal


def test_numbers_are_stable_and_never_reused(
    store: Store,
    image: ImageRecord,
    cow: Category,
    animal: Callable[..., Instance],
    project: Path,
) -> None:
    store.save_revision(image.id, 0, [animal("a", cow), animal("b", cow)], (), "me")
    store.put_proposal(Proposal(image.id, "v1", (animal("p", cow),), "m.png", 0.5))
    first = store.annotation_ids(["b", "p", "a"])
    assert list(first) == ["b", "p", "a"]
    assert sorted(first.values()) == [1, 2, 3]
    store.save_revision(image.id, 1, [animal("c", cow)], (), "me")  # a and b are deleted
    store.put_proposal(Proposal(image.id, "v2", (animal("q", cow),), "m.png", 0.5))
    later = store.annotation_ids(["a", "b", "c", "p", "q"])
    assert len(set(later.values())) == 5
    assert {id: later[id] for id in first} == first
    store.close()
    with Store.open(project) as opened:
        assert opened.annotation_ids(["q", "a"]) == {"q": later["q"], "a": later["a"]}


def test_ids_never_saved_get_a_number_too(store: Store) -> None:
    many = [f"instance {n}" for n in range(2500)]
    numbers = store.annotation_ids([*many, *many])
    assert list(numbers) == many
    assert sorted(numbers.values()) == list(range(1, 2501))
    assert store.annotation_ids(many) == numbers
    assert store.annotation_ids([]) == {}
