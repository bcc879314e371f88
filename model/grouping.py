"""Cells of animals -> one number an animal, by the instance heads.

The core map falls towards every outline, also between two animals that touch, so its catchments
(pieces) hold one animal each or a part of one. Neighboring pieces are joined as long as they are
more probably one animal than two. What speaks for one: a high pass between their cores, votes for
one middle, votes that land in the other piece, no dip of the heat-map between both middles; for
two: contacts along their border, and that each alone is as deep as a whole animal. Pieces that do
not touch, as behind a rail, are one animal where they vote for one middle.

What the evidence weighs was fitted by logistic regression, see `WEIGHTS`.

Convention: maps are (h, w) on one grid; lengths are in cells of that grid.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from model.pieces import GroupingConfig, InstanceMaps, Pieces, neighbors, probability
from model.separation import hills

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]


class Grouping(NamedTuple):
    """Animals told apart."""

    labels: Labels  # (h, w): 0 outside, else 1..n
    certainty: Floats  # (n,) in [0, 1] that it is one animal and a whole one
    doubt: Floats  # (h, w) bits in [0, 1] along borders of pieces: 1 = as well one animal as two


def group(inside: Mask, maps: InstanceMaps, config: GroupingConfig | None = None) -> Grouping:
    """Tell the animals among the cells `inside` apart.

    Args:
        inside: (h, w), the cells of animals.
        maps: on the same grid.
    """
    config = config or GroupingConfig()
    pieces = pieces_of(inside, maps, config)
    pieces.join()
    pieces.join_apart()
    labels, _ = _without_gaps(_corrected(pieces.joined(), pieces.core, maps, config))
    whole = Pieces(labels, pieces.core, pieces.center, maps, config)
    whole.join_apart()
    labels, left = _without_gaps(_corrected(whole.joined(), pieces.core, maps, config))
    return Grouping(labels, whole.certainties()[left - 1], _doubt(pieces))


def pieces_of(inside: Mask, maps: InstanceMaps, config: GroupingConfig) -> Pieces:
    """The catchments of the core map, lowered where animals meet; not joined yet."""
    deep = maps.core * (1 - np.float32(config.meeting) * maps.contact)
    core = cv2.GaussianBlur(deep, (0, 0), config.smooth_core)
    core = np.where(inside, core, 0).astype(np.float32)
    center = cv2.GaussianBlur(maps.center, (0, 0), config.smooth_center)
    return Pieces(hills(core, inside), core, center, maps, config)


def _corrected(labels: Labels, core: Floats, maps: InstanceMaps, config: GroupingConfig) -> Labels:
    """Give cells to the animal that they clearly vote for: pieces have some of their neighbors'.

    Middles move when cells change hands, so this is done a few times. A number may lose all cells.
    """
    count = int(labels.max(initial=0))
    if count < 2:
        return labels
    rows, columns = np.nonzero(labels)
    votes = (np.stack([columns, rows]) + np.float32(0.5) + maps.offset[:, rows, columns]).T
    deep = core[rows, columns] + np.float32(1e-3)
    own = labels[rows, columns] - 1
    for _ in range(config.rounds):
        middles, side = _middles(own, votes, deep, count)
        far = np.flatnonzero(_apart(votes, middles[own]) > (config.differ * side[own]) ** 2)
        nearest = _nearest(votes[far], middles, labels.shape)
        there = _apart(votes[far], middles[nearest]) < (config.agree * side[nearest]) ** 2
        changed = there & (nearest != own[far])
        own[far[changed]] = nearest[changed]
        if not changed.any():
            break
    result = np.zeros_like(labels)
    result[rows, columns] = own + 1
    return result


def _apart(one: Floats, other: Floats) -> Floats:
    """(n,) squared distances of points (n, 2)."""
    x, y = (one - other).T
    return np.asarray(x * x + y * y)


def _without_gaps(labels: Labels) -> tuple[Labels, NDArray[np.int64]]:
    """Labels numbered 1..n, and which numbers (n,) they had."""
    left = np.flatnonzero(np.bincount(labels.ravel())[1:]) + 1
    number = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    number[left] = np.arange(1, left.size + 1)
    return np.asarray(number[labels], np.int32), left


def _middles(
    own: NDArray[np.int32], votes: Floats, deep: Floats, count: int
) -> tuple[Floats, Floats]:
    """(count, 2) mean votes, x and y, deep cells counting most, and (count,) roots of the areas.

    An animal without cells has its middle out of reach.
    """
    weight = np.bincount(own, deep, count)
    sums = np.stack([np.bincount(own, deep * vote, count) for vote in votes.T], 1)
    middles = np.where(weight[:, None] > 0, sums / np.maximum(weight, 1e-9)[:, None], -1e6)
    side = np.sqrt(np.maximum(np.bincount(own, minlength=count), 1))
    return middles.astype(np.float32), side.astype(np.float32)


def _nearest(votes: Floats, middles: Floats, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Index of the middle nearest to each vote (n, 2); what leaves the map counts where it does."""
    h, w = shape
    limit = np.array([w - 1, h - 1])
    column, row = np.clip(middles.astype(np.int64), 0, limit).T
    apart = np.ones(shape, np.uint8)
    apart[row, column] = 0
    _, zones = cv2.distanceTransformWithLabels(
        apart, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    number = np.zeros(int(zones.max()) + 1, np.int64)
    number[zones[row, column]] = np.arange(len(middles))
    x, y = np.clip(votes.astype(np.int64), 0, limit).T
    return number[zones[y, x]]


def _doubt(pieces: Pieces) -> Floats:
    """Bits along the borders of pieces, one cell to each side."""
    labels = pieces.labels
    bits = np.zeros(labels.shape, np.float32)
    known: dict[int, float] = {}
    for differ, pair, one, other in neighbors(labels, pieces.count):
        found, place = np.unique(pair, return_inverse=True)
        for key in found.tolist():
            if key not in known:
                p = probability(pieces.odds_of(*divmod(key, pieces.count + 1)))
                known[key] = -sum(q * math.log2(q) for q in (p, 1 - p) if q > 0)
        values = np.array([known[key] for key in found.tolist()], np.float32)[place]
        for view in (one, other):
            part = bits[view]
            part[differ] = np.maximum(part[differ], values)
    return cv2.dilate(bits, np.ones((3, 3), np.uint8)) * (labels > 0)
