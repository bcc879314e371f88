"""Revisions: numbered, append-only, exact to the last bit, refused when they start too early."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from data_io.errors import ConflictError, DataError
from data_io.geometry import full_image
from data_io.store import FirstRevision, NewImage, Store, codec
from data_io.store.revisions import _RECENT, verified_state
from data_io.types import Category, ImageRecord, Instance, Part, Parts, Proposal, ReviewRegion

Animal = Callable[..., Instance]
HALF = full_image(24, 64)


def same_parts(a: Parts, b: Parts) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(x.outer, y.outer)
        and len(x.holes) == len(y.holes)
        and all(np.array_equal(p, q) for p, q in zip(x.holes, y.holes, strict=True))
        for x, y in zip(a, b, strict=True)
    )


def test_a_revision_comes_back_bit_for_bit(
    store: Store, image: ImageRecord, cow: Category, animal: Animal
) -> None:
    herd = [
        animal(
            "top",
            cow,
            x=0.1 + 0.2,
            source="edited",
            version="v7",
            score=1 / 3,
            iscrowd=True,
            attributes={"pose": "lying", "n": np.int64(3), "confidence": np.float32(0.5)},
            extras={"keypoints": [1.5, None, {"deep": [True]}], "größe": "ü"},
        ),
        animal("bottom", cow, x=5e-324),
    ]
    before = datetime.now(timezone.utc)
    saved = store.save_revision(
        image.id, 0, herd, HALF, "Ann", rejected=("r2", "r1"), proposal="v7"
    )
    with Store.open(store.project) as other:  # knows nothing but what lies on the disk
        read = other.revision(image.id), other.revision(image.id, 1)
    for revision in (saved, store.revision(image.id), *read):
        assert revision is not None
        assert (revision.image, revision.number, revision.parent) == (image.id, 1, None)
        assert (revision.author, revision.proposal) == ("Ann", "v7")
        assert revision.rejected == ("r2", "r1")
        assert revision.time.utcoffset() == timedelta(0)
        assert before <= revision.time <= datetime.now(timezone.utc)
        assert same_parts(revision.verified, HALF)
        assert [one.id for one in revision.instances] == ["top", "bottom"]
        for mine, stored in zip(herd, revision.instances, strict=True):
            assert same_parts(mine.parts, stored.parts)
            assert stored.parts[0].outer.dtype == np.float64
        first = revision.instances[0]
        assert (first.source, first.version, first.score) == ("edited", "v7", 1 / 3)
        assert first.iscrowd is True
        assert first.attributes == {"pose": "lying", "n": 3, "confidence": 0.5}
        assert [type(value) for value in first.attributes.values()] == [str, int, float]
        assert first.extras == {"keypoints": [1.5, None, {"deep": [True]}], "größe": "ü"}
        assert revision.instances[1].score is None


def test_a_save_tells_what_will_be_read(
    store: Store, image: ImageRecord, cow: Category, animal: Animal
) -> None:
    calf = store.add_category("calf")
    store.merge_categories(calf.id, cow.id)
    herd = [animal("a", calf, attributes={"n": 1}), animal("b", cow)]
    told = store.save_revision(image.id, 0, herd, HALF, "me", rejected=["x"], proposal="v1")
    with Store.open(store.project) as other:
        read = other.revision(image.id)
    assert read is not None
    for name in ("image", "number", "parent", "author", "time", "rejected", "proposal"):
        assert getattr(told, name) == getattr(read, name)
    assert [one.category for one in told.instances] == [cow.id, cow.id]
    for one, other in zip(told.instances, read.instances, strict=True):
        assert (one.id, one.category) == (other.id, other.category)
        assert one.attributes == other.attributes
        assert same_parts(one.parts, other.parts)
    assert same_parts(told.verified, read.verified)


def test_the_last_revisions_stay_decoded_until_categories_are_merged(
    store: Store,
    pictures: list[ImageRecord],
    cow: Category,
    animal: Animal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = pictures
    calf = store.add_category("calf")
    store.save_revision(first.id, 0, [animal("a", calf)], (), "me")
    decoded = []
    decode = codec.instances_of_blob
    monkeypatch.setattr(
        codec, "instances_of_blob", lambda *given: decoded.append(1) or decode(*given)
    )
    assert store.revision(first.id) is store.revision(first.id, 1)
    assert not decoded
    store.merge_categories(calf.id, cow.id)
    merged = store.revision(first.id)
    assert merged is not None
    assert merged.instances[0].category == cow.id
    for number in range(_RECENT):
        store.save_revision(second.id, number, [], (), "me")
    store.revision(first.id)
    assert len(decoded) == 2  # once for the merge, once since others have come since


def test_another_process_s_revision_is_seen(
    store: Store, image: ImageRecord, cow: Category, animal: Animal
) -> None:
    store.save_revision(image.id, 0, [animal("a", cow)], (), "me")
    with Store.open(store.project) as other:
        other.save_revision(image.id, 1, [animal("b", cow)], (), "somebody")
    seen = store.revision(image.id)
    assert seen is not None
    assert (seen.number, seen.author, seen.instances[0].id) == (2, "somebody", "b")


def test_every_revision_stays(
    store: Store, pictures: list[ImageRecord], cow: Category, animal: Animal
) -> None:
    first, second = pictures
    for number in range(4):
        store.save_revision(first.id, number, [animal(f"cow-{number}", cow)], (), "me")
    store.save_revision(second.id, 0, [], full_image(48, 64), "me")
    assert store.revision_numbers(first.id) == [1, 2, 3, 4]
    for number in range(4):
        revision = store.revision(first.id, number + 1)
        assert revision is not None
        assert revision.instances[0].id == f"cow-{number}"
        assert revision.parent == (number or None)
    assert store.revision(first.id, 5) is None
    latest = store.latest_revisions()
    assert {id: revision.number for id, revision in latest.items()} == {first.id: 4, second.id: 1}
    assert latest[second.id].instances == ()


def test_an_image_nobody_saved_has_no_revision(store: Store, image: ImageRecord) -> None:
    assert store.revision(image.id) is None
    assert store.revision_numbers(image.id) == []
    assert store.latest_revisions() == {}


@pytest.mark.parametrize("base", [0, 1, 3, -1])
def test_a_save_from_another_revision_is_a_conflict(
    store: Store, image: ImageRecord, cow: Category, animal: Animal, base: int
) -> None:
    store.save_revision(image.id, 0, [], (), "me")
    store.save_revision(image.id, 1, [], (), "me")
    with pytest.raises(ConflictError) as caught:
        store.save_revision(image.id, base, [animal("late", cow)], (), "you")
    assert (caught.value.image, caught.value.base, caught.value.current) == (image.id, base, 2)
    assert store.revision_numbers(image.id) == [1, 2]


def test_what_cannot_be_stored_is_refused_and_changes_nothing(
    store: Store, image: ImageRecord, cow: Category, animal: Animal
) -> None:
    nan = Instance("n", cow.id, (Part(np.array([[0, 0], [np.nan, 1], [2, 2]])),))
    bad: list[list[Instance]] = [
        [nan],
        [Instance("e", cow.id, ())],
        [animal("", cow)],
        [animal("twin", cow), animal("twin", cow)],
        [animal("stray", "ghost")],
        [animal("odd", cow, attributes={"weight": float("nan")})],
        [animal("odder", cow, extras={"what": object()})],
        [animal("worst", cow, score=float("inf"))],
    ]
    for herd in bad:
        with pytest.raises(DataError):
            store.save_revision(image.id, 0, herd, (), "me")
    with pytest.raises(DataError, match="verified area"):
        store.save_revision(image.id, 0, [], nan.parts, "me")
    with pytest.raises(DataError, match="ghost"):
        store.save_revision("ghost", 0, [], (), "me")
    assert store.revision_numbers(image.id) == []


@pytest.mark.parametrize(
    ("verified", "state"),
    [
        ((), "none"),
        (HALF, "partial"),
        (full_image(48, 64), "whole"),
        (full_image(48, 63), "partial"),
        ((*HALF, *full_image(48, 64)), "whole"),
        ((Part(full_image(24, 64)[0].outer + np.array([0.0, 24.0])), *HALF), "whole"),
        ((Part(np.array([[1.1, 1.1], [1.2, 1.1], [1.2, 1.2]])),), "none"),
        ((Part(full_image(48, 64)[0].outer, (full_image(9, 9)[0].outer + 3.0,)),), "partial"),
    ],
)
def test_whole_means_every_pixel(verified: Parts, state: str) -> None:
    assert verified_state(verified, 64, 48) == state


def region(id: str, image: str) -> ReviewRegion:
    return ReviewRegion(id, image, "v1", "border", HALF, (0.0, 0.0, 64.0, 24.0), 0.5, "unsure")


def test_an_answer_and_its_edit_are_one_transaction(
    store: Store, pictures: list[ImageRecord], cow: Category, animal: Animal
) -> None:
    first, second = pictures
    for number, picture in enumerate(pictures):
        proposal = Proposal(picture.id, "v1", (), "m.png", 0.5)
        store.put_proposal(proposal, [region(f"r{number}", picture.id)])
    for answer in [("r1", "fixed"), ("ghost", "fixed"), ("r0", "mended")]:
        with pytest.raises(DataError, match="region"):
            store.save_revision(first.id, 0, [], (), "me", answer=answer)  # type: ignore[arg-type]
    assert store.revision_numbers(first.id) == []
    assert store.region("r1").state == "open"  # it belongs to the other image
    with pytest.raises(ConflictError):
        store.save_revision(first.id, 9, [], (), "me", answer=("r0", "fixed"))
    assert store.region("r0").state == "open"
    store.save_revision(first.id, 0, [animal("a", cow)], HALF, "me", answer=("r0", "fixed"))
    assert store.region("r0").state == "fixed"
    assert store.revision_numbers(first.id) == [1]
    assert store.revision_numbers(second.id) == []


def test_a_training_view_holds_all_of_one_moment(
    store: Store, image: ImageRecord, cow: Category, animal: Animal
) -> None:
    store.save_revision(image.id, 0, [animal("a", cow)], HALF, "me")
    store.set_excluded(image.id, True)
    categories, images, revisions = store.training_view()
    assert categories == [cow]
    assert images == store.images(include_excluded=True)
    assert set(revisions) == {image.id}


def test_first_revisions_of_many_images_come_whole_or_not_at_all(
    store: Store, cow: Category, animal: Callable[..., Instance]
) -> None:
    images = store.add_images([NewImage(f"{k}.jpg", 64, 48, str(k), "north") for k in range(3)])
    frame = full_image(48, 64)
    batch = [FirstRevision(one.id, [animal(f"a{one.id}", cow)], frame) for one in images]
    store.save_revision(images[2].id, 0, [], (), "me")
    with pytest.raises(ConflictError):
        store.save_first_revisions(batch, "import")
    assert [store.revision_numbers(one.id) for one in images] == [[], [], [1]]
    store.save_first_revisions(batch[:2], "import")
    revision = store.revision(images[0].id)
    assert revision is not None
    assert (revision.number, revision.parent, revision.author) == (1, None, "import")
    assert store.image_states()[images[0].id].verified == "whole"
    assert list(store.annotation_ids([f"a{one.id}" for one in images[:2]]).values()) == [1, 2]
    with pytest.raises(DataError, match="ghost"):
        store.save_first_revisions([FirstRevision("ghost", [], ())], "import")
