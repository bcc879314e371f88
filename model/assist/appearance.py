"""Other colors, and what cameras do to them: what drawn scenes lack of photos.

Domain randomization (Tobin et al. 2017, arXiv:1703.06907): with coats, ground and cameras that
change from one example to the next nothing of a renderer's is worth learning but the shapes.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

APART = 0.6  # share of examples whose animals and ground are recolored each on their own
GRAYS = 0.15
BLURS, NOISES, COARSE, PACKED, SHADED = 0.5, 0.5, 0.4, 0.5, 0.5  # shares
COARSEST = 5.0  # times fewer pixels along a side
BLURRIEST = 2.5  # pixels, standard deviation
NOISIEST = 18.0
WORST, BEST = 25, 95  # JPEG quality

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Rng = np.random.Generator


def tinted(image: Bytes, rng: Rng) -> Bytes:
    """Another brightness, contrast and tint, as of the same camera at another hour."""
    gain, tint = rng.uniform(0.75, 1.3), rng.uniform(0.92, 1.08, 3)
    changed = image.astype(np.float32) * (gain * tint) + rng.uniform(-25, 25)
    return np.asarray(np.clip(changed, 0, 255), np.uint8)


def disguised(image: Bytes, animals: Sequence[Mask], rng: Rng) -> Bytes:
    """The scene with other coats and ground, seen by another camera.

    Args:
        image: (H, W, 3) uint8 RGB. animals: (H, W) bool each.
    """
    seen = image.astype(np.float32)
    if rng.random() < APART:
        whole = _recolored(seen, rng)
        for mask in animals:
            if mask.any():
                whole[mask] = _recolored(seen[mask][None], rng)[0]
        seen = whole
    else:
        seen = _recolored(seen, rng)
    if rng.random() < SHADED:
        seen *= _shade(seen.shape[0], seen.shape[1], rng)[..., None]
    return _photographed(seen, rng)


def _recolored(values: Floats, rng: Rng) -> Floats:
    """Mixed channels, another contrast, brightness and gamma; (H, W, 3)."""
    mix = np.eye(3) + rng.normal(0, 0.25, (3, 3))
    mix /= np.maximum(np.abs(mix).sum(1, keepdims=True), 0.5)
    changed = values @ mix.T.astype(np.float32)
    changed = (changed - 110) * rng.uniform(0.6, 1.5) + 110 + rng.uniform(-50, 50)
    bright = np.clip(changed, 0, 255) / 255
    return np.asarray(255 * bright ** rng.uniform(0.6, 1.6), np.float32)


def _shade(height: int, width: int, rng: Rng) -> Floats:
    """Soft light and shadow, about 1."""
    cells = int(rng.integers(2, 7))
    coarse = rng.normal(0, 1, (cells, cells)).astype(np.float32)
    wide = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.exp(rng.uniform(0.1, 0.35) * wide), np.float32)


def _photographed(seen: Floats, rng: Rng) -> Bytes:
    height, width = seen.shape[:2]
    if rng.random() < GRAYS:
        seen = np.repeat(seen.mean(2, keepdims=True), 3, axis=2)
    if rng.random() < COARSE and min(height, width) >= 64:
        times = rng.uniform(1.5, COARSEST)
        small = (max(16, round(width / times)), max(16, round(height / times)))
        few = cv2.resize(seen, small, interpolation=cv2.INTER_AREA)
        seen = np.asarray(cv2.resize(few, (width, height), interpolation=cv2.INTER_LINEAR))
    if rng.random() < BLURS:
        seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.3, BLURRIEST)))
    if rng.random() < NOISES:
        seen = seen + rng.normal(0, rng.uniform(1, NOISIEST), seen.shape).astype(np.float32)
    made = np.clip(seen, 0, 255).astype(np.uint8)
    return _packed(made, rng) if rng.random() < PACKED else made


def _packed(image: Bytes, rng: Rng) -> Bytes:
    """Packed as a JPEG and unpacked again."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(WORST, BEST))]
    _, packed = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), quality)
    again = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(again[..., ::-1])
