"""What the instant model knows after one, two and five labeled images, beside a trained model.

From the same labels the instant model is fitted and, three minutes of one core long, a network is
trained by the default method. Scored is the IoU of animal pixels on later frames, which nobody
trained on. "0 labels" is one drawn animal, the largest of one image, and nothing vouched for: no
network can be trained on that. Finished runs are appended at once; started again, the study goes
on. `--times` prints how long a refit and a proposal take instead.

    python -m benchmarks.instant --data ../shared/data
    python -m benchmarks.instant --show
    python -m benchmarks.instant --times
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import ROOT, provenance, tree
from benchmarks.proposals import HEIGHT, WARM_UP, WIDTH, summary
from benchmarks.semi_sets import Material, cattle
from benchmarks.semi_supervised import train
from benchmarks.study import conduct, study_parser
from data_io.geometry import full_image, mask_of_rle, parts_of_mask, parts_of_rle
from data_io.images import read
from data_io.scenes import CAMERAS, scene
from data_io.snapshot import SnapshotImage
from data_io.types import Instance
from model import instant
from model.features import Encoder, FeatureMaps, encoder_file
from model.instances import STRIDE, resample
from model.instant import Head, Lesson
from model.prediction import Prediction

RESULTS = ROOT / "benchmarks/results/instant.jsonl"
SETS = {"drone": "cattle_drone_yak", "barn": "cattle_barn_topdown"}
SIDE = 512
CLASSES = {"cow": 1}
TAUGHT = 50  # labeled images of the timing


@dataclass(frozen=True)
class Run:
    """One draw of labels; `labels` 0 = one drawn animal."""

    set: str
    labels: int
    seed: int
    minutes: float

    @property
    def key(self) -> str:
        """What tells runs of one state of the code apart."""
        return json.dumps([self.set, self.labels, self.seed, self.minutes])


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    if options.times:
        print(json.dumps(times(options.threads)))
        return 0

    def one(fields: dict[str, Any]) -> dict[str, Any]:
        return fit_and_score(options.data, Run(**fields))

    return conduct("benchmarks.instant", options, one, planned(options), told, print_table)


def told(record: dict[str, Any]) -> str:
    """What is said of a finished run."""
    trained = record["trained"]
    return f"IoU {record['instant']:.3f}" + (f", trained {trained:.3f}" if trained else "")


def planned(options: argparse.Namespace) -> Iterator[Run]:
    """Every set, number of labels and seed."""
    for seed in options.seeds:
        for labels in (0, 1, 2, 5):
            for name in SETS:
                yield Run(name, labels, seed, options.minutes)


def fit_and_score(data: Path, run: Run) -> dict[str, Any]:
    """Both models from the same labels, and their IoU on the test images."""
    drawn = cattle(SETS[run.set], max(1, run.labels))(data, run.seed)
    with tempfile.TemporaryDirectory(prefix="instant-") as scratch:
        encoder = Encoder(encoder_file(Path(scratch)), 1)
        lessons = [taught(encoder, record, run.labels == 0) for record in drawn.labeled]
        head = instant.fit(lessons, 2)

        def proposed(image: NDArray[np.uint8]) -> Prediction:
            return instant.predict(encoder.maps(image, SIDE), head, ["cow"], "v")

        quick = iou(proposed, drawn)
        trained = trained_iou(drawn, run, Path(scratch)) if run.labels else None
    return {
        "study": "instant",
        "key": run.key,
        **vars(run),
        "model": tree("model"),
        **provenance(run.seed),
        "instant": quick,
        "trained": trained,
    }


def trained_iou(drawn: Material, run: Run, job: Path) -> float:
    """IoU of the default method's network after so many minutes of one core."""
    from model.predictor import Predictor

    settings = {"minutes": run.minutes, "clock": "processor", "threads": 1, "seed": run.seed}
    train(drawn, settings, job)
    return iou(Predictor.load(job / "version", device="cpu", threads=1).predict, drawn)


def taught(encoder: Encoder, record: SnapshotImage, one_animal: bool) -> Lesson:
    """The lesson of a labeled image, or of its largest animal alone."""
    animals = [
        Instance(id=str(k), category="cow", parts=parts_of_rle(rle))
        for k, (_, rle) in enumerate(record.labels)
    ]
    size = (record.height, record.width)
    verified = () if one_animal else full_image(*size)
    if one_animal:
        areas = [int(mask_of_rle(rle).sum()) for _, rle in record.labels]
        animals = [animals[int(np.argmax(areas))]]
    known = instant.known_classes(animals, verified, CLASSES, *size)
    made = instant.lesson(encoder.maps(read(Path(record.path)), SIDE), known, animals)
    assert made is not None
    return made


def iou(proposed: Callable[[NDArray[np.uint8]], Prediction], drawn: Material) -> float:
    """IoU of all animal pixels of the test images."""
    hits = union = 0
    for record in drawn.test:
        probability = proposed(read(Path(record.path))).probability
        score = resample(probability[0], 1 / STRIDE, record.height, record.width)
        found = score < 0.5
        truth = np.any([mask_of_rle(rle) for _, rle in record.labels], axis=0)
        hits += int((found & truth).sum())
        union += int((found | truth).sum())
    return hits / union


# --- timing ---------------------------------------------------------------------------------------


def times(threads: int | None) -> dict[str, Any]:
    """Milliseconds of a refit after the 50th image, and of a proposal, with and without a cache."""
    with tempfile.TemporaryDirectory(prefix="instant-") as scratch:
        encoder = Encoder(encoder_file(Path(scratch)), threads)
        cameras = list(CAMERAS)
        drawn = [
            scene(k, cameras[k % len(cameras)], width=WIDTH, height=HEIGHT) for k in range(TAUGHT)
        ]
        lessons = [lesson_of(encoder, one.image, one.masks) for one in drawn]
        before = instant.fit(lessons[:-1], 2)
        refits: list[float] = []
        features: list[float] = []
        cached: list[float] = []
        for one in drawn[: WARM_UP + 20]:
            refits.append(clocked(partial(refit, encoder, one, lessons, before)))
            features.append(clocked(partial(encoder.maps, one.image, SIDE)))
            file = Path(scratch) / "maps.npz"
            file.write_bytes(encoder.maps(one.image, SIDE).to_bytes())
            cached.append(clocked(partial(propose, file, before)))
    kept = {"refit": refits, "features": features, "proposal_from_cache": cached}
    return {
        "benchmark": "instant",
        **provenance(0),
        "threads": threads or "auto",
        "size": [WIDTH, HEIGHT],
        "taught": TAUGHT,
        "warm_up": WARM_UP,
        "milliseconds": {name: summary(values[WARM_UP:]) for name, values in kept.items()},
    }


def lesson_of(encoder: Encoder, image: NDArray[np.uint8], masks: Sequence[Any]) -> Lesson:
    """The lesson of a scene that is verified whole."""
    animals = [
        Instance(id=str(k), category="cow", parts=parts_of_mask(np.asarray(mask)))
        for k, mask in enumerate(masks)
    ]
    size = image.shape[:2]
    known = instant.known_classes(animals, full_image(*size), CLASSES, *size)
    made = instant.lesson(encoder.maps(image, SIDE), known, animals)
    assert made is not None
    return made


def refit(encoder: Encoder, drawn: Any, lessons: Sequence[Lesson], before: Head) -> Head:
    """What a save costs: the saved image's lesson, and a fit of all of them."""
    return instant.fit([*lessons[:-1], lesson_of(encoder, drawn.image, drawn.masks)], 2, before)


def propose(file: Path, head: Head) -> Prediction:
    """A proposal of an image whose features are kept."""
    return instant.predict(FeatureMaps.of_file(file), head, ["cow"], "v")


def clocked(work: Callable[[], Any]) -> float:
    """Milliseconds that `work` takes."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


# --- report ---------------------------------------------------------------------------------------


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """One Markdown line a set and number of labels: means and extremes over the seeds."""
    print("| set | labeled images | seeds | instant model | trained network |")
    print("|---|---|---|---|---|")
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["set"], row["labels"]), []).append(row)
    for (name, labels), mine in sorted(groups.items()):
        cells = [name, str(labels or "one animal"), str(len(mine))]
        for which in ("instant", "trained"):
            values = [row[which] for row in mine if row[which] is not None]
            cells.append(spread(values) if values else "-")
        print("| " + " | ".join(cells) + " |")


def spread(values: Sequence[float]) -> str:
    """Mean, lowest and highest."""
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = study_parser(__doc__, RESULTS, minutes=3.0)
    parser.add_argument("--threads", type=int, help="of the timing; all cores without it")
    parser.add_argument("--times", action="store_true", help="time refits and proposals")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
