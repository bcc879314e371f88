"""Fit what the evidence for "one animal" weighs (`model.pieces.WEIGHTS` and `BIAS`).

Trains one network on drone tiles and one on synthetic herds (label draw 10, which no study
reports), looks at images that neither learned from (the unlabeled tiles, herds of seen cameras that
were not drawn), and joins the pieces of each image as the truth says. On the way every pair of
neighbors is noted with its evidence. Pairs from the true maps of the same herds join them: they
keep the inversion exact. Prints weights and bias of a logistic regression, each set and source
counting the same, larger pieces counting more.

    python -m benchmarks.pair_weights --data ../shared/data
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.instances import CAMERAS, UNSEEN, herd, herds
from benchmarks.semi_sets import cattle
from benchmarks.semi_supervised import train
from data_io.images import read
from data_io.snapshot import SnapshotImage
from model.grouping import pieces_of
from model.pieces import Evidence, GroupingConfig, InstanceMaps
from model.predictor import Predictor
from model.targets import STRIDE, animal_ids, animal_targets

SEED, LABELS, TOLD = 10, 15, 16  # the label draw, labeled images, herds that are looked at
RIDGE = 0.003  # on weights of standardized evidence

Numbers = NDArray[np.float64]
Pairs = tuple[Numbers, NDArray[np.bool_], Numbers]  # evidence (n, 7), same animal (n,), weight (n,)


def pairs_of(inside: NDArray[np.bool_], maps: InstanceMaps, truth: NDArray[np.integer]) -> Pairs:
    """Every pair of neighbors that is met while the truth (h, w) joins the pieces of an image."""
    pieces = pieces_of(inside, maps, GroupingConfig())
    shown = [np.bincount(truth[pieces.labels == k]) for k in range(pieces.count + 1)]
    animal = [int(np.append(0, count[1:]).argmax()) for count in shown]
    evidence: list[Evidence] = []
    same: list[bool] = []
    weight: list[float] = []
    joined = True
    while joined:
        joined = False
        for a in range(1, pieces.count + 1):
            for b in [other for other in pieces.borders[a] if other > a]:
                if b not in pieces.borders[a] or not (animal[a] and animal[b]):
                    continue
                evidence.append(pieces.evidence(a, b))
                same.append(animal[a] == animal[b])
                weight.append(min(pieces.area[a], pieces.area[b]) ** 0.5)
                if same[-1]:
                    pieces.unite(a, b, 0.0)
                    joined = True
    return np.array(evidence).reshape(-1, 7), np.array(same, np.bool_), np.array(weight)


def fitted(sources: list[Pairs]) -> tuple[Evidence, float]:
    """Weights and bias of the logistic regression, by Newton's method."""
    x, y = (np.concatenate([source[k] for source in sources]) for k in (0, 1))
    w = np.concatenate([source[2] / source[2].sum() for source in sources]) / len(sources)
    mean, spread = x.mean(0), x.std(0) + 1e-9
    design = np.column_stack([(x - mean) / spread, np.ones(len(x))])
    ridge = np.diag([2 * RIDGE] * x.shape[1] + [0.0])
    theta = np.zeros(x.shape[1] + 1)
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ theta))
        slope = design.T @ (w * (p - y)) + ridge @ theta
        bend = design.T @ (design * (w * p * (1 - p))[:, None]) + ridge
        theta -= np.linalg.solve(bend, slope)
    weights = theta[:-1] / spread
    return Evidence(*weights.tolist()), float(theta[-1] - weights @ mean)


def looks(
    predictor: Predictor, images: list[SnapshotImage]
) -> Iterator[tuple[Any, InstanceMaps, Any, InstanceMaps]]:
    """Of each image what the network takes for animals, its maps, the truth and the true maps."""
    for record in images:
        probability, maps = predictor.maps(read(Path(record.path)))
        assert maps is not None
        ids = animal_ids([rle for _, rle in record.labels], record.height, record.width)
        ids = np.pad(ids, ((0, -record.height % STRIDE), (0, -record.width % STRIDE)))
        cells = ids[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
        yield probability.argmax(0) > 0, maps, cells, InstanceMaps.of_targets(animal_targets(ids))


def gathered(found: Iterator[Pairs]) -> Pairs:
    """The pairs of several images as one source."""
    evidence, same, weight = zip(*found, strict=True)
    return np.concatenate(evidence), np.concatenate(same), np.concatenate(weight)


def main() -> None:
    """Train, look, fit and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the image sets")
    parser.add_argument("--minutes", type=float, default=10.0, help="of one core, a network")
    options = parser.parse_args()
    settings = {"minutes": options.minutes, "clock": "processor", "threads": 1, "seed": SEED}
    settings |= {"method": "supervised", "instances": True}
    sources = []
    with tempfile.TemporaryDirectory(prefix="pair-weights-") as scratch:
        for name in ("drone", "herds"):
            job = Path(scratch) / name
            job.mkdir()
            if name == "drone":
                drawn = cattle("cattle_drone_yak", LABELS)(options.data.resolve(), SEED)
                told = list(drawn.pool)
            else:
                drawn = herds(job, LABELS, SEED)
                seen = [camera for camera in CAMERAS if camera not in UNSEEN]
                told = [herd(job, 900_000 + k, seen[k % len(seen)]) for k in range(TOLD)]
            train(drawn, settings, job)
            views = list(looks(Predictor.load(job / "version", "cpu", 1), told))
            sources.append(gathered(pairs_of(*view[:3]) for view in views))
            if name == "herds":
                sources.append(gathered(pairs_of(v[2] > 0, v[3], v[2]) for v in views))
    weights, bias = fitted(sources)
    told_by = [len(source[1]) for source in sources]
    print(json.dumps({"pairs": told_by, **weights._asdict(), "bias": bias}))


if __name__ == "__main__":
    main()
