"""The process behind one job: ``python -m app.worker PROJECT JOB``.

It keeps the job's row fresh, turns every failure into one sentence in that row, and leaves the
job's folder so that the job can be resumed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from app import jobs, processes, settings
from app.run import Run, Stopped
from data_io.errors import ConflictError, DataError, StoreError
from data_io.store import Store
from data_io.types import JobState

BEAT_SECONDS = 1.0
Result = dict[str, Any]


class Heartbeat:
    """Writes the run's progress into its row every second while the job works."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="heartbeat")

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._end.wait(BEAT_SECONDS):
            try:
                self._run.store.update_job(self._run.job.id, progress=self._run.progress)
            except Exception:  # a full disk must not end the work that it reports on
                logging.exception("the heartbeat could not be written")


def main(arguments: list[str] | None = None) -> int:
    """Run one job to its end. Exit code 0 done, 1 failed, 3 stopped and resumable."""
    project, job_id = (sys.argv[1:] if arguments is None else arguments)[:2]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Store.open(Path(project), create=False) as store:
        _be_nice(store)
        job = store.update_job(
            job_id, state="running", pid=os.getpid(), pid_started=processes.started_at(os.getpid())
        )
        run = Run(store, job, jobs.job_folder(store, job), stop, progress=job.progress)
        state, result, sentence = _attempt(run)
        _finish(run, state, result, sentence)
        if state == "done":
            _follow_up(run, result)
    return {"done": 0, "failed": 1}.get(state, 3)


def _attempt(run: Run) -> tuple[JobState, Result, str]:
    """The job's outcome: state, result, and the sentence of a failure."""
    try:
        with Heartbeat(run):
            result = _handler(run.job.kind)(run)
    except Stopped as stopped:
        if run.folder.joinpath(jobs.CANCEL_MARK).exists():
            return "cancelled", {}, ""
        return "interrupted", {}, str(stopped) or jobs.GONE
    except (DataError, StoreError, ConflictError) as error:
        return "failed", {}, str(error)
    except OSError as error:
        logging.exception("the job failed")
        return "failed", {}, processes.os_sentence(error)
    except Exception as error:
        logging.exception("the job failed")
        return (
            "failed",
            {},
            f"unexpected {type(error).__name__}: {error}; see worker.log of the job",
        )
    return "done", result, ""


def _finish(run: Run, state: JobState, result: Result, sentence: str) -> None:
    logging.info("%s %s %s", state, result, sentence)
    run.store.update_job(
        run.job.id, state=state, progress=run.progress, result=result, error=sentence
    )


def _follow_up(run: Run, result: Result) -> None:
    """Start the proposals that are missing now, unless this job leaves them to somebody else.

    The job is done already and stays so, whatever becomes of this.
    """
    if run.job.kind not in ("train", "import", "propose"):
        return
    from app.workflow import proposals

    try:
        promoted = run.store.promoted()
        wanted = run.job.config.get("version")
        if run.job.kind == "propose" and (promoted is None or promoted.id != wanted):
            return  # somebody wanted to see what another version proposes
        proposals.ensure(run.store, {row["file"] for row in result.get("refused", ())})
    except (DataError, StoreError) as error:
        logging.warning("no proposals were started: %s", error)
    except OSError as error:
        logging.warning("no proposals were started: %s", processes.os_sentence(error))


def _handler(kind: str) -> Callable[[Run], Result]:
    # Imported late: an import job need not load what training needs.
    if kind == "train":
        from app.workflow.training import run_training

        return run_training
    if kind == "propose":
        from app.workflow.proposals import run_proposals

        return run_proposals
    from app.workflow.imports import run_import

    return run_import


def _be_nice(store: Store) -> None:
    with contextlib.suppress(DataError):
        processes.step_back(settings.load(store.project).nice)


if __name__ == "__main__":
    sys.exit(main())
