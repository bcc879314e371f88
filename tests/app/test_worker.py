from __future__ import annotations

import errno
import threading
from datetime import datetime, timezone

import pytest

from app import jobs, worker
from app.run import Run, Stopped
from app.workflow import proposals
from data_io.errors import DataError, StoreError
from data_io.store import Store
from data_io.types import ModelVersion


@pytest.fixture
def run(tmp_path):
    with Store.open(tmp_path / "project") as store:
        job = store.create_job("propose", {})
        folder = jobs.job_folder(store, job)
        folder.mkdir(parents=True)
        yield Run(store, job, folder, threading.Event())


@pytest.fixture
def outcome(run, monkeypatch):
    """Runs a job whose code raises the given error; returns its row."""

    def attempt(error):
        def handler(_):
            raise error

        monkeypatch.setattr(worker, "_handler", lambda kind: handler)
        worker._finish(run, *worker._attempt(run))
        return run.store.job(run.job.id)

    return attempt


def test_a_full_disk_is_a_sentence(outcome):
    row = outcome(OSError(errno.ENOSPC, "No space left on device"))
    assert row.state == "failed"
    assert row.error.startswith("the disk is full; free some space and resume")


def test_a_store_that_cannot_write_is_its_sentence(outcome):
    row = outcome(StoreError("the disk is full."))
    assert (row.state, row.error) == ("failed", "the disk is full.")


def test_an_unexpected_error_is_one_line(outcome):
    row = outcome(ZeroDivisionError("by zero"))
    assert row.state == "failed"
    assert "ZeroDivisionError" in row.error
    assert "\n" not in row.error


def test_a_stop_is_cancelled_only_when_somebody_asked_for_it(outcome, run):
    assert outcome(Stopped("killed")).state == "interrupted"
    assert run.store.job(run.job.id).error == "killed"
    run.folder.joinpath(jobs.CANCEL_MARK).touch()
    row = outcome(Stopped())
    assert (row.state, row.error) == ("cancelled", "")


def test_failed_jobs_are_resumable(outcome):
    assert outcome(OSError(errno.ENOSPC, "full")).state in jobs.RESUMABLE


@pytest.fixture
def ended(tmp_path, monkeypatch):
    """Lets what follows a job of that kind and config run; the files it left out, or None."""

    def follow(kind, config, result):
        with Store.open(tmp_path / "project") as store:
            if store.promoted() is None:
                now = datetime.now(timezone.utc)
                version = ModelVersion("v1", None, "j", "", {}, (), "s", {}, "promoted", now)
                store.add_version(version)
            asked = []
            monkeypatch.setattr(proposals, "ensure", lambda store, but: asked.append(but))
            job = store.create_job(kind, config)
            worker._follow_up(Run(store, job, tmp_path, threading.Event()), result)
            return asked[0] if asked else None

    return follow


def test_what_changes_images_or_versions_is_followed_by_proposals(ended):
    refused = {"refused": [{"file": "a.png", "why": "gone"}]}
    assert ended("train", {"version": "v2"}, {}) == set()
    assert ended("import", {"source": "photos"}, refused) == {"a.png"}
    assert ended("propose", {"version": "v1", "images": ["x"]}, {"refused": []}) == set()
    assert ended("propose", {"version": "v1", "images": None}, refused) == {"a.png"}


def test_a_look_at_another_version_is_followed_by_nothing(ended):
    assert ended("propose", {"version": "v0", "images": None}, {}) is None


@pytest.mark.parametrize(
    "error",
    [
        StoreError("the disk is full."),
        OSError(errno.ENOSPC, "No space left on device"),
        DataError("v1", "its weights are gone", "promote another version"),
    ],
)
def test_proposals_that_cannot_start_are_a_line_in_the_log(run, monkeypatch, caplog, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(proposals, "ensure", fail)
    job = run.store.create_job("import", {})
    worker._follow_up(Run(run.store, job, run.folder, run.stop), {})
    (line,) = caplog.records
    assert "no proposals were started: " in line.getMessage()
    assert line.exc_info is None
