"""What a picture looks like, as a small vector: features pooled over the image and its animals."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

LENGTH = 64
VISIBLE = 16  # cells of the stride-4 map that an animal covers at least when one can see it
Floats = NDArray[np.float32]


def embedding(features: Floats, animal: Floats | None = None) -> Floats:
    """The vector of an image.

    The mean of the features over the image, beside their mean over the animals, is projected at
    random, which keeps distances (Johnson & Lindenstrauss) and makes the length independent of the
    backbone. The projection is the same for every image.

    Args:
        features: (K, h, w) float32 of the image.
        animal: chance in [0, 1] of an animal, any size; it is scaled to (h, w). None, or no animal
            at all: the mean over the image counts for both.

    Returns:
        (64,) float32.
    """
    depth, height, width = features.shape
    whole = features.mean((1, 2))
    inside = whole
    if animal is not None:
        weight = cv2.resize(
            animal.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA
        )
        if weight.sum() > 0:
            inside = np.asarray((features * weight).sum((1, 2)) / weight.sum())
    pooled = np.concatenate([whole, inside])
    rows = np.random.default_rng(0).standard_normal((LENGTH, 2 * depth)) / np.sqrt(LENGTH)
    return np.asarray(rows @ pooled, np.float32)


def foreground(probability: Floats) -> float:
    """Chance that animals are visible: the mean over the cells that are likeliest animals.

    Args:
        probability: (C, h, w) float32 softmax at stride 4, class 0 = background.

    Returns:
        A number in [0, 1].
    """
    animal = np.sort(1.0 - probability[0], axis=None)
    return float(np.clip(animal[-VISIBLE:].mean(), 0.0, 1.0))
