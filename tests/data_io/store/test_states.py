"""Where images stand: every change is noticed, whoever makes it, and nothing else is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path

import pytest
from sqlalchemy import event

from data_io.geometry import full_image
from data_io.store import ImageState, NewImage, Store
from data_io.types import Category, ImageRecord, Instance, Proposal, ReviewRegion

Animal = Callable[..., Instance]


def proposal(image: str, score: float = 0.5) -> Proposal:
    return Proposal(image, "v1", (), "map.png", score)


def region(id: str, image: str) -> ReviewRegion:
    return ReviewRegion(id, image, "v1", "edge", full_image(4, 4), (0, 0, 4, 4), 0.5, "unsure")


def pair() -> list[ReviewRegion]:
    return [region("s", ""), region("t", "")]


def told(state: ImageState) -> tuple[object, ...]:
    """Revision, animals, verified, version, score, open regions."""
    return astuple(state)[6:12]


@contextmanager
def queries(store: Store) -> Iterator[list[str]]:
    """What the store asks its database meanwhile."""
    asked: list[str] = []

    def note(_c: object, _d: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            asked.append(statement)

    event.listen(store._engine, "before_cursor_execute", note)
    yield asked
    event.remove(store._engine, "before_cursor_execute", note)


def test_states_follow_saves_proposals_and_answers(
    store: Store, pictures: list[ImageRecord], cow: Category, animal: Animal
) -> None:
    first, second = pictures
    untouched = (0, 0, "none", None, None, 0)
    assert [told(one) for one in store.image_states().values()] == [untouched] * 2
    store.save_revision(first.id, 0, [animal("a", cow), animal("b", cow)], (), "me")
    store.put_proposal(proposal(first.id, 0.75), [region("r1", ""), region("r2", "")])
    assert told(store.image_states()[first.id]) == (1, 2, "none", "v1", 0.75, 2)
    half = full_image(24, 64)
    store.save_revision(first.id, 1, [animal("a", cow)], half, "me", answer=("r1", "accepted"))
    assert told(store.image_states()[first.id]) == (2, 1, "partial", "v1", 0.75, 1)
    store.save_revision(first.id, 2, [], full_image(48, 64), "me")
    store.set_excluded(first.id, True)
    state = store.image_states()[first.id]
    assert told(state) == (3, 0, "whole", "v1", 0.75, 1)
    assert (state.path, state.group, state.excluded) == ("images/a.jpg", "north", True)
    assert told(store.image_states()[second.id]) == untouched


def relinked(store: Store, image: str) -> None:
    (store.project / "images" / "a.jpg").rename(store.project / "a.jpg")
    assert store.relink(store.project / "images", store.project) == 1


CHANGES: dict[str, Callable[[Store, str], object]] = {
    "save": lambda store, image: store.save_revision(image, 0, [], full_image(48, 64), "me"),
    "proposal": lambda store, image: store.put_proposal(proposal(image, 0.25)),
    "regions": lambda store, image: store.put_proposal(proposal(image), pair()),
    "answer": lambda store, image: store.answer_region("r", "skipped"),
    "excluded": lambda store, image: store.set_excluded(image, True),
    "split": lambda store, image: store.set_split(image, "val"),
    "splits": lambda store, image: store.set_splits({image: "test"}),
    "import": lambda store, image: store.add_images([NewImage("new.jpg", 9, 9, "new")]),
    "replaced": lambda store, image: store.add_images([NewImage("images/a.jpg", 9, 9, "new")]),
    "relinked": relinked,
}


@pytest.mark.parametrize("other", [False, True], ids=["here", "elsewhere"])
@pytest.mark.parametrize("change", list(CHANGES))
def test_every_change_is_noticed_whoever_makes_it(project: Path, change: str, other: bool) -> None:
    file = project / "images" / "a.jpg"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    with Store.open(project) as store, Store.open(project) as writer:
        image = store.add_images([NewImage("images/a.jpg", 64, 48, empty)])[0].id
        store.put_proposal(proposal(image), [region("r", "")])
        before = store.image_states()
        CHANGES[change](writer if other else store, image)
        now = store.image_states()
        assert now != before
        with Store.open(project) as fresh:
            assert list(now.items()) == list(fresh.image_states().items())


def test_only_what_changed_is_read(store: Store) -> None:
    many = [NewImage(f"images/{n}.jpg", 9, 9, str(n)) for n in range(10_000)]
    records = store.add_images(many)
    for record in records[::100]:
        store.save_revision(record.id, 0, [], full_image(9, 9), "me")
        store.put_proposal(proposal(record.id), [region("", record.id)])
    with queries(store) as asked:
        states = store.image_states()
        assert len(asked) == 2
        assert store.image_states() is states
        assert len(asked) == 3
    assert len(states) == 10_000
    assert sum(state.revision for state in states.values()) == 100
    assert sum(state.open_regions for state in states.values()) == 100
    store.set_excluded(records[7].id, True)
    now = store.image_states()
    assert [id for id, one in now.items() if one is not states[id]] == [records[7].id]
    assert not states[records[7].id].excluded
