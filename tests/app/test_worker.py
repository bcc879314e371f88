from __future__ import annotations

import errno
import threading

import pytest

from app import jobs, worker
from app.run import Run, Stopped
from data_io.errors import StoreError
from data_io.store import Store


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
