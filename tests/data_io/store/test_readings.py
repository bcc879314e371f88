"""Readings: one a revision, exact, in the revision's transaction; marked once taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_io.errors import ConflictError, DataError
from data_io.geometry import full_image
from data_io.store import NewImage, NewReading, Reading, Store
from data_io.types import ImageRecord, Instance

WHOLE = full_image(48, 64)
COUNT = st.integers(0, 2**40)
SECONDS = st.none() | st.floats(0, 3600)
NEW = st.builds(
    NewReading,
    kind=st.sampled_from(["save", "region", "audit", "image"]),
    region=st.none() | st.text(max_size=8),
    seconds=SECONDS,
    version=st.none() | st.just("v1"),
    kept=COUNT,
    changed=COUNT,
    added=COUNT,
    deleted=COUNT,
    pixels_both=COUNT,
    pixels_either=COUNT,
    pixels_wrong=COUNT,
    pixels_caught=COUNT,
    audits=COUNT,
    audits_wrong=COUNT,
    bins=st.lists(st.tuples(COUNT, st.floats(0, 1e12), COUNT), max_size=10).map(tuple),
)


def new_of(reading: Reading) -> NewReading:
    """What was stored, without what the store added."""
    return NewReading(**{name: getattr(reading, name) for name in NewReading.__dataclass_fields__})


def save(store: Store, image: str, base: int, reading: NewReading) -> None:
    store.save_revision(image, base, [], WHOLE, "Ann", reading=reading)


@settings(max_examples=15, deadline=None)
@given(st.lists(NEW, min_size=1, max_size=4))
def test_readings_come_back_as_they_were_in_their_order(made: list[NewReading]) -> None:
    with TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        image = store.add_images([NewImage("a.jpg", 64, 48, "a", "north")])[0].id
        for base, reading in enumerate(made):
            save(store, image, base, reading)
        found = store.readings()
        assert [new_of(one) for one in found] == made
        assert [one.number for one in found] == list(range(1, len(made) + 1))
        assert store.readings_mark() == (len(made), 0)


def test_a_reading_tells_author_and_time_of_its_revision(
    store: Store, pictures: list[ImageRecord]
) -> None:
    before = datetime.now(timezone.utc)
    save(store, pictures[1].id, 0, NewReading(kind="image"))
    save(store, pictures[0].id, 0, NewReading(kind="image"))
    found = store.readings()
    assert [one.image for one in found] == [pictures[1].id, pictures[0].id]
    assert [one.author for one in found] == ["Ann", "Ann"]
    assert before <= found[0].time <= found[1].time <= datetime.now(timezone.utc)
    assert [one.image for one in store.readings(pictures[0].id)] == [pictures[0].id]


def test_a_revision_that_is_refused_leaves_no_reading(
    store: Store, image: ImageRecord, animal: Callable[..., Instance]
) -> None:
    save(store, image.id, 0, NewReading(kind="image", seconds=3.0))
    with pytest.raises(ConflictError):
        save(store, image.id, 0, NewReading(kind="image", seconds=3.0))
    with pytest.raises(DataError):
        store.save_revision(
            image.id, 1, [animal("a", "ghost")], (), "me", reading=NewReading(kind="save")
        )
    assert [one.seconds for one in store.readings()] == [3.0]


def test_a_reading_that_cannot_be_stored_takes_its_revision_along(
    store: Store, image: ImageRecord
) -> None:
    bad = NewReading(kind="image", bins=((1, float("nan"), 0),))
    with pytest.raises(DataError):
        save(store, image.id, 0, bad)
    assert store.revision_numbers(image.id) == []
    assert store.readings() == []


@pytest.mark.parametrize(
    ("region", "marked"),
    [
        ("r1", [2, None, None, None, None]),  # its own answer
        ("r9", [None, None, 2, None, None]),  # answered with the image
        (None, [None, None, 2, None, None]),
    ],
)
def test_an_answer_taken_back_is_marked_and_stays(
    store: Store, pictures: list[ImageRecord], region: str | None, marked: list[int | None]
) -> None:
    first, other = pictures
    kinds = [("region", "r1"), ("audit", "r2"), ("image", None)]
    for base, (kind, name) in enumerate(kinds):
        save(store, first.id, base, NewReading(kind=kind, region=name))  # type: ignore[arg-type]
    save(store, first.id, 3, NewReading(kind="reopen", region=region, seconds=1.0))
    save(store, other.id, 0, NewReading(kind="image"))
    taken = [one.taken_back for one in store.readings()]
    assert taken == [None if mark is None else 4 for mark in marked]
    assert store.readings_mark() == (5, 1)


def test_an_answer_given_again_is_another_one(store: Store, image: ImageRecord) -> None:
    for base, kind in enumerate(["image", "reopen", "image", "reopen"]):
        save(store, image.id, base, NewReading(kind=kind))  # type: ignore[arg-type]
    assert [one.taken_back for one in store.readings()] == [2, None, 4, None]
