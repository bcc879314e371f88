"""What a Mask R-CNN finds in an image of any size.

A look scales the image, runs the network and gives boxes in image pixels. Where a project's animals
would become too small, a large image is looked at once as a whole, for its large animals, and in
overlapping tiles. Each tile answers for the animals whose middle lies nearer to its own middle than
to its neighbor's: with boxes no longer than the overlap those are whole in it, and a piece of an
animal that its edge cuts never counts. So nothing is stitched.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import batched_nms

from model.augment import to_tensor
from model.maskrcnn.network import MaskRcnn
from model.tiles import LARGER, OVERLAP, starts

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]
SAME = 0.5  # IoU from which boxes of one category are one animal, seen in two tiles


class Detections(NamedTuple):
    """Animals that may be in an image, in no order."""

    boxes: Floats  # (n, 4) x0, y0, x1, y1 in image pixels
    scores: Floats  # (n,) in [0, 1]
    classes: NDArray[np.int64]  # (n,) from 1
    masks: Floats  # (n, m, m) in [0, 1], the whole of its box

    def only(self, which: NDArray[np.integer] | NDArray[np.bool_]) -> Detections:
        """Some of them, by position or by truth."""
        boxes, scores, classes, masks = self
        return Detections(boxes[which], scores[which], classes[which], masks[which])


Look = Callable[[Image, float], Detections]  # an image (H, W, 3) and its zoom


def looking(network: MaskRcnn, mean: tuple[float, ...], std: tuple[float, ...]) -> Look:
    """How the network looks at an image, on the device where it is; it must be in eval mode."""

    @torch.no_grad()
    def look(image: Image, zoom: float) -> Detections:
        height, width = image.shape[:2]
        w, h = max(1, round(width * zoom)), max(1, round(height * zoom))
        if zoom < 1:
            image = np.asarray(cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA), np.uint8)
        batch = to_tensor([image], mean, std).to(next(network.parameters()).device)
        with torch.autocast(batch.device.type, enabled=batch.device.type == "cuda"):
            (found,) = network(list(batch))
        plain = {name: part.cpu() for name, part in found.items()}
        sides = np.array([width / w, height / h] * 2, np.float32) if zoom < 1 else np.float32(1)
        return Detections(
            plain["boxes"].float().numpy() * sides,
            plain["scores"].float().numpy(),
            plain["labels"].numpy(),
            plain["masks"][:, 0].float().numpy(),
        )

    return look


def detect(look: Look, image: Image, usual: float, wanted: float, max_side: int) -> Detections:
    """Everything that is found in an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        usual: zoom at which images are looked at. wanted: the one its small animals demand.
        max_side: long side of a tile at that zoom.
    """
    whole = look(image, usual)
    if wanted <= LARGER * usual:
        return whole
    tile = round(max_side / wanted)
    overlap = round(OVERLAP * tile)
    parts = [whole.only(_longest(whole) > overlap)]
    for top, bottom, rows in _own(image.shape[0], tile, overlap):
        for left, right, columns in _own(image.shape[1], tile, overlap):
            found = look(np.ascontiguousarray(image[rows, columns]), wanted)
            offset = np.array([columns.start, rows.start] * 2, np.float32)
            found = found._replace(boxes=found.boxes + offset)
            x, y = ((found.boxes[:, k] + found.boxes[:, k + 2]) / 2 for k in (0, 1))
            own = (left <= x) & (x < right) & (top <= y) & (y < bottom)
            parts.append(found.only(own & (_longest(found) <= overlap)))
    return _distinct(Detections(*(np.concatenate(column) for column in zip(*parts, strict=True))))


def _own(length: int, tile: int, overlap: int) -> list[tuple[float, float, slice]]:
    """Of every tile along a side: begin and end of what it answers for, and its pixels."""
    begins = starts(length, tile, overlap)
    middles = [(a + b + tile) / 2 for a, b in pairwise(begins)]
    edges = [-np.inf, *middles, np.inf]
    return [
        (edges[k], edges[k + 1], slice(begin, min(length, begin + tile)))
        for k, begin in enumerate(begins)
    ]


def _longest(found: Detections) -> Floats:
    """(n,) longer sides of the boxes."""
    return np.asarray((found.boxes[:, 2:] - found.boxes[:, :2]).max(1), np.float32)


def _distinct(found: Detections) -> Detections:
    """Without those that a higher score of the same category covers."""
    tensors = (torch.from_numpy(part) for part in (found.boxes, found.scores, found.classes))
    return found.only(batched_nms(*tensors, SAME).numpy())
