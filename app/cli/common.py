"""What every command shares: answers on stdout, words on stderr, exit codes, no tracebacks."""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn, ParamSpec

import typer
from rich.console import Console

from app import jobs, processes
from data_io.errors import ConflictError, DataError, StoreError
from data_io.store import Store
from data_io.types import Job

P = ParamSpec("P")
Answer = dict[str, Any]
DEMO = jobs.ROOT / "projects" / "demo"
DEBUG = "HERDMARK_DEBUG"
_REPORT_SECONDS = 2.0

Project = Annotated[Path, typer.Argument(metavar="PROJECT", help="The project's folder.")]
Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON object, last on stdout.")]


class Failed(Exception):
    """A command that did not do what it was asked.

    Args:
        message: the sentence to print.
        answer: what there is to tell all the same; with --json it is printed with the sentence.
    """

    def __init__(self, message: str, answer: Answer | None = None) -> None:
        super().__init__(message)
        self.answer = answer or {}


def say(text: str) -> None:
    """One line to stderr."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(text, markup=False)


def tell(answer: Answer, as_json: bool, text: str) -> None:
    """The command's answer: JSON, or the text for people."""
    if as_json:
        print(json.dumps(answer, allow_nan=False, default=str), flush=True)
    else:
        Console(soft_wrap=True, highlight=False).print(text, markup=False)


def command(function: Callable[P, None]) -> Callable[P, None]:
    """Turn what a command raises into one line on stderr and exit code 1."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except (typer.Exit, typer.BadParameter):
            raise
        except KeyboardInterrupt:
            _fail("stopped; what was finished is kept", kwargs)
        except Failed as error:
            _fail(str(error), kwargs, error.answer)
        except (DataError, StoreError, ConflictError) as error:
            _fail(str(error), kwargs)
        except OSError as error:
            _fail(processes.os_sentence(error), kwargs)
        except Exception as error:
            if os.environ.get(DEBUG):
                raise
            told = f"unexpected {type(error).__name__}: {error}"
            _fail(f"{told}; set {DEBUG}=1 to see where, and report it", kwargs)

    return guarded


def open_project(project: Path, create: bool = False, recover: bool = True) -> Store:
    """The project's store.

    Args:
        project: its folder.
        create: make it when it is missing.
        recover: mark jobs whose process is gone; a command that only reads does not.
    """
    if project.exists() and not project.is_dir():
        raise DataError(project, "is a file", "name the project's folder")
    store = Store.open(project.expanduser(), create=create)
    if recover:
        jobs.recover(store)
    return store


def counter(what: str) -> Callable[[int, int], None]:
    """A progress callback that prints every two seconds at most."""
    last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _REPORT_SECONDS:
            last = time.monotonic()
            say(f"{done} of {total} {what}")

    return report


def follow(store: Store, job: Job) -> Job:
    """Wait for a job, printing its progress; returns its last row.

    Raises:
        Failed: it did not end well, with its own sentence.
    """
    last, told = 0.0, ""

    def report(row: Job) -> None:
        nonlocal last, told
        line = progress_line(row) if row.progress else ""
        if line not in ("", told) and time.monotonic() - last >= _REPORT_SECONDS:
            last, told = time.monotonic(), line
            say(line)

    try:
        ended = jobs.wait(store, job, report)
    except KeyboardInterrupt:
        raise Failed(
            f"no longer waiting; job {job.id} goes on, jobs --cancel {job.id} ends it"
        ) from None
    if ended.state != "done":
        raise Failed(f"job {ended.id} {ended.state}: {ended.error or 'it was asked to stop'}")
    return ended


def progress_line(job: Job) -> str:
    """A job's progress in one line."""
    row = job.progress
    words = [f"{job.kind}:"]
    if row.get("steps"):
        words.append(f"step {row.get('step', 0)} of {row['steps']}")
    words += [str(row[key]) for key in ("phase", "message") if row.get(key)]
    for key, name in (("loss", "loss"), ("val_iou", "validation IoU"), ("reliable", "reliable")):
        if isinstance(row.get(key), int | float):
            words.append(f"{name} {row[key]:.3f}")
    if isinstance(row.get("eta"), int | float):
        words.append(f"{row['eta']:.0f} s left")
    return " ".join(words)


def say_refused(rows: list[dict[str, str]], most: int = 20) -> None:
    """What an import skipped, one line each."""
    for row in rows[:most]:
        place = ", ".join(row[key] for key in ("file", "index", "field") if row.get(key))
        say(f"skipped {place}: {row['why']}.")
    if len(rows) > most:
        say(f"... and {len(rows) - most} more; --json lists them all.")


def _fail(sentence: str, kwargs: dict[str, Any], answer: Answer | None = None) -> NoReturn:
    say(sentence)
    if kwargs.get("as_json"):
        told = {**(answer or {}), "error": sentence}
        print(json.dumps(told, allow_nan=False, default=str), flush=True)
    sys.stdout.flush()
    raise typer.Exit(1)
