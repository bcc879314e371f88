from __future__ import annotations

import pytest

from app.workflow import documents, review
from data_io.errors import ConflictError, DataError
from data_io.geometry import area_of_rle, parts_to_json, rle_of_parts

SIZE = (48, 64)  # height, width of every photo


def sent(*instances, **more):
    rows = [
        {
            "id": one.id,
            "category": one.category,
            "parts": parts_to_json(one.parts),
            "source": one.source,
            "attributes": dict(one.attributes),
        }
        for one in instances
    ]
    return {"instances": rows, "rejected": [], **more}


def verified(project, image):
    return area_of_rle(rle_of_parts(project.revision(image).verified, *SIZE))


def states(project, image):
    return {region.id: region.state for region in project.regions(image)}


@pytest.fixture
def image(project):
    return project.images()[0].id


@pytest.fixture
def accepted(project, image, animal, propose, box):
    """A proposed cow, two regions, both accepted: revisions 1 and 2."""
    cow = animal(2, 2, 20, 20, source="model", version="v1", score=0.9)
    propose(image, (cow,), {"edge": box(18, 2, 8, 8), "empty": box(40, 20, 6, 6)})
    for base, region in enumerate(("edge", "empty")):
        body = {"action": "accept", "rejected": []}
        review.answer_region(project, image, region, base, body, "me")
    return cow


def reopen(project, image, region, base, *instances):
    body = sent(*instances, action="reopen")
    return review.answer_region(project, image, region, base, body, "me")


def test_reopening_takes_the_area_back_and_keeps_the_animal(project, image, accepted):
    assert (verified(project, image), states(project, image)["edge"]) == (100, "accepted")
    shown = reopen(project, image, "edge", 2, accepted)
    assert (shown["revision"], shown["status"]) == (3, "partial")
    assert states(project, image) == {"edge": "open", "empty": "accepted"}
    assert verified(project, image) == 36
    assert [row["id"] for row in shown["instances"]] == [accepted.id]
    assert project.revision(image, 2).verified  # what was there is there


def test_a_reopening_sent_again_adds_nothing(project, image, accepted):
    reopen(project, image, "edge", 2, accepted)
    assert reopen(project, image, "edge", 2, accepted)["revision"] == 3


def test_a_reopening_sent_again_is_known_though_others_answered_since(project, image, accepted):
    reopen(project, image, "edge", 2, accepted)
    again = sent(accepted, action="accept")
    review.answer_region(project, image, "edge", 3, again, "me")
    assert reopen(project, image, "edge", 2, accepted)["revision"] == 4
    assert (verified(project, image), states(project, image)["edge"]) == (100, "accepted")
    documents.accept_image(project, image, 4, sent(accepted, version="v1"), "me")
    review.reopen_image(project, image, 5, sent(accepted), "me")
    documents.accept_image(project, image, 6, sent(accepted, version="v1"), "me")
    assert review.reopen_image(project, image, 5, sent(accepted), "me")["revision"] == 7
    assert project.revision_numbers(image) == list(range(1, 8))


def test_edits_sent_with_a_reopening_of_what_others_have_reopened_are_not_lost(
    project, image, animal
):
    cow, calf = animal(5, 5, 9, 9), animal(30, 30, 8, 8)
    documents.accept_image(project, image, 0, sent(cow, version=None), "me")
    review.reopen_image(project, image, 1, sent(cow), "me")
    with pytest.raises(ConflictError):
        review.reopen_image(project, image, 1, sent(cow, calf), "me")
    shown = review.reopen_image(project, image, 2, sent(cow, calf), "me")
    assert (shown["revision"], shown["status"], len(shown["instances"])) == (3, "draft", 2)


def test_reopening_from_an_old_revision_is_a_conflict(project, image, accepted, animal):
    with pytest.raises(ConflictError):
        reopen(project, image, "edge", 1, animal(30, 30, 5, 5))
    assert project.revision_numbers(image) == [1, 2]
    assert states(project, image)["edge"] == "accepted"


def test_a_region_that_is_gone_cannot_be_reopened(project, image, accepted):
    with pytest.raises(DataError, match="no longer there"):
        reopen(project, image, "nowhere", 2, accepted)


def test_a_region_of_replaced_proposals_loses_its_area_but_stays_answered(
    project, image, accepted, propose, box
):
    propose(image, (), {"later": box(30, 2, 8, 8)}, version="v2")
    reopen(project, image, "edge", 2, accepted)
    assert verified(project, image) == 36
    assert states(project, image) == {"edge": "accepted", "empty": "accepted", "later": "open"}


def test_an_accepted_image_goes_back_to_what_was_verified_before(
    project, image, animal, propose, box
):
    cow = animal(2, 2, 20, 20, source="model", version="v1", score=0.9)
    propose(image, (cow,), {"edge": box(18, 2, 8, 8), "empty": box(40, 20, 6, 6)})
    review.answer_region(project, image, "edge", 0, {"action": "accept"}, "me")
    documents.accept_image(project, image, 1, sent(cow, version="v1"), "me")
    documents.save(project, image, 2, sent(cow, animal(50, 30, 9, 9)), "me")  # still whole
    assert states(project, image) == {"edge": "accepted", "empty": "accepted"}
    shown = review.reopen_image(project, image, 3, sent(cow), "me")
    assert (shown["revision"], shown["status"]) == (4, "partial")
    assert verified(project, image) == 64
    assert states(project, image) == {"edge": "accepted", "empty": "open"}
    again = review.reopen_image(project, image, 3, sent(cow), "me")
    assert again["revision"] == 4


def test_an_image_that_was_whole_from_the_start_is_a_draft_again(project, image, animal):
    documents.accept_image(project, image, 0, sent(animal(5, 5, 9, 9), version=None), "me")
    assert review.reopen_image(project, image, 1, {}, "me")["status"] == "draft"
    assert len(project.revision(image).instances) == 1
