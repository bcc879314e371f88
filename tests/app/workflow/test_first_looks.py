"""Before anybody has drawn: what the queue hears of its front."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.queue import Queue
from app.workflow import first_looks
from app.workflow.first_looks import FirstLooks
from app.workflow.imports import import_source
from app.workflow.looks import Looks
from data_io.store import Store


class Bright:
    """Takes what is bright for an animal."""

    def at(self, image):
        bright = float(image.mean()) / 255
        return np.full(64, bright, np.float32), bright


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Makes a project of plain images of given brightness."""
    monkeypatch.setattr(FirstLooks, "_ready", lambda _: Bright())
    stores = []

    def made(values):
        folder = tmp_path / "photos"
        folder.mkdir()
        for number, value in enumerate(values):
            color = (value, value, number)
            Image.new("RGB", (32, 24), color).save(folder / f"{number:02d}.png")
        store = Store.open(tmp_path / "project")
        stores.append(store)
        import_source(store, folder, format="images")
        return store

    yield made
    for store in stores:
        store.close()


def taken(store):
    """Take the first looks there are to take; how many."""
    looks = FirstLooks(store, Queue(store), Looks(store, "net"), 1)
    count = 0
    while looks.step(store.image_states()):
        count += 1
    return count


def front(store):
    return [Path(item.name).stem for item in Queue(store).ranked()]


def test_images_that_show_animals_come_first(make):
    store = make([10, 200, 10, 10, 220, 10])
    assert taken(store) == 6
    first, _, second, *_ = front(store)
    assert {first, second} == {"01", "04"}
    assert "probably no animal in it, which shows the ground" in Queue(store).ranked()[1].why


def test_a_restart_looks_at_nothing_again(make):
    store = make([10, 200, 10])
    taken(store)
    assert taken(store) == 0


def test_only_the_front_is_looked_at(make, monkeypatch):
    monkeypatch.setattr(first_looks, "FRONT", 3)
    store = make([200] * 12)
    assert 3 <= taken(store) < 12
    known = {image for image, one in store.image_states().items() if one.foreground is not None}
    assert {item.image for item in Queue(store).ranked(3)} <= known


def test_where_hardly_any_image_shows_animals_the_looking_ends(make, monkeypatch):
    monkeypatch.setattr(first_looks, "FRONT", 3)
    monkeypatch.setattr(first_looks, "MOST", 5)
    assert taken(make([10] * 12)) == 5


def test_an_image_that_cannot_be_read_keeps_nobody_waiting(make, caplog):
    store = make([10, 200, 10])
    Path(store.images()[0].path).write_bytes(b"no picture")
    taken(store)
    assert len(store.embeddings().images) == 2
    assert "00.png" in caplog.text


def test_an_empty_project_needs_no_network(tmp_path):
    with Store.open(tmp_path / "project") as store:
        assert taken(store) == 0
