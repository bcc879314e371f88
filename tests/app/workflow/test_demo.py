from __future__ import annotations

import pytest

from app.workflow import demo, training


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(demo, "LABELED", 2)
    monkeypatch.setattr(demo, "JUDGES", 1)
    monkeypatch.setattr(demo, "UNLABELED", 1)


@pytest.fixture
def trainings(monkeypatch):
    begun = []
    monkeypatch.setattr(
        training, "start_training", lambda store, options: begun.append(options.minutes)
    )
    return begun


def counts(store):
    states = store.image_states().values()
    return len(states), sum(state.verified == "whole" for state in states)


def test_the_demo_is_labeled_in_part_and_made_once(store, trainings):
    assert demo.start_first_training(store) is None
    demo.create(store)
    assert counts(store) == (4, 3)
    assert [category.name for category in store.categories()] == ["cow"]
    labeled = [r for r in store.images() if store.revision(r.id)]
    assert all(store.revision(record.id).instances for record in labeled)
    learned = [record for record in labeled if record.split is None]
    assert len({record.group for record in learned}) == 2  # different cameras
    judges = [record for record in labeled if record.split == "val"]
    assert len(judges) == 1
    demo.create(store, lambda done, total: pytest.fail("it was drawn again"))
    demo.start_first_training(store)
    assert trainings == [demo.FIRST_MINUTES]
    store.create_job("train", {})
    demo.start_first_training(store)
    assert len(trainings) == 1


def test_an_interrupted_creation_is_done_again(store):
    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        demo.create(store, interrupt)
    assert not demo.is_demo(store.project)
    demo.create(store)
    assert counts(store) == (4, 3)
    (store.project / "demo.json").unlink()
    demo.create(store)
    assert counts(store) == (4, 3)
    assert all(numbers in ([], [1]) for numbers in map(store.revision_numbers, ids(store)))


def ids(store):
    return [record.id for record in store.images()]
