"""The server's thread that starts trainings by itself; `app.workflow.retraining` says when.

It sleeps until somebody saves or some seconds have passed, and looks at the counts then.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from app.workflow import labels, retraining
from app.workflow.labels import Labels
from data_io.errors import DataError, StoreError
from data_io.store import Store
from data_io.types import Job

log = logging.getLogger("herdmark")
LOOK_SECONDS = 5.0  # between two looks while nobody saves
SETTLE_SECONDS = 1.0  # after a save, so that many saves make one look and no save waits for it


class Retrainer:
    """Knows when somebody last worked, and acts on what is due.

    Args:
        store: the project.
        clock: seconds that only grow.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._since = labels.count(store)  # what was there before anybody worked here
        self._refused: tuple[Labels, str] | None = None  # what could not start, and why
        self._last = clock()
        self._saved, self._end = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def acted(self, saved: bool = False) -> None:
        """Note that somebody works, and looked at or saved something."""
        self._last = self._clock()
        if saved:
            self._saved.set()

    def outlook(self) -> retraining.Outlook:
        """What automatic trainings wait for."""
        idle = (self._clock() - self._last) / 60
        return retraining.outlook(self._store, self._since, idle)

    def is_due(self) -> bool:
        """Whether a training is about to start."""
        return bool(self.outlook().reason) and not self._refusal()

    def sentence(self) -> str:
        """The outlook in words; why a training that is due does not start."""
        told, why = self.outlook().sentence, self._refusal()
        return f"{told} It could not: {why}" if why else told

    def look(self) -> Job | None:
        """Go on with what was interrupted, or start what is due; the job, None for neither."""
        try:
            job = retraining.go_on(self._store)
            if job is not None or self._refusal():
                return job
            return retraining.begin(self._store, self.outlook())
        except (DataError, StoreError, OSError) as error:
            log.warning("no training was started: %s", error)
            self._refused = labels.count(self._store), str(error)
            return None

    def _refusal(self) -> str:
        """Why the last start failed; it would again until somebody labels. "" = it may start."""
        if self._refused is None or self._refused[0] != labels.count(self._store):
            return ""
        return self._refused[1]

    def start(self) -> None:
        """Look again and again, in a thread, until `stop`."""
        self._thread = threading.Thread(target=self._run, daemon=True, name="retrainer")
        self._thread.start()

    def stop(self) -> None:
        """End the thread; trainings it started go on."""
        self._end.set()
        self._saved.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._end.is_set():
            self._look_safely()
            self._saved.wait(LOOK_SECONDS)
            self._saved.clear()
            self._end.wait(SETTLE_SECONDS)

    def _look_safely(self) -> None:
        try:
            self.look()
        except Exception:  # the thread must outlive whatever one look meets
            log.exception("the look at what is due failed")
