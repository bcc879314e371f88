"""Whether outlines are drawn again is tried on animals that somebody has drawn."""

from __future__ import annotations

import numpy as np
import pytest

from app import click_engines
from app.workflow import sharpening
from app.workflow.sharpening import Sharpener, Sharpening, Taught, gain
from data_io.errors import DataError
from data_io.geometry import parts_of_mask
from data_io.types import Instance
from model.assist.served import GENERAL, exported
from model.prediction import Prediction

HEIGHT, WIDTH = 120, 160


def box(top, bottom, left, right):
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


COW = box(30, 70, 40, 100)
PAINTED = np.where(COW[..., None], np.uint8(200), np.uint8(10)) * np.ones(3, np.uint8)


def by_color(crop):
    return (crop[0] > 0).astype(np.float32) - 0.5


def cow(mask):
    return Instance("a", "cow", parts_of_mask(mask))


def prediction(mask):
    maps = np.zeros((2, 30, 40), np.float32), np.zeros((30, 40), np.uint8)
    return Prediction(*maps, (cow(mask),))


def taught(drawn, proposed):
    return [Taught((cow(drawn),), lambda: PAINTED, lambda: (cow(proposed),))]


@pytest.fixture
def opened(monkeypatch):
    """The files that were opened, by a refiner that goes by color."""
    files = []

    def serve(path, threads):
        files.append(path)
        return by_color

    monkeypatch.setattr(sharpening, "Served", serve)
    return files


@pytest.fixture
def project(store):
    """A project in which the general refiner is exported."""
    path = exported(GENERAL, store.project / "artifacts")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"network")
    return store


def test_it_is_used_where_it_comes_nearer_to_what_was_drawn(project, opened):
    rough = box(34, 66, 44, 96)
    found = Sharpening(project).sharpener(lambda: taught(COW, rough), 1)
    assert found.name == "general"
    made = found(PAINTED, prediction(rough))
    assert made.instances != prediction(rough).instances
    # Somebody who draws every animal far too small is not helped.
    assert Sharpening(project).sharpener(lambda: taught(rough, rough), 1) is None


def test_it_is_tried_again_when_the_animals_have_doubled(project, opened):
    rough, trials = box(34, 66, 44, 96), []

    def asked():
        trials.append(1)
        return taught(COW, rough)

    one = Sharpening(project)
    for animals in (2, 3, 3, 4, 7, 8):
        one.sharpener(asked, animals)
    assert len(trials) == 3
    assert len(opened) == 1


def test_a_refiner_of_the_herd_takes_over(project, opened, monkeypatch, tmp_path):
    one = Sharpening(project)
    general = one.sharpener(lambda: taught(COW, box(34, 66, 44, 96)), 1)
    own = tmp_path / "v7" / "refiner.onnx"
    own.parent.mkdir()
    own.write_bytes(b"network")
    monkeypatch.setattr(sharpening, "weights_in_use", lambda store: own)
    herd = one.sharpener(lambda: taught(COW, box(34, 66, 44, 96)), 1)
    assert (general.name, herd.name) == ("general", "v7")


def test_before_the_export_nothing_waits_for_it(store, opened):
    assert click_engines.weights_in_use(store) == GENERAL
    assert Sharpening(store).sharpener(lambda: taught(COW, COW), 1) is None
    assert opened == []


def test_without_a_proposal_on_what_was_drawn_nothing_is_known(project, opened):
    unseen = [Taught((cow(COW),), lambda: PAINTED, tuple)]
    assert Sharpening(project).sharpener(lambda: unseen, 1) is None


def test_a_proposal_over_two_animals_counts_once(project, opened):
    left, right = box(30, 70, 40, 69), box(30, 70, 71, 100)
    both = Taught((cow(left), cow(right)), lambda: PAINTED, lambda: (cow(COW),))
    sharpener = Sharpener("general", by_color)
    assert gain(sharpener, [both]) == pytest.approx(gain(sharpener, taught(left, COW)))


def test_an_image_that_is_gone_is_left_out(project, opened, caplog):
    def gone():
        raise DataError("cow.jpg", "it is gone", "bring it back")

    lost = Taught((cow(COW),), gone, tuple)
    rough = box(34, 66, 44, 96)
    assert Sharpening(project).sharpener(lambda: [lost, *taught(COW, rough)], 1)
    assert "cow.jpg" in caplog.text


def test_a_damaged_network_is_no_network(project, caplog):
    assert Sharpening(project).sharpener(lambda: taught(COW, COW), 1) is None
    assert "is no network" in caplog.text
