"""The contact band: one category told to the network as background, body and band.

Where two animals touch, a map of "animal or not" shows one blob. With a band along every animal's
outline as a class of its own, the two bodies stay apart in what the network has to learn. Only the
training sees it: the decoded answer is p(animal) = p(body) + p(band), so that predictions, exports,
measures and the uncertainty map know one category.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_io.geometry import Rle, mask_of_rle
from model.config import IGNORE, Encoding

BODY, BAND = 1, 2  # 0 is the background
# Pixels at training size: two cells of stride 4, so that a band is still a cell wide when a crop
# shows its image at half the size.
RADIUS = 8.0

Ids = NDArray[np.uint16]  # (h, w): 0 = no animal, k = the k-th one
Labels = NDArray[np.uint8]


def animal_ids(rasters: Sequence[Rle], height: int, width: int) -> Ids:
    """Which animal each pixel shows, (height, width); later ones lie on top."""
    ids = np.zeros((height, width), np.uint16)
    for number, rle in enumerate(rasters, start=1):
        ids[mask_of_rle(rle)] = number
    return ids


def contact_band(ids: Ids, radius: float = RADIUS) -> Labels:
    """Labels 0, `BODY`, `BAND` (h, w) of a map of animals.

    The band holds the pixels of an animal at most `radius` pixels from its outline. Pixels so near
    to another animal are among them, since the way there leads over the own outline. The border of
    the image is no outline: the animal goes on there.
    """
    own = ids > 0
    outline = np.zeros(ids.shape, np.bool_)
    for axis in (0, 1):
        before, after = (_cut(ids.shape, axis, part) for part in (slice(None, -1), slice(1, None)))
        differ = ids[before] != ids[after]
        outline[before] |= differ
        outline[after] |= differ
    # Centers of outline pixels lie half a pixel inside the outline.
    distance = cv2.distanceTransform(
        (~(outline & own)).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
    )
    labels = np.where(own, BODY, 0).astype(np.uint8)
    labels[own & (distance + 0.5 <= radius)] = BAND
    return labels


def _cut(shape: tuple[int, ...], axis: int, part: slice) -> tuple[slice, ...]:
    return tuple(part if k == axis else slice(None) for k in range(len(shape)))


def decode_labels(labels: Labels, encoding: Encoding) -> Labels:
    """Labels as the decoded network answers them: body and band are the category, 255 stays."""
    if encoding == "classes":
        return labels
    return np.where(labels == IGNORE, IGNORE, np.minimum(labels, BODY)).astype(np.uint8)


def decode_logits(logits: Tensor) -> Tensor:
    """(B, 3, h, w) -> (B, 2, h, w) whose softmax is p(background), p(body) + p(band)."""
    return torch.cat([logits[:, :1], logits[:, BODY:].logsumexp(dim=1, keepdim=True)], dim=1)
