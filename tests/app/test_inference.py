"""The process of the instant model: it lives and ends with its server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app import inference, processes
from app.inference import LOCK, Inference
from app.jobs import ROOT
from data_io.store import Store

LONG = 120.0  # seconds nothing here comes near


@pytest.fixture
def project(tmp_path: Path) -> Path:
    with Store.open(tmp_path / "project") as store:
        return store.project


def lock_file(project: Path) -> Path:
    return project / "jobs" / LOCK


def wait_until_taken(project: Path, taken: bool) -> None:
    """Until the process holds its lock, or does no more."""
    tick = threading.Event()
    for _ in range(int(LONG / 0.05)):
        lock = processes.try_lock(lock_file(project))
        if lock is not None:
            lock.close()
        if (lock is None) == taken:
            return
        tick.wait(0.05)
    raise AssertionError(f"the lock was never {'taken' if taken else 'free'}")


def start(project: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "app.inference", str(project)], cwd=ROOT, stdin=subprocess.PIPE
    )


def test_it_ends_when_its_input_closes(project: Path) -> None:
    process = start(project)
    wait_until_taken(project, True)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(LONG) == 0


def test_it_ends_with_what_it_started_in_the_middle_of_a_long_step(project: Path) -> None:
    code = (
        "import subprocess, sys, time; from app import inference\n"
        "from app.workflow.instant import InstantLearning\n"
        "def step(learning):\n"
        "    export = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "    print(export.pid, flush=True)\n"
        "    export.wait()\n"
        "InstantLearning.step = step\n"
        "inference.main(sys.argv[1:])"
    )
    line = [sys.executable, "-c", code, str(project)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(line, cwd=ROOT, start_new_session=True, **pipes)
    assert process.stdin is not None
    assert process.stdout is not None
    export = int(process.stdout.readline())
    process.stdin.close()
    assert process.wait(LONG) == -signal.SIGKILL
    tick = threading.Event()
    while processes.started_at(export) is not None:
        tick.wait(0.05)


def test_a_second_one_waits_and_takes_over(project: Path) -> None:
    first = start(project)
    wait_until_taken(project, True)
    second = start(project)
    first.kill()
    first.wait()
    wait_until_taken(project, True)
    assert second.poll() is None
    assert second.stdin is not None
    second.stdin.close()
    assert second.wait(LONG) == 0


def test_leaving_the_server_ends_it(project: Path) -> None:
    with Inference(project):
        wait_until_taken(project, True)
    wait_until_taken(project, False)


def test_a_killed_one_comes_back(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "FIRST_RESTART", 0.0)
    started: list[subprocess.Popen[bytes]] = []
    begin = Inference._start

    def noted(self: Inference) -> subprocess.Popen[bytes]:
        started.append(begin(self))
        return started[-1]

    monkeypatch.setattr(Inference, "_start", noted)
    with Inference(project):
        wait_until_taken(project, True)
        first = started[0]
        os.kill(first.pid, signal.SIGTERM)
        tick = threading.Event()
        for _ in range(int(LONG / 0.05)):
            if len(started) > 1:
                break
            tick.wait(0.05)
        wait_until_taken(project, True)
    assert len(started) == 2


def test_nothing_is_left_when_the_server_dies(project: Path) -> None:
    """The pipe closes with the process that holds its other end, however that one ends."""
    code = (
        "import sys, time; from pathlib import Path; from app.inference import Inference\n"
        "with Inference(Path(sys.argv[1])): time.sleep(600)"
    )
    server = subprocess.Popen([sys.executable, "-c", code, str(project)], cwd=ROOT)
    wait_until_taken(project, True)
    server.kill()
    server.wait()
    wait_until_taken(project, False)
