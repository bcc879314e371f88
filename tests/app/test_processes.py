from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app import processes

WAIT = [sys.executable, "-c", "import sys; sys.stdin.read()"]


def test_a_process_is_known_by_pid_and_start_time():
    child = subprocess.Popen(WAIT, stdin=subprocess.PIPE)
    started = processes.started_at(child.pid)
    assert processes.is_alive(child.pid, started)
    assert not processes.is_alive(child.pid, started + 1)
    assert not processes.is_alive(child.pid, None)
    assert not processes.is_alive(None, started)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # now a zombie: dead all the same
    assert not processes.is_alive(child.pid, started)
    child.communicate()
    assert processes.started_at(child.pid) is None


def test_ps_and_proc_agree_that_it_runs():
    assert processes._started_ps(2**22 + 1) is None
    assert processes._started_linux(2**22 + 1) is None


def test_a_lock_is_held_by_a_child_that_inherits_it(tmp_path):
    file = tmp_path / "locks" / "one"
    lock = processes.try_lock(file)
    assert lock is not None
    assert processes.try_lock(file) is None
    child = subprocess.Popen(WAIT, stdin=subprocess.PIPE, pass_fds=(lock.fileno(),))
    lock.close()
    assert processes.try_lock(file) is None
    child.communicate()
    freed = processes.try_lock(file)
    assert freed is not None
    freed.close()


def test_stopping_a_group_kills_what_does_not_listen():
    deaf = (
        "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('ready', flush=True); sys.stdin.read()"
    )
    for code, alone in ((deaf, False), ("print('ready', flush=True); input()", True)):
        child = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert child.stdout.readline() == b"ready\n"
        started = processes.started_at(child.pid)
        assert processes.stop_group(child.pid, started, 0.2 if not alone else 60) is alone
        child.communicate()
        assert processes.stop_group(child.pid, started, 1)


def test_os_errors_are_sentences():
    missing = FileNotFoundError(errno.ENOENT, "No such file or directory", "/photos/a.png")
    assert processes.os_sentence(missing).startswith("/photos/a.png: No such file")
    assert "disk is full" in processes.os_sentence(OSError(errno.ENOSPC, "x"))


STEPPING = """import os
from app.processes import step_back
step_back(7)
print(os.nice(0), open("/proc/self/autogroup").read().split()[-1:])"""


@pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="this kernel shares by process alone"
)
@pytest.mark.parametrize("leads", [True, False])
def test_a_process_steps_back_with_its_session(leads: bool) -> None:
    """One that shares its session with others must not take them along.

    A session begun before any other, as in a container, belongs to no group and reads as nothing.
    """
    line = [sys.executable, "-c", STEPPING]
    done = subprocess.run(
        line, stdout=subprocess.PIPE, check=True, start_new_session=leads, text=True
    )
    own, session = done.stdout.strip().split(" ", 1)
    others = Path("/proc/self/autogroup").read_text().split()[-1:]
    assert (int(own) - os.nice(0), session) == (7, str(["7"] if leads else others))
