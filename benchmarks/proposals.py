"""Time whole proposals: ``python -m benchmarks.proposals [--version DIR] [--images N]``.

A proposal is scaling, the network twice (flip averaging), instances with simplified outlines, the
uncertainty map and its regions. Without a version the network's weights are random, which costs the
same time, and the later stages read the scene's own masks, softened, in place of its answer.
Prints one JSON object: median and 95th percentile of every stage in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.common import provenance
from data_io.scenes import CAMERAS, Scene, scene
from model import uncertainty
from model.checkpoint import save_version
from model.config import NetworkConfig, TrainConfig
from model.instances import extract
from model.network import SegmentationNetwork
from model.predictor import Predictor

WIDTH, HEIGHT = 960, 540
WARM_UP = 3

Floats = NDArray[np.float32]


def untrained(folder: Path, seed: int) -> Path:
    """A version of the default network with random weights."""
    torch.manual_seed(seed)
    config = NetworkConfig(classes=2)
    network = SegmentationNetwork(config)
    save_version(folder, network.state_dict(), config, TrainConfig(), ["cow"], {}, version="random")
    return folder


def soft_truth(drawn: Scene) -> Floats:
    """(2, ceil(H/4), ceil(W/4)) probabilities of a network that is unsure along outlines only."""
    union = np.any(drawn.masks, axis=0).astype(np.float32)
    cells = (-(-WIDTH // 4), -(-HEIGHT // 4))
    soft = cv2.resize(cv2.GaussianBlur(union, (0, 0), 4.0), cells, interpolation=cv2.INTER_AREA)
    return np.stack([1 - soft, soft]).astype(np.float32)


def measure(version: Path | None, images: int, threads: int | None, seed: int) -> dict[str, Any]:
    """Time `images` scenes after a warm-up."""
    times: dict[str, list[float]] = {}
    animals, regions = [], []

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        times.setdefault(stage, []).append((time.perf_counter() - start) * 1000)
        return result

    def propose(predictor: Predictor, drawn: Scene) -> None:
        truth = soft_truth(drawn)
        start = time.perf_counter()
        answer = timed("network", lambda: predictor.probability(drawn.image))
        if version is None:
            answer = truth
        found = timed(
            "instances",
            lambda: extract(answer, HEIGHT, WIDTH, predictor.categories, predictor.version),
        )
        unsure = timed("entropy", lambda: uncertainty.to_bytes(uncertainty.entropy(answer)))
        asked = timed(
            "regions",
            lambda: uncertainty.regions(
                unsure,
                found,
                HEIGHT,
                WIDTH,
                classes=len(answer),
                version=predictor.version,
                image="",
            ),
        )
        timed("score", lambda: uncertainty.image_score(unsure, len(answer)))
        times.setdefault("whole", []).append((time.perf_counter() - start) * 1000)
        animals.append(len(found))
        regions.append(len(asked))

    with tempfile.TemporaryDirectory() as scratch:
        folder = version or untrained(Path(scratch) / "version", seed)
        predictor = Predictor.load(folder, device="auto", threads=threads)
        cameras = list(CAMERAS)
        for k in range(WARM_UP + images):
            drawn = scene(seed + k, cameras[k % len(cameras)], width=WIDTH, height=HEIGHT)
            propose(predictor, drawn)
    return {
        "benchmark": "proposals",
        **provenance(seed),
        "network": predictor.device,
        "weights": predictor.version if version else "random; stages after it on softened truth",
        "threads": threads or "auto",
        "size": [WIDTH, HEIGHT],
        "warm_up": WARM_UP,
        "images": images,
        "animals_mean": round(float(np.mean(animals[WARM_UP:])), 1),
        "regions_mean": round(float(np.mean(regions[WARM_UP:])), 1),
        "milliseconds": {stage: summary(values[WARM_UP:]) for stage, values in times.items()},
    }


def summary(values: list[float]) -> dict[str, float]:
    """Median and 95th percentile, rounded to a tenth."""
    return {
        "median": round(float(np.median(values)), 1),
        "p95": round(float(np.percentile(values, 95)), 1),
    }


def main() -> None:
    """Parse the arguments and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", type=Path, default=None, help="folder of a trained version")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(json.dumps(measure(given.version, given.images, given.threads, given.seed)))


if __name__ == "__main__":
    main()
