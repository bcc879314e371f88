"""How good a network is on labeled images, whole images at training size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from data_io.snapshot import SnapshotImage
from model.augment import to_tensor
from model.config import IGNORE, Encoding
from model.dataset import Frames
from model.instances import resample
from model.network import MULTIPLE, STRIDE, SegmentationNetwork
from model.targets import decode_labels
from model.tiles import tiled

WORSE = 0.03  # IoU on labeled images that a second phase may lose
DEGENERATE_IOU = 0.05  # a version below it finds no animals worth showing
TILE = 2048  # pixels; larger images, kept so for their small animals, are judged in tiles
MOST_IMAGES = 40  # judged after each phase


def spread(records: Sequence[SnapshotImage], most: int) -> list[SnapshotImage]:
    """At most `most` of the images, in their order; all of them when there are no more.

    The groups take turns and each gives images evenly spaced over its own: the first ones of a list
    are often near-duplicates from one camera.
    """
    if len(records) <= most:
        return list(records)
    groups: dict[str, list[int]] = {}
    for place, record in enumerate(records):
        groups.setdefault(record.group, []).append(place)
    chosen: list[int] = []
    counts = _shares([len(places) for places in groups.values()], most)
    for places, count in zip(groups.values(), counts, strict=True):
        chosen += [places[(2 * k + 1) * len(places) // (2 * count)] for k in range(count)]
    return [records[place] for place in sorted(chosen)]


def _shares(sizes: Sequence[int], most: int) -> list[int]:
    """How many of its images each group gives: one in every round, `most` < sum(sizes) in all."""
    given = [0] * len(sizes)
    while sum(given) < most:
        for k, size in enumerate(sizes):
            if given[k] < size and sum(given) < most:
                given[k] += 1
    return given


def judge(
    network: SegmentationNetwork,
    records: Sequence[SnapshotImage],
    frames: Frames,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    stop: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Pixel measures over the verified areas of the images, summed over the set.

    Args:
        stop: called between images; raises to end early.

    With the contact band both are decoded first: the measures know one category.

    Returns:
        ``iou`` of all animal pixels, ``miou`` over background and the categories that occur
        (both None when nothing can be measured), ``images``.
    """
    network.eval()

    def classify(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
        return predict_classes(network, pixels, mean, std)

    config = network.config
    return measure(classify, 1 + config.categories, records, frames, stop, config.encoding)


def measure(
    classify: Callable[[NDArray[np.uint8]], NDArray[np.int64]],
    classes: int,
    records: Sequence[SnapshotImage],
    frames: Frames,
    stop: Callable[[], None] = lambda: None,
    encoding: Encoding = "classes",
) -> dict[str, Any]:
    """As `judge`, of whatever tells the class of every pixel.

    Args:
        classify: (h, w, 3) uint8 at training size -> (h, w) classes below `classes`.
    """
    table = np.zeros((classes, classes), np.int64)  # [truth, predicted]
    for record in records:
        stop()
        pixels, labels = frames.get(record)
        table += confusion(decode_labels(labels, encoding), classify(pixels), classes)
    return {"iou": _animal_iou(table), "miou": mean_iou(table), "images": len(records)}


def confusion(truth: NDArray[Any], predicted: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """(C, C) counts of pixels, [truth, predicted]; true class 255 is left out."""
    known = truth != IGNORE
    pairs = truth[known].astype(np.int64) * classes + predicted[known]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


@torch.no_grad()
def predict_classes(
    network: SegmentationNetwork,
    pixels: NDArray[np.uint8],
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> NDArray[np.int64]:
    """(h, w, 3) uint8 -> most probable class of each pixel (h, w)."""
    height, width = pixels.shape[:2]
    logits = tiled(pixels, partial(_logits, network, mean, std), TILE, TILE // 4)
    return most_probable(logits, height, width)


def most_probable(maps: NDArray[np.float32], height: int, width: int) -> NDArray[np.int64]:
    """(C, h, w) logits or probabilities at stride 4 -> the class of each pixel (height, width)."""
    rows, columns = (STRIDE * cells for cells in maps.shape[1:])
    full = np.stack([resample(layer, 1 / STRIDE, rows, columns) for layer in maps])
    return np.asarray(full.argmax(0)[:height, :width], np.int64)


def _logits(
    network: SegmentationNetwork,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    pixels: NDArray[np.uint8],
) -> NDArray[np.float32]:
    """(h, w, 3) uint8 -> (C, ceil(h/4), ceil(w/4))."""
    height, width = pixels.shape[:2]
    below, right = -height % MULTIPLE, -width % MULTIPLE
    padded = cv2.copyMakeBorder(pixels, 0, below, 0, right, cv2.BORDER_REFLECT_101)
    image = to_tensor([np.asarray(padded, np.uint8)], mean, std)
    logits = network(image.to(next(network.parameters()).device))[0].float().cpu().numpy()
    return np.asarray(logits[:, : -(-height // STRIDE), : -(-width // STRIDE)], np.float32)


def _animal_iou(table: NDArray[np.int64]) -> float | None:
    union = int(table.sum() - table[0, 0])
    return float(table[1:, 1:].sum() / union) if union else None


def class_ious(table: NDArray[np.int64]) -> list[float | None]:
    """Intersection over union of each class, None for those that the truth does not show."""
    hits = np.diag(table)
    unions = table.sum(0) + table.sum(1) - hits
    occurs = table.sum(1) > 0
    return [
        float(hit / union) if shown else None
        for hit, union, shown in zip(hits, unions, occurs, strict=True)
    ]


def mean_iou(table: NDArray[np.int64], first: int = 0) -> float | None:
    """Mean over the classes from `first` on that the truth shows, None when it shows none."""
    found = [iou for iou in class_ious(table)[first:] if iou is not None]
    return sum(found) / len(found) if found else None


def degenerate(metrics: dict[str, Any]) -> bool:
    """The network finds next to no animal where there are some."""
    return metrics["iou"] is not None and metrics["iou"] < DEGENERATE_IOU


def choose_phase(judged: Sequence[dict[str, Any]], validated: bool) -> tuple[int, str]:
    """Index of the phase to keep, and why.

    With validation images the better mean IoU wins. Without them nothing can tell, so the second
    phase stays unless it does clearly worse on the labeled images, which both phases learned.
    """
    if len(judged) == 1:
        return 0, "kept the supervised phase, the only one"
    first, second = (metrics["miou"] for metrics in judged)
    if validated and first is not None and second is not None:
        kept = int(second >= first)
        name = ("supervised", "semi-supervised")[kept]
        return kept, (
            f"kept the {name} phase: mean IoU on validation images {first:.3f} after the supervised"
            f" phase, {second:.3f} after the semi-supervised one"
        )
    before, after = ((metrics["iou"] or 0.0) for metrics in judged)
    if degenerate(judged[1]) or after < before - WORSE:
        return 0, (
            f"kept the supervised phase: on the labeled images its IoU is {before:.3f}, that of the"
            f" semi-supervised phase {after:.3f}"
        )
    return 1, "kept the semi-supervised phase; there are no validation images to compare with"
