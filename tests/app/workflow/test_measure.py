"""What an answer tells about its pre-label: exact counts, once, in the revision's transaction."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np
import pytest

from app.workflow import documents, measure, review
from data_io.artifacts import Artifacts
from data_io.errors import ConflictError
from data_io.geometry import box_of_parts, parts_to_json, rle_of_mask
from data_io.types import ModelVersion, Proposal, ReviewRegion
from model.uncertainty import expected_error


def rows(*instances):
    return [
        {"id": one.id, "category": one.category, "parts": parts_to_json(one.parts)}
        for one in instances
    ]


@pytest.fixture
def image(project):
    return project.images()[0].id


@pytest.fixture
def cows(animal):
    return tuple(
        animal(x, y, 20, 20, source="model", version="v1", score=0.9)
        for x, y in ((2, 2), (40, 20), (30, 0))
    )


@pytest.fixture
def proposed(project, image, cows, box):
    """Two cows, a flagged region at the left one's edge, two random ones, a map with one doubt."""
    made = ModelVersion(
        "v1", None, "j", "0", {}, ("cow",), "s", {}, "aside", datetime.now(timezone.utc)
    )
    project.add_version(made)
    doubt = np.zeros((12, 16), np.uint8)
    doubt[0:6, 0:4] = 255
    path = Artifacts(project.project).write_uncertainty(image, "v1", doubt)
    places = {
        "edge": ("boundary", box(18, 2, 8, 8)),
        "audit": ("audit", box(44, 24, 8, 8)),
        "bare": ("audit", box(4, 36, 8, 8)),
    }
    regions = [
        ReviewRegion(name, image, "v1", kind, parts, box_of_parts(parts), 0.5, "look")
        for name, (kind, parts) in places.items()
    ]
    project.put_proposal(Proposal(image, "v1", cows[:2], path, 0.5), regions)
    return cows[:2]


def accept(project, image, base, **body):
    return documents.accept_image(project, image, base, {"version": "v1", **body}, "me")


def answer(project, image, region, base, action="accept", **body):
    return review.answer_region(project, image, region, base, {"action": action, **body}, "me")


def test_an_untouched_pre_label_is_kept_and_right(project, image, proposed):
    accept(project, image, 0, seconds=12.5)
    (one,) = project.readings()
    assert (one.kind, one.region, one.number, one.seconds, one.version) == (
        "image", None, 1, 12.5, "v1",
    )  # fmt: skip
    assert (one.kept, one.changed, one.added, one.deleted, one.animals) == (2, 0, 0, 0, 2)
    assert (one.pixels_both, one.pixels_either, one.pixels_wrong) == (800, 800, 0)
    assert (one.audits, one.audits_wrong) == (2, 0)


def test_what_a_person_changed_is_counted(project, image, proposed, animal, box):
    left, right = proposed
    narrow = {**rows(left)[0], "parts": parts_to_json(box(2, 2, 16, 20))}
    calf = animal(30, 30, 5, 5)
    accept(project, image, 0, instances=[narrow, *rows(calf)], rejected=[right.id])
    (one,) = project.readings()
    assert (one.kept, one.changed, one.added, one.deleted, one.animals) == (0, 1, 1, 1, 2)
    assert (one.pixels_both, one.pixels_either) == (320, 825)
    assert one.pixels_wrong == 80 + 400 + 25
    assert one.pixels_caught == 4 * 8  # the strip cut off at the right, as far as it was flagged
    assert (one.audits, one.audits_wrong) == (2, 1)  # on the animal deleted; bare ground stayed


def test_each_pixel_and_each_animal_is_judged_once(project, image, proposed):
    answer(project, image, "edge", 0)
    answer(project, image, "audit", 1)
    accept(project, image, 2)
    found = project.readings()
    assert [(one.kind, one.region) for one in found] == [
        ("region", "edge"), ("audit", "audit"), ("image", None),
    ]  # fmt: skip
    assert [one.pixels_both for one in found] == [4 * 8, 8 * 8, 800 - 32 - 64]
    assert [one.kept for one in found] == [1, 1, 0]
    assert [one.audits for one in found] == [0, 1, 1]


def test_an_animal_drawn_anew_is_changed_not_added(project, image, proposed, animal):
    left, right = proposed
    again = animal(3, 2, 20, 20)
    accept(project, image, 0, instances=rows(again, right), rejected=[left.id])
    (one,) = project.readings()
    assert (one.kept, one.changed, one.added, one.deleted) == (1, 1, 0, 0)


def test_another_category_is_wrong_though_its_outline_is_right(project, image, proposed):
    left, right = proposed
    calf = project.add_category("calf").id
    accept(project, image, 0, instances=[{**rows(left)[0], "category": calf}, *rows(right)])
    (one,) = project.readings()
    assert (one.pixels_both, one.pixels_either, one.pixels_wrong) == (800, 800, 400)
    assert (one.kept, one.changed) == (1, 1)


def test_animals_that_meet_and_were_one_make_a_random_region_wrong(
    project, image, proposed, animal, box
):
    left, _ = proposed
    halves = (animal(40, 20, 8, 20), animal(48, 20, 12, 20))  # same pixels, two animals
    accept(project, image, 0, instances=rows(left, *halves))
    (one,) = project.readings()
    assert (one.pixels_wrong, one.audits_wrong) == (0, 1)


def test_labels_from_scratch_have_no_pre_label(project, image, animal):
    documents.accept_image(project, image, 0, {"instances": rows(animal(5, 5, 10, 10))}, "me")
    (one,) = project.readings()
    assert (one.version, one.added, one.pixels_either, one.bins) == (None, 1, 0, ())
    assert one.seconds is None


def test_errors_are_counted_by_what_the_map_had_told(project, image, proposed):
    _, right = proposed
    accept(project, image, 0, instances=rows(right), rejected=[proposed[0].id])
    (one,) = project.readings()
    sure = float(expected_error(2)[0])
    doubted = 16 * 24  # pixels of the doubted cells; the animal deleted has 14 x 20 of them
    assert len(one.bins) == 10
    assert one.bins[9] == (doubted, pytest.approx(doubted / 2), 14 * 20)
    assert one.bins[0] == (64 * 48 - doubted, pytest.approx((64 * 48 - doubted) * sure), 6 * 20)
    assert all(pixels == 0 for pixels, _, _ in one.bins[1:9])


def test_a_missing_map_stops_no_answer(project, image, propose, cows):
    propose(image, cows[:1], {})
    accept(project, image, 0)
    assert project.readings()[0].bins == ()


def test_a_repeated_answer_adds_no_second_reading(project, image, proposed):
    for _ in range(2):
        answer(project, image, "edge", 0, seconds=3)
    for _ in range(2):
        accept(project, image, 1, seconds=4)
    assert [one.seconds for one in project.readings()] == [3.0, 4.0]


def test_a_refused_answer_adds_no_reading(project, image, proposed, animal):
    documents.save(project, image, 0, {"instances": rows(animal(5, 5, 9, 9)), "seconds": 7}, "you")
    with pytest.raises(ConflictError):
        accept(project, image, 0, instances=[], seconds=4)
    assert [(one.kind, one.seconds) for one in project.readings()] == [("save", 7.0)]


def test_skipping_and_a_save_that_changes_nothing_add_no_reading(project, image, proposed, animal):
    answer(project, image, "edge", 0, "skip", seconds=2)
    body = {"instances": rows(animal(5, 5, 9, 9))}
    documents.save(project, image, 0, body, "me")  # nobody told any time
    documents.save(project, image, 1, {**body, "seconds": 2}, "me")
    assert project.readings() == []


def test_an_answer_taken_back_is_marked(project, image, proposed):
    answer(project, image, "edge", 0)
    accept(project, image, 1)
    review.reopen_image(project, image, 2, {"seconds": 1}, "me")
    answer(project, image, "edge", 3, "reopen", seconds=2)
    found = project.readings()
    assert [one.kind for one in found] == ["region", "image", "reopen", "reopen"]
    assert [one.taken_back for one in found] == [4, 3, None, None]
    assert [one.seconds for one in found] == [None, None, 1.0, 2.0]


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        (0, 0.0), (2.5, 2.5), (1e9, measure.LONGEST), (-1, None), (float("nan"), None),
        (float("inf"), None), ("3", None), (True, None), (None, None), ([3], None),
    ],
)  # fmt: skip
def test_seconds_of_a_browser_are_believed_within_reason(sent, seconds):
    assert measure.seconds_of_client(sent) == seconds


def test_pixels_are_counted_cell_by_cell():
    mask = np.random.default_rng(0).random((46, 61)) < 0.5
    padded = np.pad(mask, ((0, 2), (0, 3)))[8:]
    cells = padded.reshape(10, 4, 16, 4).sum((1, 3))[:, 1:]
    found = measure._cells(rle_of_mask(mask), (4, 8, 61, 46))
    assert np.array_equal(found, cells)
