"""Crops a second of each method at the CPU preset: ``python -m benchmarks.throughput``.

Each method learns procedural scenes in its last phase with the engine that users run; the wait for
batches is included, logs and checkpoints are not. Methods take turns in blocks, so that a change of
the machine's speed meets all of them. Prints a table, appends one JSON line a method.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import ROOT, append, provenance, tree
from benchmarks.training_steps import prepare, timed_steps, write_scenes
from model.config import PIXEL_METHODS
from model.train import Training


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--methods", nargs="+", default=list(PIXEL_METHODS), choices=PIXEL_METHODS)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="of a method in a block")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--autocast", default="off", help="off, bf16, fp16 or auto")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/throughput.jsonl")
    options = parser.parse_args(arguments)
    settings = {name: getattr(options, name) for name in ("seed", "threads", "autocast")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        snapshot = write_scenes(folder, options.seed)
        jobs = {m: prepare(folder, snapshot, m, **settings) for m in options.methods}
        seconds = measure(jobs, options.blocks, options.steps)
    print(f"{'method':14}{'steps/s':>9}{'crops/s':>9}{'ms a step':>11}")
    for method, job in jobs.items():
        record = summary(job, seconds[method], options)
        append(options.out, {**record, **provenance(options.seed), "model": tree("model")})
        print(
            f"{method:14}{record['steps_per_second']:9.2f}{record['crops_per_second']:9.1f}"
            f"{record['median_ms']:11.1f}"
        )
    return 0


def measure(jobs: dict[str, Training], blocks: int, steps: int) -> dict[str, list[float]]:
    """Seconds of each method's steps."""
    seconds: dict[str, list[float]] = {method: [] for method in jobs}
    with ExitStack() as open_loaders:
        batches = {
            method: open_loaders.enter_context(closing(job._batches()))
            for method, job in jobs.items()
        }
        for block in range(blocks + 1):  # the first one warms up
            for method, job in jobs.items():
                timed_steps(job, batches[method], job.config.prefetch)  # made during the others
                found = timed_steps(job, batches[method], steps)
                seconds[method] += found if block else []
    return seconds


def summary(job: Training, seconds: list[float], options: argparse.Namespace) -> dict[str, Any]:
    """The figures of one method."""
    config, median = job.config, statistics.median(seconds)
    unlabeled = config.batch_unlabeled if len(job.names) > 1 else 0
    return {
        "benchmark": "throughput",
        "method": config.method,
        "crop": config.crop,
        "labeled_crops": config.batch,
        "unlabeled_crops": unlabeled,
        "threads": torch.get_num_threads(),
        "autocast": config.autocast,
        "warm_up": options.steps,
        "steps": len(seconds),
        "median_ms": round(1000 * median, 1),
        "steps_per_second": round(1.0 / median, 3),
        "crops_per_second": round((config.batch + unlabeled) / median, 2),
    }


if __name__ == "__main__":
    raise SystemExit(main())
