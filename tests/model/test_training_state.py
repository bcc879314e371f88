"""Jobs that are killed go on as if nothing had happened."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import train, training_state, validation
from model.methods import StepLosses
from tests.model.test_train import (
    REPOSITORY,
    assert_same_weights,
    make_job,
    make_snapshot,
    messages,
    result,
    table,
)

pytestmark = pytest.mark.usefixtures("as_before")  # trainings run inside the test process


@pytest.fixture(scope="module", autouse=True)
def last_phase() -> Iterator[None]:
    """So few steps find nothing, and the weights of the first phase would tell little."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validation, "choose_phase", lambda judged, _: (len(judged) - 1, "the last"))
        yield


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_snapshot(tmp_path_factory.mktemp("snapshot"), verified=2, total=4)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, snapshot: Path) -> Path:
    """An uninterrupted u2pl job."""
    job = make_job(tmp_path_factory.mktemp("finished"), snapshot)
    assert train.main([str(job)]) == train.DONE
    assert result(job)["kept"] == "semi"
    return job


KILLER = """
import os, signal, sys
from data_io import atomic
from model import train, validation
calls = 0
def killing(real):
    def call(*args):
        global calls
        calls += 1
        if calls == {call}:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args)
    return call
validation.choose_phase = lambda judged, _: (len(judged) - 1, "the last")
{patch}
train.main([sys.argv[1]])
"""
WRITING = "atomic.sync = killing(atomic.sync)"
RENAMING = "atomic.os.rename = killing(os.rename)"
STEPPING = "train.Training._step = killing(train.Training._step)"
LEARNING = "train.methods.move_teacher = killing(train.methods.move_teacher)"


def kill(job: Path, patch: str, call: int, may_finish: bool = False) -> bool:
    """Run the job in a process of its own until it kills itself; whether it did."""
    code = KILLER.format(patch=patch, call=call)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(job)]
    ended = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False).returncode
    assert ended == -signal.SIGKILL or (may_finish and ended == train.DONE)
    assert (job / "result.json").exists() is (ended == train.DONE)
    return ended == -signal.SIGKILL


@pytest.mark.parametrize(
    ("patch", "call", "resumed"),
    # A checkpoint flushes two files, its folder and the folder above. The first one renames once,
    # each later one twice, so the 7th rename is the second one of the fourth checkpoint:
    # step 3 is the last one whose checkpoint stands.
    [
        (WRITING, 10, "after step 2"),
        pytest.param(RENAMING, 7, "after step 3", marks=pytest.mark.long),
        (LEARNING, 2, "after step 4"),  # weights have moved, the teacher has not
    ],
    ids=["while writing", "between the renames", "within a step"],
)
def test_kill_9_loses_nothing_but_time(
    tmp_path: Path, snapshot: Path, finished: Path, patch: str, call: int, resumed: str
) -> None:
    job = make_job(tmp_path / "job", snapshot)
    kill(job, patch, call)
    assert train.main([str(job)]) == train.DONE
    assert f"resumed {resumed}" in messages(job)
    assert_same_weights(job, finished)
    steps = [int(row["step"]) for row in table(job)]
    assert steps == sorted(set(steps))
    assert steps[-1] == 6


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_kill_9_again_and_again_at_random_places(tmp_path: Path, snapshot: Path, seed: int) -> None:
    """Every life of the job ends somewhere else; checkpoints are not written after each step."""
    settings = {"steps": 30, "checkpoint_seconds": 0.3}
    whole, job = (make_job(tmp_path / name, snapshot, **settings) for name in ("whole", "job"))
    assert train.main([str(whole)]) == train.DONE
    rng = np.random.default_rng(seed)
    places = (WRITING, RENAMING, STEPPING, LEARNING)
    lives = [(places[int(rng.integers(4))], int(rng.integers(1, 16))) for _ in range(6)]
    died = sum(kill(job, patch, call, may_finish=True) for patch, call in lives)
    assert died >= 2
    assert train.main([str(job)]) == train.DONE
    assert result(job)["weights_sha256"] == result(whole)["weights_sha256"]
    steps = [int(row["step"]) for row in table(job)]
    assert steps == sorted(set(steps))


@pytest.mark.parametrize("number", [3, 6], ids=["supervised", "semi"])
def test_sigterm_stops_with_a_checkpoint_and_the_job_resumes(
    tmp_path: Path, snapshot: Path, finished: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    job = make_job(tmp_path / "job", snapshot, checkpoint_seconds=1e6)
    reference = shutil.copytree(finished, tmp_path / "reference")
    real, count = train.Training._step, iter(range(1, 1000))

    def step(self: train.Training, *batch: Any) -> StepLosses:
        if next(count) == number - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, *batch)

    monkeypatch.setattr(train.Training, "_step", step)
    assert train.main([str(job)]) == train.STOPPED
    progress = json.loads((job / "checkpoint" / training_state.PROGRESS).read_text())["progress"]
    assert sum(progress["lengths"][: progress["phase"]]) + progress["step"] == number - 1
    assert not (job / "error.json").exists()
    monkeypatch.setattr(train.Training, "_step", real)
    assert train.main([str(job)]) == train.DONE
    assert_same_weights(job, reference)
