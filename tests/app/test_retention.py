"""What is removed after a while, and what never is. Ages come from an injected moment."""

from __future__ import annotations

import contextlib
import os
import socket
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest

from app import jobs, retention, server
from app.retention import KEPT_COPIES, KEPT_VERSIONS, tidy
from app.server import ServerOptions
from app.workflow import training
from data_io.errors import DataError
from data_io.store import Store
from data_io.types import ModelVersion

FILES = ("weights.safetensors", "version.json")


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "project") as opened:
        yield opened


def days(number):
    """A moment so many days from now."""
    return datetime.now(timezone.utc) + timedelta(days=number)


def put(folder, *names):
    """A folder with files of these names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        folder.joinpath(name).write_text(name)
    return folder


def snapshot(store, digit):
    return put(store.project / "snapshots" / (digit * 64), "snapshot.json")


def add_version(store, number, parent=None, snapshot="", job=""):
    moment = datetime.now(timezone.utc)
    id = f"v{number}"
    put(store.project / "versions" / id, *FILES)
    return store.add_version(
        ModelVersion(id, parent, job, "", {}, ("cow",), snapshot, {}, "aside", moment)
    )


def add_job(store, state, kind="train", **config):
    """A job in that state whose folder has a log, a worker log and a checkpoint."""
    job = store.create_job(kind, config)
    folder = put(jobs.job_folder(store, job), "log.jsonl", "worker.log", "config.json")
    put(folder / "checkpoint", "state.pt")
    return store.update_job(job.id, state=state)


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def in_folder(store, job):
    return names(jobs.job_folder(store, job))


EVERYTHING = ["checkpoint", "config.json", "log.jsonl", "worker.log"]


def test_old_versions_lose_their_files_and_keep_their_rows(store):
    for number in range(1, 16):
        add_version(store, number, parent=f"v{number - 1}")
    store.promote("v3")
    put(store.project / "versions" / "mine", "notes.txt")
    removed = tidy(store, days(400))
    assert KEPT_VERSIONS == 10
    assert [path.name for path in removed] == ["v1", "v4", "v5"]
    left = ["mine", "v2", "v3", *(f"v{number}" for number in range(6, 16))]
    assert names(store.project / "versions") == sorted(left)
    assert len(store.versions()) == 15
    assert tidy(store, days(400)) == []


def test_a_version_without_files_is_not_promoted(store):
    for number in range(1, 13):
        add_version(store, number)
    store.promote("v12")
    tidy(store)
    for refused in (training.promote, training.usable_version):
        with pytest.raises(DataError, match=r"v1: its files are gone .*; choose a newer version"):
            refused(store, "v1")
    assert store.promoted().id == training.usable_version(store).id == "v12"


def test_snapshots_stay_with_their_versions_and_jobs(store):
    made = {digit: snapshot(store, digit) for digit in "abcde"}
    for number in range(1, 13):
        add_version(store, number, snapshot={1: "a", 12: "b"}.get(number, "f") * 64)
    add_job(store, "interrupted", snapshot=str(made["c"]), version="v13")
    add_job(store, "done", snapshot=str(made["d"]), version="v14")
    put(store.project / "snapshots" / "notes", "a.txt")
    os.utime(made["e"], (days(30).timestamp(),) * 2)  # written for a job that is just starting
    removed = tidy(store, days(30))
    assert {path for path in removed if path.parent.name == "snapshots"} == {made["a"], made["d"]}
    assert names(store.project / "snapshots") == sorted(["notes", *(d * 64 for d in "bce")])


@pytest.mark.parametrize(
    ("state", "age"),
    [
        ("queued", 1000),
        ("running", 1000),
        ("interrupted", 1000),
        ("failed", 13.9),
        ("cancelled", 13.9),
    ],
)
def test_nothing_of_a_job_that_runs_or_can_be_gone_on_with_is_touched(store, state, age):
    for number in range(1, 13):
        add_version(store, number)
    read = snapshot(store, "a")
    trained = add_job(store, state, snapshot=str(read), version="v1")
    proposed = add_job(store, state, kind="propose", version="v2")
    assert tidy(store, days(age)) == []
    for job in (trained, proposed):
        assert in_folder(store, job) == EVERYTHING
    assert read.is_dir()
    assert training.missing_files(training.version_folder(store, "v1")) == []


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_job_nobody_went_on_with_loses_its_checkpoint_then_its_folder(store, state):
    read = snapshot(store, "a")
    stray = put(store.project / "versions" / "v1", *FILES)  # it failed before it had a row
    job = add_job(store, state, snapshot=str(read), version="v1")
    folder = jobs.job_folder(store, job)
    put(folder / "checkpoint.old", "state.pt")
    tidy(store, days(14.1))
    assert in_folder(store, job) == ["config.json", "log.jsonl", "worker.log"]
    assert not read.exists()
    assert not stray.exists()
    tidy(store, days(89.9))
    assert folder.is_dir()
    tidy(store, days(90.1))
    assert not folder.exists()
    assert store.job(job.id).state == state


def test_the_log_of_a_kept_version_is_kept(store):
    kept, other = add_job(store, "done", version="v1"), add_job(store, "done", version="v0")
    running = add_job(store, "running", version="v2")
    add_version(store, 1, job=kept.id)
    tidy(store, days(90.1))
    assert in_folder(store, kept) == ["log.jsonl"]
    assert not jobs.job_folder(store, other).exists()
    assert in_folder(store, running) == EVERYTHING


def copies(project, count):
    """Copies of the database, each newer than the one before, whatever their names."""
    for number in range(count):
        path = project / f"herdmark.db.bak-{9 - number:04}"
        path.write_text("copy")
        os.utime(path, (number, number))


def test_the_newest_copies_of_the_database_are_kept(store):
    copies(store.project, 5)
    assert len(tidy(store)) == 2
    kept = sorted(path.name for path in store.project.glob("*.bak-*"))
    assert kept == [f"herdmark.db.bak-{number:04}" for number in (5, 6, 7)]
    assert KEPT_COPIES == 3
    assert store.check() == []


def test_what_a_killed_tidying_left_goes_with_the_next(store):
    left = [
        put(store.project / place / f"{retention._ASIDE}x", "weights.safetensors")
        for place in ("versions", "snapshots", "jobs", "jobs/one")
    ]
    tidy(store)
    assert not any(folder.exists() for folder in left)


def test_what_cannot_be_removed_waits_and_stops_nothing(store, monkeypatch):
    for number in range(1, 13):
        add_version(store, number)
    real = os.rename

    def rename(old, new):
        if Path(old).name == "v1":
            raise PermissionError(13, "Permission denied")
        real(old, new)

    monkeypatch.setattr(retention.os, "rename", rename)
    assert [path.name for path in tidy(store)] == ["v2"]
    assert training.missing_files(training.version_folder(store, "v1")) == []
    monkeypatch.undo()
    assert [path.name for path in tidy(store)] == ["v1"]


def test_a_starting_server_tidies(tmp_path, monkeypatch):
    Store.open(tmp_path / "project").close()
    copies(tmp_path / "project", 4)
    idle = SimpleNamespace(start=lambda: None, stop=lambda: None)
    built = SimpleNamespace(state=SimpleNamespace(retrainer=idle))
    monkeypatch.setattr(server, "build_app", lambda *_: built)
    monkeypatch.setattr(server, "Inference", lambda _: contextlib.nullcontext())
    quiet = SimpleNamespace(run=lambda **_: None)
    monkeypatch.setattr(server.uvicorn, "Server", lambda _: quiet)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server.serve(tmp_path / "project", listener, ServerOptions(), lambda _: None)
    assert len(list((tmp_path / "project").glob("*.bak-*"))) == KEPT_COPIES
