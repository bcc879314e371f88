"""The herd's own refiner: ``python -m model.assist.herd JOB_DIR``, once the job's version is there.

It goes on from the refiner of the parent version, or from the general one, with the animals of the
snapshot, 200 at most; bad masks are made up, or the version's own proposals. Then it is judged by
animals that never teach (those of validation images, else a fifth): the IoU after one click at
nothing and after one at a wandering mask must not be lower than with the weights it began with.

Writes the refiner's weights and its export into the job's ``version`` folder, the new ones or,
where those are worse, the parent's; and ``refiner.json`` last: what was measured, and which.
"""

from __future__ import annotations

import json
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from data_io.atomic import write_atomic
from data_io.errors import DataError, StoreError
from data_io.geometry import (
    Rle,
    area_of_rle,
    crop_of_rle,
    rle_iou,
    rle_of_parts,
    window_of_rle,
)
from data_io.images import read
from data_io.snapshot import VOID, SnapshotImage, read_snapshot
from model.assist import ONNX, WEIGHTS
from model.assist.clicks import next_click
from model.assist.crops import FINEST
from model.assist.engine import Answer, clicked
from model.assist.examples import REGION, Example, Picture, example, wandering
from model.assist.network import Refiner
from model.assist.served import GENERAL, export
from model.assist.training import RefinerConfig, RefinerTraining, load, save
from model.predictor import Predictor
from model.training_job import DONE, FAILED, read_spec

TOLD = "refiner.json"
SHARE = 0.2  # of the job's minutes, or of its steps, that it learns; it comes on top of them
SHORTEST, LONGEST = 60.0, 300.0  # seconds of learning: in fewer it gets worse before it gets better
FEWEST, MOST = 8, 300  # steps
TRIED = 2  # steps that tell how long one takes
RATE = 5e-4
LEAST = 60  # pixels of an animal that teaches or judges
IMAGES, TEACHERS, JUDGES = 60, 200, 24  # images of either kind, and animals, at most
EVERY = 5  # of the animals judges, where there is no validation image
TAKEN = (0.3, 0.95)  # IoU of proposals that teach as bad masks

Mask = NDArray[np.bool_]


class Animal(NamedTuple):
    """The first animal of a picture; `before` is a proposal for it that can be mended."""

    picture: Picture
    before: Mask | None = None

    @property
    def truth(self) -> Mask:
        """(H, W)."""
        return self.picture.animals[0]


@dataclass(frozen=True)
class Judged:
    """Mean IoU after a click, of the weights before and after learning; None: nobody to judge."""

    before: float | None
    after: float | None
    animals: int
    steps: int
    kept: bool


def refine(job: Path) -> Judged:
    """Train, judge and keep or drop the refiner of a job; nothing where no animal is labeled.

    Raises:
        DataError: the job or its snapshot is not usable.
        StoreError: the disk is full or cannot be written.
    """
    spec = read_spec(job)
    torch.set_num_threads(int(spec["train"].get("threads") or 1))
    snapshot = read_snapshot(spec["snapshot"])
    version = job / "version"
    proposes = (version / "version.json").is_file()
    threads = torch.get_num_threads()
    predictor = Predictor.load(version, "cpu", threads) if proposes else None
    labeled = [one for one in snapshot.images if one.whole and one.labels]
    teachers, judges = parted(labeled, predictor)
    start = _start(spec)
    if not teachers or not judges:
        return _told(job, start, None, Judged(None, None, len(judges), 0, False))
    network = load(start)
    before = quality(answer_of(network), judges)
    steps = learn(network, teachers, spec["train"])
    after = quality(answer_of(network), judges)
    kept = after >= before
    return _told(
        job, start, network if kept else None, Judged(before, after, len(judges), steps, kept)
    )


def _start(spec: dict[str, Any]) -> Path:
    parent = Path(spec["parent"]) / WEIGHTS if spec.get("parent") else GENERAL
    return parent if parent.is_file() else GENERAL


def _told(job: Path, start: Path, network: Refiner | None, judged: Judged) -> Judged:
    """Keep the weights: new ones, else the parent's; what was measured comes last."""
    weights = job / "version" / WEIGHTS
    if network is not None:
        save(network, weights)
    elif start != GENERAL:
        write_atomic(weights, start.read_bytes())
    if weights.is_file():
        export(weights, weights.with_name(ONNX))
    write_atomic(weights.with_name(TOLD), json.dumps(vars(judged)).encode())
    return judged


# --- animals --------------------------------------------------------------------------------------


def parted(
    images: Sequence[SnapshotImage], predictor: Predictor | None
) -> tuple[list[Animal], list[Animal]]:
    """Animals that teach, and those that judge: of validation images, else every fifth.

    Which fifth depends on the image alone, so that an animal which judges now never taught a
    parent's refiner.

    Args:
        predictor: proposes what teachers learn to mend; None = bad masks are made up.
    """
    order = np.random.default_rng(0).permutation(len(images))
    drawn = [images[int(k)] for k in order]
    held = [one for one in drawn if one.split == "val"][:IMAGES]
    rest = [one for one in drawn if one.split != "val"][:IMAGES]
    each = -(-TEACHERS // max(len(rest), 1))
    teachers = [
        animal
        for one in rest
        for animal in animals_of(
            one, [k for k in _large(one) if held or not _judges(one, k)], each, predictor
        )
    ]
    judges: list[Animal] = []
    for one in held or rest:
        if len(judges) < JUDGES:
            places = [k for k in _large(one) if held or _judges(one, k)]
            judges += animals_of(one, places, JUDGES - len(judges))
    return teachers, judges


def _large(image: SnapshotImage) -> list[int]:
    """Places of the labels of an image that are animals, and of some size."""
    return [
        k
        for k, (index, rle) in enumerate(image.labels)
        if index != VOID and area_of_rle(rle) >= LEAST
    ]


def _judges(image: SnapshotImage, place: int) -> bool:
    """Whether an animal is one of the fifth that judges."""
    return (zlib.crc32(image.sha256.encode()) + place) % EVERY == 0


def animals_of(
    image: SnapshotImage, places: Sequence[int], most: int, predictor: Predictor | None = None
) -> list[Animal]:
    """Some labeled animals of an image, each with the part of the picture around it alone.

    Args:
        places: among the image's labels. most: how many of them, drawn at random.
    """
    rng = np.random.default_rng(zlib.crc32(image.sha256.encode()))
    chosen = [places[int(k)] for k in rng.permutation(len(places))[:most]]
    if not chosen:
        return []
    pixels = read(Path(image.path))
    made = predictor.predict(pixels).instances if predictor else ()
    proposed = [rle_of_parts(one.parts, image.height, image.width) for one in made]
    return [_around(image, pixels, place, proposed) for place in chosen]


def _around(
    image: SnapshotImage, pixels: NDArray[np.uint8], place: int, proposed: Sequence[Rle]
) -> Animal:
    """An animal and what is near it; larger ones are shrunk to about what a crop shows."""
    truth = image.labels[place][1]
    left, top, right, bottom = window_of_rle(truth)
    longest = max(right - left, bottom - top)
    window = window_of_rle(truth, int(REGION * longest) + 32)
    shrunk = min(1.0, FINEST / longest)
    size = tuple(max(1, round(shrunk * (window[k + 2] - window[k]))) for k in (0, 1))

    def cut(rle: Rle) -> Mask:
        mask = crop_of_rle(rle, window).astype(np.uint8)
        return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST) > 0)

    part = pixels[window[1] : window[3], window[0] : window[2]]
    picture = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    masks = [cut(rle) for k, (_, rle) in enumerate(image.labels) if k != place]
    before = _bad(truth, proposed)
    seen = Picture(
        np.asarray(picture, np.uint8), [cut(truth), *(one for one in masks if one.any())]
    )
    return Animal(seen, None if before is None else cut(before))


def _bad(truth: Rle, proposed: Sequence[Rle]) -> Rle | None:
    """The proposal for an animal, where it is neither right nor useless."""
    overlaps = [rle_iou(one, truth) for one in proposed]
    best = int(np.argmax(overlaps)) if overlaps else -1
    return proposed[best] if overlaps and TAKEN[0] <= overlaps[best] <= TAKEN[1] else None


# --- learning and judging -------------------------------------------------------------------------


def learn(network: Refiner, animals: Sequence[Animal], train: dict[str, Any]) -> int:
    """Train a refiner in place with its share of a job's time; the steps it did.

    Args:
        train: settings of the job: ``steps``, or ``minutes`` and ``clock``; ``seed``.
    """

    def draw(rng: np.random.Generator) -> Example:
        one = animals[int(rng.integers(len(animals)))]
        before = one.before if one.before is not None and rng.random() < 0.5 else None
        return example(one.picture, 0, rng, before)

    steps = int(train.get("steps") or 0)
    count = _within(round(SHARE * steps)) if steps else _affordable(draw, train)
    config = RefinerConfig(steps=count, plain=0, rate=RATE, warm_up=max(1, count // 10))
    for _ in RefinerTraining(network, draw, config, int(train.get("seed") or 0)).run():
        pass
    return count


def _affordable(draw: Any, train: dict[str, Any]) -> int:
    """How many steps the job's minutes allow: measured with a network that is thrown away."""
    clock = time.process_time if train.get("clock") == "processor" else time.monotonic
    tried = RefinerTraining(Refiner(), draw, RefinerConfig(steps=TRIED, plain=0), 0)
    began = clock()
    for _ in tried.run():
        pass
    share = SHARE * 60 * float(train.get("minutes") or 5.0)
    budget = min(LONGEST, max(SHORTEST, share))
    return _within(int(budget * TRIED / max(clock() - began, 1e-3)))


def _within(steps: int) -> int:
    return min(max(steps, FEWEST), MOST)


def quality(answer: Answer, animals: Sequence[Animal]) -> float:
    """Mean IoU after one click at nothing, and after one at an outline that wanders."""
    usual = float(np.median([np.sqrt(one.truth.sum()) for one in animals]))
    found = []
    for place, one in enumerate(animals):
        bad = wandering(one.truth, np.random.default_rng([place, 3]), most=0.2)
        for before in (np.zeros_like(one.truth), bad):
            click = next_click(one.truth, before)
            image = one.picture.image
            after = clicked(answer, image, before, [click], usual, True) if click else before
            found.append(iou(after, one.truth))
    return float(np.mean(found))


def answer_of(network: Refiner) -> Answer:
    """What a network answers, on the CPU."""
    network.eval()

    def answer(crop: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            said = network(torch.from_numpy(crop[None]))
        return np.asarray(said.numpy()[0, 0], np.float32)

    return answer


def iou(a: Mask, b: Mask) -> float:
    """In [0, 1]; 0 for two empty masks."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 0.0


def main(arguments: Sequence[str]) -> int:
    """Refine in the job folder named by the only argument; returns the exit code."""
    job = Path(arguments[0])
    if (job / "version" / TOLD).is_file():
        return DONE
    try:
        refine(job)
    except (DataError, StoreError, OSError, RuntimeError, MemoryError) as error:
        print(error, file=sys.stderr)
        return FAILED
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
