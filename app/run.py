"""What the code of a job works with; apart from the worker, which is a program of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from app import processes
from data_io.store import Store
from data_io.types import Job


class Stopped(Exception):
    """The job was asked to stop, or something ended it from outside; what it did is on disk.

    The message, if any, is the sentence for its row.
    """


@dataclass
class Run:
    """What a job's code gets to work with.

    Attributes:
        store: the project, open.
        job: the row as it was at the start.
        folder: the job's folder.
        stop: set once the job should end soon; raise `Stopped` then.
        progress: what the next heartbeat writes into the row; replace, do not change in place.
    """

    store: Store
    job: Job
    folder: Path
    stop: threading.Event
    progress: Mapping[str, Any] = field(default_factory=dict)

    def say(self, message: str) -> None:
        """Tell what is done now, in place of the phase and time that a program told before."""
        kept = {name: one for name, one in self.progress.items() if name not in ("phase", "eta")}
        self.progress = {**kept, "message": message}

    def check(self) -> None:
        """Raise `Stopped` when the job was asked to end."""
        if self.stop.is_set():
            raise Stopped


@contextlib.contextmanager
def exclusive(run: Run, name: str) -> Iterator[IO[bytes]]:
    """Be the only run of the project that holds the lock `name`, waiting for others to end.

    Yields the lock's open file; a child process that inherits it keeps the lock, so that an orphan
    of a killed worker is waited for as well.
    """
    lock = processes.try_lock(run.store.project / "jobs" / name)
    while lock is None:
        run.say("waiting for the previous run to stop")
        run.stop.wait(0.2)
        run.check()
        lock = processes.try_lock(run.store.project / "jobs" / name)
    with lock:
        yield lock
