"""Are touching animals told apart? The instance head beside two classic ways.

From so many labeled images each method trains for ten minutes of one core, which is five of a
machine with two; every network is then read in three ways: connected components of its animal
pixels, a watershed on their distance map (shape alone), and pieces of the instance head's cores.
Scored are the animals of images that nobody trained on: later frames of the drone flight, and
synthetic herds under two cameras that no training saw. Finished runs are appended at once; started
again, the study goes on.

    python -m benchmarks.instances --data ../shared/data [--versions FOLDER]
    python -m benchmarks.instances --show
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.common import ROOT, provenance, tree
from benchmarks.semi_sets import Material, cattle, labeled_image, without_labels
from benchmarks.semi_supervised import train
from benchmarks.study import conduct, study_parser
from data_io.geometry import rle_of_mask, rle_of_parts
from data_io.scenes import CAMERAS, scene
from data_io.types import Category

RESULTS = ROOT / "benchmarks/results/instances.jsonl"
UNSEEN = ("mud-yard", "ceiling-slats")  # cameras of the test herds
UNLABELED, TESTED = 24, 16  # herds
METHODS = ("supervised", "u2pl")
WAYS = ("components", "shape", "pieces")
FIGURES = ("ap", "ap50", "pq", "count_mae", "merges", "splits")


@dataclass(frozen=True)
class Run:
    """One training of the study."""

    set: str
    method: str
    labels: int
    seed: int
    minutes: float

    @property
    def key(self) -> str:
        """What tells runs of one state of the code apart."""
        return json.dumps([self.set, self.method, self.labels, self.seed, self.minutes])


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)

    def one(fields: dict[str, Any]) -> dict[str, Any]:
        return train_and_score(options.data, Run(**fields), options.versions)

    more = ["--versions", str(options.versions.resolve())] if options.versions else []
    runs = planned(options)
    return conduct("benchmarks.instances", options, one, runs, _told, print_table, more, each=True)


def _told(record: dict[str, Any]) -> str:
    return f"AP {record['pieces']['ap']:.3f}"


def planned(options: argparse.Namespace) -> Iterator[Run]:
    """15 labels with every seed, 5 labels with the first."""
    for labels, seeds in ((15, options.seeds), (5, options.seeds[:1])):
        for seed in seeds:
            for name in options.sets:
                for method in options.methods:
                    yield Run(name, method, labels, seed, options.minutes)


def train_and_score(data: Path, run: Run, versions: Path | None) -> dict[str, Any]:
    """One training, and its network read in every way; the version is kept below `versions`."""
    import torch

    from model.predictor import Predictor

    torch.set_num_threads(1)
    settings = {"minutes": run.minutes, "clock": "processor", "threads": 1, "instances": True}
    settings |= {"method": run.method, "seed": run.seed}
    with tempfile.TemporaryDirectory(prefix="instances-") as scratch:
        job = Path(scratch)
        drawn = (
            herds(job, run.labels, run.seed)
            if run.set == "herds"
            else (cattle("cattle_drone_yak", run.labels)(data, run.seed))
        )
        result = train(drawn, settings, job)
        predictor = Predictor.load(job / "version", device="cpu", threads=1)
        found = score(predictor, drawn)
        if versions:
            name = f"{run.set}-{run.method}-{run.labels}-{run.seed}"
            shutil.copytree(job / "version", versions / name, dirs_exist_ok=True)
    return {
        "study": "instances",
        "key": run.key,
        **vars(run),
        "model": tree("model"),
        **provenance(run.seed),
        "steps": result["steps"],
        **found,
    }


def herds(folder: Path, labels: int, seed: int) -> Material:
    """Synthetic herds; the cameras in `UNSEEN` are those of the test alone."""
    seen = [name for name in CAMERAS if name not in UNSEEN]
    start = 10_000 * (seed + 1)
    trained = [herd(folder, start + k, seen[k % len(seen)]) for k in range(labels + UNLABELED)]
    tested = test_herds(folder)
    return Material(
        categories=(Category("cow", "cow", "#e69f00", 1),),
        labeled=tuple(trained[:labels]),
        unlabeled=tuple(map(without_labels, trained[labels:])),
        test=tuple(tested),
        pool=(),
    )


def test_herds(folder: Path) -> list[Any]:
    """The herds of the test, under cameras that no training sees."""
    return [herd(folder, 5000 + k, UNSEEN[k % len(UNSEEN)]) for k in range(TESTED)]


def herd(folder: Path, seed: int, camera: str) -> Any:
    """A scene as a labeled image below the folder."""
    drawn = scene(seed, camera)
    path = folder / camera / "images" / f"{seed}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), drawn.image[..., ::-1])
    labels = tuple((1, rle_of_mask(np.asarray(mask))) for mask in drawn.masks)
    return labeled_image(path, drawn.image.shape[:2], labels)


def score(predictor: Any, drawn: Material) -> dict[str, dict[str, Any]]:
    """The figures of each way on the test images."""
    from data_io.images import read
    from model.instances import tell_apart
    from model.metrics import Mixups, Panoptic, Scored, average_precision

    true: list[list[Scored]] = []
    made: dict[str, list[list[Scored]]] = {way: [] for way in WAYS}
    for record in drawn.test:
        size = (record.height, record.width)
        probability, maps = predictor.maps(read(Path(record.path)))
        true.append([Scored("cow", rle) for _, rle in record.labels])
        pieces = components(probability, size)
        made["components"].append([Scored("cow", rle, belief) for rle, belief in pieces])
        for way, votes in (("shape", None), ("pieces", maps)):
            animals = tell_apart(probability, *size, ["cow"], "v", votes).instances
            made[way].append(
                [Scored("cow", rle_of_parts(a.parts, *size), a.score or 0.0) for a in animals]
            )
    found: dict[str, dict[str, Any]] = {}
    for way, predicted in made.items():
        panoptic, mixups = Panoptic(), Mixups()
        for one, other in zip(true, predicted, strict=True):
            panoptic.add(one, other)
            mixups.add(one, other)
        ap, ap50 = average_precision(true, predicted)
        counts = [abs(len(a) - len(b)) for a, b in zip(true, predicted, strict=True)]
        figures = (ap, ap50, panoptic.value(), float(np.mean(counts)), mixups.merges, mixups.splits)
        found[way] = dict(zip(FIGURES, figures, strict=True))
    return found


def components(probability: Any, size: tuple[int, int]) -> list[tuple[Any, float]]:
    """RLE and mean probability of each connected piece of animal, specks left out as elsewhere."""
    from model.instances import ExtractionConfig, resample

    config = ExtractionConfig()
    belief = resample(probability[1], 0.25, *size)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((belief > 0.5).astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    least = max(config.min_area, config.min_median * float(np.median(areas))) if len(areas) else 0
    kept = [k for k, area in enumerate(areas, start=1) if area >= least]
    return [(rle_of_mask(labels == k), float(belief[labels == k].mean())) for k in kept]


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """One Markdown line a set, number of labels, method and way: means over the seeds."""
    print("| set | labels | method | way | seeds | model code | " + " | ".join(FIGURES) + " |")
    print("|---" * (6 + len(FIGURES)) + "|")
    groups: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["set"], row["labels"], row["method"]), []).append(row)
    for (name, labels, method), mine in sorted(groups.items()):
        for way in WAYS:
            means = [np.mean([row[way][figure] for row in mine]) for figure in FIGURES]
            code = ", ".join(sorted({row["model"] for row in mine}))
            cells = [name, str(labels), method, way, str(len(mine)), code]
            cells += [f"{mean:.3f}" for mean in means]
            print("| " + " | ".join(cells) + " |")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = study_parser(__doc__, RESULTS)
    parser.add_argument("--sets", nargs="+", choices=("drone", "herds"), default=["drone", "herds"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--versions", type=Path, help="folder that keeps what was trained")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
