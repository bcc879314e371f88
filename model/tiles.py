"""A large image looked at in overlapping tiles, and once as a whole for its large animals.

Tiles are blended as maps, not as animals: every cell's vote, core and probability are the mean over
the tiles that show it, tiles counting less towards their edges. Telling animals apart then sees one
map and no seams, so nothing needs stitching. An animal larger than the overlap is whole in no tile;
for its cells the look at the whole image counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from model.instances import STRIDE, label_boxes

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Image = NDArray[np.uint8]
Look = Callable[[Image], Floats]  # (H, W, 3) -> (K, ceil(H/4), ceil(W/4)) maps

LARGER = 1.25  # tiles of images that hardly grow would show nothing new
OVERLAP = 0.25  # of neighboring tiles, share of their side


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin that cover `length`, evenly spread; multiples of the stride.

    Neighbors share at least `overlap` pixels, less what rounding takes: under one stride.
    """
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    last = length - tile
    return [math.ceil(last * k / (count - 1) / STRIDE) * STRIDE for k in range(count)]


def tiled(image: Image, look: Look, tile: int, overlap: int) -> Floats:
    """The maps of an image, blended from those of its tiles.

    Args:
        image: (H, W, 3) uint8.
        tile: longest side of a tile in image pixels, a multiple of the stride.
        overlap: of neighboring tiles, image pixels.

    Returns:
        (K, ceil(H/4), ceil(W/4)) float32.
    """
    height, width = image.shape[:2]
    rows, columns = -(-height // STRIDE), -(-width // STRIDE)
    total: Floats | None = None
    weights = np.zeros((rows, columns), np.float32)
    for y in starts(height, tile, overlap):
        for x in starts(width, tile, overlap):
            maps = look(np.ascontiguousarray(image[y : y + tile, x : x + tile]))
            if total is None:
                total = np.zeros((len(maps), rows, columns), np.float32)
            h, w = maps.shape[1:]
            place = np.s_[y // STRIDE : y // STRIDE + h, x // STRIDE : x // STRIDE + w]
            weight = np.outer(_ramp(h, overlap), _ramp(w, overlap))
            total[:, place[0], place[1]] += maps * weight
            weights[place] += weight
    assert total is not None  # there is at least one tile
    return np.asarray(total / weights, np.float32)


def animals_beyond(numbers: NDArray[np.int32], length: float) -> Mask:
    """The cells (h, w) of animals whose box is longer than `length` image pixels.

    Args:
        numbers: (h, w), 0 = no animal, else which one.
    """
    beyond = np.zeros(int(numbers.max(initial=0)) + 1, np.bool_)
    for number, (top, left, bottom, right) in label_boxes(numbers).items():
        beyond[number] = max(bottom - top, right - left) * STRIDE > length
    return np.asarray(beyond[numbers], np.bool_)


def _ramp(cells: int, overlap: int) -> Floats:
    """(cells,) weights that rise from each end over the overlap; never 0."""
    away = np.minimum(np.arange(cells), np.arange(cells)[::-1]) + 1
    return np.minimum(1, away * STRIDE / max(overlap, STRIDE)).astype(np.float32)
