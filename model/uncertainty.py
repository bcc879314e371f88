"""Where a proposal is unreliable: the uncertainty map, and one score for an image.

The map tells how likely a pixel is wrong, in the form of an entropy: that of the calibrated class
probabilities, raised where it is unsure which animal a cell belongs to. What it weighs was chosen
on images of label draw 10, which no study reports (docs/decisions/0032).

Convention: maps are at stride 4 of the image, (ceil(H/4), ceil(W/4)), uint8, 255 = entropy / ln C
of 1. What a value means for a person depends on the number of classes C: two rivals at one half
each have one BIT of entropy, which is 1 / log2 C on the map, so whatever is judged here is judged
in bits.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from data_io.geometry import mask_of_parts
from data_io.types import Parts
from model.instances import STRIDE, resample

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

FINER = 2  # the entropy is told on cells of half the side: an outline passes between the middles
NEAR = 2.0  # sigma in cells of the neighborhood, half of the map: gross errors are patches
WHOSE = 0.6  # weight of a bit of doubt whose a cell is, beside a bit of doubt what it shows


def entropy(probability: Floats) -> Floats:
    """Entropy over the classes divided by ln C  (Eq. 5, normalized).

    Args:
        probability: (C, h, w) float32 softmax, C >= 2.

    Returns:
        (h, w) float32 in [0, 1].
    """
    p = np.clip(probability, 1e-12, 1.0)
    total = -(p * np.log(p)).sum(0) / np.log(len(p))
    return np.clip(total, 0.0, 1.0).astype(np.float32)


def class_doubt(probability: Floats) -> Floats:
    """Entropy over the classes as a mean over each cell, and over what is around it.

    Args:
        probability: (C, h, w) calibrated softmax at stride 4.

    Returns:
        (h, w) float32 in [0, 1].
    """
    h, w = probability.shape[1:]
    fine = np.stack([resample(p, 1 / FINER, FINER * h, FINER * w) for p in probability])
    own = cv2.resize(entropy(fine), (w, h), interpolation=cv2.INTER_AREA)
    return np.asarray((own + cv2.GaussianBlur(own, (0, 0), NEAR)) * np.float32(0.5), np.float32)


def whose_doubt(probability: Floats, doubt: Floats) -> Floats:
    """Doubt which animal a cell belongs to, on the scale of an entropy over ln C.

    Args:
        probability: (C, h, w) softmax, class 0 = background.
        doubt: (h, w) bits in [0, 1] between the two likeliest animals (`model.grouping`).
    """
    animal = 1.0 - probability[0]
    return np.asarray(animal * doubt / np.float32(np.log2(len(probability))), np.float32)


def uncertainty_map(probability: Floats, whose: Floats | None = None) -> Bytes:
    """The map of an image.

    Args:
        probability: (C, h, w) calibrated softmax, class 0 = background.
        whose: (h, w) from `whose_doubt`; None = animals were told apart without doubts.
    """
    unsure = class_doubt(probability)
    if whose is not None:
        unsure = np.maximum(unsure, np.float32(WHOSE) * whose)
    return to_bytes(unsure)


def to_bytes(normalized: Floats) -> Bytes:
    """[0, 1] -> uint8, rounded: the form in which uncertainty maps are stored."""
    return np.asarray(np.round(np.clip(normalized, 0, 1) * 255), np.uint8)


def expected_error(classes: int) -> Floats:
    """For each byte of a map the chance that the pixel is wrong: the binary entropy's inverse.

    Exact for two rivals, however many `classes` there are beside them. More than one bit takes
    three rivals or more and counts as the coin toss of two.

    Returns:
        (256,) float32 in [0, .5].
    """
    chance = np.linspace(0, 0.5, 4001)
    p = np.clip(chance, 1e-12, 1)
    bits = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return np.interp(np.arange(256) / 255 * np.log2(classes), bits, chance).astype(np.float32)


def image_score(uncertainty: Bytes, classes: int) -> float:
    """How much an image needs a person: expected error, the worst places counting most.

    The expected error of the cells, worst first, is averaged with weights that fall by e every 5 %
    of the image, and doubled: 0 = sure everywhere, 1 = a coin toss everywhere.

    Args:
        uncertainty: (h, w) uint8; verified cells should be 0, see `without_verified`.
        classes: C of the map, background included.
    """
    count = np.bincount(uncertainty.ravel(), minlength=256)[::-1]
    edges = np.concatenate([[0], np.cumsum(count)]) / max(1, uncertainty.size)
    # Integral of the falling weight over each level's share of the ranking.
    weight = np.exp(-edges[:-1] / 0.05) - np.exp(-edges[1:] / 0.05)
    if weight.sum() <= 0:
        return 0.0
    return float(np.clip(2 * (weight * expected_error(classes)[::-1]).sum() / weight.sum(), 0, 1))


def verified_cells(verified: Parts, height: int, width: int) -> Mask:
    """Cells of the stride-4 map that a verified area reaches, however little.

    Args:
        verified: the area a person vouches for; () = nothing.

    Returns:
        (ceil(height/4), ceil(width/4)) bool.
    """
    h, w = -(-height // STRIDE), -(-width // STRIDE)
    if not verified:
        return np.zeros((h, w), np.bool_)
    mask = mask_of_parts(verified, height, width)
    padded = np.pad(mask, ((0, h * STRIDE - height), (0, w * STRIDE - width)))
    return np.asarray(padded.reshape(h, STRIDE, w, STRIDE).any((1, 3)))


def without_verified(uncertainty: Bytes, verified: Parts, height: int, width: int) -> Bytes:
    """The map with every cell of the verified area set to 0: answered places never ask again."""
    return np.where(verified_cells(verified, height, width), np.uint8(0), uncertainty)
