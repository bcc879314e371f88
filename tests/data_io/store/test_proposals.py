"""Proposals replace each other and their open regions; revisions and answers stay."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from data_io.errors import DataError
from data_io.geometry import full_image
from data_io.store import Store
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
