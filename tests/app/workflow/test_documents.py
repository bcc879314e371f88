from __future__ import annotations

from dataclasses import replace

import pytest

from app.workflow import documents, review
from app.workflow.documents import StaleError
from data_io.errors import ConflictError, DataError
from data_io.geometry import area_of_rle, full_image, parts_to_json, rle_of_parts

SIZE = (48, 64)  # height, width of every photo


def sent(instance, **changes):
    row = {
        "id": instance.id,
        "category": instance.category,
        "parts": parts_to_json(instance.parts),
        "source": instance.source,
        "score": instance.score,
        "version": instance.version,
        "attributes": dict(instance.attributes),
    }
    return {**row, **changes}


def area(parts):
    return area_of_rle(rle_of_parts(parts, *SIZE))


@pytest.fixture
def image(project):
    return project.images()[0].id


@pytest.fixture
def proposed(image, animal, propose, box):
    """Two proposed cows and two open regions: one over the edge of the left cow, one empty."""
    left = animal(2, 2, 20, 20, source="model", version="v1", score=0.9)
    right = animal(40, 20, 20, 20, source="model", version="v1", score=0.4)
    propose(image, (left, right), {"edge": box(18, 2, 8, 8), "empty": box(30, 2, 6, 6)})
    return left, right


def test_a_new_image_is_unlabeled_and_shows_what_is_proposed(project, image, proposed):
    shown = documents.document(project, image)
    assert (shown["revision"], shown["status"], shown["version"]) == (0, "unlabeled", "v1")
    assert [row["proposed"] for row in shown["instances"]] == [True, True]
    assert {row["id"] for row in shown["regions"]} == {"edge", "empty"}
    assert shown["image"]["width"] == 64
    assert shown["image"]["name"] == "0.png"
    assert shown["verified"] == []


def test_save_adds_a_revision_and_verifies_nothing(project, image, animal):
    cow = animal(5, 5, 10, 10)
    assert documents.save(project, image, 0, {"instances": [sent(cow)]}, "me") == {"revision": 1}
    revision = project.revision(image)
    assert (revision.verified, revision.author, len(revision.instances)) == ((), "me", 1)
    assert documents.document(project, image)["status"] == "draft"


def test_saving_the_same_again_adds_nothing(project, image, animal):
    body = {"instances": [sent(animal(5, 5, 10, 10))]}
    documents.save(project, image, 0, body, "me")
    assert documents.save(project, image, 1, body, "me") == {"revision": 1}
    assert documents.save(project, image, 1, {"instances": []}, "me") == {"revision": 2}


def test_a_save_from_an_old_revision_is_refused_and_changes_nothing(project, image, animal):
    documents.save(project, image, 0, {"instances": [sent(animal(5, 5, 10, 10))]}, "me")
    with pytest.raises(ConflictError) as caught:
        documents.save(project, image, 0, {"instances": []}, "other")
    assert caught.value.current == 1
    assert project.revision_numbers(image) == [1]


def test_accepting_a_region_adopts_the_whole_animal_and_verifies_the_area(project, image, proposed):
    left, right = proposed
    shown = documents.answer_region(project, image, "edge", 0, {"action": "accept"}, "me")
    revision = project.revision(image)
    assert [one.id for one in revision.instances] == [left.id]
    assert area(revision.instances[0].parts) == 400  # not cut to the region
    assert revision.instances[0].source == "model"
    assert revision.instances[0].score == 0.9
    assert area(revision.verified) == 64
    assert project.region("edge").state == "accepted"
    assert shown["status"] == "partial"
    assert [(row["id"], row["proposed"]) for row in shown["instances"]] == [
        (left.id, False),
        (right.id, True),
    ]


def test_accepting_empty_ground_verifies_it_without_an_animal(project, image, proposed):
    documents.answer_region(project, image, "empty", 0, {"action": "accept"}, "me")
    revision = project.revision(image)
    assert revision.instances == ()
    assert area(revision.verified) == 36


def test_fixing_keeps_the_edit_and_its_origin(project, image, proposed, box):
    left, _ = proposed
    edited = sent(left, parts=parts_to_json(box(2, 2, 16, 20)), source="edited")
    body = {"action": "fix", "instances": [edited]}
    documents.answer_region(project, image, "edge", 0, body, "me")
    (one,) = project.revision(image).instances
    assert (one.id, one.source, one.version, one.score) == (left.id, "edited", "v1", 0.9)
    assert area(one.parts) == 320
    assert project.region("edge").state == "fixed"


def test_a_deleted_proposal_stays_away(project, image, proposed):
    left, right = proposed
    body = {"action": "fix", "instances": [], "rejected": [left.id]}
    shown = documents.answer_region(project, image, "edge", 0, body, "me")
    assert [row["id"] for row in shown["instances"]] == [right.id]
    documents.save(project, image, 1, {"instances": [], "rejected": [right.id]}, "me")
    assert documents.document(project, image)["instances"] == []
    assert set(project.revision(image).rejected) == {left.id, right.id}


def test_skipping_changes_nothing_but_the_region(project, image, proposed):
    shown = documents.answer_region(project, image, "edge", 0, {"action": "skip"}, "me")
    assert project.revision(image) is None
    assert {row["id"]: row["state"] for row in shown["regions"]}["edge"] == "skipped"


def test_accepting_the_image_adopts_the_rest_and_verifies_everything(project, image, proposed):
    shown = documents.accept_image(project, image, 0, {"version": "v1"}, "me")
    assert shown["status"] == "verified"
    assert [row["proposed"] for row in shown["instances"]] == [False, False]
    assert [row for row in shown["regions"] if row["state"] == "open"] == []
    assert project.image_states()[image].open_regions == 0


@pytest.mark.parametrize("looked_at", ["v0", None])
def test_accepting_an_image_never_covers_proposals_that_came_since(
    project, image, proposed, looked_at
):
    with pytest.raises(StaleError, match="new proposals"):
        documents.accept_image(project, image, 0, {"version": looked_at}, "me")
    assert project.revision(image) is None


def test_a_proposal_that_arrives_between_looking_and_accepting_is_not_adopted(
    project, image, proposed, animal, propose
):
    version = documents.document(project, image)["version"]
    propose(image, (animal(0, 0, 9, 9, source="model"),), {}, version="v2")
    with pytest.raises(StaleError):
        documents.accept_image(project, image, 0, {"instances": [], "version": version}, "me")
    assert project.revision(image) is None


def test_a_region_replaced_while_its_image_is_accepted_does_not_undo_the_save(
    project, image, proposed, monkeypatch
):
    def gone(id, state):
        raise DataError(f"region {id}", "is no longer there", "reload the image")

    monkeypatch.setattr(project, "answer_region", gone)
    shown = documents.accept_image(project, image, 0, {"version": "v1"}, "me")
    assert (shown["status"], shown["revision"]) == ("verified", 1)


def test_a_save_whose_reply_was_lost_is_no_conflict(project, image, proposed, animal):
    cow = sent(animal(30, 30, 8, 8))
    documents.save(project, image, 0, {"instances": [cow]}, "me")
    body = {"instances": [cow, sent(proposed[0])], "rejected": [proposed[1].id]}
    first = documents.save(project, image, 1, body, "me")
    assert documents.save(project, image, 1, body, "me") == first == {"revision": 2}
    assert project.revision_numbers(image) == [1, 2]
    for base, author, changed in ((0, "me", {}), (1, "other", {}), (1, "me", {"instances": []})):
        with pytest.raises(ConflictError):
            documents.save(project, image, base, {**body, **changed}, author)


def test_a_save_sent_again_is_told_its_revision_though_others_saved_since(project, image, animal):
    cow, calf = sent(animal(30, 30, 8, 8)), sent(animal(5, 5, 8, 8))
    body = {"instances": [cow], "rejected": ["p"]}
    assert documents.save(project, image, 0, body, "me") == {"revision": 1}
    documents.save(project, image, 1, {"instances": [calf], "rejected": ["q"]}, "me")
    documents.save(project, image, 2, {"instances": []}, "me")
    assert documents.save(project, image, 0, body, "me") == {"revision": 1}
    assert project.revision_numbers(image) == [1, 2, 3]
    for author, changed in (("me", {"instances": [calf]}), ("me", {"rejected": ["q"]}), ("he", {})):
        with pytest.raises(ConflictError):
            documents.save(project, image, 0, {**body, **changed}, author)


def test_ids_alone_stand_for_the_revision_the_edit_started_from(project, image, animal):
    cow, calf = sent(animal(30, 30, 8, 8)), sent(animal(5, 5, 8, 8))
    documents.save(project, image, 0, {"instances": [cow]}, "me")
    body = {"instances": [cow["id"], calf]}
    assert documents.save(project, image, 1, body, "me") == {"revision": 2}
    first, second = project.revision(image).instances
    assert (first, second.id) == (project.revision(image, 1).instances[0], calf["id"])
    documents.save(project, image, 2, {"instances": []}, "me")
    assert documents.save(project, image, 1, body, "me") == {"revision": 2}  # the reply was lost
    unknown = {"instances": [cow["id"], calf["id"]]}  # of a later revision than named
    with pytest.raises(ConflictError):
        documents.save(project, image, 1, unknown, "me")
    with pytest.raises(DataError, match="instance 1, id: is not in the revision"):
        documents.save(project, image, 3, unknown, "me")
    with pytest.raises(ConflictError):
        documents.accept_image(project, image, 1, unknown, "me")


def test_an_answer_sent_again_is_known_though_others_took_it_back(
    project, image, proposed, animal, propose
):
    body = {"action": "accept", "instances": [sent(animal(30, 30, 8, 8))]}
    documents.answer_region(project, image, "edge", 0, body, "me")
    nothing = {"instances": [], "rejected": [proposed[0].id]}
    review.answer_region(project, image, "edge", 1, {**nothing, "action": "reopen"}, "me")
    again = documents.answer_region(project, image, "edge", 0, body, "me")
    assert (again["revision"], again["regions"][0]["state"]) == (2, "open")
    documents.accept_image(project, image, 2, {**nothing, "version": "v1"}, "me")
    documents.save(project, image, 3, body, "me")
    propose(image, (), {}, version="v2")
    accepted = documents.accept_image(project, image, 2, {**nothing, "version": "v1"}, "me")
    assert accepted["revision"] == 4
    assert project.revision_numbers(image) == [1, 2, 3, 4]


@pytest.mark.parametrize("way", ["save", "region", "image"])
def test_of_two_copies_of_a_request_at_once_the_slower_one_is_no_conflict(
    project, image, proposed, animal, monkeypatch, way
):
    body = {"action": "accept", "instances": [sent(animal(30, 30, 8, 8))], "version": "v1"}

    def ask():
        if way == "region":
            return documents.answer_region(project, image, "edge", 0, body, "me")
        both = {"save": documents.save, "image": documents.accept_image}
        return both[way](project, image, 0, body, "me")

    first = []
    store = project.save_revision

    def slow(*args, **more):
        monkeypatch.undo()
        first.append(ask())
        return store(*args, **more)

    monkeypatch.setattr(project, "save_revision", slow)
    assert ask() == first[0]
    assert project.revision_numbers(image) == [1]


def test_an_answer_whose_reply_was_lost_is_no_conflict(project, image, proposed, animal, propose):
    body = {"action": "accept", "instances": [sent(animal(30, 30, 8, 8))]}
    first = documents.answer_region(project, image, "edge", 0, body, "me")
    assert documents.answer_region(project, image, "edge", 0, body, "me") == first
    propose(image, (), {}, version="v2")  # nor does a new proposal make it one
    again = documents.answer_region(project, image, "edge", 0, body, "me")
    assert (again["revision"], again["version"]) == (1, "v2")
    for changed in ({"instances": []}, {"action": "fix"}):
        with pytest.raises(StaleError):
            documents.answer_region(project, image, "edge", 0, {**body, **changed}, "me")
    assert project.revision_numbers(image) == [1]


def test_an_acceptance_whose_reply_was_lost_is_no_conflict(project, image, proposed, animal):
    body = {"instances": [sent(animal(30, 30, 8, 8))], "version": "v1"}
    first = documents.accept_image(project, image, 0, body, "me")
    assert documents.accept_image(project, image, 0, body, "me") == first
    assert project.revision_numbers(image) == [1]
    with pytest.raises(ConflictError):
        documents.accept_image(project, image, 0, {**body, "rejected": [proposed[0].id]}, "me")


def test_accepting_what_is_verified_already_is_no_second_answer(project, image, proposed, animal):
    documents.accept_image(project, image, 0, {"version": "v1"}, "me")
    adopted = {"instances": [sent(one) for one in project.revision(image).instances]}
    again = documents.accept_image(project, image, 1, {**adopted, "version": "v1"}, "me")
    assert (again["status"], again["revision"]) == ("verified", 1)
    assert len(project.readings()) == 1
    fewer = {"instances": adopted["instances"][:1], "rejected": [proposed[1].id], "version": "v1"}
    assert documents.accept_image(project, image, 1, fewer, "me")["revision"] == 2
    assert len(project.readings()) == 2


def test_an_acceptance_without_an_animal_that_another_save_kept_is_a_conflict(
    project, image, animal
):
    model = animal(5, 5, 9, 9, source="model")
    project.save_revision(image, 0, [model, animal(30, 30, 8, 8)], full_image(*SIZE), "me")
    documents.save(project, image, 1, {"instances": [sent(model)]}, "me")
    with pytest.raises(ConflictError):
        documents.accept_image(project, image, 1, {"instances": []}, "me")


def test_a_category_merged_since_the_page_was_loaded_can_still_be_sent(project, image, animal):
    heifer = project.add_category("heifer").id
    (cow,) = (one.id for one in project.categories() if one.name == "cow")
    drawn = animal(5, 5, 10, 10, category=heifer)
    documents.save(project, image, 0, {"instances": [sent(drawn)]}, "me")
    project.merge_categories(heifer, cow)
    assert documents.save(project, image, 1, {"instances": [sent(drawn)]}, "me") == {"revision": 1}
    body = {"instances": [sent(drawn), sent(animal(30, 30, 8, 8, category=heifer))]}
    documents.save(project, image, 1, body, "me")
    assert [one.category for one in project.revision(image).instances] == [cow, cow]


def test_an_image_without_animals_can_be_accepted(project, image):
    assert documents.accept_image(project, image, 0, {}, "me")["status"] == "verified"
    assert project.revision(image).instances == ()


def test_a_drawn_animal_hides_the_same_one_proposed(project, image, proposed, animal):
    left, right = proposed
    drawn = animal(3, 3, 20, 19)
    shown = documents.document(project, image)
    assert len(shown["instances"]) == 2
    documents.save(project, image, 0, {"instances": [sent(drawn)]}, "me")
    ids = [row["id"] for row in documents.document(project, image)["instances"]]
    assert ids == [drawn.id, right.id]
    assert left.id not in ids


def test_proposals_mostly_inside_the_verified_area_are_not_shown(project, image, proposed, box):
    _, right = proposed
    project.save_revision(image, 0, [], box(0, 0, 16, 48), "me")
    shown = documents.document(project, image)
    assert [row["id"] for row in shown["instances"]] == [right.id]


def test_covered_and_stale_regions_are_not_open(project, image, proposed, animal, propose, box):
    project.save_revision(image, 0, [], box(16, 0, 12, 12), "me")
    assert [row["id"] for row in documents.document(project, image)["regions"]] == ["empty"]
    documents.answer_region(project, image, "empty", 1, {"action": "skip"}, "me")
    propose(image, (), {"new": box(40, 40, 4, 4)}, version="v2")
    assert [row["id"] for row in documents.document(project, image)["regions"]] == ["new"]
    for region in ("empty", "edge"):  # the skipped one is still stored, the open one is gone
        with pytest.raises(StaleError):
            documents.answer_region(project, image, region, 1, {"action": "accept"}, "me")
    with pytest.raises(StaleError):
        documents.answer_region(project, image, "empty", 1, {"action": "skip"}, "me")


def test_a_region_of_another_image_is_refused(project, image, proposed):
    other = project.images()[1].id
    with pytest.raises(DataError, match="reload"):
        documents.answer_region(project, other, "edge", 0, {"action": "accept"}, "me")
    assert project.revision(other) is None


def test_an_unknown_action_is_refused(project, image, proposed):
    with pytest.raises(DataError, match="no such action"):
        documents.answer_region(project, image, "edge", 0, {"action": "destroy"}, "me")


def test_new_proposals_never_touch_revisions(project, image, proposed, animal, propose):
    documents.accept_image(project, image, 0, {"version": "v1"}, "me")
    before = project.revision(image)
    propose(image, (animal(0, 0, 30, 30, source="model"),), {}, version="v2")
    after = project.revision(image)
    assert after.number == before.number
    assert [one.id for one in after.instances] == [one.id for one in before.instances]
    assert all(not row["proposed"] for row in documents.document(project, image)["instances"])


def test_unknown_keys_survive_an_edit(project, image, animal):
    cow = replace(animal(5, 5, 10, 10), extras={"tag": 7}, iscrowd=True)
    project.save_revision(image, 0, [cow], full_image(*SIZE), "import")
    documents.save(project, image, 1, {"instances": [sent(cow, attributes={"ear": "red"})]}, "me")
    (one,) = project.revision(image).instances
    assert (one.extras, one.iscrowd, one.attributes) == ({"tag": 7}, True, {"ear": "red"})
    assert documents.document(project, image)["status"] == "verified"
