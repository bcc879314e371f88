"""Durable jobs with real worker processes.

A propose or train job waits for the project's lock before it works: holding that lock here keeps a
worker alive and idle for as long as a test needs.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app import jobs, processes
from app.workflow import retraining, trainer, training
from app.workflow.imports import import_source
from data_io.atomic import file_sha256
from data_io.errors import DataError
from data_io.geometry import full_image
from data_io.snapshot import write_snapshot
from data_io.store import Store
from data_io.types import Instance, ModelVersion, Part

SECONDS = 120.0
NOW = datetime.now(timezone.utc)


def until(condition, seconds=SECONDS):
    """Wait for a condition of another process; fails when it does not come true."""
    end, tick = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < end, "the other process did not get there"
        tick.wait(0.05)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "project") as opened:
        yield opened
        for job in opened.jobs():
            if job.state in jobs.ACTIVE and jobs.is_alive(job):
                processes.signal_group(job.pid, signal.SIGKILL)


@pytest.fixture
def idle(store):
    """Starts a worker that waits for a lock held here; `release` lets it go on."""
    held = contextlib.ExitStack()

    class Idle:
        def start(self, kind="propose", config=None):
            name = ".training" if kind == "train" else ".proposing"
            lock = processes.try_lock(store.project / "jobs" / name)
            if lock is not None:
                held.enter_context(lock)
            job = jobs.start_job(store, kind, config or {"version": "v1", "images": []})
            self.wait(job)
            return store.job(job.id)

        def wait(self, job):
            until(lambda: "waiting" in str(store.job(job.id).progress.get("message")))

        def release(self):
            held.close()

    with held:
        yield Idle()


def kill(job):
    os.killpg(job.pid, signal.SIGKILL)
    until(lambda: not jobs.is_alive(job))


def test_a_job_runs_apart_and_ends_done(store, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (8, 8)).save(photos / "a.png")
    job = jobs.start_job(store, "import", {"source": str(photos)})
    ended = jobs.wait(store, job)
    assert (ended.state, ended.result["images"], ended.error) == ("done", 1, "")
    assert ended.pid != os.getpid()
    assert len(store.images()) == 1
    assert json.loads((jobs.job_folder(store, job) / "config.json").read_text()) == job.config


def test_bad_input_fails_with_its_sentence(store, tmp_path):
    ended = jobs.wait(store, jobs.start_job(store, "import", {"source": str(tmp_path / "no")}))
    assert ended.state == "failed"
    assert "there is no such file or folder" in ended.error
    assert "Traceback" not in ended.error


def test_only_jobs_that_ended_badly_are_resumed(store):
    job = store.create_job("import", {})
    store.update_job(job.id, state="done")
    with pytest.raises(DataError, match="only failed, cancelled or interrupted"):
        jobs.resume_job(store, job.id)


def test_the_heartbeat_keeps_the_row_fresh(store, idle):
    job = idle.start()
    first = store.job(job.id).updated
    until(lambda: store.job(job.id).updated > first)
    assert store.job(job.id).state == "running"


def test_a_killed_worker_is_found_interrupted_and_resumed(store, idle):
    job = idle.start()
    assert jobs.recover(store) == []
    kill(job)
    assert [(one.id, one.state) for one in jobs.recover(store)] == [(job.id, "interrupted")]
    assert "resume" in store.job(job.id).error
    jobs.resume_job(store, job.id)
    idle.release()
    ended = jobs.wait(store, job)
    assert (ended.state, ended.error) == ("done", "")


def test_waiting_for_a_killed_worker_ends(store, idle):
    job = idle.start()
    kill(job)
    assert jobs.wait(store, job).state == "interrupted"


def test_cancelling_ends_the_worker_and_keeps_the_job_resumable(store, idle):
    job = idle.start()
    assert jobs.cancel_job(store, job.id).state == "cancelled"
    assert not jobs.is_alive(job)
    with pytest.raises(DataError, match="already cancelled"):
        jobs.cancel_job(store, job.id)
    jobs.resume_job(store, job.id)
    idle.release()
    assert jobs.wait(store, job).state == "done"


def test_a_page_need_not_wait_for_a_job_to_stop(store, idle, monkeypatch):
    gone, sent = threading.Event(), []
    job = idle.start()
    with monkeypatch.context() as patched:  # a worker that takes its time
        patched.setattr(processes, "stop_group", lambda *_: gone.wait(SECONDS))
        patched.setattr(processes, "signal_group", lambda *signals: sent.append(signals))
        asked = jobs.cancel_job(store, job.id, wait=False)
        assert (asked.state, sent) == ("running", [(job.pid, signal.SIGTERM)])
        assert jobs.is_stopping(store, asked)
        kill(job)
        gone.set()
        until(lambda: store.job(job.id).state == "cancelled")
    assert not jobs.is_stopping(store, store.job(job.id))


def test_a_worker_ends_by_itself_when_nobody_waits(store, idle):
    job = idle.start()
    jobs.cancel_job(store, job.id, wait=False)
    assert jobs.wait(store, job).state == "cancelled"


def test_a_worker_that_does_not_leave_is_killed_within_its_grace(store, idle, monkeypatch):
    job = idle.start("train", {"version": "v1-a", "train": {}})
    monkeypatch.setattr(jobs, "GRACE_SECONDS", {"train": 0.0})
    os.killpg(job.pid, signal.SIGSTOP)  # it hears no other signal than the last one
    assert jobs.cancel_job(store, job.id).state == "cancelled"
    until(lambda: not jobs.is_alive(job))


def test_a_cancelled_training_is_gone_within_two_seconds():
    assert trainer.STOP_SECONDS < jobs.GRACE_SECONDS["train"] < 2


def test_a_job_that_was_asked_to_stop_and_died_is_cancelled(store, idle):
    job = idle.start()
    jobs.job_folder(store, job).joinpath(jobs.CANCEL_MARK).touch()
    kill(job)
    assert jobs.recover(store) == []
    assert (store.job(job.id).state, store.job(job.id).error) == ("cancelled", "")


def test_a_job_that_ends_while_it_is_looked_at_stays_done(store, monkeypatch):
    job = store.create_job("propose", {})
    store.update_job(job.id, state="running")

    def ends(row):
        store.update_job(row.id, state="done")
        return False

    monkeypatch.setattr(jobs, "is_alive", ends)
    assert jobs.recover(store) == []
    assert store.job(job.id).state == "done"


def test_a_late_stop_leaves_a_resumed_job_alone(store):
    job = store.create_job("propose", {})
    before = store.update_job(job.id, state="running", pid=2**22 - 1, pid_started=1.0)
    mine = processes.started_at(os.getpid())
    store.update_job(job.id, state="running", pid=os.getpid(), pid_started=mine)
    assert jobs._stop(store, before, 1.0).state == "running"


def test_an_import_is_followed_by_the_proposals_that_are_missing(store, tmp_path):
    version = ModelVersion("v1", None, "j", "", {}, (), "s", {}, "promoted", NOW)
    store.add_version(version)
    for name in ("weights.safetensors", "version.json"):
        file = training.version_folder(store, "v1") / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (8, 8)).save(photos / "a.png")
    lock = processes.try_lock(store.project / "jobs" / ".proposing")
    with lock:  # the run that follows waits, and ends with the test
        job = jobs.start_job(store, "import", {"source": str(photos)})
        assert jobs.wait(store, job).state == "done"
        until(lambda: store.jobs("propose"))
        (follower,) = store.jobs("propose")
        assert follower.config == {"version": "v1", "images": None}
        until(lambda: jobs.is_alive(store.job(follower.id)))
        kill(store.job(follower.id))


def test_a_terminated_worker_that_nobody_cancelled_is_interrupted(store, idle):
    job = idle.start()
    os.killpg(job.pid, signal.SIGTERM)
    assert jobs.wait(store, job).state == "interrupted"


def test_a_recycled_pid_is_not_believed(store):
    job = store.create_job("propose", {})
    mine = processes.started_at(os.getpid())
    store.update_job(job.id, state="running", pid=os.getpid(), pid_started=mine - 5)
    assert [one.id for one in jobs.recover(store)] == [job.id]
    store.update_job(job.id, state="running", pid=os.getpid(), pid_started=mine)
    assert jobs.recover(store) == []


def test_a_job_that_never_got_a_worker_is_interrupted(store):
    job = store.create_job("propose", {})
    assert [one.id for one in jobs.recover(store)] == [job.id]


def test_a_second_training_is_refused_until_the_first_has_ended(store, idle):
    first = idle.start("train", {"version": "v1-a", "train": {}})
    with pytest.raises(DataError, match=f"training job {first.id} is still running"):
        jobs.start_job(store, "train", {"version": "v2-b", "train": {}})
    assert len(store.jobs("train")) == 1
    kill(first)
    second = idle.start("train", {"version": "v2-b", "train": {}})
    assert store.job(first.id).state == "running"  # nobody has looked at it yet
    assert [one.id for one in jobs.running(store, "train")] == [second.id]
    jobs.cancel_job(store, second.id)


def test_logs_are_read_from_the_end_and_broken_lines_left_out(store):
    job = store.create_job("train", {})
    assert jobs.read_log(store, job) == []
    folder = jobs.job_folder(store, job)
    folder.mkdir(parents=True)
    lines = [json.dumps({"step": step}) for step in range(5)]
    folder.joinpath("log.jsonl").write_text("\n".join([*lines, '{"step": 5']))
    assert [row["step"] for row in jobs.read_log(store, job, 3)] == [3, 4]
    assert jobs.read_log(store, job.id, 0) == []


def test_curves_are_thinned_but_keep_the_first_step_and_every_validation(store):
    job = store.create_job("train", {})
    assert jobs.read_curves(store, job) == []
    folder = jobs.job_folder(store, job)
    folder.mkdir(parents=True)
    rows = [f"{k},semi,0.5,{'0.75' if k == 7 else ''}" for k in range(1, 101)]
    text = "\n".join(["step,phase,loss,val_iou", *rows, "101,se"])
    folder.joinpath("log.csv").write_text(text)
    found = jobs.read_curves(store, job, most=11)
    assert [row["step"] for row in found] == [1, 7, *range(11, 102, 10)]
    assert found[0] == {"step": 1.0, "loss": 0.5}
    assert found[1]["val_iou"] == 0.75
    assert found[-1] == {"step": 101.0}


@pytest.fixture
def herd(store, tmp_path):
    """Two labeled 96 x 96 photos with a bright animal on dark ground, and an unlabeled one."""
    photos = tmp_path / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = rng.integers(0, 60, (96, 96, 3), dtype=np.uint8)
        pixels[24:72, 24:72] += 150
        Image.fromarray(pixels).save(photos / f"{number}.png")
    import_source(store, photos)
    cow = store.add_category("cow").id
    ring = np.array([[24, 24], [72, 24], [72, 72], [24, 72]], dtype=np.float64)
    for record in store.images()[:2]:
        animals = [Instance(f"cow-{record.id}", cow, (Part(ring),))]
        store.save_revision(record.id, 0, animals, full_image(96, 96), "me")
    return store


def trainer_of(job):
    """The pid of the trainer below a job's worker."""
    found = subprocess.run(["pgrep", "-P", str(job.pid)], capture_output=True, check=True)
    return int(found.stdout.split()[0])


KILLS = {
    "both": lambda job: os.killpg(job.pid, signal.SIGKILL),
    "trainer": lambda job: os.kill(trainer_of(job), signal.SIGKILL),
    "worker": lambda job: os.kill(job.pid, signal.SIGKILL),
}


@pytest.mark.long
@pytest.mark.parametrize("killed", ["both", "trainer", "worker"])
def test_a_killed_training_goes_on_by_itself_from_its_checkpoint(herd, killed):
    """kill -9 of worker, trainer or both while checkpoints are written: nothing is lost."""
    store = herd
    revisions = {id: one.number for id, one in store.latest_revisions().items()}
    settings = {
        "method": "supervised",
        "steps": 6,
        "crop": 64,
        "max_side": 96,
        "batch": 2,
        "threads": 1,
        "device": "cpu",
        "pretrained": False,
        "checkpoint_seconds": 0.01,
    }
    snapshot = write_snapshot(store, store.project / "snapshots")
    config = {
        "snapshot": str(snapshot.folder),
        "version": "v1-test",
        "parent": None,
        "train": settings,
    }
    job = jobs.start_job(store, "train", config)
    folder = jobs.job_folder(store, job)
    until(lambda: any(folder.joinpath("checkpoint").glob("*")) or store.job(job.id).error)
    KILLS[killed](store.job(job.id))
    until(lambda: not jobs.is_alive(store.job(job.id)))
    assert (store.versions(), store.proposals()) == ([], {})
    assert retraining.go_on(store).id == job.id
    ended = jobs.wait(store, job)
    assert (ended.state, ended.error) == ("done", "")
    assert any("resumed" in str(row.get("message")) for row in jobs.read_log(store, job, 500))
    assert ended.result["steps"] == 6
    (version,) = store.versions()
    assert version.id == "v1-test"
    weights = training.version_folder(store, version.id) / "weights.safetensors"
    assert file_sha256(weights) == version.weights_sha256
    assert {id: one.number for id, one in store.latest_revisions().items()} == revisions
    if ended.result["promoted"]:
        until(lambda: store.jobs("propose"))
        assert jobs.wait(store, store.jobs("propose")[0]).result["images"] == 3
    else:
        assert "aside" in ended.result["why"]


def test_the_project_root_of_workers_is_this_repository():
    assert Path(jobs.ROOT, "app", "worker.py").is_file()
