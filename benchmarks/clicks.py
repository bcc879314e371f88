"""How many clicks until an animal is outlined? Robot clicks on 200 fixed objects.

Objects come from the test blocks of the drone flight and the barn, and from folders that nothing
was trained on: the pasture, cows of DAVIS and of MSRC. NoC@t is the mean number of clicks until the
IoU with the object is t, 20 where it never is; "failures" are those. The robot clicks into the
largest error: "base" in its middle, "sample" anywhere in it (one draw). It starts from nothing, or,
for the three cattle folders, from the animal that a version proposes there (nothing where it
proposes none); a proposal that is good enough already takes no click.

Engines: `general`, the refiner from the recipe alone; `herd5` and `herd15`, the same after so many
labeled images of the herd (the barn has 8, the pasture 11), taught as a training teaches it, with
proposals of the version as bad masks (15 labeled images, 4 of the barn); `sam`, a SAM-style pair;
`grabcut`; `wire`, a live-wire whose anchors are counted as clicks. The refiner is the one that
ships. `brush` and `polygon` are no clicks: beside them stands what all of it takes by the clock of
the study `simulate`, until the IoU is .90.

"right" starts from an outline of IoU .90 or more and clicks once at a random place of the animal:
for `given` outlines a person vouches, for `own` ones nobody does (proposals, and what clicks alone
have made), so that more of them may change.

Versions and refiners of herds are trained into FOLDER where they are not there yet.

    python -m benchmarks.clicks --data ../shared/data [--sam FOLDER] [--versions FOLDER]
    python -m benchmarks.clicks --show
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.simulate.shapes import iou
from benchmarks.click_engines import Engine, GrabCut, Ours, Sam, live_wire
from benchmarks.click_objects import FOLDERS, SETS, images_of, objects
from benchmarks.click_seconds import TOOLS, by_clicks, by_tool
from benchmarks.click_table import GOALS, MOST, clicks_to, print_table
from benchmarks.common import ROOT, provenance, tree
from benchmarks.semi_sets import cattle
from benchmarks.study import conduct, study_parser
from data_io.geometry import mask_of_parts, rle_of_mask, window_of_rle
from data_io.images import read
from model.assist.clicks import Click, next_click
from model.assist.examples import wandering
from model.assist.served import GENERAL, Served, answer_file

RESULTS = ROOT / "benchmarks/results/clicks.jsonl"
HERDS = {"herd5": 5, "herd15": 15}
ENGINES = ("general", *HERDS, "sam", "grabcut", "wire", *TOOLS)
CLASSIC = ("grabcut", "wire")  # from scratch and with the base robot alone
ONCE = {"general": ("given", "own"), "herd15": ("given", "own"), "sam": ("given",)}  # of "right"
STARTS, ROBOTS = ("scratch", "proposal"), ("base", "sample")
RIGHT, WANDERS = 0.90, 0.06  # IoU, and sizes by which those outlines wander at first

Mask = NDArray[np.bool_]


class Task(NamedTuple):
    """One animal, and what there is of it before the first click."""

    image: NDArray[np.uint8]  # (H, W, 3)
    before: Mask  # (H, W)
    truth: Mask


@dataclass(frozen=True)
class Run:
    """One engine on the objects of one set."""

    set: str
    engine: str
    start: str
    robot: str

    @property
    def key(self) -> str:
        """What tells runs of one state of the code apart."""
        return json.dumps([self.set, self.engine, self.start, self.robot])


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)

    def one(fields: dict[str, Any]) -> dict[str, Any]:
        return robot(options, Run(**fields))

    more = ["--versions", str(options.versions.resolve())]
    more += ["--sam", str(options.sam.resolve())] if options.sam else []
    # What is not ours does not change with `model/`: its newest record stays in the table.
    runs = planned(options)
    return conduct("benchmarks.clicks", options, one, runs, _told, print_table, more, each=True)


def planned(options: argparse.Namespace) -> Iterator[Run]:
    """Every set and engine with every start and robot."""
    for engine in options.engines:
        for name in options.sets:
            known = name in FOLDERS
            if (engine in HERDS and not known) or (engine == "sam" and not options.sam):
                continue
            for start in STARTS[: 2 if known else 1]:
                for clicker in ROBOTS[: 1 if engine in TOOLS else 2]:
                    if engine not in CLASSIC or (start, clicker) == (STARTS[0], ROBOTS[0]):
                        yield Run(name, engine, start, clicker)
            for clicker in ONCE.get(engine, ()):
                yield Run(name, engine, "right", clicker)


def robot(options: argparse.Namespace, run: Run) -> dict[str, Any]:
    """The record of a run: for each object the IoU at first and after each click, and seconds."""
    import torch

    torch.set_num_threads(1)
    tasks = list(tasks_of(options, run))
    usual = float(np.median([np.sqrt(one.truth.sum()) for one in tasks]))
    found: dict[str, Any] = {}
    if run.engine not in TOOLS:
        found["ious"] = list(_clicked(options, run, tasks, usual))
    proposed = run.start == "proposal"
    if run.start in STARTS:
        found["seconds"] = [
            by_tool(run.engine, one.before, one.truth, proposed)
            if run.engine in TOOLS
            else by_clicks(found["ious"][place], one.truth, proposed)
            for place, one in enumerate(tasks)
        ]
    return {
        "study": "clicks",
        "key": run.key,
        **vars(run),
        "model": tree("model"),
        **provenance(0),
        "objects": len(tasks),
        **found,
    }


def _clicked(
    options: argparse.Namespace, run: Run, tasks: Sequence[Task], usual: float
) -> Iterator[list[float]]:
    """IoU at first and after each click, task by task."""
    if run.engine == "wire":
        yield from (wired(one.image, one.truth) for one in tasks)
        return
    engine = engine_of(options, run)
    for place, one in enumerate(tasks):
        rng = None if run.robot == "base" else np.random.default_rng([place, 7])
        engine.begin(one.image, usual)
        if run.start == "right":
            yield stray(engine, one, np.random.default_rng([place, 8]), run.robot == "own")
        else:
            yield clicks_at(engine, one.before, one.truth, rng)


def _told(record: dict[str, Any]) -> str:
    if "ious" not in record:
        return f"{np.mean(record['seconds']):.1f} s"
    return f"NoC@90 {np.mean([clicks_to(row, 0.90) for row in record['ious']]):.2f}"


# --- tasks and engines ----------------------------------------------------------------------------


def tasks_of(options: argparse.Namespace, run: Run) -> Iterator[Task]:
    """The objects of a run's set, each with what there is before the first click."""
    pixels: dict[str, NDArray[np.uint8]] = {}
    proposed = proposals(options, run) if run.start == "proposal" else None
    for place, one in enumerate(objects(options.data, run.set)):
        path, truth = one.image.path, one.truth
        image = pixels.setdefault(path, read(Path(path)))
        before = np.zeros_like(truth)
        if proposed is not None:
            before = best_of(proposed[path], truth)
        elif run.start == "right":
            before = nearly(truth, np.random.default_rng([place, 9]))
        yield Task(image, before, truth)


def nearly(truth: Mask, rng: np.random.Generator) -> Mask:
    """An outline that wanders, but no farther than to an IoU of `RIGHT`."""
    most = WANDERS
    while iou(made := wandering(truth, rng, most), truth) < RIGHT:
        most /= 2
    return made


def proposals(options: argparse.Namespace, run: Run) -> dict[str, list[Mask]]:
    """What a version of the herd proposes on the images of the test, by path."""
    from model.predictor import Predictor

    predictor = Predictor.load(version_of(options, run.set), device="cpu", threads=1)
    found = {}
    for image in images_of(options.data, run.set):
        made = predictor.predict(read(Path(image.path))).instances
        size = (image.height, image.width)
        found[image.path] = [mask_of_parts(one.parts, *size) for one in made]
    return found


def version_of(options: argparse.Namespace, name: str) -> Path:
    """The folder of a herd's version, trained where there is none yet."""
    from benchmarks.semi_supervised import trained

    labels = {"barn": 4}.get(name, 15)
    draw = partial(cattle(FOLDERS[name], labels), options.data, 0)
    settings = {"minutes": options.minutes, "method": "u2pl", "seed": 0}
    return trained(options.versions / f"{name}-u2pl-{labels}-0", draw, settings)


def best_of(proposed: Sequence[Mask], truth: Mask) -> Mask:
    """The proposal that a person would take for the animal; nothing where none overlaps it."""
    shared = [int((one & truth).sum()) / int((one | truth).sum()) for one in proposed]
    if not shared or max(shared) < 0.1:
        return np.zeros_like(truth)
    return proposed[int(np.argmax(shared))]


def engine_of(options: argparse.Namespace, run: Run) -> Engine:
    """The engine of a run, trained on its herd where it has to be."""
    if run.engine == "grabcut":
        return GrabCut()
    if run.engine == "sam":
        return Sam(options.sam, 1)
    weights = herd_weights(options, run) if run.engine in HERDS else GENERAL
    return Ours(Served(answer_file(weights, options.versions), 1))


def herd_weights(options: argparse.Namespace, run: Run) -> Path:
    """The refiner of a herd, taught once for all runs as a training of the product teaches it."""
    from model.assist.herd import SHARE, learn, parted
    from model.assist.training import load, save
    from model.predictor import Predictor

    name = f"refiner-{run.set}-{HERDS[run.engine]}-{options.steps}-{tree('model')}.safetensors"
    kept = options.versions / name
    if not kept.is_file():
        network = load(GENERAL)
        drawn = cattle(FOLDERS[run.set], HERDS[run.engine])(options.data, 0)
        predictor = Predictor.load(version_of(options, run.set), device="cpu", threads=1)
        teachers, _ = parted(drawn.labeled, predictor)
        learn(network, teachers, {"steps": round(options.steps / SHARE)})
        save(network, kept)
    return Path(kept)


# --- clicking -------------------------------------------------------------------------------------


def clicks_at(
    engine: Engine, before: Mask, truth: Mask, rng: np.random.Generator | None
) -> list[float]:
    """IoU at first and after each click, up to the highest goal or to `MOST` clicks."""
    mask, clicks = before, list[Click]()
    ious = [iou(mask, truth)]
    while ious[-1] < GOALS[-1] and len(clicks) < MOST:
        clicks.append(wanted_click(truth, mask, rng))
        mask = engine.click(mask, clicks)
        ious.append(iou(mask, truth))
    return [round(value, 4) for value in ious]


def wanted_click(truth: Mask, mask: Mask, rng: np.random.Generator | None) -> Click:
    """`next_click` at a mask that is not right yet, looking only where either is."""
    left, top, right, bottom = window_of_rle(rle_of_mask(truth | mask), 2)
    part = np.s_[top:bottom, left:right]
    click = next_click(truth[part], mask[part], rng)
    assert click is not None
    return Click(click.x + left, click.y + top, click.positive)


def stray(engine: Engine, task: Task, rng: np.random.Generator, own: bool) -> list[float]:
    """IoU before and after one click at a random place of an animal that is right already.

    Args:
        own: nobody vouches for the outline.
    """
    if not own and isinstance(engine, Ours):
        engine.vouch()
    places = np.flatnonzero(task.truth)
    row, column = divmod(int(rng.choice(places)), task.truth.shape[1])
    after = engine.click(task.before, [Click(column + 0.5, row + 0.5, True)])
    return [round(iou(mask, task.truth), 4) for mask in (task.before, after)]


def wired(image: NDArray[np.uint8], truth: Mask) -> list[float]:
    """As `clicks_at`, of live-wires: the best outline with so many anchors or fewer."""
    ious = [0.0]
    for count, found in live_wire(image, truth):
        best = max(ious[-1], round(iou(found, truth), 4))
        ious += [ious[-1]] * (count - len(ious)) + [best]
        if best >= GOALS[-1]:
            break
    return ious


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = study_parser(__doc__, RESULTS, jobs=1)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--sam", type=Path, help="folder of encoder.onnx and sam.onnx")
    parser.add_argument(
        "--versions",
        type=Path,
        default=ROOT / "build/clicks",
        help="folder of versions SET-u2pl-LABELS-0 and of refiners",
    )
    parser.add_argument("--steps", type=int, default=300, help="of a refiner, 300 at most")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
