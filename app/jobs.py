"""Durable jobs: a row in the store, a folder, and a detached worker process.

Whatever dies, the row and the folder stay; `recover` finds rows whose worker is gone, `resume_job`
goes on in the same folder. Any process on the project may call these functions.
"""

from __future__ import annotations

import contextlib
import csv
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from app import processes
from data_io.errors import DataError, StoreError
from data_io.store import Store
from data_io.types import Job, JobKind

ROOT = Path(__file__).resolve().parents[1]
ACTIVE = ("queued", "running")
RESUMABLE = ("failed", "cancelled", "interrupted")
GONE = "the process ended without saying why; resume the job to go on from its last checkpoint"
CANCEL_MARK = "cancel"
# How long a worker may take to leave. What trains or proposes loses little when it is killed: all
# it wrote is whole, and it goes on from there. An import should finish the file it is reading.
GRACE_SECONDS: Mapping[str, float] = {"train": 1.5, "propose": 1.5, "import": 60.0}
_LOG_BYTES = 512 * 1024
_children: list[subprocess.Popen[bytes]] = []


def job_folder(store: Store, job: Job | str) -> Path:
    """The folder of a job inside the project; it need not exist."""
    return store.project / "jobs" / (job if isinstance(job, str) else job.id)


def start_job(store: Store, kind: JobKind, config: Mapping[str, Any]) -> Job:
    """Create the row and the folder, and start the worker, detached from this process.

    Raises:
        DataError: a second training job while one is still running.
    """
    with starting(store):
        if kind == "train":
            refuse_second_trainer(store)
        job = store.create_job(kind, config)
        return _launch(store, job)


def resume_job(store: Store, job_id: str) -> Job:
    """Start a job again in its own folder, where it goes on from its last checkpoint.

    Raises:
        DataError: no such job, or its state is not failed, cancelled or interrupted.
    """
    with starting(store):
        job = store.job(job_id)
        if job.state not in RESUMABLE:
            raise DataError(
                job_id,
                f"the job is {job.state}",
                "resume only failed, cancelled or interrupted jobs",
            )
        if job.kind == "train":
            refuse_second_trainer(store)
        for name in (CANCEL_MARK, "error.json"):
            job_folder(store, job).joinpath(name).unlink(missing_ok=True)
        store.update_job(job_id, state="queued", error="")
        return _launch(store, job)


def cancel_job(store: Store, job_id: str, wait: bool = True, seconds: float | None = None) -> Job:
    """Ask the worker and its children to stop; after `seconds` they are killed.

    The last good state (checkpoint, proposals already written) stays and the job is resumable.

    Args:
        store: the project.
        job_id: the job.
        wait: stay until they are gone; False returns at once and a thread sees to the rest.
        seconds: how long they may take; None = `GRACE_SECONDS` of the job's kind.

    Returns:
        The job as it is now: still active when not waited for, ``done`` when it was faster.

    Raises:
        DataError: no such job, or it has already ended.
    """
    with starting(store):  # a job that is just being started has its pid afterwards
        job = store.job(job_id)
    if job.state not in ACTIVE:
        raise DataError(job_id, f"the job is already {job.state}", "cancel only running jobs")
    seconds = GRACE_SECONDS[job.kind] if seconds is None else seconds
    with contextlib.suppress(OSError):  # a full disk must not keep anybody from cancelling
        _folder(store, job).joinpath(CANCEL_MARK).touch()
    if wait:
        return _stop(store, job, seconds)
    # Here and not in the thread: this process may end before the thread has begun.
    if job.pid is not None and is_alive(job):
        processes.signal_group(job.pid, signal.SIGTERM)
    threading.Thread(target=_stop_later, args=(store, job, seconds), daemon=True).start()
    return store.job(job_id)


def is_stopping(store: Store, job: Job) -> bool:
    """True when the job is active but was asked to end: it will do nothing more."""
    return job.state in ACTIVE and job_folder(store, job).joinpath(CANCEL_MARK).exists()


def is_alive(job: Job) -> bool:
    """True when the job's worker runs; a recycled pid is not believed."""
    _reap()
    return processes.is_alive(job.pid, job.pid_started)


def recover(store: Store) -> list[Job]:
    """Mark queued and running jobs whose worker is gone; returns the interrupted ones.

    Those that somebody asked to stop are cancelled instead.
    """
    with starting(store):
        return _recover(store)


def wait(store: Store, job: Job | str, on_progress: Callable[[Job], None] | None = None) -> Job:
    """Block until the job has ended, calling `on_progress` with each new state of its row."""
    job_id = job if isinstance(job, str) else job.id
    seen = None
    while True:
        row = store.job(job_id)
        if row.state in ACTIVE and not is_alive(row):
            recover(store)
            row = store.job(job_id)
        if on_progress is not None and row.updated != seen:
            seen = row.updated
            on_progress(row)
        if row.state not in ACTIVE:
            return row
        time.sleep(0.2)


def read_log(store: Store, job: Job | str, tail: int = 200) -> list[dict[str, Any]]:
    """The last `tail` lines of the job's ``log.jsonl``, oldest first; lines cut short are left out.

    Keys of a training line: time, step, steps, phase, loss, ..., val_iou, eta, message.
    """
    file = job_folder(store, job) / "log.jsonl"
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - _LOG_BYTES))
            lines = stream.read().splitlines()
    except FileNotFoundError:
        return []
    entries = []
    for line in lines[-max(tail, 0) :] if tail > 0 else []:
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict):
                entries.append(entry)
    return entries


def read_curves(store: Store, job: Job | str, most: int = 300) -> list[dict[str, float]]:
    """The figures of a training's ``log.csv`` from its first step on, at most so many rows.

    Rows with a validation IoU are never left out. Keys are the columns that hold a number.
    """
    file = job_folder(store, job) / "log.csv"
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        return []
    every = max(1, -(-len(rows) // most))
    kept = (row for k, row in enumerate(rows) if k % every == 0 or row.get("val_iou"))
    return [_numbers(row) for row in kept]


def _numbers(row: Mapping[str, str | None]) -> dict[str, float]:
    """The cells that are numbers; a row that is being written may lack some."""
    found = {}
    for name, cell in row.items():
        with contextlib.suppress(TypeError, ValueError):
            found[name] = float(cell or "")
    return found


def running(store: Store, kind: JobKind | None = None) -> list[Job]:
    """The jobs of that kind, None = of all, whose workers run now, newest first."""
    return [job for job in store.jobs(kind) if job.state in ACTIVE and is_alive(job)]


def refuse_second_trainer(store: Store) -> None:
    """Raise a `DataError` when a training job of this project runs."""
    active = running(store, "train")
    if active:
        raise DataError(
            store.project.name,
            f"training job {active[0].id} is still running",
            "wait for it or cancel it first",
        )


def _recover(store: Store) -> list[Job]:
    lost = []
    for job in store.jobs():
        if job.state not in ACTIVE or is_alive(job):
            continue
        job = store.job(job.id)  # now that its worker is gone, the row is its last word
        if job.state not in ACTIVE:
            continue
        if is_stopping(store, job):
            store.update_job(job.id, state="cancelled", error="")
        else:
            lost.append(store.update_job(job.id, state="interrupted", error=GONE))
    return lost


def _stop(store: Store, job: Job, seconds: float) -> Job:
    """See the worker off, and say so in its row unless it has done that itself."""
    if job.pid is not None and is_alive(job):
        processes.stop_group(job.pid, job.pid_started, seconds)
    with starting(store):
        row = store.job(job.id)
        # Another pid means that somebody has resumed the job meanwhile.
        if row.pid == job.pid and row.state in (*ACTIVE, "interrupted"):
            row = store.update_job(job.id, state="cancelled", error="")
        return row


def _stop_later(store: Store, job: Job, seconds: float) -> None:
    try:
        _stop(store, job, seconds)
    except (DataError, StoreError) as error:  # `recover` marks the row then
        logging.warning("job %s: %s", job.id, error)


def _launch(store: Store, job: Job) -> Job:
    try:
        folder = _folder(store, job)
        write_json(folder / "config.json", dict(job.config))
        process = _spawn(store.project, job, folder)
    except OSError as error:
        store.update_job(job.id, state="failed", error=f"the job could not start: {error}")
        raise
    _children.append(process)
    started = processes.started_at(process.pid)
    return store.update_job(job.id, pid=process.pid, pid_started=started)


def _spawn(project: Path, job: Job, folder: Path) -> subprocess.Popen[bytes]:
    _reap()
    with folder.joinpath("worker.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "app.worker", str(project), job.id],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def write_json(file: Path, content: object) -> None:
    """Write a JSON file, whole or not at all."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    with draft.open("w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=2)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(draft, file)


def _folder(store: Store, job: Job) -> Path:
    folder = job_folder(store, job)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def starting(store: Store) -> contextlib.AbstractContextManager[None]:
    """Hold the lock under which jobs start; no job appears or goes on meanwhile."""
    # Row and pid are written under this lock: a queued row without a pid is dead for certain.
    return processes.locked(store.project / "jobs" / ".starting")


def _reap() -> None:
    """Collect ended workers of this process, which would else stay as zombies."""
    _children[:] = [child for child in _children if child.poll() is None]
