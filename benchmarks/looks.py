"""Is a second look worth its time? One look at an image, beside the mean with its mirror image.

Versions of `benchmarks.instances --versions FOLDER`, named SET-METHOD-LABELS-SEED, are read on
images that no study reports: unlabeled frames of the drone flight's pool, and herds under cameras
that their training saw. The second look is at the mirror image, whole or smaller, and counts by its
weight. Scored are the animals (AP, count error, merges, splits), the share of wrong pixels, and how
many of those the 5 % most uncertain area holds. Prints a line a version and way, and appends it.

    python -m benchmarks.looks --data ../shared/data --versions FOLDER
    python -m benchmarks.looks --show
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import ROOT, append, provenance, records, tree
from benchmarks.error_finding import judged, mean_known
from benchmarks.instances import UNSEEN, herd, herds, score
from benchmarks.semi_sets import Material, cattle
from benchmarks.study import versions_asked, versions_parser
from data_io.scenes import CAMERAS
from model.instances import STRIDE, resample
from model.predictor import Predictor

RESULTS = ROOT / "benchmarks/results/looks.jsonl"
HERDS, FIRST_HERD = 16, 950_000  # no other study draws these
FIGURES = ("ap", "count_mae", "merges", "splits", "wrong", "recall", "recall_gross")


class Way(NamedTuple):
    """A second look: how large beside the first, and what it counts."""

    share: float
    weight: float

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.share:g} at {self.weight:g}" if self.weight else "one look"


WAYS = (Way(1, 0), Way(1, 0.5), Way(0.75, 0.4), Way(0.5, 0.25), Way(0.5, 0.5))


class Twice(Predictor):
    """A predictor whose answer is the mean of two looks."""

    way = WAYS[0]

    def _look(self, image: NDArray[np.uint8], zoom: float) -> NDArray[np.float32]:
        one = super()._look(image, zoom)
        if not self.way.weight:
            return one
        height, width = image.shape[:2]
        rows, columns = (max(1, round(s * self.way.share / STRIDE)) for s in (height, width))
        small = cv2.resize(image, (columns * STRIDE, rows * STRIDE), interpolation=cv2.INTER_AREA)
        turned = super()._look(np.ascontiguousarray(small[:, ::-1]), zoom)[..., ::-1]
        step = (columns * STRIDE / width, rows * STRIDE / height)
        other = np.stack([resample(np.ascontiguousarray(p), step, *one.shape[1:]) for p in turned])
        classes = len(self.categories) + 1
        other[classes + 1] *= -1 / step[0]  # votes: x points the other way, cells are larger
        other[classes + 2] *= 1 / step[1]
        return np.asarray((1 - self.way.weight) * one + self.way.weight * other, np.float32)


def untested(data: Path, version: str, folder: Path) -> Material:
    """Images in the place of the tested ones that neither a version's labels nor a test hold."""
    name, _, labels, seed = version.split("-")
    if name == "drone":
        drawn = cattle("cattle_drone_yak", int(labels))(data, int(seed))
        return replace(drawn, test=drawn.pool)
    seen = [camera for camera in CAMERAS if camera not in UNSEEN]
    shown = [herd(folder, FIRST_HERD + k, seen[k % len(seen)]) for k in range(HERDS)]
    return replace(herds(folder, 1, 0), test=tuple(shown))


def judge(version: Path, way: Way, material: Material) -> dict[str, Any]:
    """The figures of one version read in one way."""
    predictor = Twice.load(version, device="cpu", threads=1)
    assert isinstance(predictor, Twice)
    predictor.way = way
    animals = score(predictor, material)["pieces"]
    found = [judged(predictor, record) for record in material.test]
    recalls = {
        name: mean_known([one.signals["map"][name] for one in found])
        for name in ("recall", "recall_gross")
    }
    return {**animals, "wrong": float(np.mean([one.wrong for one in found])), **recalls}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = versions_parser(__doc__, RESULTS)
    options = parser.parse_args(arguments)
    for version in versions_asked(parser, options):
        measure(options.data, version, options.out)
    print_table(records(options.out))
    return 0


def measure(data: Path, version: Path, out: Path) -> None:
    """Append the figures of a version."""
    with tempfile.TemporaryDirectory(prefix="looks-") as scratch:
        material = untested(data, version.name, Path(scratch))
        for way in WAYS:
            figures = judge(version, way, material)
            record = {"study": "looks", "version": version.name, **way._asdict(), **figures}
            made = {"model": tree("model"), **provenance(0), "images": len(material.test)}
            append(out, {**record, **made})


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """One Markdown line a version and way."""
    print("| version | second look | images | " + " | ".join(FIGURES) + " |")
    print("|---" * (3 + len(FIGURES)) + "|")
    for row in rows:
        way = Way(row["share"], row["weight"])
        cells = [row["version"], way.name, str(row["images"])]
        cells += [f"{row[figure]:.3f}" for figure in FIGURES]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    raise SystemExit(main())
