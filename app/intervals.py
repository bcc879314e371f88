"""Figures of few observations with the interval they leave open: 95 % everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Z = 1.959964  # of the normal distribution, for 95 %
RESAMPLES = 1000
SEED = 0  # the same records always give the same band
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Estimate:
        """The figure and its interval, multiplied by a factor >= 0."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


def wilson(hits: int, of: int) -> Estimate:
    """A share with its Wilson score interval (Wilson 1927, JASA 22:209, Eq. 1).

    Args:
        hits: how often it was so, 0 <= hits <= of.
        of: observations, at least 1.
    """
    share = hits / of
    middle = (share + Z * Z / (2 * of)) / (1 + Z * Z / of)
    reach = Z / (1 + Z * Z / of) * np.sqrt(share * (1 - share) / of + Z * Z / (4 * of * of))
    return Estimate(share, max(0.0, float(middle - reach)), min(1.0, float(middle + reach)))


def ratio(above: Floats, below: Floats) -> Estimate:
    """Sum over sum, with a percentile bootstrap over the pairs (Efron 1979).

    Args:
        above, below: (n,) float64, n >= 1, the sum of `below` > 0. Resamples whose lower sum is 0
            say nothing and are left out.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = resampled(above) / resampled(below)
    low, high = np.percentile(drawn[np.isfinite(drawn)], (2.5, 97.5))
    return Estimate(float(above.sum() / below.sum()), float(low), float(high))


def resampled(values: Floats) -> Floats:
    """Sums of `values` over resamples of its first axis: (n, ...) -> (RESAMPLES, ...).

    Arrays of one length are resampled alike, so that pairs stay together.
    """
    return np.asarray(_times(len(values)) @ values)


@lru_cache(maxsize=64)  # a curve asks for the same length at every place
def _times(n: int) -> Floats:
    """(RESAMPLES, n): how often each of n items is drawn."""
    times = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    return times.astype(np.float64)


def running(
    above: Floats, below: Floats, window: int, least: int, most: int
) -> Iterator[tuple[int, Estimate]]:
    """`ratio` of the newest `window` pairs at every place, or at `most` places evenly chosen.

    Yields:
        (place, estimate) from the `least`-th pair on, where the lower sum is not 0; the last place
        is always among them.
    """
    places = np.arange(least - 1, len(above))
    if len(places) > most:
        places = places[np.linspace(0, len(places) - 1, most).round().astype(int)]
    for place in places.tolist():
        part = slice(max(0, place + 1 - window), place + 1)
        if below[part].sum() > 0:
            yield place, ratio(above[part], below[part])
