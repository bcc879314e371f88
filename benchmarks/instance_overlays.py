"""Draw the test herds that a version tells apart worst: truth on the left, proposal on the right.

The herds are those of `benchmarks.instances`, under cameras that its trainings never saw; the
worst are those with the lowest panoptic quality. Animals have colors, so that merged and split ones
show.

    python -m benchmarks.instance_overlays VERSION docs/images/hardest.jpg
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.instances import test_herds
from data_io.geometry import mask_of_rle, rle_of_parts
from data_io.images import read
from model.metrics import Panoptic, Scored
from model.predictor import Predictor

WIDTH = 400  # pixels of one picture
COLUMNS = 2  # herds beside each other
QUALITY = 80  # of the JPEG
COLORS = np.array(
    [[230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [0, 114, 178], [204, 121, 167]]
)

Image = NDArray[np.uint8]


def drawn(image: Image, masks: Sequence[NDArray[np.bool_]], title: str) -> Image:
    """The picture (H, W, 3) with colored animals and a title, `WIDTH` wide."""
    made = image.astype(np.float32)
    for k, mask in enumerate(masks):
        color = COLORS[k % len(COLORS)].astype(np.float32)
        made[mask] = 0.5 * made[mask] + 0.5 * color
        edge = mask & (cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
        made[edge] = color
    size = (WIDTH, round(WIDTH * image.shape[0] / image.shape[1]))
    small = cv2.resize(made, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    small = np.ascontiguousarray(small)
    for color, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(small, title, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, color, thick, cv2.LINE_AA)
    return small


def pair(predictor: Predictor, record: object) -> tuple[float, Image]:
    """Panoptic quality of one herd, and the truth beside the proposal."""
    image = read(Path(record.path))  # type: ignore[attr-defined]
    height, width = image.shape[:2]
    true = [rle for _, rle in record.labels]  # type: ignore[attr-defined]
    made = [rle_of_parts(a.parts, height, width) for a in predictor.predict(image).instances]
    quality = Panoptic()
    quality.add(*([Scored("cow", rle) for rle in some] for some in (true, made)))
    value = quality.value() or 0.0
    sides = [
        drawn(image, [mask_of_rle(rle) for rle in some], title)
        for some, title in (
            (true, f"truth: {len(true)}"),
            (made, f"proposed: {len(made)}, PQ {value:.2f}"),
        )
    ]
    return value, np.hstack(sides)


def main() -> None:
    """Parse the arguments, draw and write."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("version", type=Path, help="folder of a trained version")
    parser.add_argument("picture", type=Path, help="JPEG to write")
    parser.add_argument("--most", type=int, default=10)
    options = parser.parse_args()
    predictor = Predictor.load(options.version, device="cpu")
    with tempfile.TemporaryDirectory(prefix="overlays-") as scratch:
        pairs = [pair(predictor, record) for record in test_herds(Path(scratch))]
    hardest = [image for _, image in sorted(pairs, key=lambda one: one[0])[: options.most]]
    hardest += [np.zeros_like(hardest[0])] * (-len(hardest) % COLUMNS)
    rows = [np.hstack(hardest[k : k + COLUMNS]) for k in range(0, len(hardest), COLUMNS)]
    sheet = np.vstack(rows)[..., ::-1]
    cv2.imwrite(str(options.picture), sheet, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    main()
