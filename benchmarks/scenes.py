"""Time the synthetic scenes on one core: ``python -m benchmarks.scenes [--scenes N]``.

Prints one JSON object: seed, warm-up, median and mean milliseconds, scenes per second (from the
mean, which counts crowded scenes), commit, device.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import time

import cv2

from data_io.scenes import CAMERAS, scene


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def measure(count: int, seed: int) -> dict[str, object]:
    """Draw `count` scenes of 640 x 480, cameras in turn; wall-clock and processor time."""
    cv2.setNumThreads(1)
    cameras = list(CAMERAS)
    for camera in cameras:  # fills the caches: one backdrop a camera, the coat noise
        scene(seed, camera)
    wall, processor, animals = [], [], []
    for k in range(count):
        start, used = time.perf_counter(), time.process_time()
        drawn = scene(seed + 1 + k // len(cameras), cameras[k % len(cameras)])
        processor.append((time.process_time() - used) * 1000)
        wall.append((time.perf_counter() - start) * 1000)
        animals.append(len(drawn.masks))
    return {
        "benchmark": "scenes",
        "seed": seed,
        "warm_up": len(cameras),
        "scenes": count,
        "size": [640, 480],
        "animals_mean": round(statistics.mean(animals), 1),
        "median_ms": round(statistics.median(wall), 1),
        "mean_ms": round(statistics.mean(wall), 1),
        "processor_mean_ms": round(statistics.mean(processor), 1),
        "scenes_per_second": round(1000 / statistics.mean(wall), 1),
        "commit": _commit(),
        "device": f"{platform.machine()}, 1 thread",
    }


def main() -> None:
    """Parse the arguments and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.scenes, arguments.seed)))


if __name__ == "__main__":
    main()
