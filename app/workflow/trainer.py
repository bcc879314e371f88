"""The programs of a training job, each in a process of its own: the trainer, then what follows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from app import jobs
from app.run import Run, Stopped
from data_io.atomic import write_atomic
from data_io.errors import DataError
from model.assist import ONNX, WEIGHTS

STOPPED = 3  # exit code of a trainer that wrote a checkpoint and left
# For the step under way and a checkpoint. A trainer that needs longer is killed and goes on from
# its last checkpoint, so that nobody waits for a slow one. Less than `jobs.GRACE_SECONDS`.
STOP_SECONDS = 1.0
WORTH = 30.0  # seconds of training; a version that took less is not made quick for some more


def train(run: Run, lock: IO[bytes]) -> None:
    """Run the trainer to its end, passing progress on; raises unless it finished."""
    trainer = _begun(run, lock, "model.train")
    while trainer.poll() is None:
        if run.stop.wait(0.25):
            _stop(trainer)
        _report(run)
    _report(run)
    _judge_exit(run, trainer.returncode)


def quicken(run: Run, lock: IO[bytes]) -> None:
    """Write the version's network in eight bits, for CPUs that are quicker with it."""
    told = run.folder / "result.json"
    if not told.is_file() or float(read_json(told).get("seconds") or 0) < WORTH:
        return
    _afterwards(run, lock, "model.quantize", "making the version quick on this machine")


def refine(run: Run, lock: IO[bytes]) -> None:
    """Teach the refiner this herd, before the version is moved to its place."""
    _afterwards(run, lock, "model.assist.herd", "learning to answer clicks on this herd")


def _afterwards(run: Run, lock: IO[bytes], module: str, message: str) -> None:
    """Add something to a version that is no worse without: what goes wrong is in the job's log."""
    if not run.folder.joinpath("version").is_dir():
        return
    run.say(message)
    program = _begun(run, lock, module)
    while program.poll() is None:
        if run.stop.wait(0.25):
            program.kill()
            program.wait()
            raise Stopped


def _begun(run: Run, lock: IO[bytes], module: str) -> subprocess.Popen[bytes]:
    """A program that works on the job's folder and writes to its log."""
    with run.folder.joinpath("worker.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", module, str(run.folder)],
            cwd=jobs.ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # It holds the lock too, which stays taken should this worker be killed.
            pass_fds=(lock.fileno(),) if os.name == "posix" else (),
        )


def keep_refiner(run: Run) -> None:
    """A version that has got no refiner of its own takes over its parent's."""
    version, parent = run.folder / "version", run.job.config.get("parent")
    if not version.is_dir() or (version / ONNX).is_file():
        return
    (version / WEIGHTS).unlink(missing_ok=True)  # half of a pair
    for name in (WEIGHTS, ONNX):
        kept = Path(str(parent)) / name
        if parent and kept.is_file():
            write_atomic(version / name, kept.read_bytes())


def _report(run: Run) -> None:
    lines = jobs.read_log(run.store, run.job, tail=1)
    if lines:
        run.progress = lines[-1]


def _stop(trainer: subprocess.Popen[bytes]) -> None:
    """Give the trainer time for its checkpoint, then kill it."""
    trainer.send_signal(signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    while trainer.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    if trainer.poll() is None:
        trainer.kill()
        trainer.wait()


def _judge_exit(run: Run, code: int) -> None:
    if code == 0 and run.folder.joinpath("result.json").is_file():
        return
    if run.stop.is_set():
        raise Stopped
    if code == STOPPED or code < 0:
        raise Stopped(
            f"the trainer was ended from outside (code {code}); resume the job to go on from its"
            " last checkpoint, and free some memory if this happens again"
        )
    told = run.folder / "error.json"
    why = str(read_json(told).get("error") or "") if told.is_file() else ""
    raise TrainingFailed(why or "the trainer stopped without a reason; see worker.log of the job")


class TrainingFailed(DataError):
    """The trainer gave up; the message is its own sentence."""

    def __init__(self, sentence: str) -> None:
        Exception.__init__(self, sentence)
        self.file, self.index, self.field = "training", "", ""
        self.why, self.remedy = sentence, ""

    def sentence(self) -> str:
        """The trainer's sentence as it is."""
        return self.why


def read_json(file: Path) -> Mapping[str, Any]:
    """What a program left as a JSON object.

    Raises:
        DataError: it is something else.
    """
    content = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise DataError(file, "is not a JSON object", "train again")
    return content
