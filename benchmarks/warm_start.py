"""Does a training gain by starting from the version before it? A line of versions, two ways.

A seed draws the labels of every round, each round those of the one before it and more. The first
version starts from scratch; then each round is trained twice at equal time, from scratch and warm,
from the warm version of the round before. Scored are the frames of the `test` block and the images
of the `pool` that no round has labeled. A version trained on from its predecessor might keep the
bias of the first images: that would show as a difference which grows from round to round, and is
what `scratch_every` is for.

The clock counts processor time of one thread, finished seeds are appended at once and never
repeated. Settings are chosen with seeds from 10 up, results are reported with seeds 0-2.

    python -m benchmarks.warm_start --data ../shared/data --seeds 10 11 12 13 14 15 16 17 18 19
    python -m benchmarks.warm_start --show
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import ROOT, provenance, tree
from benchmarks.semi_sets import Material, cattle
from benchmarks.semi_supervised import score, train
from benchmarks.study import conduct, study_parser

RESULTS = ROOT / "benchmarks/results/warm_start.jsonl"
SETS = {"drone": "cattle_drone_yak", "pasture": "cattle_pasture_holstein"}
STARTS = ("scratch", "warm")
DRAWS = 10_000  # of the bootstrap over seeds


@dataclass(frozen=True)
class Run:
    """All rounds of one seed."""

    set: str
    labels: tuple[int, ...]  # of each round
    seed: int
    minutes: float  # of one core, a training
    method: str = "u2pl"

    @property
    def key(self) -> str:
        """What tells runs of one state of the code apart."""
        return json.dumps([self.set, self.labels, self.seed, self.minutes, self.method])


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)

    def one(fields: dict[str, Any]) -> dict[str, Any]:
        run = Run(**{**fields, "labels": tuple(fields["labels"])})
        return rounds(options.data, run)

    module = "benchmarks.warm_start"
    return conduct(module, options, one, planned(options), _told, print_table)


def planned(options: argparse.Namespace) -> Iterator[Run]:
    """A run for each seed and set."""
    for seed in options.seeds:
        for name in options.sets:
            yield Run(name, tuple(options.labels), seed, options.minutes, options.method)


def _told(record: dict[str, Any]) -> str:
    last = record["rounds"][-1]
    return ", ".join(f"{start} {last[start]['test']:.3f}" for start in STARTS)


def rounds(data: Path, run: Run) -> dict[str, Any]:
    """Every round both ways; the record of the run."""
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="warm-start-") as scratch:
        folder = Path(scratch)
        drawn = [cattle(SETS[run.set], count)(data, run.seed) for count in run.labels]
        pool = drawn[-1].pool  # what no round has labeled
        first = _train(run, replace(drawn[0], pool=pool), folder, 0, "scratch", None)
        found: list[dict[str, Any]] = []
        parent = folder / "0-scratch" / "version"
        for number, material in enumerate(drawn[1:], start=1):
            judged = replace(material, pool=pool)
            cold = _train(run, judged, folder, number, "scratch", None)
            warm = _train(run, judged, folder, number, "warm", parent)
            found.append({"labels": run.labels[number], "scratch": cold, "warm": warm})
            parent = folder / f"{number}-warm" / "version"
    return {
        "study": "warm_start",
        "key": run.key,
        **vars(run),
        "model": tree("model"),
        **provenance(run.seed),
        "first": first,
        "rounds": found,
    }


def _train(
    run: Run, drawn: Material, folder: Path, number: int, start: str, parent: Path | None
) -> dict[str, Any]:
    """One training; the IoU of its version on test and pool, and its steps."""
    from model.checkpoint import load_version

    settings = {"minutes": run.minutes, "clock": "processor", "threads": 1, "start": start}
    settings |= {"method": run.method, "seed": run.seed, "least_animal": 0.0}
    job = folder / f"{number}-{start}"
    result = train(drawn, settings, job, parent, folder / "snapshots")
    network, meta = load_version(job / "version")
    scores = {name: score(network, meta, getattr(drawn, name))["iou"] for name in ("test", "pool")}
    return {**scores, "steps": result["steps"], "kept": result["kept"]}


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """One Markdown line a set, budget and round: means, and warm minus scratch with its interval.

    The interval is that of a bootstrap over seeds (95 %).
    """
    heads = ("set", "minutes", "labels", "images", "seeds", "scratch", "warm", "difference")
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    groups: dict[tuple[Any, ...], list[tuple[float, float]]] = {}
    for row in rows:
        for found in row["rounds"]:
            for images in ("test", "pool"):
                key = (row["set"], row["minutes"], found["labels"], images)
                pair = (found["scratch"][images], found["warm"][images])
                groups.setdefault(key, []).append(pair)
    for key, pairs in sorted(groups.items()):
        table = np.array(pairs)
        low, high = interval(table[:, 1] - table[:, 0])
        cold, warm = table.mean(0)
        gain = f"{warm - cold:+.3f} ({low:+.3f} to {high:+.3f})"
        cells = [*map(str, key), str(len(pairs)), f"{cold:.3f}", f"{warm:.3f}", gain]
        print("| " + " | ".join(cells) + " |")


def interval(differences: np.ndarray[Any, Any]) -> tuple[float, float]:
    """95 % of the means of so many differences drawn again."""
    rng = np.random.default_rng(0)
    picks = rng.integers(len(differences), size=(DRAWS, len(differences)))
    low, high = np.percentile(differences[picks].mean(1), [2.5, 97.5])
    return float(low), float(high)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = study_parser(__doc__, RESULTS, seeds=range(10, 20), minutes=3.0)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--labels", nargs="+", type=int, default=[3, 6, 9], help="each round's")
    parser.add_argument("--method", default="u2pl")
    options = parser.parse_args(arguments)
    if len(options.labels) < 2:
        parser.error("a warm start needs two rounds or more; give --labels two numbers or more")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
