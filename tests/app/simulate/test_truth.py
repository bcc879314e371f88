"""Hidden truth from a user's own project."""

from __future__ import annotations

import uuid

import numpy as np
import pytest

from app.simulate.truth import of_project
from data_io.errors import DataError
from data_io.geometry import full_image
from data_io.store import Store
from data_io.store.records import NewImage
from data_io.types import Instance, Part


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "project") as opened:
        opened.add_category("cow")
        yield opened


def add(store, group, count, verified=True):
    images = [
        NewImage(f"/p/{group}/{k:02d}.png", 40, 30, f"{group}{k}", group) for k in range(count)
    ]
    cow = store.categories()[0].id
    for record in store.add_images(images):
        square = np.array([[2, 2], [12, 2], [12, 12], [2, 12]], np.float64)
        animal = Instance(uuid.uuid4().hex, cow, (Part(square),))
        area = full_image(30, 40) if verified else ()
        store.save_revision(record.id, 0, (animal,), area, "person")


def test_whole_groups_are_judged_where_there_are_many(store):
    for k in range(5):
        add(store, f"camera-{k}", 4)
    hidden = of_project(store)
    groups = [{image.group for image in part} for part in (hidden.pool, hidden.test)]
    assert not groups[0] & groups[1]
    assert {len(part) % 4 for part in (hidden.pool, hidden.test)} == {0}
    assert hidden.categories == ("cow",)
    assert hidden.pool[0].animals[0][1]["size"] == [30, 40]


def test_later_images_are_judged_in_one_flight(store):
    add(store, "flight", 20)
    hidden = of_project(store)
    assert max(i.path for i in hidden.pool) < min(i.path for i in hidden.test)
    assert len({image.cluster for image in hidden.test}) >= 2  # blocks of time


def test_drafts_are_no_truth_and_test_images_are_the_test(store):
    add(store, "north", 4)
    add(store, "south", 4, verified=False)
    chosen = {one.id for one in store.images()[:2]}
    for id in chosen:
        store.set_split(id, "test")
    hidden = of_project(store)
    assert (len(hidden.pool), len(hidden.test)) == (2, 2)
    assert {image.group for image in hidden.pool} == {"north"}


def test_a_project_without_verified_images_is_refused(store):
    add(store, "north", 4, verified=False)
    with pytest.raises(DataError, match="0 of its images are verified whole"):
        of_project(store)
