"""The server's thread for automatic trainings, driven by hand with a given clock."""

from __future__ import annotations

import threading

import pytest

from app import retrainer, settings
from app.retrainer import Retrainer
from app.workflow import labels, retraining, training
from data_io.errors import DataError
from data_io.geometry import full_image
from data_io.store import NewImage, Store


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "project") as opened:
        opened.add_images([NewImage(str(tmp_path / f"{n}.png"), 8, 8, str(n)) for n in range(3)])
        opened.add_category("cow")
        yield opened


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def reasons(monkeypatch):
    """Reasons of the trainings that would start; the store remembers them as failed ones."""
    told = []

    def start(store, options):
        told.append(options.reason)
        job = store.create_job("train", {"labels": labels.count(store).as_dict()})
        return store.update_job(job.id, state="failed")

    monkeypatch.setattr(training, "start_training", start)
    return told


def accept(store, number):
    store.save_revision(store.images()[number].id, 0, [], full_image(8, 8), "me")


def test_it_trains_when_nobody_has_worked_for_a_while(store, clock, reasons):
    watch = Retrainer(store, lambda: clock[0])
    accept(store, 0)
    watch.acted(saved=True)
    clock[0] = 14 * 60
    watch.look()
    watch.acted()  # looking at another image is work, too
    clock[0] = 20 * 60
    watch.look()
    assert reasons == []
    clock[0] = 29 * 60
    watch.look()
    watch.look()
    assert reasons == ["new labels, and nobody has worked for 15 min"]


def test_what_cannot_start_is_told_and_not_tried_again_without_new_labels(
    store, clock, monkeypatch
):
    tried = []

    def refuse(store, options):
        tried.append(options)
        raise DataError("0.png", "the picture of a labeled image is missing", "put it back")

    monkeypatch.setattr(training, "start_training", refuse)
    settings.change(store.project, retrain_images=1)
    watch = Retrainer(store, lambda: clock[0])
    accept(store, 0)
    assert watch.is_due()
    for _ in range(3):
        assert watch.look() is None
    assert not watch.is_due()
    assert len(tried) == 1
    assert "picture of a labeled image is missing" in watch.sentence()
    accept(store, 1)
    watch.look()
    assert len(tried) == 2


def test_a_save_wakes_the_thread_and_stopping_ends_it(store, monkeypatch):
    looks = threading.Semaphore(0)
    monkeypatch.setattr(retrainer, "LOOK_SECONDS", 600.0)
    monkeypatch.setattr(retrainer, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(retraining, "go_on", lambda store: looks.release())
    watch = Retrainer(store)
    watch.start()
    assert looks.acquire(timeout=60)  # one look at the start
    watch.acted(saved=True)
    assert looks.acquire(timeout=60)
    watch.acted()
    watch.stop()
    assert not [one for one in threading.enumerate() if one.name == "retrainer"]


def test_an_unforeseen_error_does_not_end_the_thread(store, monkeypatch, caplog):
    seen = threading.Semaphore(0)

    def broken(store):
        seen.release()
        raise ZeroDivisionError

    monkeypatch.setattr(retrainer, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(retrainer, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(retraining, "go_on", broken)
    watch = Retrainer(store)
    watch.start()
    assert all(seen.acquire(timeout=60) for _ in range(3))
    watch.stop()
    assert "failed" in caplog.text
