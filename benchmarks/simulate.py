"""What does the learning loop save? A simulated person labels hidden images in several ways.

Sets: `drone`, tiles of one flight, earlier ones to label and later ones to judge (within-flight:
nothing here speaks about another flight); `herds`, synthetic scenes judged under two cameras that
nobody labels. Runs go on where they stopped; one line a finished run is appended to the results.
The person, the clock and the arms are those of `app/simulate`, frozen before the first run. Beside
that person stands, where asked for, one who accepts only what seems better (`--accepts`): judged
again and again, a label that seems to be .90 is often less.

    python -m benchmarks.simulate --data ../shared/data --work FOLDER [--accepts IOU]
    python -m benchmarks.simulate --show
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from app.simulate import plots, report, study
from app.simulate.annotator import Traits
from app.simulate.arms import ARMS
from app.simulate.truth import Hidden, HiddenImage
from benchmarks.common import ROOT, provenance, tree
from benchmarks.instances import UNSEEN, herd
from benchmarks.semi_sets import coco_images
from benchmarks.study import conduct, study_parser
from data_io.atomic import file_sha256, write_atomic
from data_io.geometry import Rle, crop_of_rle, rle_of_mask
from data_io.images import read
from data_io.scenes import CAMERAS
from data_io.snapshot import SnapshotImage

RESULTS = ROOT / "benchmarks/results/simulate.jsonl"
CUT = 2  # drone tiles are cut in so many pieces along each side: an image is a minute's work
LEAST = 40  # pixels; less of an animal at a cut is no animal
POOL, TESTED = 32, 24  # herds
HERDS = 60_000  # first seed of the herds of the pool; the test has others
SETS = ("drone", "herds")
USUAL = Traits().accepts


@dataclass(frozen=True)
class Run:
    """One arm, or the ceiling, of one set."""

    set: str
    arm: str
    seed: int
    minutes: float
    accepts: float = USUAL

    @property
    def key(self) -> str:
        """What tells runs of one state of the code apart."""
        more = [] if self.accepts == USUAL else [self.accepts]
        return json.dumps([self.set, self.arm, self.seed, self.minutes, *more])


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)

    def one(fields: dict[str, Any]) -> dict[str, Any]:
        return simulate(options.data, Run(**fields), options.work)

    more = ["--work", str(options.work)]

    def show(rows: Sequence[dict[str, Any]]) -> None:
        print_table(rows, options.out)

    runs = planned(options)
    # Arms that have no click tool are what they were when only that has changed.
    return conduct("benchmarks.simulate", options, one, runs, _told, show, more, each=True)


def planned(options: argparse.Namespace) -> Iterator[Run]:
    """The runs in order; the arms of a seed follow each other."""
    for seed in options.seeds:
        for name in options.sets:
            # The ceiling knows no person.
            first = (study.CEILING,) if options.accepts == USUAL else ()
            for arm in (*first, *options.arms):
                yield Run(name, arm, seed, options.minutes, options.accepts)


def simulate(data: Path, run: Run, work: Path) -> dict[str, Any]:
    """One run and its record, with the records of its rounds."""
    import torch

    torch.set_num_threads(1)
    hidden = drone(data, work) if run.set == "drone" else herds(work)
    train = {"minutes": run.minutes, "clock": "processor", "threads": 1}
    folder = work / run.set if run.accepts == USUAL else work / f"{run.set}-{run.accepts}"
    options = study.Options(train, traits=Traits(accepts=run.accepts))
    rounds = list(study.run_records(hidden, run.arm, run.seed, options, folder, print_nothing))
    return {
        "study": "simulate",
        "key": run.key,
        **vars(run),
        "model": tree("model"),
        "app": tree("app"),
        **provenance(run.seed),
        "rounds": rounds,
    }


def print_nothing(_: str) -> None:
    """The last line on stdout is the record."""


def _told(record: dict[str, Any]) -> str:
    return f"{len(record['rounds'])} rounds"


# --- sets -----------------------------------------------------------------------------------------


def drone(data: Path, work: Path) -> Hidden:
    """The drone tiles in `CUT` x `CUT` pieces; clusters are the full-size photos they come from."""
    blocks = json.loads((data / "blocks.json").read_text())["cattle_drone_yak"]
    records = coco_images(data / "cattle_drone_yak")
    parts = {
        part: tuple(piece for name in blocks[part] for piece in _pieces(records[name], work))
        for part in ("pool", "test")
    }
    return Hidden("drone", parts["pool"], parts["test"])


def _pieces(image: SnapshotImage, work: Path) -> Iterator[HiddenImage]:
    pixels = read(image.path)[..., ::-1]
    photo = Path(image.path).stem.split("_")[0]
    width, height = image.width // CUT, image.height // CUT
    for row in range(CUT):
        for column in range(CUT):
            window = (column * width, row * height, (column + 1) * width, (row + 1) * height)
            file = work / "drone" / "images" / f"{Path(image.path).stem}_{row}{column}.png"
            piece = pixels[window[1] : window[3], window[0] : window[2]]
            masks = [crop_of_rle(rle, window) for _, rle in image.labels]
            yield _hidden(file, piece, "flight", photo, masks)


def herds(work: Path) -> Hidden:
    """Synthetic herds; the cameras in `UNSEEN` are those of the test alone.

    There are too few cameras to resample: a cluster of the test is a camera's pair of herds.
    """
    seen = [name for name in CAMERAS if name not in UNSEEN]
    pool = [_scene(work, HERDS + k, seen[k % len(seen)], seen[k % len(seen)]) for k in range(POOL)]
    test = [
        _scene(work, HERDS + 1000 + k, camera := UNSEEN[k % len(UNSEEN)], f"{camera}/{k // 4}")
        for k in range(TESTED)
    ]
    return Hidden("herds", tuple(pool), tuple(test))


def _scene(work: Path, seed: int, camera: str, cluster: str) -> HiddenImage:
    """A herd, drawn once: its masks are kept beside the picture."""
    folder = work / "herds" / "scenes"
    kept = folder / camera / f"{seed}.json"
    if not kept.is_file():
        made = herd(folder, seed, camera)
        row = {"path": made.path, "size": [made.width, made.height], "sha256": made.sha256}
        counts = [rle["counts"].decode("ascii") for _, rle in made.labels]
        write_atomic(kept, json.dumps({**row, "counts": counts}).encode())
    row = json.loads(kept.read_text())
    width, height = row["size"]
    rles = [Rle(size=[height, width], counts=text.encode("ascii")) for text in row["counts"]]
    animals = tuple(("cow", rle) for rle in rles)
    return HiddenImage(row["path"], width, height, row["sha256"], camera, cluster, animals)


def _hidden(
    file: Path,
    pixels: NDArray[np.uint8],
    group: str,
    cluster: str,
    masks: Sequence[NDArray[np.bool_]],
) -> HiddenImage:
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.is_file():
        cv2.imwrite(str(file), pixels)
    animals = tuple(("cow", rle_of_mask(mask)) for mask in masks if mask.sum() >= LEAST)
    height, width = pixels.shape[:2]
    path = str(file.resolve())
    return HiddenImage(path, width, height, file_sha256(file), group, cluster, animals)


# --- tables ---------------------------------------------------------------------------------------


def print_table(rows: Sequence[dict[str, Any]], out: Path) -> None:
    """The tables of every set and person by every clock; plots go beside the results."""
    persons = {(row["set"], row.get("accepts", USUAL)) for row in rows}
    for name, accepts in sorted(persons):
        found = [row for row in rows if row["set"] == name and _is_of(row, accepts)]
        answer = report.summary([one for row in found for one in row["rounds"]])
        usual = accepts == USUAL
        for clock in answer["clocks"]:
            told = "" if usual else f", accepts what seems {accepts:.2f}"
            print(f"\n{name}, clock {clock}{told}\n")
            print("\n".join(report.table(answer, clock)))
        plots.draw(answer, out.with_name(f"{out.stem}.{name}{'' if usual else f'.{accepts}'}"))
    states = {row["arm"]: row["model"] for row in rows}
    print("\nmodel code: " + ", ".join(f"{arm} {state}" for arm, state in states.items()))


def _is_of(row: dict[str, Any], accepts: float) -> bool:
    """Whether a record is of such a person, or of nobody."""
    return row["arm"] == study.CEILING or row.get("accepts", USUAL) == accepts


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = study_parser(__doc__, RESULTS, minutes=1.0)
    parser.add_argument("--work", type=Path, default=ROOT / "build/simulate", help="runs' folder")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--accepts", type=float, default=USUAL, help="IoU that seems good enough")
    options = parser.parse_args(arguments)
    options.work = options.work.resolve()
    return options


if __name__ == "__main__":
    raise SystemExit(main())
