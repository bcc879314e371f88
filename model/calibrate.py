"""Probabilities that mean what they say: one temperature a version.

A network that learned its few labels by heart is too sure of everything else. One number puts that
right (Guo et al., On Calibration of Modern Neural Networks, ICML 2017): probabilities are raised to
the power 1 / T and normalized again, which leaves the most probable class what it was. T is fitted
to images that nobody learned.

Convention: probabilities are (C, n) or (C, h, w), class 0 = background, at stride 4 of the image
where they are maps. What is fitted are PIXELS, between the middles of cells too: people see pixels,
and cells that an outline crosses would look less sure than they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.instances import STRIDE, resample

EVERY = 3  # pixels from one that is looked at to the next, no multiple of the stride
LEAST = np.float32(1e-30)  # probability
COOLEST, HOTTEST = 0.5, 4.0  # a temperature beyond says that something else is wrong
MOST_PIXELS = 1 << 18  # that a temperature is fitted to
BINS = 15
HALVINGS = 40

Floats = NDArray[np.float32]


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
    power = np.maximum(probability, LEAST) ** np.float32(1 / temperature)
    return np.asarray(power / power.sum(0), np.float32)


class Samples(NamedTuple):
    """Pixels of an image with a known class."""

    probability: Floats  # (C, n)
    truth: NDArray[np.int64]  # (n,) below C


def samples(probability: Floats, labels: NDArray[np.uint8]) -> Samples:
    """Every third pixel along both axes, which meets every place within a cell.

    Args:
        probability: (C, ceil(H/4), ceil(W/4)).
        labels: (H, W) classes; C and more (255 = unknown) are left out.
    """
    at = np.s_[1::EVERY, 1::EVERY]
    fine = [resample(layer, 1 / STRIDE, *labels.shape)[at] for layer in probability]
    truth = labels[at].astype(np.int64)
    known = truth < len(probability)
    return Samples(np.stack([layer[known] for layer in fine]), truth[known])


def together(parts: Sequence[Samples]) -> Samples:
    """The pixels of several images; at least one."""
    return Samples(
        np.concatenate([part.probability for part in parts], axis=1),
        np.concatenate([part.truth for part in parts]),
    )


def calibration(images: Sequence[Samples]) -> Calibration:
    """What the pixels of validation images say, one entry an image."""
    if not images:
        return Calibration()
    known = together(images)
    temperature = fit_temperature(known)
    if temperature is None:
        return Calibration()
    before, after = (error_of(known, t) for t in (1.0, temperature))
    return Calibration(temperature, len(images), before, after)


def error_of(known: Samples, temperature: float) -> float | None:
    """Calibration error of the most probable classes at a temperature."""
    said = tempered(known.probability, temperature)
    return calibration_error(said.max(0), said.argmax(0) == known.truth)


def fit_temperature(known: Samples) -> float | None:
    """The temperature of the least negative log-likelihood.

    That is convex in 1 / T, so its slope is halved in; the same pixels give the same number.

    Returns:
        At least `COOLEST`, which perfect predictions get, at most `HOTTEST`. None where the truth
        shows fewer than two classes: nothing can be learned from these.
    """
    if np.unique(known.truth).size < 2:
        return None
    step = -(-known.truth.size // MOST_PIXELS)
    truth = known.truth[::step]
    log = np.log(np.maximum(known.probability[:, ::step], LEAST))
    own = log[truth, np.arange(truth.size)].sum(dtype=np.float64)
    low, high = 1 / HOTTEST, 1 / COOLEST
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        # Slope of the negative log-likelihood by 1 / T: mean expected minus mean actual logarithm.
        too_flat = _expected(log, middle) < own
        low, high = (middle, high) if too_flat else (low, middle)
    return float((low * high) ** -0.5)


def _expected(log: Floats, sharpness: float) -> float:
    """Sum over the pixels of the logarithm that probabilities at this sharpness expect."""
    power = np.exp(log * np.float32(sharpness))
    return float(((power * log).sum(0) / power.sum(0)).sum(dtype=np.float64))


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
