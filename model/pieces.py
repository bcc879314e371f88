"""Pieces of animals, what a pair of them shows, and joining them step by step.

Convention: maps are (h, w) on one grid; lengths are in cells of that grid.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import mul
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.targets import STRIDE, AnimalTargets

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

SAMPLES = 8  # steps on the way between two middles
_STEPS = range(SAMPLES + 1)


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


class Evidence(NamedTuple):
    """What a pair of neighboring pieces shows, most of it in [0, 1]."""

    level: float  # the highest pass between their cores over the lower core
    gap: float  # between the middles they vote for, in square roots of their joint area
    apart: float  # between their own middles, likewise
    contact: float  # mean along their border
    depth: float  # of the lower core
    dip: float  # lowest heat between the two middles over that of the lower one
    crossing: float  # votes that land in the other piece, a cell of the smaller one


# Log odds that two pieces are one animal: weights of the evidence, and what they start from.
# Fitted to pairs of pieces on images that two networks had not learned (unlabeled drone tiles and
# synthetic herds, 15 labeled images each, label draw 10, which no study reports), and to pairs that
# the truth of these herds shows.
WEIGHTS = Evidence(3.60, -2.16, 3.70, -3.85, -1.96, 1.71, 1.12)
BIAS = -3.60


def log_odds(evidence: Evidence) -> float:
    """Natural logarithm of p / (1 - p) that a pair of pieces is one animal."""
    return BIAS + sum(map(mul, WEIGHTS, evidence))


@dataclass(frozen=True)
class GroupingConfig:
    """How pieces are made and joined; lengths of votes are relative to animals (root of area)."""

    smooth_core: float = 0.5  # sigma, cells
    smooth_center: float = 0.7  # sigma, cells
    meeting: float = 0.4  # share of the core that a contact takes away
    one_middle: float = 0.2  # pieces apart from each other are one animal with a smaller gap
    same_middle: float = 0.1  # so are neighbors, whatever else speaks against it
    one_hill: float = 0.7  # if the dip between their middles is no deeper
    agree: float = 0.2  # a vote as near as that to another animal's middle
    differ: float = 0.15  # and farther than that from its own animal's moves its cell there
    rounds: int = 3  # of that


class _Border:
    """What two neighboring pieces share."""

    __slots__ = ("contact", "length", "level")

    def __init__(self, length: float, contact: float, level: float) -> None:
        self.length, self.contact, self.level = length, contact, level

    def add(self, other: _Border) -> None:
        self.length += other.length
        self.contact += other.contact
        self.level = max(self.level, other.level)


class Pieces:
    """Pieces 1..count, joined step by step; a joined one lives on in its root."""

    def __init__(
        self,
        labels: Labels,
        core: Floats,
        center: Floats,
        maps: InstanceMaps,
        config: GroupingConfig,
    ) -> None:
        self.labels, self.core, self.center, self.config = labels, core, center, config
        # Python reads single cells of a list five times as fast as of an array.
        self._heat: list[float] = center.ravel().tolist()
        self.count = int(labels.max(initial=0))
        rows, columns = np.nonzero(labels)
        own = labels[rows, columns].astype(np.intp)  # what numpy counts with, so cast once
        x, y = columns + 0.5, rows + 0.5
        vote_x, vote_y = (p + o[rows, columns] for p, o in zip((x, y), maps.offset, strict=True))

        def sums(values: NDArray[Any]) -> list[float]:
            return np.bincount(own, values, self.count + 1).tolist()

        self.area = sums(np.ones(own.size))
        self.x, self.y = sums(x), sums(y)
        # Deep cells count most: along outlines a piece has some of its neighbors' cells.
        level = core[rows, columns].astype(np.float64)
        deep = level + 1e-3
        self.votes, self.vote_x, self.vote_y = map(sums, (deep, deep * vote_x, deep * vote_y))
        depth = np.zeros(self.count + 1)
        np.maximum.at(depth, own, level)
        self.depth: list[float] = depth.tolist()
        self.borders = _borders(labels, core, maps.contact, self.count)
        self.crossing = _crossing(labels, own, vote_x, vote_y, self.count)
        # Of every joined piece: the one it went into, the log odds, and when.
        self.parent = list(range(self.count + 1))
        self.odds = [math.inf] * (self.count + 1)
        self.time = [math.inf] * (self.count + 1)
        self.now = 0

    def root(self, piece: int) -> int:
        """The piece it lives on in."""
        while self.parent[piece] != piece:
            piece = self.parent[piece]
        return piece

    # --- evidence ---------------------------------------------------------------------------------

    def evidence(self, a: int, b: int) -> Evidence:
        """Of two pieces, neighbors or not."""
        border = self.borders[a].get(b) or _Border(1.0, 0.0, 0.0)
        side = math.sqrt(self.area[a] + self.area[b])
        low = min(self.depth[a], self.depth[b])
        one, other = self.middle(a), self.middle(b)
        across = self.crossing[a, b] + self.crossing[b, a]
        return Evidence(
            level=border.level / max(low, 1e-6),
            gap=math.dist(one, other) / side,
            apart=math.dist(self._place(a), self._place(b)) / side,
            contact=border.contact / border.length,
            depth=low,
            dip=self._dip(one, other),
            crossing=float(across) / min(self.area[a], self.area[b]),
        )

    def middle(self, k: int) -> tuple[float, float]:
        """The mean of its votes, of which deep cells have more."""
        return self.vote_x[k] / self.votes[k], self.vote_y[k] / self.votes[k]

    def _place(self, k: int) -> tuple[float, float]:
        return self.x[k] / self.area[k], self.y[k] / self.area[k]

    def _dip(self, one: Sequence[float], other: Sequence[float]) -> float:
        h, w = self.center.shape
        (x0, y0), (x1, y1) = one, other
        dx, dy = (x1 - x0) / SAMPLES, (y1 - y0) / SAMPLES
        if min(x0, x1, y0, y1) >= 0 and max(x0, x1) < w and max(y0, y1) < h:
            heat = [self._heat[int(y0 + k * dy) * w + int(x0 + k * dx)] for k in _STEPS]
        else:  # a middle off the map counts as the nearest cell
            rows = (min(max(int(y0 + k * dy), 0), h - 1) for k in _STEPS)
            columns = (min(max(int(x0 + k * dx), 0), w - 1) for k in _STEPS)
            heat = [self._heat[row * w + column] for row, column in zip(rows, columns, strict=True)]
        return min(heat) / max(min(heat[0], heat[-1]), 1e-3)

    # --- joining ----------------------------------------------------------------------------------

    def join(self) -> None:
        """Join neighbors, the surest pair first, until every pair is more probably two."""
        queue: list[tuple[float, int, int, int, int]] = []
        changed = [0] * (self.count + 1)

        def offer(a: int, b: int) -> None:
            odds = log_odds(self.evidence(a, b))
            if odds > 0:
                heapq.heappush(queue, (-odds, a, b, changed[a], changed[b]))

        for a in range(1, self.count + 1):
            for b in self.borders[a]:
                if a < b:
                    offer(a, b)
        while queue:
            odds, a, b, seen_a, seen_b = heapq.heappop(queue)
            if (changed[a], changed[b]) == (seen_a, seen_b):
                self.unite(a, b, -odds)
                changed[a] += 1
                changed[b] = -1
                for other in self.borders[a]:
                    offer(a, other)

    def join_apart(self) -> None:
        """Join pieces that do not touch and vote for one middle: an animal behind a rail."""
        alive = [k for k in range(1, self.count + 1) if self.parent[k] == k]
        middles = np.array([self.middle(k) for k in alive]).reshape(-1, 2)
        gap = np.hypot(*(middles[:, None] - middles[None]).transpose(2, 0, 1))
        area = np.array([self.area[k] for k in alive])
        near = gap < self.config.one_middle * np.sqrt(area[:, None] + area[None])
        for i, j in np.argwhere(np.triu(near, 1)).tolist():
            a, b = sorted((self.root(alive[i]), self.root(alive[j])))
            if a != b:
                shown = self.evidence(a, b)
                least = self.config.same_middle if b in self.borders[a] else self.config.one_middle
                if shown.gap < least and shown.dip > self.config.one_hill:
                    self.unite(a, b, math.inf)

    def unite(self, a: int, b: int, odds: float) -> None:
        """Put b into a."""
        for sums in (self.area, self.x, self.y, self.votes, self.vote_x, self.vote_y):
            sums[a] += sums[b]
        self.depth[a] = max(self.depth[a], self.depth[b])
        self.crossing[a] += self.crossing[b]
        self.crossing[:, a] += self.crossing[:, b]
        for other, border in self.borders[b].items():
            del self.borders[other][b]
            if other == a:
                continue
            if other in self.borders[a]:
                self.borders[a][other].add(border)
            else:
                self.borders[a][other] = self.borders[other][a] = border
        self.borders[b] = {}
        self.parent[b], self.odds[b], self.time[b] = a, odds, self.now
        self.now += 1

    def joined(self) -> Labels:
        """(h, w) with the numbers 1..n of the pieces that are left, in order."""
        roots = [self.root(k) for k in range(self.count + 1)]
        return np.unique(roots, return_inverse=True)[1].astype(np.int32)[self.labels]

    # --- what is left in doubt --------------------------------------------------------------------

    def certainties(self) -> Floats:
        """(n,) of the pieces that are left, in order."""
        left = (k for k in range(1, self.count + 1) if self.parent[k] == k)
        return np.array([self._certainty(k) for k in left], np.float32)

    def _certainty(self, k: int) -> float:
        """That it is one whole animal: no part of a neighbor, and deep enough."""
        odds = [log_odds(self.evidence(k, other)) for other in self.borders[k]]
        return (1 - probability(max(odds, default=-math.inf))) * min(1.0, self.depth[k])

    def odds_of(self, a: int, b: int) -> float:
        """Log odds with which two pieces that once were neighbors are one, or stay two."""
        odds = math.inf
        while a != b:
            if self.parent[a] == a and self.parent[b] == b:
                return log_odds(self.evidence(a, b))
            if self.time[a] > self.time[b]:
                a, b = b, a
            a, odds = self.parent[a], self.odds[a]
        return odds


def probability(odds: float) -> float:
    """Of log odds."""
    return 1 / (1 + math.exp(-min(max(odds, -50.0), 50.0)))


def neighbors(
    labels: Labels, count: int
) -> Iterator[tuple[Mask, NDArray[np.int64], tuple[slice, ...], tuple[slice, ...]]]:
    """Cells whose right, then lower neighbor belongs to another piece.

    Returns:
        Where they are in the two views of the map that follow, and for each one its pair of pieces
        a < b as a * (count + 1) + b.
    """
    for one, other in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1, :], np.s_[1:, :]),
    ):
        a, b = labels[one].astype(np.int64), labels[other].astype(np.int64)
        differ = (a != b) & (a > 0) & (b > 0)
        a, b = a[differ], b[differ]
        yield differ, np.minimum(a, b) * (count + 1) + np.maximum(a, b), one, other


def _borders(labels: Labels, core: Floats, contact: Floats, count: int) -> list[dict[int, _Border]]:
    """For each piece its neighbors and what they share."""
    keys, touching, levels = [], [], []
    for differ, pair, one, other in neighbors(labels, count):
        keys.append(pair)
        touching.append(np.maximum(contact[one][differ], contact[other][differ]))
        levels.append(np.minimum(core[one][differ], core[other][differ]))
    found, place = np.unique(np.concatenate(keys), return_inverse=True)
    length = np.bincount(place, minlength=found.size).tolist()
    contacts = np.bincount(place, np.concatenate(touching), found.size).tolist()
    highest = np.zeros(found.size)
    np.maximum.at(highest, place, np.concatenate(levels))
    borders: list[dict[int, _Border]] = [{} for _ in range(count + 1)]
    for key, *shared in zip(found.tolist(), length, contacts, highest.tolist(), strict=True):
        a, b = divmod(key, count + 1)
        borders[a][b] = borders[b][a] = _Border(*shared)
    return borders


def _crossing(labels: Labels, own: NDArray[np.intp], x: Numbers, y: Numbers, count: int) -> Floats:
    """(count + 1, count + 1): votes of each piece that land in each piece; 0 = in none."""
    h, w = labels.shape
    row, column = np.clip(y.astype(np.int64), 0, h - 1), np.clip(x.astype(np.int64), 0, w - 1)
    keys = own * (count + 1) + labels[row, column]
    votes = np.bincount(keys, minlength=(count + 1) ** 2).reshape(count + 1, count + 1)
    return votes.astype(np.float32)
