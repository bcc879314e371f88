"""Does memory stay flat over many proposals? ``python -m benchmarks.proposal_memory [--images N]``.

One process proposes on N scenes, as the propose job does: network, instances, uncertainty, regions.
A pool of scenes of several sizes goes round, since drawing one takes longer than proposing on it.
The weights are random, and the later stages read the scenes' own animals, softened (see
`benchmarks.proposals`). Prints one JSON object: megabytes (10^6 bytes) that the process holds after
every twentieth of the images, and the slope of the straight line through those from a tenth on,
when every size has been seen.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import ROOT, append, provenance, tree
from benchmarks.proposals import RANDOM, Answer, Bytes, propose, soft_truth, untrained
from data_io.scenes import CAMERAS, scene
from model.predictor import Predictor

RESULTS = ROOT / "benchmarks/results/proposal_memory.jsonl"
SIZES = ((960, 540), (640, 480), (512, 512))  # width, height in turn
SAMPLES = 20
STATM = Path("/proc/self/statm")  # Linux: pages of the process, the second number is resident

Picture = tuple[Bytes, Answer]  # (H, W, 3) uint8 RGB, and what is read in place of the answer
Sample = tuple[int, float]  # images done, megabytes


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    record = {
        "benchmark": "proposal_memory",
        **provenance(options.seed),
        "model": tree("model"),
        "weights": RANDOM,
        "threads": options.threads or "auto",
        "sizes": SIZES,
        "pool": options.pool,
        **measure(options.images, options.pool, options.threads, options.seed),
    }
    print(json.dumps(record))
    if options.record:
        append(options.record, record)
    return 0


def measure(images: int, pool: int, threads: int | None, seed: int) -> dict[str, Any]:
    """Propose on `images` pictures; what the process holds on the way, and how that grows."""
    every = max(1, images // SAMPLES)
    found: list[Sample] = []
    with tempfile.TemporaryDirectory() as scratch:
        pictures = prepared(Path(scratch) / "version", pool, seed)
        predictor = Predictor.load(Path(scratch) / "version", device="auto", threads=threads)
    for k in range(images):
        propose(predictor, *pictures[k % pool], timed=_untimed)
        if (k + 1) % every == 0:
            found.append((k + 1, held()))
    steady = [(done, size) for done, size in found if 10 * done >= images]
    return {
        "network": predictor.device,
        "images": images,
        "measured": "resident" if STATM.exists() else "peak",
        "mb_at_tenth": round(steady[0][1], 1),
        "mb_at_end": round(found[-1][1], 1),
        "mb_per_100_images": round(100 * slope(steady), 3),
        "samples": [[done, round(size, 1)] for done, size in found],
    }


def prepared(version: Path, count: int, seed: int) -> list[Picture]:
    """A version in the folder `version`, and pictures, made in another process.

    What making them leaves free in this one would take in growth, and hide it.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as helper:
        helper.submit(untrained, version, seed).result()
        return helper.submit(scenes, count, seed).result()


def scenes(count: int, seed: int) -> list[Picture]:
    """Pictures of all `SIZES` in turn under changing cameras, and what is read in their place."""
    cameras, drawn = list(CAMERAS), []
    for k in range(count):
        width, height = SIZES[k % len(SIZES)]
        camera = cameras[k // len(SIZES) % len(cameras)]
        one = scene(seed + k, camera, width=width, height=height)
        drawn.append((one.image, Answer(*soft_truth(one.masks))))
    return drawn


def held() -> float:
    """Megabytes of memory the process holds; the most it ever held where Linux is not there."""
    if STATM.exists():
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, else KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def slope(samples: Sequence[Sample]) -> float:
    """Megabytes an image, of the line nearest to the samples; 0 for a single one."""
    if len(samples) < 2:
        return 0.0
    done, size = np.array(samples, np.float64).T
    line: NDArray[np.float64] = np.polyfit(done, size, 1)
    return float(line[0])


def _untimed(_: str, work: Callable[[], Any]) -> Any:
    return work()


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--pool", type=int, default=12, help="scenes that are drawn and go round")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--record",
        type=Path,
        nargs="?",
        const=RESULTS,
        metavar="FILE",
        help="append the result to FILE, by default to the results folder",
    )
    options = parser.parse_args(arguments)
    if min(options.images, options.pool) < 1:
        parser.error("--images and --pool must be at least 1")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
