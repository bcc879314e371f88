"""When the Train page polls, and what it counts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import gradio as gr
import pytest

from app import jobs, processes, settings
from app.cli.train import Method
from app.context import Context
from app.pages import automatic, train
from app.pages.train import TrainPage
from app.workflow import training
from data_io.errors import DataError
from data_io.geometry import full_image
from data_io.store import Store, codec
from data_io.types import ModelVersion
from model.config import METHODS


@pytest.fixture
def page(context: Context) -> Iterator[TrainPage]:
    with gr.Blocks():
        yield train.build(context)


def polls(page: TrainPage) -> bool:
    timer: Any = page.refresh()[-1]
    return bool(timer.active)


def test_it_polls_on_between_a_job_and_the_one_that_follows(
    page: TrainPage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not polls(page)
    job = store.create_job("train", {})
    store.update_job(job.id, state="done")
    assert polls(page)
    now = codec.now()
    monkeypatch.setattr(codec, "now", lambda: now - timedelta(seconds=11))
    store.update_job(job.id, state="done")
    assert not polls(page)


def test_it_polls_until_a_training_that_is_due_has_started_by_itself(
    page: TrainPage, store: Store
) -> None:
    automatic.change(store.project, 1, 0, 0, "scratch", 4)
    assert not polls(page)
    store.save_revision(store.images()[0].id, 0, [], full_image(48, 64), "me")
    assert polls(page)


def test_a_job_that_was_asked_to_stop_says_so(
    page: TrainPage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "is_alive", lambda job: True)
    job = store.create_job("propose", {})
    store.update_job(job.id, state="running")
    assert 'data-action="cancel"' in page.refresh()[4]
    mark = jobs.job_folder(store, job) / jobs.CANCEL_MARK
    mark.parent.mkdir(parents=True)
    mark.touch()
    shown, history = page.refresh()[2], page.refresh()[4]
    assert "stopping" in shown
    assert "stopping" in history
    assert 'data-action="cancel"' not in history


def test_images_that_no_training_takes_are_not_counted(page: TrainPage, store: Store) -> None:
    one, two, three = (record.id for record in store.images())
    store.save_revision(one, 0, [], full_image(48, 64), "me")
    store.save_revision(two, 0, [], full_image(48, 64), "me")
    store.set_split(two, "test")
    store.set_excluded(three, True)
    told = page.refresh()[0]
    assert "1 image with a verified area" in told
    assert "0 images without" in told
    store.set_excluded(one, True)
    assert "Nothing to learn from yet" in page.refresh()[0]


def test_the_page_says_that_the_click_tool_takes_more_than_the_minutes(
    page: TrainPage, store: Store
) -> None:
    store.save_revision(store.images()[0].id, 0, [], full_image(48, 64), "me")
    assert "Teaching the click tool comes on top" in page.refresh()[0]
    settings.change(store.project, refine=False)
    assert "click tool" not in page.refresh()[0]


def test_versions_are_compared_once_there_are_two(page: TrainPage, store: Store) -> None:
    shown = []
    for number in range(3):
        shown.append((page.refresh()[7], 'data-action="compare"' in page.refresh()[3]))
        parts = (f"v{number}", None, "j", "", {}, (), "s", {}, "aside", codec.now())
        store.add_version(ModelVersion(*parts))
    assert shown[:2] == [("", False)] * 2
    assert "Choose two versions" in shown[2][0]
    assert shown[2][1]


def test_every_method_can_be_chosen_on_the_page_and_the_command_line() -> None:
    assert sorted(value for _, value in train.METHODS) == sorted(METHODS)
    assert sorted(method.value for method in Method) == sorted(METHODS)


def test_cancelling_keeps_nobody_waiting(
    page: TrainPage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(train, "inform", told.append)
    job = store.create_job("train", {})
    asked: list[object] = []

    def cancel(store: Store, id: str, *, wait: bool) -> Any:
        asked.append((id, wait))
        return store.job(id)

    monkeypatch.setattr(jobs, "cancel_job", cancel)
    page.cancel(job.id)
    assert asked == [(job.id, False)]
    assert told == ["The job is stopping; its last good state is kept."]


@pytest.mark.skipif(os.name != "posix", reason="needs locks")
def test_a_training_that_waits_for_another_one_is_not_said_to_have_started(
    page: TrainPage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    begun: list[object] = []
    monkeypatch.setattr(train, "inform", told.append)
    monkeypatch.setattr(training, "start_training", lambda store, options: begun.append(options))
    options = training.TrainOptions()
    lock = processes.try_lock(store.project / "jobs" / training.LOCK)
    assert lock is not None
    with lock:
        page.begin(options)
    page.begin(options)
    assert begun == [options, options]
    assert told[0].startswith("The training job waits until the one before it has ended;")
    assert told[1].startswith("The training job has started;")


def test_the_page_says_what_automatic_trainings_wait_for(page: TrainPage, store: Store) -> None:
    automatic.change(store.project, 3, 0, 0, "scratch", 4)
    store.save_revision(store.images()[0].id, 0, [], full_image(48, 64), "me")
    assert "Trains by itself after 2 more accepted images." in page.refresh()[0]


@pytest.mark.parametrize(("usual", "most"), [(5.0, 120), (300.0, 300)])
def test_the_minutes_say_how_many_are_allowed_and_allow_the_project_s_own(
    context: Context, usual: float, most: int
) -> None:
    settings.change(context.store.project, minutes=usual)
    with gr.Blocks():
        field = train.build(context).form["minutes"]
    assert field.info == f"at most {most}; a larger number becomes {most}"
    assert field.preprocess(float(usual)) == usual


def test_how_often_a_training_starts_from_scratch_is_asked_in_english(page: TrainPage) -> None:
    asked = page.automatic.form["scratch_every"]
    assert (asked.label, asked.value) == ("From scratch every Nth training", 4)
    assert str(asked.info).startswith("N, of those")


def test_what_does_not_fit_is_not_stored(page: TrainPage, store: Store) -> None:
    with pytest.raises(DataError, match="scratch_every"):
        automatic.change(store.project, 1, 1, 1, "scratch", 0)
    assert settings.load(store.project) == settings.Settings()
    automatic.change(store.project, None, 5, None, "warm", 2)
    chosen = settings.load(store.project)
    assert (chosen.retrain_images, chosen.retrain_regions, chosen.retrain_idle) == (0, 5, 0)
    assert (chosen.retrain_start, chosen.scratch_every) == ("warm", 2)
