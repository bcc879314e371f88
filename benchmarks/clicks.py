"""How many clicks until an animal is outlined? Robot clicks on 200 fixed objects.

Objects come from the test blocks of the drone flight and the barn, and from folders that nothing
was trained on: the pasture, cows of DAVIS and of MSRC. NoC@t is the mean number of clicks until the
IoU with the object is t, 20 where it never is; "failures" are those. The robot clicks into the
largest error: "base" in its middle, "sample" anywhere in it (one draw). It starts from nothing, or,
for the three cattle folders, from the animal that a version proposes there (nothing where it
proposes none); a proposal that is good enough already takes no click.

Engines: `general`, the refiner from the recipe alone; `herd5` and `herd15`, the same after so many
labeled images of the herd (as many as the pool has); `sam`, a SAM-style pair; `grabcut`; `wire`, a
live-wire whose anchors are counted as clicks. The refiner is the one that ships.

    python -m benchmarks.clicks --data ../shared/data [--sam FOLDER] [--versions FOLDER]
    python -m benchmarks.clicks --show
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.click_engines import Engine, GrabCut, Ours, Sam, live_wire
from benchmarks.common import ROOT, provenance, tree
from benchmarks.semi_sets import cattle, coco_images
from benchmarks.study import conduct, study_parser
from data_io.geometry import mask_of_parts, mask_of_rle, rle_iou, rle_of_mask
from data_io.images import read
from data_io.snapshot import SnapshotImage
from model.assist.clicks import Click, next_click
from model.assist.served import GENERAL

RESULTS = ROOT / "benchmarks/results/clicks.jsonl"
SETS = {"drone": 60, "barn": 26, "pasture": 54, "davis": 21, "msrc": 39}  # objects of each
FOLDERS = {
    "drone": "cattle_drone_yak",
    "barn": "cattle_barn_topdown",
    "pasture": "cattle_pasture_holstein",
}
HERDS = {"herd5": 5, "herd15": 15}
ENGINES = ("general", *HERDS, "sam", "grabcut", "wire")
CLASSIC = ("grabcut", "wire")  # from scratch and with the base robot alone
STARTS, ROBOTS = ("scratch", "proposal"), ("base", "sample")
MOST, GOALS = 20, (0.85, 0.90, 0.95)
LEAST = 144  # pixels of an object

Mask = NDArray[np.bool_]


class Object(NamedTuple):
    """One animal of an image."""

    image: SnapshotImage
    number: int

    @property
    def truth(self) -> Mask:
        """(H, W)."""
        return mask_of_rle(self.image.labels[self.number][1])


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

    more = [part for name in ("sam", "versions") for part in _passed(options, name)]
    return conduct("benchmarks.clicks", options, one, planned(options), _told, print_table, more)


def _passed(options: argparse.Namespace, name: str) -> list[str]:
    value = getattr(options, name)
    return [f"--{name}", str(value.resolve())] if value else []


def planned(options: argparse.Namespace) -> Iterator[Run]:
    """Every set and engine with every start and robot."""
    for engine in options.engines:
        for name in options.sets:
            for start in STARTS:
                for clicker in ROBOTS:
                    known = name in FOLDERS
                    skipped = (start == "proposal" or engine in HERDS) and not known
                    plain = (start, clicker) == ("scratch", "base")
                    if not (
                        skipped
                        or (engine in CLASSIC and not plain)
                        or (engine == "sam" and not options.sam)
                        or (start == "proposal" and not options.versions)
                    ):
                        yield Run(name, engine, start, clicker)


def robot(options: argparse.Namespace, run: Run) -> dict[str, Any]:
    """The record of a run: for each object the IoU at first and after each click."""
    import torch

    torch.set_num_threads(1)
    chosen = objects(options.data, run.set)
    proposed = proposals(options, run) if run.start == "proposal" else None
    usual = float(np.median([np.sqrt(one.truth.sum()) for one in chosen]))
    engine = None if run.engine == "wire" else engine_of(options, run)
    pixels: dict[str, NDArray[np.uint8]] = {}
    rows = []
    for place, one in enumerate(chosen):
        image = pixels.setdefault(one.image.path, read(Path(one.image.path)))
        if engine is None:
            rows.append(wired(image, one.truth))
            continue
        before = np.zeros(image.shape[:2], np.bool_)
        if proposed is not None:
            before = best_of(proposed[one.image.path], one.truth)
        rng = np.random.default_rng([place, 7]) if run.robot == "sample" else None
        engine.begin(image, usual)
        rows.append(clicks_at(engine, before, one.truth, rng))
    return {
        "study": "clicks",
        "key": run.key,
        **vars(run),
        "model": tree("model"),
        **provenance(0),
        "objects": len(chosen),
        "ious": rows,
    }


def _told(record: dict[str, Any]) -> str:
    return f"NoC@90 {np.mean([clicks_to(row, 0.90) for row in record['ious']]):.2f}"


# --- objects and proposals ------------------------------------------------------------------------


def objects(data: Path, name: str) -> list[Object]:
    """The fixed objects of a set, drawn once for all."""
    images = list(_images(data, name))
    found = [
        Object(image, k)
        for image in images
        for k, (_, rle) in enumerate(image.labels)
        if mask_of_rle(rle).sum() >= LEAST
    ]
    order = np.random.default_rng(0).permutation(len(found))[: SETS[name]]
    return [found[int(k)] for k in sorted(order)]


def _images(data: Path, name: str) -> Iterator[SnapshotImage]:
    if name in FOLDERS:
        records = coco_images(data / FOLDERS[name])
        blocks = json.loads((data / "blocks.json").read_text())[FOLDERS[name]]
        yield from (records[file] for file in blocks["test"])
        return
    folder = data / {"davis": "davis_animals", "msrc": "msrc_v2"}[name]
    document = json.loads((folder / "annotations.json").read_text())
    cow = next(one["id"] for one in document["categories"] if one["name"] == "cow")
    document["annotations"] = [a for a in document["annotations"] if a["category_id"] == cow]
    yield from coco_images(folder, document).values()


def proposals(options: argparse.Namespace, run: Run) -> dict[str, list[Mask]]:
    """What a version of the herd proposes on the images of the test, by path."""
    from model.predictor import Predictor

    folder = options.versions / f"{run.set}-u2pl-{ {'barn': 4}.get(run.set, 15) }-0"
    predictor = Predictor.load(folder, device="cpu", threads=1)
    found = {}
    for image in _images(options.data, run.set):
        made = predictor.predict(read(Path(image.path))).instances
        size = (image.height, image.width)
        found[image.path] = [mask_of_parts(one.parts, *size) for one in made]
    return found


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
    from model.assist.herd import answer_of
    from model.assist.training import load

    network = load(GENERAL)
    if run.engine in HERDS:
        drawn = cattle(FOLDERS[run.set], HERDS[run.engine])(options.data, 0)
        on_herd(network, drawn.labeled, options.steps)
    return Ours(answer_of(network))


def on_herd(network: Any, labeled: Sequence[SnapshotImage], steps: int) -> None:
    """Train a refiner on, with the animals of these images."""
    from model.assist.examples import Picture, example
    from model.assist.herd import RATE
    from model.assist.training import RefinerConfig, RefinerTraining

    pictures = []
    for image in labeled:
        animals = [mask_of_rle(rle) for _, rle in image.labels]
        pictures.append(Picture(read(Path(image.path)), [a for a in animals if a.sum() >= LEAST]))
    shown = [one for one in pictures if one.animals]

    def draw(rng: np.random.Generator) -> Any:
        picture = shown[int(rng.integers(len(shown)))]
        return example(picture, int(rng.integers(len(picture.animals))), rng)

    config = RefinerConfig(steps=steps, plain=0, rate=RATE, warm_up=steps // 10)
    for _ in RefinerTraining(network, draw, config, 0).run():
        pass


# --- clicking -------------------------------------------------------------------------------------


def clicks_at(
    engine: Engine, before: Mask, truth: Mask, rng: np.random.Generator | None
) -> list[float]:
    """IoU at first and after each click, up to the highest goal or to `MOST` clicks."""
    mask, clicks = before, list[Click]()
    ious = [iou(mask, truth)]
    while ious[-1] < GOALS[-1] and len(clicks) < MOST:
        click = next_click(truth, mask, rng)
        assert click is not None
        clicks.append(click)
        mask = engine.click(mask, clicks)
        ious.append(iou(mask, truth))
    return [round(value, 4) for value in ious]


def iou(mask: Mask, truth: Mask) -> float:
    """In [0, 1]."""
    return rle_iou(rle_of_mask(mask), rle_of_mask(truth)) if mask.any() else 0.0


def wired(image: NDArray[np.uint8], truth: Mask) -> list[float]:
    """As `clicks_at`, of live-wires: the best outline with so many anchors or fewer."""
    ious = [0.0]
    for count, found in live_wire(image, truth):
        best = max(ious[-1], round(iou(found, truth), 4))
        ious += [ious[-1]] * (count - len(ious)) + [best]
        if best >= GOALS[-1]:
            break
    return ious


def clicks_to(ious: Sequence[float], goal: float) -> int:
    """After how many clicks the IoU was `goal`; `MOST` where it never was."""
    return next((k for k, value in enumerate(ious) if value >= goal), MOST)


# --- the table ------------------------------------------------------------------------------------


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """One Markdown line an engine, start and robot: all sets together, then each one's NoC@90."""
    names = list(SETS)
    heads = [*(f"NoC@{100 * goal:.0f}" for goal in GOALS), "failures@90", *names]
    print("| engine | start | robot | objects | " + " | ".join(heads) + " |")
    print("|---" * (4 + len(heads)) + "|")
    groups: dict[tuple[str, str, str], dict[str, list[list[float]]]] = {}
    for row in rows:
        place = (row["start"], row["robot"], row["engine"])
        groups.setdefault(place, {})[row["set"]] = row["ious"]
    for (start, clicker, engine), found in sorted(groups.items()):
        every = [ious for one in found.values() for ious in one]
        cells = [f"{np.mean([clicks_to(i, goal) for i in every]):.2f}" for goal in GOALS]
        failed = sum(max(ious) < 0.90 for ious in every)
        by_set = [_mean_of(found.get(name)) for name in names]
        line = [engine, start, clicker, str(len(every)), *cells, str(failed), *by_set]
        print("| " + " | ".join(line) + " |")


def _mean_of(ious: Sequence[Sequence[float]] | None) -> str:
    return "–" if ious is None else f"{np.mean([clicks_to(one, 0.90) for one in ious]):.2f}"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = study_parser(__doc__, RESULTS, jobs=1)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--sam", type=Path, help="folder of encoder.onnx and sam.onnx")
    parser.add_argument("--versions", type=Path, help="folder of versions SET-u2pl-LABELS-0")
    parser.add_argument("--steps", type=int, default=150, help="of a refiner on its herd")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
