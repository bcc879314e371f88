from __future__ import annotations

import math

import numpy as np
import pytest

from app.workflow import client
from data_io.errors import DataError
from data_io.geometry import mask_of_parts
from data_io.types import ImageRecord, Instance, Part

RECORD = ImageRecord("img", "/photos/a.png", 64, 48, "0", "g")
SQUARE = [5, 5, 15, 5, 15, 15, 5, 15]
CATEGORIES = {"cow": "cow", "heifer": "cow"}  # heifer was merged into cow


def row(**changes):
    return {"id": "new-1", "category": "cow", "parts": [{"outer": SQUARE}], **changes}


def read(*rows, known=None):
    return client.instances_of_client(list(rows), RECORD, known or {}, CATEGORIES)


def test_a_drawn_animal_is_a_persons_whatever_the_request_claims():
    (one,) = read(row(score=1.0, version="v9"))
    assert (one.source, one.score, one.version) == ("human", None, None)


def test_a_merged_category_is_read_as_the_one_that_took_it_over():
    ring = np.array(SQUARE, dtype=np.float64).reshape(-1, 2)
    known = {"m": Instance("m", "cow", (Part(ring),), "model", "v1", 0.7)}
    drawn, kept = read(row(category="heifer"), row(id="m", category="heifer"), known=known)
    assert (drawn.category, kept.category) == ("cow", "cow")
    assert kept.source == "model"  # the merge is no edit of the animal


def test_ids_of_a_page_are_made_unique_and_stable():
    (first,), (again,) = read(row()), read(row())
    other = client.instances_of_client(
        [row()], ImageRecord("two", "/b.png", 64, 48, "0", "g"), {}, CATEGORIES
    )
    assert first.id == again.id != "new-1"
    assert other[0].id != first.id
    unique = "0123456789abcdef0123456789abcdef"
    assert read(row(id=unique))[0].id == unique


def test_a_changed_model_instance_becomes_edited_and_an_unchanged_one_does_not():
    ring = np.array(SQUARE, dtype=np.float64).reshape(-1, 2)
    known = {"m": Instance("m", "cow", (Part(ring),), "model", "v1", 0.7)}
    (same,) = read(row(id="m", source="human"), known=known)
    (moved,) = read(row(id="m", parts=[{"outer": [5, 5, 16, 5, 15, 15]}]), known=known)
    assert (same.source, same.score, same.version) == ("model", 0.7, "v1")
    assert (moved.source, moved.score, moved.version) == ("edited", 0.7, "v1")


def test_an_animal_sent_as_its_id_is_as_in_the_revision_the_edit_started_from():
    ring = np.array(SQUARE, dtype=np.float64).reshape(-1, 2)
    stood = {"m": Instance("m", "cow", (Part(ring),), "model", "v1", 0.7, attributes={"tag": 3})}
    kept, drawn = client.instances_of_client(["m", row()], RECORD, {}, CATEGORIES, stood)
    assert kept is stood["m"]
    assert drawn.source == "human"


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        (["gone"], "instance 1, id: is not in the revision"),
        (["m", row(), "m"], "two instances have the same id"),
    ],
)
def test_an_id_alone_must_stand_for_one_animal_of_that_revision(sent, sentence):
    ring = np.array(SQUARE, dtype=np.float64).reshape(-1, 2)
    stood = {"m": Instance("m", "cow", (Part(ring),))}
    with pytest.raises(DataError, match=sentence):
        client.instances_of_client(sent, RECORD, stood, CATEGORIES, stood)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"category": "horse"}, "no such category"),
        ({"category": None}, "no such category"),
        ({"parts": [{"outer": [1, 1, 5, math.nan, 5, 5]}]}, "finite"),
        ({"parts": [{"outer": [1, 1, 5, 5]}]}, "at least three"),
        ({"parts": [{"outer": "abc"}]}, "list"),
        ({"parts": "abc"}, "not a list"),
        ({"parts": []}, "outside the image"),
        ({"parts": [{"outer": [70, 1, 90, 1, 90, 20]}]}, "outside the image"),
        ({"parts": [{"outer": [1, 1, 9, 1, 5, 1]}]}, "no area"),
        ({"parts": [{"outer": [1.1, 1.1, 1.2, 1.1, 1.2, 1.2]}]}, "covers no pixel"),
        ({"parts": [{"outer": [1, 2] * 60_000}]}, "too many vertices"),
        ({"id": 7}, "id is not a short text"),
        ({"id": "x" * 1000}, "id is not a short text"),
        ({"attributes": [1]}, "plain texts"),
        ({"attributes": {"a": {"b": 1}}}, "plain texts"),
        ({"attributes": {"a": math.inf}}, "plain texts"),
    ],
)
def test_what_cannot_be_an_animal_is_refused_in_words(changes, sentence):
    with pytest.raises(DataError, match=sentence) as caught:
        read(row(**changes))
    assert "instance 1" in str(caught.value)


@pytest.mark.parametrize("rows", [None, {}, "x", [3], [row(), row()], [row()] * 5001])
def test_what_is_no_list_of_instances_is_refused(rows):
    with pytest.raises(DataError):
        client.instances_of_client(rows, RECORD, {}, CATEGORIES)


def test_rings_are_clipped_to_the_image_pixel_for_pixel():
    outer = np.array([[-10, -10], [40, -10], [80, 30], [40, 60], [-10, 30]], dtype=np.float64)
    hole = np.array([[-5, 2], [20, 2], [20, 12], [-5, 12]], dtype=np.float64)
    parts = (Part(outer, (hole,)),)
    clipped = client.clip(parts, 48, 64)
    ring = clipped[0].outer
    assert ring.min() >= 0
    assert (ring.max(axis=0) <= [64, 48]).all()
    wide = mask_of_parts((Part(outer + 100, (hole + 100,)),), 300, 300)[100:148, 100:164]
    assert np.array_equal(mask_of_parts(clipped, 48, 64), wide)


@pytest.mark.parametrize(("header", "base"), [('"3"', 3), ("0", 0), (4, 4), (' "12" ', 12)])
def test_the_base_revision_is_read_from_the_header(header, base):
    assert client.base_of_client(header) == base


@pytest.mark.parametrize("header", [None, "", "*", '"x"', "-1", "1.5", "9" * 20])
def test_a_missing_base_revision_is_refused(header):
    with pytest.raises(DataError, match="revision"):
        client.base_of_client(header)


@pytest.mark.parametrize("ids", ["abc", [1], [""], ["x" * 1000]])
def test_rejected_must_be_ids(ids):
    with pytest.raises(DataError):
        client.rejected_of_client(ids)


def test_an_outline_sent_back_unchanged_is_the_one_that_is_there():
    outside = np.array([[-4, 5], [15, 5], [15, 15], [-4, 15]], dtype=np.float64)  # imported so
    hole = np.array([[6, 6], [9, 6], [9, 9]], dtype=np.float64)
    one = Instance("m", "cow", (Part(outside, (hole,)),), "model", "v1", 0.7, attributes={"a": 1})
    sent = [{"outer": outside.ravel().tolist(), "holes": [hole.ravel().tolist()]}]
    same = row(id="m", parts=sent, attributes={"a": 1})
    assert read(same, known={"m": one}) == (one,)
    (told,) = read({**same, "attributes": {"a": 2}}, known={"m": one})
    assert told.parts is one.parts
    assert (told.attributes, told.source) == ({"a": 2}, "model")
    sent[0]["holes"] = []
    (filled,) = read(same, known={"m": one})
    assert filled.source == "edited"
    assert filled.parts[0].outer.min() == 0
