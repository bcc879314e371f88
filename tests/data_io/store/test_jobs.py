"""Jobs: rows that outlive the processes that run them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from data_io.errors import DataError
from data_io.store import Store


def test_a_job_is_queued_with_its_config(store: Store) -> None:
    config = {"minutes": 5, "nested": {"crops": [256, 320]}, "name": "ü"}
    job = store.create_job("train", config)
    assert (job.kind, job.state, job.config) == ("train", "queued", config)
    assert (job.pid, job.pid_started, job.error) == (None, None, "")
    assert (job.progress, job.result) == ({}, {})
    assert job.created == job.updated
    assert job.created.utcoffset() == timedelta(0)
    assert store.job(job.id) == job


def test_updates_change_only_what_is_given_and_survive(store: Store, project: Path) -> None:
    job = store.create_job("train", {"steps": 3})
    store.update_job(job.id, state="running", pid=42, pid_started=1.25)
    store.update_job(job.id, progress={"step": 1, "loss": 0.5})
    updated = store.update_job(job.id, error="stopped")
    assert (updated.state, updated.pid, updated.pid_started) == ("running", 42, 1.25)
    assert updated.progress == {"step": 1, "loss": 0.5}
    assert updated.config == {"steps": 3}
    assert updated.created == job.created
    assert updated.updated >= job.updated
    store.update_job(job.id, state="done", result={"version": "v1"}, error="", progress={})
    store.close()
    with Store.open(project) as opened:
        done = opened.job(job.id)
    assert (done.state, done.result, done.error, done.progress) == (
        "done",
        {"version": "v1"},
        "",
        {},
    )


def test_jobs_are_listed_newest_first(store: Store) -> None:
    ids = [store.create_job(kind, {}).id for kind in ("train", "propose", "train")]  # type: ignore[arg-type]
    assert [job.id for job in store.jobs()] == ids[::-1]
    assert [job.id for job in store.jobs("train")] == [ids[2], ids[0]]
    assert store.jobs("import") == []


def test_what_makes_no_sense_is_refused(store: Store) -> None:
    job = store.create_job("propose", {})
    for call in (
        lambda: store.job("ghost"),
        lambda: store.update_job("ghost", pid=1),
        lambda: store.update_job(job.id, state="asleep"),  # type: ignore[arg-type]
        lambda: store.update_job(job.id, progress={"loss": float("nan")}),
        lambda: store.create_job("dance", {}),  # type: ignore[arg-type]
        lambda: store.create_job("train", {"folder": Path("x")}),
    ):
        with pytest.raises(DataError):
            call()
    assert store.jobs() == [job]
