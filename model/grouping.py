"""Cells of animals -> one number an animal, by the instance heads.

Every cell of an animal votes for the middle of its animal. The hills of the heat-map that votes
agree with are the animals; a cell that votes for one of them belongs to it, wherever it lies: two
halves behind a rail are one animal, the arms of a U are, too. Cells whose votes are lost are
flooded from those that are sure, contacts last. Where no hill is found at all, the shape alone
decides (`model.separation`).

Convention: maps are (h, w) on one grid; lengths are in cells of that grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from model.separation import flood
from model.targets import STRIDE, AnimalTargets

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]


class InstanceMaps(NamedTuple):
    """What the instance heads say of an image."""

    center: Floats  # (h, w) in [0, 1], high in the middle of animals
    offset: Floats  # (2, h, w): x and y to the middle of the animal, in cells
    contact: Floats  # (h, w): probability that another animal is right beside
    core: Floats  # (h, w) in [0, 1]: how deep inside its animal a cell lies

    @staticmethod
    def of_targets(targets: AnimalTargets) -> InstanceMaps:
        """What heads that are always right would say."""
        offset = targets.offset / np.float32(STRIDE)
        return InstanceMaps(targets.center, offset, targets.contact, targets.core)


@dataclass(frozen=True)
class GroupingConfig:
    """Lengths are relative to animals: shares of the square root of an animal's area."""

    least: float = 0.1  # hills lower than this are none
    most: int = 400  # hills of an image
    apart: float = 0.15  # of two hills nearer than this one is the other's shadow
    agree: float = 0.25  # votes as near to a hill as this are sure
    spread: float = 0.15  # sigma of the votes for one hill
    support: float = 0.01  # votes a hill needs, as a share of the image's median animal


class Grouping(NamedTuple):
    """Animals told apart."""

    labels: Labels  # (h, w): 0 outside and where no hill is known, else 1..n
    middle: Floats  # (n, 2): x, y of each hill
    height: Floats  # (n,) of each hill, in [0, 1]
    doubt: Floats  # (h, w) bits in [0, 1]: 1 where a vote falls right between two hills


def group(inside: Mask, maps: InstanceMaps, config: GroupingConfig | None = None) -> Grouping:
    """Tell the animals among the cells `inside` apart.

    Connected cells without any sure one keep the number 0.
    """
    config = config or GroupingConfig()
    rows, columns = np.nonzero(inside)
    votes = np.stack([columns, rows]) + 0.5 + maps.offset[:, rows, columns]
    peaks = _peaks(maps.center, config)
    nearest, peaks = _settled(votes, peaks, maps.center, inside.shape, config)
    if not len(peaks):
        nothing = np.zeros((0, 2), np.float32)
        sure = np.zeros(inside.shape, np.float32)
        return Grouping(np.zeros(inside.shape, np.int32), nothing, nothing[:, 0], sure)
    side = np.sqrt(np.bincount(nearest, minlength=len(peaks))).astype(np.float32)
    middle = peaks[:, ::-1] + np.float32(0.5)
    missed = np.hypot(*(votes - middle[nearest].T))
    sure = missed <= np.maximum(config.agree * side[nearest], 1.0)
    markers = np.zeros(inside.shape, np.int32)
    markers[rows[sure], columns[sure]] = nearest[sure] + 1
    labels = flood(1.0 - maps.contact, inside, markers)
    height = maps.center[peaks[:, 0], peaks[:, 1]]
    middle = _averaged(votes[:, sure], nearest[sure], middle)
    doubt = np.zeros(inside.shape, np.float32)
    doubt[rows, columns] = _doubt(
        votes, middle, side, missed > config.spread * side[nearest], config
    )
    return Grouping(labels, middle.astype(np.float32), height, doubt)


def _averaged(votes: Floats, nearest: NDArray[np.int64], middle: Floats) -> Floats:
    """Hills (n, 2) moved to the mean of their votes, which is finer than the grid."""
    count = np.bincount(nearest, minlength=len(middle))
    sums = np.stack([np.bincount(nearest, axis, len(middle)) for axis in votes], 1)
    return np.where(count[:, None] > 0, sums / np.maximum(count, 1)[:, None], middle)


def _doubt(
    votes: Floats, middle: Floats, side: Floats, unsure: Mask, config: GroupingConfig
) -> Floats:
    """Entropy of each vote between the two hills that explain it best, bits (n,).

    A vote for hill k scatters around it with a sigma of `spread` animals. Only `unsure` votes are
    looked at: one that falls on a hill is in no doubt.
    """
    bits = np.zeros(votes.shape[1], np.float32)
    if len(middle) < 2 or not unsure.any():
        return bits
    sigma = np.maximum(config.spread * side, 1.0)
    away = ((votes[:, unsure, None] - middle.T[:, None]) ** 2).sum(0) / (2 * sigma**2)
    best = np.partition(away, 1, axis=1)[:, :2]
    p = 1 / (1 + np.exp(-np.clip(best[:, 1] - best[:, 0], 0, 50)))  # of the better one
    rest = np.clip(1 - p, 1e-12, 1)
    bits[unsure] = -(p * np.log2(p) + rest * np.log2(rest))
    return bits


def _peaks(center: Floats, config: GroupingConfig) -> NDArray[np.int64]:
    """(n, 2) rows and columns of local maxima, the highest first; of a plateau the first cell."""
    highest = cv2.dilate(center, np.ones((3, 3), np.uint8))
    top = ((center >= highest) & (center >= config.least)).astype(np.uint8)
    count, plateaus = cv2.connectedComponents(top, connectivity=8)
    _, first = np.unique(plateaus, return_index=True)
    cells = np.stack(np.unravel_index(first[1:] if count > 1 else first[:0], center.shape), 1)
    order = np.argsort(-center[cells[:, 0], cells[:, 1]], kind="stable")
    return cells[order[: config.most]]


def _settled(
    votes: Floats,
    peaks: NDArray[np.int64],
    center: Floats,
    shape: tuple[int, ...],
    config: GroupingConfig,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The peaks that stand for animals, and the nearest of them to each vote."""
    while len(peaks):
        nearest = _nearest(votes, peaks, shape)
        count = np.bincount(nearest, minlength=len(peaks))
        kept = _without_shadows(peaks, count, config)
        enough = config.support * float(np.median(count[kept]))
        kept &= count >= max(1.0, enough)
        if kept.all():
            return nearest, peaks
        peaks = peaks[kept]
    return np.zeros(votes.shape[1], np.int64), peaks


def _nearest(votes: Floats, peaks: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Index of the peak nearest to each vote; what leaves the map counts where it leaves."""
    apart = np.ones(shape, np.uint8)
    apart[peaks[:, 0], peaks[:, 1]] = 0
    _, zones = cv2.distanceTransformWithLabels(
        apart, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    number = np.zeros(int(zones.max()) + 1, np.int64)
    number[zones[peaks[:, 0], peaks[:, 1]]] = np.arange(len(peaks))
    x, y = (np.clip(v.astype(np.int64), 0, n - 1) for v, n in zip(votes, shape[::-1], strict=True))
    return number[zones[y, x]]


def _without_shadows(
    peaks: NDArray[np.int64], count: NDArray[np.int64], config: GroupingConfig
) -> Mask:
    """False for each peak that has a higher one too near for two animals."""
    gap = np.hypot(*(peaks[:, None] - peaks[None]).transpose(2, 0, 1))
    side = np.sqrt(np.maximum(count[:, None], count[None]))
    near = gap < config.apart * side
    kept = np.ones(len(peaks), np.bool_)
    for k in range(1, len(peaks)):
        kept[k] = not (near[k, :k] & kept[:k]).any()
    return kept
