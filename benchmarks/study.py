"""A resumable study: a process for each run, finished ones appended at once and never repeated."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from benchmarks.common import ROOT, append, records, tree

Record = dict[str, Any]


class Run(Protocol):
    """One training of a study; its fields are the arguments that make it anew."""

    @property
    def key(self) -> str: ...


def study_parser(
    doc: str | None,
    results: Path,
    seeds: Sequence[int] = (0, 1, 2),
    minutes: float = 10.0,
    jobs: int = 2,
) -> argparse.ArgumentParser:
    """What every study can be asked for; each adds its own.

    Args:
        doc: of the study's module; the first line says what it is about.
        results: where its records are kept.
        seeds, minutes, jobs: those of the study as it is reported.
    """
    parser = argparse.ArgumentParser(description=str(doc).split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path(), help="folder of the image sets")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(seeds))
    parser.add_argument("--minutes", type=float, default=minutes, help="of one core, a training")
    parser.add_argument("--jobs", type=int, default=jobs, help="runs at a time, one core each")
    parser.add_argument("--show", action="store_true", help="print the newest table, run nothing")
    parser.add_argument("--state", default="", help="of model/ that --show is about; the newest")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=results)
    return parser


def records_parser(doc: str | None, results: Path) -> argparse.ArgumentParser:
    """What a benchmark that measures all at once can be asked for; arguments as `study_parser`."""
    parser = argparse.ArgumentParser(description=str(doc).split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--show", action="store_true", help="print the newest table, run nothing")
    parser.add_argument("--out", type=Path, default=results)
    return parser


def versions_parser(doc: str | None, results: Path) -> argparse.ArgumentParser:
    """What a benchmark of versions that were trained before can be asked for.

    Args:
        doc: of the benchmark's module. results: where its records are kept.
    """
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--versions", type=Path)
    parser.add_argument("--names", nargs="+", default=[])
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--out", type=Path, default=results)
    return parser


def versions_asked(parser: argparse.ArgumentParser, options: argparse.Namespace) -> list[Path]:
    """The folders of the versions that are to be measured; none where records are shown alone."""
    if options.show:
        return []
    if options.data is None or options.versions is None:
        parser.error("say where the images (--data) and the versions (--versions) are")
    found = sorted(file.parent for file in options.versions.glob("*/version.json"))
    return [folder for folder in found if folder.name in options.names or not options.names]


def conduct(
    module: str,
    options: argparse.Namespace,
    one: Callable[[Record], Record],
    runs: Iterable[Run],
    told: Callable[[Record], str],
    print_table: Callable[[list[Record]], None],
    more: Sequence[str] = (),
    each: bool = False,
) -> int:
    """The whole study, or the single run that a process of it is asked for by `options.one`.

    Args:
        options: those of `study_parser`.
        one: does the run with these fields.
        runs, told, more: see `run_missing`. print_table, each: see `print_newest`.
    """
    if options.one:
        print(json.dumps(one(json.loads(options.one))))
        return 0
    if not options.show:
        run_missing(module, options.data, runs, options.out, options.jobs, told, more)
    print_newest(options.out, print_table, each, options.state)
    return 0


def run_missing(
    module: str,
    data: Path,
    runs: Iterable[Run],
    out: Path,
    jobs: int,
    told: Callable[[Record], str],
    more: Sequence[str] = (),
) -> None:
    """Do the runs that `out` does not hold for this state of `model/`, `jobs` at a time.

    Each is ``python -m MODULE --data DATA MORE --one FIELDS``, whose last line is its record; a
    failure ends the study. `told` is what is said of a record.
    """
    data = data.resolve()  # the processes start elsewhere
    out.parent.mkdir(parents=True, exist_ok=True)
    done = {row["key"] for row in records(out) if row["model"] == tree("model")}
    todo = [run for run in runs if run.key not in done]
    print(f"{len(todo)} trainings to go", file=sys.stderr)
    with ThreadPoolExecutor(jobs) as workers:
        for record in workers.map(lambda run: _in_process(module, data, run, more), todo):
            print(f"{record['key']}: {told(record)}", file=sys.stderr)
            append(out, record)


def _in_process(module: str, data: Path, run: Run, more: Sequence[str]) -> Record:
    one = ["--one", json.dumps(vars(run))]
    line = [sys.executable, "-m", module, "--data", str(data), *more, *one]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{run} ended with {done.returncode}")
    record: Record = json.loads(done.stdout.strip().splitlines()[-1])
    return record


def print_newest(
    out: Path,
    print_table: Callable[[list[Record]], None],
    each: bool = False,
    state: str = "",
) -> None:
    """The table of one state of `model/`, the one that was recorded last where none is named.

    Args:
        each: the newest record of every run instead, where a change of `model/` left the code of
            some methods as it was; the table then names the state behind its figures.
    """
    rows = records(out)
    if each:
        print_table(list({row["key"]: row for row in rows}.values()))
        return
    shown = state or (rows[-1]["model"] if rows else "")
    print(f"model code {shown}")
    print_table([row for row in rows if row["model"] == shown])
