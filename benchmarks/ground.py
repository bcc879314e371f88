"""What do images without animals teach the instant model, beside those with animals?

Pieces of the drone's flight that `benchmarks.simulate` has labeled: from 1, 2 and 4 with three
animals or more, and 0, 1, 2 and 4 empty ones, drawn anew each time, the instant model is fitted;
scored is the IoU of the pixels of its proposals on twelve other pieces of the same pool. Nothing
here is of a test.

    python -m benchmarks.ground --data ../shared/data
    python -m benchmarks.ground --show
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from app.simulate.truth import HiddenImage
from app.workflow.instant import SMALL, side_for
from benchmarks.common import ROOT, append, provenance, records, tree
from benchmarks.simulate import drone
from benchmarks.study import records_parser
from data_io.geometry import area_of_rle, full_image, mask_of_parts, parts_of_rle
from data_io.images import read
from data_io.types import Instance, Parts
from model import instant
from model.features import Encoder, FeatureMaps, encoder_file
from model.instant import Head

RESULTS = ROOT / "benchmarks/results/ground.jsonl"
HERDS, GROUNDS = (1, 2, 4), (0, 1, 2, 4)
HERD, JUDGED, DRAWS = 3, 12, 12
CLASSES = {"cow": 1}


class Pool:
    """The pieces, and what the encoder sees of them."""

    def __init__(self, encoder: Encoder, images: Sequence[HiddenImage]) -> None:
        self.images = images
        self._maps = lru_cache(maxsize=None)(lambda path, side: encoder.maps(read(path), side))

    def maps(self, image: HiddenImage, small: float) -> FeatureMaps:
        """Features of an image, as large as animals of `small` pixels need it."""
        return self._maps(image.path, side_for(max(image.width, image.height), small))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = records_parser(__doc__, RESULTS)
    parser.add_argument("--draws", type=int, default=DRAWS)
    options = parser.parse_args(arguments)
    if not options.show:
        with tempfile.TemporaryDirectory(prefix="ground-") as scratch:
            encoder = Encoder(encoder_file(Path(scratch)), 1)
            pool = Pool(encoder, drone(options.data, Path(scratch)).pool)
            for draw in range(options.draws):
                append(options.out, drawn(pool, draw))
    print_table(records(options.out))
    return 0


def drawn(pool: Pool, draw: int) -> dict[str, Any]:
    """The record of one draw: "herds+grounds" -> IoU."""
    rng = np.random.default_rng([draw, 99])
    every = [pool.images[int(k)] for k in rng.permutation(len(pool.images))]
    herds = [one for one in every if len(one.animals) >= HERD][: HERDS[-1]]
    grounds = [one for one in every if not one.animals][: GROUNDS[-1]]
    judged = [one for one in every if one not in herds and one not in grounds][:JUDGED]
    found = {
        f"{many}+{few}": scored(pool, [*herds[:many], *grounds[:few]], judged)
        for many in HERDS
        for few in GROUNDS
    }
    return {
        "study": "ground",
        "draw": draw,
        "iou": found,
        "model": tree("model"),
        **provenance(draw),
    }


def scored(pool: Pool, taught: Sequence[HiddenImage], judged: Sequence[HiddenImage]) -> float:
    """IoU of all proposed pixels of the judged images after a fit to the others."""
    head, small = fitted(pool, taught)
    both = either = 0
    for image in judged:
        size = image.height, image.width
        found, truth = (
            _union(parts, size)
            for parts in (
                [one.parts for one in proposed(pool, image, head, small)],
                [parts_of_rle(rle) for _, rle in image.animals],
            )
        )
        both += int((found & truth).sum())
        either += int((found | truth).sum())
    return both / either if either else 1.0


def fitted(pool: Pool, taught: Sequence[HiddenImage]) -> tuple[Head, float]:
    """The instant model after these labeled images, and the size of their smaller animals."""
    sizes = [area_of_rle(rle) ** 0.5 for one in taught for _, rle in one.animals]
    small = float(np.percentile(sizes, SMALL))
    lessons = []
    for image in taught:
        animals = drawn_on(image)
        size = image.height, image.width
        known = instant.known_classes(animals, full_image(*size), CLASSES, *size)
        lessons.append(instant.lesson(pool.maps(image, small), known, animals))
    return instant.fit([one for one in lessons if one is not None], 2), small


def drawn_on(image: HiddenImage) -> list[Instance]:
    """The true animals of an image."""
    rles = enumerate(rle for _, rle in image.animals)
    return [Instance(str(k), "cow", parts_of_rle(rle)) for k, rle in rles]


def proposed(pool: Pool, image: HiddenImage, head: Head, small: float) -> tuple[Instance, ...]:
    """What the instant model proposes."""
    return instant.predict(pool.maps(image, small), head, ["cow"], "v", small).instances


def _union(parts: Sequence[Parts], size: tuple[int, int]) -> np.ndarray:
    found = np.zeros(size, np.bool_)
    for one in parts:
        found |= mask_of_parts(one, *size)
    return found


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Means over the draws of the newest code."""
    newest = [row for row in rows if row["model"] == rows[-1]["model"]]
    print("| images with animals | " + " | ".join(f"{few} empty" for few in GROUNDS) + " |")
    print("|---|" + "---|" * len(GROUNDS))
    for many in HERDS:
        means = (np.mean([row["iou"][f"{many}+{few}"] for row in newest]) for few in GROUNDS)
        print(f"| {many} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    print(f"\n{len(newest)} draws, model code: {newest[-1]['model']}")


if __name__ == "__main__":
    raise SystemExit(main())
