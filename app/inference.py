"""The process that serves the instant model: ``python -m app.inference PROJECT``.

It is a child of the server, below it in priority, and ends with it: its standard input is a pipe
that closes when the server goes, however it goes. Nothing in it has to be kept.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from app import processes, settings
from app.jobs import ROOT
from data_io.errors import DataError, StoreError
from data_io.store import Store

LOCK = ".instant"
PAUSE = 0.25  # seconds between looks at the store while nothing happens
TROUBLE = 5.0  # seconds until the next attempt after an error
FIRST_RESTART, LAST_RESTART = 1.0, 300.0  # seconds


class Inference:
    """Keeps the process of a project running between entering and leaving."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._end = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, daemon=True, name="inference")

    def __enter__(self) -> Inference:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        if self._process is not None:
            _kill(self._process)
        self._thread.join()

    def _keep(self) -> None:
        pause = FIRST_RESTART
        while not self._end.is_set():
            try:
                self._process = self._start()
            except OSError as error:
                logging.warning("no instant model: %s", processes.os_sentence(error))
                return
            if self._end.is_set():
                _kill(self._process)
            self._process.wait()
            with contextlib.suppress(OSError):
                assert self._process.stdin is not None
                self._process.stdin.close()
            self._end.wait(pause)
            pause = min(2 * pause, LAST_RESTART)

    def _start(self) -> subprocess.Popen[bytes]:
        log = self._project / "jobs" / "instant.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "app.inference", str(self._project)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,  # so that it can step back, see `processes.step_back`
            )


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End it and what it started, in the middle of anything: what they write is whole or absent."""
    if process.poll() is None:  # else its number may be somebody else's by now
        processes.kill_group(process.pid)


def main(arguments: list[str] | None = None) -> None:
    """Learn and propose until standard input ends, which ends the process."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    project = Path((arguments or sys.argv[1:])[0])
    threading.Thread(target=_end_with_input, daemon=True).start()
    while (lock := processes.try_lock(project / "jobs" / LOCK)) is None:
        time.sleep(PAUSE)  # another server of the project has one already
    with lock, Store.open(project, create=False) as store:
        _serve(store)


def _serve(store: Store) -> NoReturn:
    # Late: a process that only waits for another one's end need not load it.
    from app.click_engines import served_file
    from app.workflow.instant import InstantLearning
    from model.assist.served import GENERAL

    chosen = settings.load(store.project)
    processes.step_back(chosen.nice)
    learning, exported = InstantLearning(store, chosen.thread_count), False
    while True:
        try:
            worked = learning.step()
            if not worked and not exported:
                exported = True  # where that fails, the first click tries again and says why
                served_file(store, GENERAL)  # while nobody waits for a click's answer
            time.sleep(0 if worked else PAUSE)
        except (DataError, StoreError) as error:
            logging.warning("%s", error)
            time.sleep(TROUBLE)
        except OSError as error:
            logging.warning("%s", processes.os_sentence(error))
            time.sleep(TROUBLE)


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        processes.kill_group(os.getpid())  # itself, and an export of the encoder
    os._exit(0)


if __name__ == "__main__":
    main()
