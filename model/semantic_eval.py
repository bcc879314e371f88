"""Mean IoU the way semantic segmentation is published: whole images, a center crop, or windows.

U2PL reports VOC on a center crop as large as the training crops and Cityscapes on sliding windows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from data_io.snapshot import SnapshotImage
from model.augment import GREY, to_tensor
from model.config import IGNORE
from model.dataset import Frames
from model.network import MULTIPLE, SegmentationNetwork
from model.targets import decode_labels
from model.validation import class_ious, confusion, mean_iou, predict_classes

Scheme = Literal["whole", "center_crop", "sliding_window"]
SCHEMES: tuple[str, ...] = get_args(Scheme)
STEP = 2 / 3  # of a window: from one to the next

Image = NDArray[np.uint8]
Labels = NDArray[Any]
Logits = NDArray[np.float32]
Run = Callable[[Image], Logits]  # (h, w, 3) -> logits (C, h, w) of each pixel


def score(
    network: SegmentationNetwork,
    records: Sequence[SnapshotImage],
    frames: Frames,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    scheme: Scheme,
    crop: int,
    padding_is_background: bool = False,
) -> dict[str, Any]:
    """Compare labeled images with what the network predicts for them.

    Args:
        crop: side of the center crop or of the windows, a multiple of 32.
        padding_is_background: score the padding of center crops as background, which U2PL's code
            does; otherwise only the pixels of the image count.

    Returns:
        ``miou`` over the classes that the truth shows, ``miou_categories`` without the background,
        ``ious`` of every class (None: not shown), ``images``.
    """
    classes = 1 + network.config.categories
    table = np.zeros((classes, classes), np.int64)
    network.eval()

    def run(pixels: Image) -> Logits:
        return pixel_logits(network, pixels, mean, std)

    for record in records:
        pixels, labels = frames.get(record)
        truth = decode_labels(labels, network.config.encoding)
        if scheme == "whole":
            predicted: Labels = predict_classes(network, pixels, mean, std)
        elif scheme == "center_crop":
            outside = 0 if padding_is_background else IGNORE
            pixels, truth = center_crop(pixels, truth, crop, outside)
            predicted = run(pixels).argmax(axis=0)
        else:
            predicted = sliding_window(run, pixels, crop).argmax(axis=0)
        table += confusion(truth, predicted, classes)
    return {
        "miou": mean_iou(table),
        "miou_categories": mean_iou(table, first=1),
        "ious": class_ious(table),
        "images": len(records),
    }


@torch.no_grad()
def pixel_logits(
    network: SegmentationNetwork, pixels: Image, mean: tuple[float, ...], std: tuple[float, ...]
) -> Logits:
    """Decoded logits (C, h, w) of every pixel; h and w must be multiples of 32."""
    assert not any(side % MULTIPLE for side in pixels.shape[:2]), pixels.shape
    image = to_tensor([pixels], mean, std).to(next(network.parameters()).device)
    logits = network(image).float()
    full = F.interpolate(logits, size=pixels.shape[:2], mode="bilinear", align_corners=False)
    return np.asarray(full[0].cpu().numpy())


def center_crop(
    pixels: Image, labels: Labels, side: int, outside: int = IGNORE
) -> tuple[Image, Labels]:
    """The middle of an image; a smaller one lies in the middle of grey padding.

    Args:
        pixels: (h, w, 3) RGB.
        labels: (h, w).
        outside: label of the padding.

    Returns:
        (side, side, 3) and (side, side).
    """
    height, width = labels.shape
    top, left = ((max(side - length, 0)) // 2 for length in (height, width))
    y, x = ((max(length - side, 0)) // 2 for length in (height, width))
    shown = labels[y : y + side, x : x + side]
    view = np.empty((side, side, 3), np.uint8)
    view[:] = GREY
    truth = np.full((side, side), outside, labels.dtype)
    place = (slice(top, top + shown.shape[0]), slice(left, left + shown.shape[1]))
    view[place], truth[place] = pixels[y : y + side, x : x + side], shown
    return view, truth


def sliding_window(run: Run, pixels: Image, side: int) -> Logits:
    """Logits (C, h, w) of an image of any size: the mean over the windows that show a pixel.

    Windows of `side` pixels follow each other at `STEP`, rows and columns alike; the last ones are
    moved back so that they end with the image. What is smaller than a window is padded with grey.
    """
    height, width = pixels.shape[:2]
    below, right = max(side - height, 0), max(side - width, 0)
    padded = cv2.copyMakeBorder(pixels, 0, below, 0, right, cv2.BORDER_CONSTANT, value=GREY)
    total: Logits | None = None
    seen = np.zeros(padded.shape[:2], np.float32)
    for y in _starts(padded.shape[0], side):
        for x in _starts(padded.shape[1], side):
            rows, columns = slice(y, y + side), slice(x, x + side)
            logits = run(np.ascontiguousarray(padded[rows, columns], np.uint8))
            if total is None:
                total = np.zeros((len(logits), *padded.shape[:2]), np.float32)
            total[:, rows, columns] += logits
            seen[rows, columns] += 1
    assert total is not None
    return np.asarray((total / seen)[:, :height, :width], np.float32)


def _starts(length: int, side: int) -> Iterator[int]:
    """Where the windows begin along one axis."""
    step = math.ceil(side * STEP)
    for k in range(math.ceil((length - side) / step) + 1):
        yield min(k * step, length - side)
