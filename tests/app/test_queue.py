from __future__ import annotations

import pytest

from app import queue
from data_io.geometry import full_image
from data_io.store import NewImage, Store
from data_io.types import Part, Proposal, ReviewRegion


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "project") as opened:
        opened.add_images(
            [NewImage(f"/photos/{g}/{n}.png", 64, 48, f"{g}{n}", g) for g in "ab" for n in "02"]
        )
        yield opened


def propose(store, image, score, regions=0):
    square = (Part(full_image(4, 4)[0].outer),)
    rows = [
        ReviewRegion("", image, "v1", "edge", square, (0, 0, 4, 4), 0.5, "x")
        for _ in range(regions)
    ]
    store.put_proposal(Proposal(image, "v1", (), "m.png", score), rows)


def test_images_with_uncertain_proposals_come_first_and_verified_ones_never(store):
    one, two, three, four = (record.id for record in store.images())
    propose(store, one, 0.1)
    propose(store, two, 0.9, regions=2)
    propose(store, three, 0.95)
    store.save_revision(three, 0, [], full_image(48, 64), "me")
    items = queue.ranked(store)
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
    assert [item.image for item in queue.ranked(store, 1)] == [two]


def test_excluded_images_are_not_in_the_queue(store):
    store.set_excluded(store.images()[0].id, True)
    assert len(queue.ranked(store)) == 3


def test_next_and_previous_follow_the_queue(store):
    order = [item.image for item in queue.ranked(store)]
    assert queue.next_image(store) == order[0]
    assert queue.next_image(store, order[0]) == order[1]
    assert queue.next_image(store, order[1], -1) == order[0]
    assert queue.next_image(store, order[0], -1) is None
    assert queue.next_image(store, order[-1]) is None


def test_after_an_image_that_left_the_queue_comes_its_front(store):
    gone = queue.ranked(store)[1].image
    store.save_revision(gone, 0, [], full_image(48, 64), "me")
    assert queue.next_image(store, gone) == queue.ranked(store)[0].image
