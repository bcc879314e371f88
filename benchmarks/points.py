"""Are the animals of unlabeled photos found and counted? Human points, one an animal.

Each method trains for the same processor time of one thread on every labeled image of the labeled
cattle folders; the photos of the two scored sets join as unlabeled images, since proposing on those
is the tool's daily job. No training sees their points. Scored are the version's proposals as people
get them: a proposed animal is right if it holds exactly one point (precision), a point is found if
it lies in exactly one proposed animal (recall), and counts are compared (MAE, animals an image).
Finished runs are appended at once; started again, the study goes on.

    python -m benchmarks.points --data ../shared/data
    python -m benchmarks.points --show
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, provenance, tree
from benchmarks.semi_sets import Material, coco_images, photos
from benchmarks.semi_supervised import train
from benchmarks.study import conduct, study_parser
from data_io.types import Category

RESULTS = ROOT / "benchmarks/results/points.jsonl"
LABELED = ("cattle_barn_topdown", "cattle_drone_yak", "cattle_pasture_holstein")
SCORED = ("cattle_barn_unlabeled", "cattle_misc_unlabeled")
METHODS = ("supervised", "u2pl")
FIGURES = ("precision", "recall", "count_mae")


@dataclass(frozen=True)
class Run:
    """One training of the study."""

    method: str
    seed: int
    minutes: float

    @property
    def key(self) -> str:
        """What tells runs of one state of the code apart."""
        return json.dumps([self.method, self.seed, self.minutes])


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)

    def one(fields: dict[str, Any]) -> dict[str, Any]:
        return train_and_score(options.data, Run(**fields))

    return conduct("benchmarks.points", options, one, planned(options), _told, print_table)


def _told(record: dict[str, Any]) -> str:
    return ", ".join(f"{name} recall {_shown(record[name]['recall'])}" for name in SCORED)


def planned(options: argparse.Namespace) -> Iterator[Run]:
    """The runs in order; the methods of a seed follow each other."""
    for seed in options.seeds:
        for method in options.methods:
            yield Run(method, seed, options.minutes)


def material(data: Path) -> Material:
    """All labels there are, and the photos of the scored sets without their points."""
    labeled = [image for name in LABELED for image in coco_images(data / name).values()]
    unlabeled = [image for name in SCORED for image in photos(data / name / "images")]
    return Material(
        categories=(Category("cow", "cow", "#e69f00", 1),),
        labeled=tuple(labeled),
        unlabeled=tuple(unlabeled),
        test=(),
        pool=(),
    )


def train_and_score(data: Path, run: Run) -> dict[str, Any]:
    """One training from snapshot to figures; the record of the run."""
    import torch

    from model.predictor import Predictor

    torch.set_num_threads(1)
    settings = {"minutes": run.minutes, "clock": "processor", "threads": 1, "instances": True}
    settings |= {"method": run.method, "seed": run.seed}
    drawn = material(data)
    with tempfile.TemporaryDirectory(prefix="points-") as scratch:
        result = train(drawn, settings, Path(scratch))
        predictor = Predictor.load(Path(scratch) / "version", device="cpu", threads=1)
        found = {name: score(predictor, data / name) for name in SCORED}
    return {
        "study": "points",
        "key": run.key,
        **vars(run),
        "model": tree("model"),
        **provenance(run.seed),
        "steps": result["steps"],
        "kept": result["kept"],
        "labeled": len(drawn.labeled),
        "unlabeled": len(drawn.unlabeled),
        **found,
    }


def score(predictor: Any, folder: Path) -> dict[str, Any]:
    """`FIGURES` of one set, the images scored and their points.

    Precision is None where nothing was proposed.

    Raises:
        SystemExit: an image with points could not be scored; a part of a set is no figure.
    """
    from model.evaluate import evaluate, read_points

    marks = folder / "points.json"
    result = evaluate(predictor, None, folder / "images", marks)
    if result["refused"]:
        raise SystemExit(f"{folder.name}: {result['refused'][0]}")
    points = sum(len(pairs) for pairs in read_points(marks).values())
    return {**result["points"], "images": result["images"], "points": points}


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """One Markdown line a set, time and method: means over the seeds, and their range."""
    columns = ("set", "images", "points", "minutes", "method", "seeds", "steps", *FIGURES)
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|")
    groups: dict[tuple[float, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["minutes"], row["method"]), []).append(row)
    for name in SCORED:
        for (minutes, method), mine in sorted(groups.items()):
            steps = sum(row["steps"] for row in mine) / len(mine)
            first = mine[0][name]
            cells = [name, str(first["images"]), str(first["points"]), f"{minutes:g}", method]
            cells += [str(len(mine)), f"{steps:.0f}"]
            cells += [_spread([row[name][figure] for row in mine]) for figure in FIGURES]
            print("| " + " | ".join(cells) + " |")


def _spread(values: Sequence[float | None]) -> str:
    """Mean and range; a seed without a figure leaves the group without one."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return "none"
    return f"{_shown(sum(known) / len(known))} ({_shown(min(known))}-{_shown(max(known))})"


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = study_parser(__doc__, RESULTS, seeds=(0, 1))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args(arguments)
    missing = [name for name in (*LABELED, *SCORED) if not (options.data / name).is_dir()]
    if missing and not options.show:
        parser.error(f"{options.data} has no {missing[0]}; name the data folder")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
