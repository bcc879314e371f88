"""Does unlabeled data pay? Methods beside each other at equal time, on real images.

A seed draws the labeled images of a set; every method trains from them for the same time with the
engine that users run. Scored are the frames of the `test` block, and the unlabeled images of the
`pool` themselves: proposing on those is the tool's daily job. Differences come with an interval
from a paired bootstrap over frames (the same frames for both methods).

The clock counts processor time of one thread (`clock`), so the figures do not depend on what else
the machine does: N minutes are N minutes on one free core. Each finished run is appended to the
results file at once; started again, the study goes on where it stopped. A run belongs to the state
of `model/` it was made with. Settings are tuned with seeds from 10 up (`--set`, another --out),
never with those that are reported.

    python -m benchmarks.semi_supervised --data ../shared/data --plan short
    python -m benchmarks.semi_supervised --show
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import ROOT, provenance, tree
from benchmarks.semi_sets import SETS, Material, material
from benchmarks.semi_table import print_table
from benchmarks.study import conduct, study_parser

PLANS: dict[str, list[tuple[tuple[str, ...], tuple[str, ...], tuple[int, ...], float]]] = {
    "short": [(("drone", "barn"), ("supervised", "cutmix", "u2pl"), (0, 1, 2), 3.0)],
    "long": [(("drone", "barn"), ("supervised", "u2pl"), (0, 1), 15.0)],
    "many_classes": [(("msrc", "camvid"), ("supervised", "u2pl"), (0,), 5.0)],
}
RESULTS = ROOT / "benchmarks/results/semi_supervised.jsonl"


@dataclass(frozen=True)
class Run:
    """One training of the study."""

    set: str
    method: str
    seed: int
    minutes: float
    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def key(self) -> str:
        """What tells runs of one state of the code apart."""
        return json.dumps([self.set, self.method, self.seed, self.minutes, dict(self.settings)])


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)

    def one(fields: dict[str, Any]) -> dict[str, Any]:
        return train_and_score(options.data, Run(**fields))

    return conduct("benchmarks.semi_supervised", options, one, planned(options), _told, print_table)


def _told(record: dict[str, Any]) -> str:
    return f"test {record['test']['iou']:.3f}"


def planned(options: argparse.Namespace) -> Iterator[Run]:
    """The runs in order; the methods of a seed follow each other, so they meet the same machine."""
    settings = tuple(dict(options.set).items())
    for sets, methods, seeds, minutes in PLANS[options.plan]:
        for seed in options.seeds or seeds:
            for name in options.sets or sets:
                for method in options.methods or methods:
                    yield Run(name, method, seed, options.minutes or minutes, settings)


def train_and_score(data: Path, run: Run) -> dict[str, Any]:
    """One training from snapshot to figures; the record of the run."""
    import torch

    from model.checkpoint import load_version

    torch.set_num_threads(1)
    drawn = material(data, run.set, run.seed)
    began = time.monotonic()
    settings = {"minutes": run.minutes, "clock": "processor", "threads": 1}
    settings |= {"instances": False, "least_animal": 0.0}  # classes alone, images of one size
    settings |= {"method": run.method, "seed": run.seed, **dict(run.settings)}
    with tempfile.TemporaryDirectory(prefix="semi-supervised-") as scratch:
        result = train(drawn, settings, Path(scratch))
        network, meta = load_version(Path(scratch) / "version")
    wall = time.monotonic() - began
    return {
        "study": "semi_supervised",
        "key": run.key,
        **vars(run),
        "settings": dict(run.settings),
        "model": tree("model"),
        **provenance(run.seed),
        "steps": result["steps"],
        "kept": result["kept"],
        "wall_seconds": round(wall, 1),
        "test": score(network, meta, drawn.test),
        "pool": score(network, meta, drawn.pool),
    }


def trained(folder: Path, draw: Callable[[], Material], settings: dict[str, Any]) -> Path:
    """The folder of a version, trained in one thread by the processor's clock where there is none.

    Args:
        draw: the images it is trained on.
    """
    if not folder.is_dir():
        settings = {"clock": "processor", "threads": 1, "instances": True, **settings}
        with tempfile.TemporaryDirectory(prefix="version-") as scratch:
            train(draw(), settings, Path(scratch))
            shutil.copytree(Path(scratch) / "version", folder)
    return folder


def train(
    drawn: Material,
    settings: dict[str, Any],
    job: Path,
    parent: Path | None = None,
    snapshots: Path | None = None,
) -> dict[str, Any]:
    """Train in a process of its own; ``version/`` is then in the folder `job`. The job's result.

    Args:
        parent: folder of the version that came before.
        snapshots: folder of the snapshots, with that of the parent; None = one below `job`.
    """
    from data_io.snapshot import write_content

    images = (*drawn.labeled, *drawn.unlabeled)
    snapshot = write_content(drawn.categories, images, snapshots or job / "snapshots")
    before = None if parent is None else str(parent)
    spec = {"snapshot": str(snapshot.folder), "version": "v", "parent": before, "train": settings}
    job.mkdir(parents=True, exist_ok=True)
    (job / "config.json").write_text(json.dumps(spec))
    line = [sys.executable, "-m", "model.train", str(job)]
    if subprocess.run(line, check=False, cwd=ROOT).returncode:
        raise SystemExit((job / "error.json").read_text())
    result: dict[str, Any] = json.loads((job / "result.json").read_text())
    return result


def score(network: Any, meta: dict[str, Any], images: Sequence[Any]) -> dict[str, Any]:
    """Figures of a network on labeled images, and what intervals need of every frame.

    Returns:
        ``iou`` of all categories' pixels together, ``miou`` over the classes that occur, and
        ``frames``: for each image [hits, truth, predicted] of every class, in pixels.
    """
    from model.config import IGNORE
    from model.dataset import load_frame
    from model.scale import Scaling
    from model.validation import confusion, mean_iou, predict_classes

    classes = 1 + network.config.categories
    total = np.zeros((classes, classes), np.int64)
    frames = []
    for record in images:
        pixels, truth = load_frame(record, Scaling(meta["max_side"]))
        predicted = predict_classes(network, pixels, tuple(meta["mean"]), tuple(meta["std"]))
        predicted = np.where(truth == IGNORE, 0, predicted)
        table = confusion(truth, predicted, classes)
        total += table
        frames.append([np.diag(table).tolist(), table.sum(1).tolist(), table.sum(0).tolist()])
    union = int(total.sum() - total[0, 0])
    return {
        "iou": float(total[1:, 1:].sum() / union),
        "miou": mean_iou(total),
        "images": len(images),
        "frames": frames,
    }


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = study_parser(__doc__, RESULTS, seeds=(), minutes=0.0)
    parser.add_argument("--plan", choices=PLANS, default="short")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=[])
    parser.add_argument("--methods", nargs="+", default=[])
    parser.add_argument("--set", nargs="+", type=_setting, default=[], metavar="NAME=VALUE")
    options = parser.parse_args(arguments)
    if not options.show and not (options.data / "blocks.json").exists():
        parser.error(f"{options.data} has no blocks.json; name the data folder")
    return options


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


if __name__ == "__main__":
    raise SystemExit(main())
