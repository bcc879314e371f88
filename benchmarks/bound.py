"""How good would proposals have to be to save a person time?

The person of `benchmarks.simulate` reviews the labeled pieces of the drone's flight and the
synthetic herds with proposals that are the truth itself, or the truth with noise at its outline:
all animals are proposed, none is too many, nothing is highlighted, there is no click tool. What
that would save against drawing from scratch, by the frozen clock, labels below an IoU of .90
charged as if drawn as well.

    python -m benchmarks.bound --data ../shared/data
    python -m benchmarks.bound --show
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.simulate.annotator import Annotator, Shown
from app.simulate.clock import STANDARD, Action
from app.simulate.report import GOOD
from app.simulate.shapes import jittered, outlined, vertices_for
from app.simulate.truth import HiddenImage
from benchmarks.common import ROOT, append, provenance, records, tree
from benchmarks.simulate import drone, herds
from benchmarks.study import records_parser
from data_io.geometry import Rle, parts_of_rle, rle_iou, rle_of_parts

RESULTS = ROOT / "benchmarks/results/bound.jsonl"
NEAR = (1.0, 0.97, 0.95, 0.94, 0.93, 0.92, 0.90, 0.85)  # IoU of proposals with the truth
IMAGES, SEED = 24, 0
NAMES = ("look", "own", "failed", "scratch")


def main(arguments: Sequence[str] | None = None) -> int:
    options = records_parser(__doc__, RESULTS).parse_args(arguments)
    if not options.show:
        with tempfile.TemporaryDirectory(prefix="bound-") as scratch:
            folder = Path(scratch)
            for hidden in (drone(options.data, folder), herds(folder)):
                images = [one for one in hidden.pool if one.animals][:IMAGES]
                for near in NEAR:
                    append(options.out, measured(hidden.name, images, near))
    print_table(records(options.out))
    return 0


def measured(name: str, images: Sequence[HiddenImage], near: float) -> dict[str, Any]:
    """The record of a set with proposals so near to the truth."""
    rows = np.array([row for image in images for row in reviewed(image, near)])
    look, own, failed, scratch = rows.mean(0)
    return {
        "study": "bound",
        "set": name,
        "near": near,
        "animals": len(rows),
        "seconds": dict(zip(NAMES, (look, own, failed, scratch), strict=True)),
        "failed": float((rows[:, 2] > 0).mean()),
        "saved": float(1 - (look + own + failed) / (look + scratch)),
        "app": tree("app"),
        **provenance(SEED),
    }


def reviewed(image: HiddenImage, near: float) -> Iterator[tuple[float, float, float, float]]:
    """Seconds of looking, of all else, charged for a failure, and from scratch, of each animal."""
    person = Annotator(SEED)
    truths = [rle for _, rle in image.animals]
    targets = [person.target(f"{image.name}/{k}", "cow", rle) for k, rle in enumerate(truths)]
    shown = [_proposed(k, rle, near) for k, rle in enumerate(truths)]
    size = image.height, image.width
    steps = person.review(image.name, targets, shown, (), max(size))
    looked = sum(STANDARD.seconds(one.actions) for one in steps if one.key is None)
    made = {one.key: one for one in steps if one.key is not None}
    for target in targets:
        step = made[target.key]
        vertices = vertices_for(outlined(target.rle, person.traits.outline))
        scratch = STANDARD.seconds([Action("think"), Action("outline", vertices)])
        label = rle_of_parts(step.label.parts, *size) if step.label else None
        bad = label is None or rle_iou(label, target.rle) < GOOD
        own = STANDARD.seconds(step.actions)
        yield looked / len(targets), own, scratch if bad else 0.0, scratch


def _proposed(number: int, truth: Rle, near: float) -> Shown:
    rle = truth if near == 1 else jittered(truth, near, np.random.default_rng([number, 9]))
    return Shown(str(number), "cow", parts_of_rle(rle), rle)


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """The newest record of every set and nearness."""
    newest = {(row["set"], -row["near"]): row for row in rows}
    print("| set | IoU of proposals | seconds an animal | failed | scratch | saved |")
    print("|---|---|---|---|---|---|")
    for (name, _), row in sorted(newest.items()):
        spent = row["seconds"]
        whole = spent["look"] + spent["own"] + spent["failed"]
        told = f"{whole:.1f} | {row['failed']:.0%} | {spent['look'] + spent['scratch']:.1f}"
        print(f"| {name} | {row['near']:.2f} | {told} | {row['saved']:.0%} |")


if __name__ == "__main__":
    raise SystemExit(main())
