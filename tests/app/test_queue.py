from __future__ import annotations

from datetime import datetime, timezone

import pytest

from app.queue import Queue
from data_io.geometry import full_image
from data_io.store import NewImage, Store
from data_io.types import ModelVersion, Part, Proposal, ReviewRegion
from model import acquisition


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "project") as opened:
        opened.add_images(
            [NewImage(f"/photos/{g}/{n}.png", 64, 48, f"{g}{n}", g) for g in "ab" for n in "02"]
        )
        yield opened


@pytest.fixture
def queue(store):
    return Queue(store)


def propose(store, image, score, regions=0):
    square = (Part(full_image(4, 4)[0].outer),)
    rows = [
        ReviewRegion("", image, "v1", "edge", square, (0, 0, 4, 4), 0.5, "x")
        for _ in range(regions)
    ]
    store.put_proposal(Proposal(image, "v1", (), "m.png", score), rows)


@pytest.fixture
def uncertain(store, monkeypatch):
    """The rule is past its first rounds, and its noise is gone."""
    monkeypatch.setattr(acquisition, "VERIFIED", 0)
    monkeypatch.setattr(acquisition, "NOISE", 0.0)
    now = datetime.now(timezone.utc)
    store.add_version(ModelVersion("v1", None, "", "", {}, (), "", {}, "promoted", now))


def test_the_first_rounds_cover_every_group_whatever_is_proposed(store, queue):
    one, two, three, four = (record.id for record in store.images())
    propose(store, one, 0.1)
    propose(store, two, 0.9)
    store.save_revision(two, 0, [], full_image(48, 64), "me")
    items = queue.ranked()
    assert [item.image for item in items] == [three, one, four]
    assert "First image of group b" in items[0].why
    assert queue.strategy().startswith("Coverage")
    assert "(now 1 and 0)" in queue.strategy()


def test_a_promotion_alone_changes_the_rule(store, queue, monkeypatch):
    monkeypatch.setattr(acquisition, "VERIFIED", 0)
    one = store.images()[3].id
    propose(store, one, 0.9)
    assert queue.ranked()[0].image != one
    now = datetime.now(timezone.utc)
    store.add_version(ModelVersion("v1", None, "", "", {}, (), "", {}, "promoted", now))
    assert queue.ranked()[0].image == one
    assert queue.strategy().startswith("Uncertainty, round 1")


def test_images_with_uncertain_proposals_come_first_and_verified_ones_never(
    store, queue, uncertain
):
    one, two, three, four = (record.id for record in store.images())
    propose(store, one, 0.1)
    propose(store, two, 0.9, regions=2)
    propose(store, three, 0.95)
    store.save_revision(three, 0, [], full_image(48, 64), "me")
    items = queue.ranked()
    assert [item.image for item in items] == [two, one, four]
    assert items[0].as_dict() == {
        "image": two,
        "name": "2.png",
        "score": 0.9,
        "why": items[0].why,
        "regions": 2,
        "status": "unlabeled",
    }
    assert "2 places" in items[0].why
    assert items[2].score is None
    assert [item.image for item in queue.ranked(1)] == [two]


def test_excluded_images_are_not_in_the_queue(store, queue):
    store.set_excluded(store.images()[0].id, True)
    assert len(queue.ranked()) == 3


def test_next_and_previous_follow_the_queue(store, queue):
    order = [item.image for item in queue.ranked()]
    assert queue.next_image() == order[0]
    assert queue.next_image(order[0]) == order[1]
    assert queue.next_image(order[1], -1) == order[0]
    assert queue.next_image(order[0], -1) is None
    assert queue.next_image(order[-1]) is None


def test_after_an_image_that_left_the_queue_comes_its_front(store, queue):
    gone = queue.ranked()[1].image
    store.save_revision(gone, 0, [], full_image(48, 64), "me")
    assert queue.next_image(gone) == queue.ranked()[0].image


def test_the_outlook_counts_and_looks_ahead_along_the_queue(store, queue, uncertain):
    one, two, three, four = (record.id for record in store.images())
    propose(store, one, 0.1, regions=1)
    propose(store, two, 0.9, regions=2)
    propose(store, three, 0.5, regions=1)
    store.save_revision(four, 0, [], full_image(48, 64), "me")
    ahead = queue.outlook(two, 5)
    assert (ahead.images, ahead.verified, ahead.open_regions) == (4, 1, 4)
    assert {coming.image.id for coming in ahead.coming} == {one, three}
    assert [len(coming.regions) for coming in ahead.coming] == [1, 1]
    assert len(queue.outlook(two, 1).coming) == 1
    last = [item.image for item in queue.ranked()][-1]
    assert queue.outlook(last, 5).coming == ()


def test_the_outlook_leaves_out_skipped_regions(store, queue, uncertain):
    one, two, *_ = (record.id for record in store.images())
    propose(store, one, 0.9)
    propose(store, two, 0.5, regions=2)
    store.answer_region(store.regions(two)[0].id, "skipped")
    (coming,) = queue.outlook(one, 5).coming
    assert len(coming.regions) == 1
