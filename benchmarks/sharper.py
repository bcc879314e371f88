"""Are the instant model's outlines better when the refiner draws them again?

Images are those that `benchmarks.simulate` has labeled: pieces of the drone's flight, and synthetic
herds. After 1, 3 and 8 labeled images with animals, drawn anew each time, the instant model
proposes on five others of the same pool; scored is each animal's IoU with the proposal that
overlaps it most: plain, drawn again by the refiner that ships, and as the app decides after a trial
on the labeled images. Nothing here is of a test, and no herd's own refiner is used.

    python -m benchmarks.sharper --data ../shared/data
    python -m benchmarks.sharper --show
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from app.simulate.truth import HiddenImage
from app.workflow.sharpening import GAIN, IMAGES, Sharpener, Taught, gain
from benchmarks.common import ROOT, append, provenance, records, tree
from benchmarks.ground import Pool, drawn_on, fitted, proposed
from benchmarks.simulate import drone, herds
from benchmarks.study import records_parser
from data_io.geometry import rle_iou, rle_of_parts
from data_io.images import read
from data_io.types import Instance
from model.assist.served import GENERAL, Served, answer_file
from model.assist.sharpen import sharpened
from model.features import Encoder, encoder_file
from model.instant import Head

RESULTS = ROOT / "benchmarks/results/sharper.jsonl"
LABELED, JUDGED, DRAWS = (1, 3, 8), 5, 4
NEAR = 0.2  # IoU from which a proposal is an animal's
GOOD = 0.9


def main(arguments: Sequence[str] | None = None) -> int:
    options = records_parser(__doc__, RESULTS).parse_args(arguments)
    if not options.show:
        with tempfile.TemporaryDirectory(prefix="sharper-") as scratch:
            folder = Path(scratch)
            encoder = Encoder(encoder_file(folder), 1)
            refiner = Sharpener("general", Served(answer_file(GENERAL, folder), 1))
            for name, hidden in (("drone", drone(options.data, folder)), ("herds", herds(folder))):
                pool = Pool(encoder, [one for one in hidden.pool if one.animals])
                for labeled in LABELED:
                    append(options.out, measured(pool, refiner, name, labeled))
    print_table(records(options.out))
    return 0


def measured(pool: Pool, refiner: Sharpener, name: str, labeled: int) -> dict[str, Any]:
    """The record of a set with so many labeled images, all draws together."""
    rows: list[tuple[float, float]] = []
    chosen: list[float] = []
    trials, seconds = [], []
    for draw in range(DRAWS):
        order = np.random.default_rng([draw, labeled]).permutation(len(pool.images))
        images = [pool.images[int(k)] for k in order[: labeled + JUDGED]]
        head, small = fitted(pool, images[:labeled])
        taught = [_taught(pool, one, head, small) for one in images[:labeled][:IMAGES]]
        helps = gain(refiner, taught) >= GAIN
        trials.append(helps)
        for image in images[labeled:]:
            before, pixels = proposed(pool, image, head, small), read(image.path)
            began = time.process_time()
            after = sharpened(refiner.answer, pixels, before)
            seconds.append((time.process_time() - began) / max(1, len(before)))
            found = list(_ious(image, before, after))
            rows += found
            chosen += [pair[1 if helps else 0] for pair in found]
    plain, again = np.array(rows).T
    kinds = {"plain": plain, "again": again, "chosen": np.array(chosen)}
    return {
        "study": "sharper",
        "set": name,
        "labeled": labeled,
        "animals": len(rows),
        "mean": {kind: float(values.mean()) for kind, values in kinds.items()},
        "good": {kind: float((values >= GOOD).mean()) for kind, values in kinds.items()},
        "trials": [bool(one) for one in trials],
        "ms": 1000 * float(np.median(seconds)),
        "model": tree("model"),
        **provenance(labeled),
    }


def _taught(pool: Pool, image: HiddenImage, head: Head, small: float) -> Taught:
    drawn = tuple(drawn_on(image))
    return Taught(drawn, partial(read, image.path), partial(proposed, pool, image, head, small))


def _ious(
    image: HiddenImage, before: Sequence[Instance], after: Sequence[Instance]
) -> Iterator[tuple[float, float]]:
    """IoU of each animal that is proposed, before and after."""
    size = image.height, image.width
    rough, sharp = ([rle_of_parts(one.parts, *size) for one in kind] for kind in (before, after))
    for _, truth in image.animals:
        shared = [rle_iou(truth, one) for one in rough]
        if shared and max(shared) >= NEAR:
            best = int(np.argmax(shared))
            yield shared[best], rle_iou(truth, sharp[best])


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """The newest record of every set and number of labels."""
    newest = {(row["set"], row["labeled"]): row for row in rows}
    kinds = ("plain", "again", "chosen")
    print(f"| set | labeled | animals | {' | '.join(kinds)} | drawn again in | ms an animal |")
    print("|---|---|---|---|---|---|---|---|")
    for (name, labeled), row in sorted(newest.items()):
        cells = [f"{row['mean'][kind]:.3f} ({row['good'][kind]:.0%})" for kind in kinds]
        trials = f"{sum(row['trials'])} of {len(row['trials'])}"
        counts = f"{name} | {labeled} | {row['animals']}"
        print(f"| {counts} | {' | '.join(cells)} | {trials} | {row['ms']:.0f} |")
    print(f"\nmean IoU (share of {GOOD} and more)")
    print(f"model code: {', '.join(sorted({row['model'] for row in newest.values()}))}")


if __name__ == "__main__":
    raise SystemExit(main())
