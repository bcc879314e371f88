"""Operating-system facts about processes and locks that durable jobs rest on."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: one process per project is then the user's business
    fcntl = None  # type: ignore[assignment]

_PROC = Path("/proc")
_DYING = 5.0  # seconds a killed process has to end
_AUTOGROUP = _PROC / "self" / "autogroup"


def started_at(pid: int) -> float | None:
    """When the process began, in seconds on a clock that only this machine knows.

    None when there is no such process or it is a zombie. A recycled pid has another start time:
    comparing both tells the process that was started from a stranger.
    """
    if _PROC.joinpath("self", "stat").exists():
        return _started_linux(pid)
    return _started_ps(pid)


def _started_linux(pid: int) -> float | None:
    try:
        text = _PROC.joinpath(str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command in parentheses may itself hold spaces and parentheses: cut at the last one.
    fields = text.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return None
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _started_ps(pid: int) -> float | None:
    try:
        answer = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
        return datetime.strptime(answer.stdout.strip(), "%a %b %d %H:%M:%S %Y").timestamp()
    except (OSError, ValueError):
        return None


def is_alive(pid: int | None, started: float | None) -> bool:
    """True when the process of that pid runs and is the one that began at `started`."""
    if pid is None or started is None:
        return False
    found = started_at(pid)
    return found is not None and abs(found - started) < 0.005


def signal_group(pid: int, number: int) -> None:
    """Send a signal to the process group that `pid` leads; a group already gone is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(pid, number)
        else:
            os.kill(pid, number)


def kill_group(pid: int) -> None:
    """SIGKILL to the process group that `pid` leads."""
    signal_group(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def stop_group(pid: int, started: float | None, seconds: float) -> bool:
    """SIGTERM to a group, SIGKILL once `seconds` have passed. True when it went by itself."""
    if is_alive(pid, started):
        signal_group(pid, signal.SIGTERM)
    if _gone_within(pid, started, seconds):
        return True
    kill_group(pid)
    _gone_within(pid, started, _DYING)  # it needs the processor once more, behind everybody else
    return False


def _gone_within(pid: int, started: float | None, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while is_alive(pid, started):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def step_back(niceness: int) -> None:
    """Leave the processor to whoever is at work: this process, a session's leader, gets `niceness`.

    Linux desktops first share the processor among sessions and only then among the processes of
    each (sched(7), "The autogroup feature"): without the second line a training would take as much
    of it as the browser, whatever its own niceness.
    """
    with contextlib.suppress(OSError, AttributeError):
        os.nice(niceness)
        if os.getsid(0) == os.getpid():  # the niceness is that of everything in the session
            _AUTOGROUP.write_text(str(niceness))


def try_lock(file: Path) -> IO[bytes] | None:
    """Take an exclusive lock; None when another process holds it.

    The lock lives as long as any process holds the open file: a child that inherits its
    descriptor keeps it, also when the parent is killed.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    handle = file.open("ab")
    if fcntl is None:
        return handle
    try:
        fcntl.flock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold an exclusive lock, waiting for it. For sections of milliseconds."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as handle:
        if fcntl is not None:
            fcntl.flock(handle.fileno(), fcntl.LOCK_EX)
        yield


def os_sentence(error: OSError) -> str:
    """One sentence for an operating-system error, a full disk above all."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return "the disk is full; free some space and resume or repeat, nothing saved is lost"
    name = f"{error.filename}: " if error.filename else ""
    return f"{name}{error.strerror or error}; check that it exists and may be read and written"
