"""Proposals replace each other and their open regions; revisions and answers stay."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sqlalchemy import event

from data_io.errors import DataError
from data_io.geometry import full_image
from data_io.store import ImageState, NewImage, Store
from data_io.types import Category, ImageRecord, Instance, Proposal, ReviewRegion

Animal = Callable[..., Instance]


def region(id: str, image: str = "", score: float = 0.5, version: str = "v1") -> ReviewRegion:
    parts = full_image(7, 9)
    return ReviewRegion(id, image, version, "border", parts, (0.0, 0.0, 9.0, 7.0), score, "unsure")


def proposal(image: ImageRecord, version: str, *herd: Instance, score: float = 0.5) -> Proposal:
    return Proposal(image.id, version, herd, f"artifacts/uncertainty/{version}/x.png", score)


def test_a_proposal_comes_back_and_the_next_replaces_it(
    store: Store, pictures: list[ImageRecord], cow: Category, animal: Animal
) -> None:
    first, second = pictures
    one = animal("p1", cow, source="model", version="v1", score=0.75)
    store.put_proposal(proposal(first, "v1", one, score=0.25))
    store.put_proposal(proposal(second, "v1"))
    stored = store.proposal(first.id)
    assert stored is not None
    assert (stored.version, stored.score) == ("v1", 0.25)
    assert stored.uncertainty == "artifacts/uncertainty/v1/x.png"
    assert stored.instances[0].score == 0.75
    assert np.array_equal(stored.instances[0].parts[0].outer, one.parts[0].outer)
    store.put_proposal(proposal(first, "v2"))
    versions = {id: found.version for id, found in store.proposals().items()}
    assert versions == {first.id: "v2", second.id: "v1"}
    assert store.proposal("ghost") is None


def test_a_proposal_never_touches_revisions_or_verified_areas(
    store: Store, image: ImageRecord, cow: Category, animal: Animal
) -> None:
    store.save_revision(image.id, 0, [animal("mine", cow)], full_image(48, 64), "me")
    store.put_proposal(proposal(image, "v1", animal("theirs", cow)), [region("r")])
    revision = store.revision(image.id)
    assert revision is not None
    assert [one.id for one in revision.instances] == ["mine"]
    assert revision.number == 1
    assert store.image_states()[image.id].verified == "whole"


def test_proposing_takes_no_numbers(
    store: Store, image: ImageRecord, cow: Category, animal: Animal
) -> None:
    """A number is for ever, and a pool is proposed anew by every version."""
    for version in ("v1", "v2"):
        store.put_proposal(proposal(image, version, animal(version, cow)))
    with store._read() as connection:
        query = "SELECT count(*) FROM annotation_numbers"
        assert connection.exec_driver_sql(query).scalar() == 0
    store.save_revision(image.id, 0, [animal("v2", cow)], (), "me")
    assert store.annotation_ids(["v2"]) == {"v2": 1}


def test_open_regions_are_recomputed_and_answered_ones_stay(
    store: Store, image: ImageRecord
) -> None:
    answers = {"kept": "accepted", "mended": "fixed", "later": "skipped"}
    store.put_proposal(proposal(image, "v1"), [region(id) for id in [*answers, "old"]])
    for id, state in answers.items():
        store.answer_region(id, state)  # type: ignore[arg-type]
    store.put_proposal(proposal(image, "v2"), [region("new", version="v2"), region("kept")])
    states = {one.id: one.state for one in store.regions(image.id)}
    assert states == {**answers, "new": "open"}
    assert [one.id for one in store.regions(image.id, "open")] == ["new"]
    assert [one.id for one in store.regions(image.id, "accepted")] == ["kept"]
    with pytest.raises(DataError, match="no longer there"):
        store.region("old")
    with pytest.raises(DataError, match="no longer there"):
        store.answer_region("old", "accepted")


def test_regions_come_back_whole_with_the_highest_score_first(
    store: Store, image: ImageRecord
) -> None:
    store.put_proposal(proposal(image, "v1"), [region("low", score=0.1), region("", score=0.9)])
    high, low = store.regions(image.id)
    assert (high.score, low.score) == (0.9, 0.1)
    assert high.id not in ("", "low")
    assert high.image == low.image == image.id
    assert (low.kind, low.reason, low.version, low.state) == ("border", "unsure", "v1", "open")
    assert low.box == (0.0, 0.0, 9.0, 7.0)
    assert np.array_equal(low.parts[0].outer, full_image(7, 9)[0].outer)
    assert store.region("low").box == low.box


def test_a_region_cannot_be_taken_from_another_image(
    store: Store, pictures: list[ImageRecord]
) -> None:
    first, second = pictures
    store.put_proposal(proposal(first, "v1"), [region("r")])
    with pytest.raises(DataError, match="another image"):
        store.put_proposal(proposal(second, "v1"), [region("r")])
    assert store.region("r").image == first.id
    assert store.proposal(second.id) is None


def test_unknown_images_categories_and_answers_are_refused(
    store: Store, image: ImageRecord, cow: Category, animal: Animal
) -> None:
    store.put_proposal(proposal(image, "v1"), [region("r")])
    with pytest.raises(DataError, match="ghost"):
        store.put_proposal(Proposal("ghost", "v2", (), "x.png", 0.5))
    with pytest.raises(DataError, match="category"):
        store.put_proposal(proposal(image, "v2", animal("p", "ghost")))
    with pytest.raises(DataError, match="id is used twice"):
        store.put_proposal(proposal(image, "v2", animal("p", cow), animal("p", cow)))
    with pytest.raises(DataError, match="no answer"):
        store.answer_region("r", "perhaps")  # type: ignore[arg-type]
    stored = store.proposal(image.id)
    assert stored is not None
    assert stored.version == "v1"
    assert store.region("r").state == "open"


def test_states_follow_saves_proposals_and_answers(
    store: Store, pictures: list[ImageRecord], cow: Category, animal: Animal
) -> None:
    first, second = pictures
    untouched = ImageState(0, 0, "none", None, None, 0)
    assert store.image_states() == {first.id: untouched, second.id: untouched}
    store.save_revision(first.id, 0, [animal("a", cow), animal("b", cow)], (), "me")
    store.put_proposal(proposal(first, "v1", score=0.75), [region("r1"), region("r2")])
    assert store.image_states()[first.id] == ImageState(1, 2, "none", "v1", 0.75, 2)
    half = full_image(24, 64)
    store.save_revision(first.id, 1, [animal("a", cow)], half, "me", answer=("r1", "accepted"))
    assert store.image_states()[first.id] == ImageState(2, 1, "partial", "v1", 0.75, 1)
    store.save_revision(first.id, 2, [], full_image(48, 64), "me")
    store.set_excluded(first.id, True)
    assert store.image_states()[first.id] == ImageState(3, 0, "whole", "v1", 0.75, 1)
    assert store.image_states()[second.id] == untouched


def test_states_of_many_images_take_one_query(store: Store) -> None:
    many = [NewImage(f"images/{n}.jpg", 9, 9, str(n)) for n in range(10_000)]
    for record in store.add_images(many)[::100]:
        store.save_revision(record.id, 0, [], full_image(9, 9), "me")
        store.put_proposal(proposal(record, "v1"), [region("", record.id)])
    queries: list[str] = []

    def count(_c: object, _d: object, statement: str, *_: object) -> None:
        queries.append(statement)

    event.listen(store._engine, "before_cursor_execute", count)
    states = store.image_states()
    assert len([query for query in queries if not query.startswith("BEGIN")]) == 1
    assert len(states) == 10_000
    assert sum(state.revision for state in states.values()) == 100
    assert sum(state.open_regions for state in states.values()) == 100
