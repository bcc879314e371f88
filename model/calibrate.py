"""Probabilities that mean what they say: one temperature a version.

A network that learned its few labels by heart is too sure of everything else. One number puts that
right (Guo et al., On Calibration of Modern Neural Networks, ICML 2017): probabilities are raised to
the power 1 / T and normalized again, which leaves the most probable class what it was. T is fitted
to images that nobody learned.

Convention: probabilities are (C, n) or (C, h, w), class 0 = background.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRIDE = 4  # image pixels per cell
COOLEST, HOTTEST = 0.5, 4.0  # a temperature beyond says that something else is wrong
MOST_CELLS = 1 << 18  # that a temperature is fitted to
BINS = 15
HALVINGS = 40

Floats = NDArray[np.float32]
Counts = NDArray[np.float32]


@dataclass(frozen=True)
class Calibration:
    """How sure a version is made, and how that is known."""

    temperature: float = 1.0  # above 1 it was too sure, below too shy
    images: int = 0  # that it was fitted to; 0 = not calibrated
    before: float | None = None  # calibration error on these images, see `calibration_error`
    after: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def of_dict(cls, values: Mapping[str, Any] | None) -> Calibration:
        """What a version stores; None = it was never calibrated."""
        return cls(**values) if values else cls()

    @property
    def words(self) -> str:
        """A sentence for the log."""
        if not self.images:
            return "not calibrated: there are no validation images that show animals and ground"
        return (
            f"calibrated on {self.images} validation images: temperature {self.temperature:.2f},"
            f" calibration error {self.before:.3f} before, {self.after:.3f} after"
        )


def tempered(probability: Floats, temperature: float) -> Floats:
    """Probabilities over axis 0 at another temperature; the order of the classes stays."""
    if temperature == 1:
        return probability
    power = np.maximum(probability, np.float32(1e-30)) ** np.float32(1 / temperature)
    return np.asarray(power / power.sum(0), np.float32)


def class_shares(labels: NDArray[np.uint8], classes: int) -> Counts:
    """How many pixels of each class every cell shows.

    Args:
        labels: (H, W) class indices; what is `classes` or more (255 = unknown) is left out.

    Returns:
        (classes, ceil(H/4), ceil(W/4)) float32, at most 16.
    """
    height, width = labels.shape
    below, right = -height % STRIDE, -width % STRIDE
    framed = np.pad(labels, ((0, below), (0, right)), constant_values=255)
    blocks = framed.reshape(framed.shape[0] // STRIDE, STRIDE, -1, STRIDE)
    return np.stack([(blocks == k).sum((1, 3), dtype=np.float32) for k in range(classes)])


def fit_temperature(probability: Floats, shares: Counts) -> float | None:
    """The temperature of the least negative log-likelihood.

    That is convex in 1 / T, so its slope is halved in; the same cells give the same number.

    Args:
        probability: (C, n) at temperature 1.
        shares: (C, n) pixels of each class, see `class_shares`.

    Returns:
        At least `COOLEST`, which perfect predictions get, at most `HOTTEST`. None where the truth
        shows fewer than two classes: nothing can be learned from these.
    """
    if np.count_nonzero(shares.sum(1)) < 2:
        return None
    known = np.flatnonzero(shares.sum(0))
    known = known[:: -(-known.size // MOST_CELLS)]
    log = np.log(np.maximum(probability[:, known], np.float32(1e-30)))
    weight = shares[:, known]
    low, high = 1 / HOTTEST, 1 / COOLEST
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if _slope(log, weight, middle) < 0 else (low, middle)
    return float((low * high) ** -0.5)


def _slope(log: Floats, weight: Counts, sharpness: float) -> float:
    """Derivative of the negative log-likelihood by 1 / T."""
    scaled = log * np.float32(sharpness)
    power = np.exp(scaled - scaled.max(0))
    expected = (power / power.sum(0) * log).sum(0)
    return float((weight.sum(0) * expected - (weight * log).sum(0)).sum(dtype=np.float64))


def calibration_error(belief: NDArray[Any], right: NDArray[Any], bins: int = BINS) -> float | None:
    """Expected calibration error: how far the belief is from the share that is right.

    Args:
        belief: (n,) in [0, 1].
        right: (n,) bool, or shares in [0, 1].
        bins: each holds the same number of samples, but for ties, which stay together.

    Returns:
        Mean over the samples of |mean belief - mean right| of their bin; None without samples.
    """
    if not belief.size:
        return None
    edges = np.unique(np.quantile(belief, np.linspace(0, 1, bins + 1)[1:-1]))
    own = np.searchsorted(edges, belief, side="right")
    count = len(edges) + 1
    gaps = np.bincount(own, belief.astype(np.float64), count) - np.bincount(own, right, count)
    return float(np.abs(gaps).sum() / belief.size)
