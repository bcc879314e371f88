"""Which image next: coverage while there is no proposal, then uncertainty, spread over the groups.

Scores come from elsewhere (`uncertainty.image_score`); this module only orders them.

The queue is ordered anew at every click, so nothing here looks at the whole pool for each place of
it: a heap holds the best image of every group, and the next of a group is found by bisection.
Embeddings are the exception, since every image that is seen may be like every other.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from model.group_order import (
    COVERING_LATE,
    UNSURE,
    UNSURE_LATE,
    Entry,
    Line,
    RankConfig,
    discount_factors,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Candidate:
    """One image of the pool.

    `score` in [0, 1], higher = look sooner, None = no proposal yet. `position` is the image's place
    in its group's sequence (e.g. by file name), None = no sequence. `embedding` is a vector of any
    length, the same for all that have one. A `reviewed` image is never returned, but its group and
    its neighbors count as seen.
    """

    image: str
    group: str
    score: float | None = None
    position: int | None = None
    embedding: NDArray[np.float32] | None = None
    reviewed: bool = False
    regions: int = 0  # open review regions, told in the reason


@dataclass(frozen=True)
class Pick:
    """One place of the queue. `score` is the candidate's own, `why` for people."""

    image: str
    score: float | None
    why: str


def rank(
    candidates: Sequence[Candidate], k: int | None = None, config: RankConfig | None = None
) -> tuple[Pick, ...]:
    """The k images to look at next, best first.

    Images with a proposal come first, most uncertain first; each image of a group already ahead in
    the queue discounts its group, and near-duplicates of an image that is ahead or reviewed wait
    until everything else is out. Images without a proposal follow, ordered for coverage.

    Args:
        candidates: the pool, reviewed images included.
        k: length of the queue, None = all.
    """
    config = config or RankConfig()
    scored = [c for c in candidates if c.score is not None and not c.reviewed]
    fresh = [c for c in candidates if c.score is None and not c.reviewed]
    seen = [c for c in candidates if c.reviewed]
    queue = chain(
        _by_uncertainty(scored, seen, config), _by_coverage(fresh, [*seen, *scored], config)
    )
    return tuple(islice(queue, None if k is None else max(0, k)))


class _Likeness:
    """The embeddings of a pool."""

    def __init__(self, pool: Sequence[Candidate]) -> None:
        units = [_unit(c.embedding) for c in pool]
        known = [u for u in units if u is not None]
        self._matrix = (
            np.stack([known[0] * 0 if u is None else u for u in units]) if known else None
        )

    def to(self, candidate: Candidate) -> Floats | None:
        """(n,) cosines of the pool to a candidate; None where nothing can be compared."""
        unit = _unit(candidate.embedding)
        return None if unit is None or self._matrix is None else np.asarray(self._matrix @ unit)


def _unit(embedding: NDArray[np.float32] | None) -> Floats | None:
    if embedding is None:
        return None
    vector = np.asarray(embedding, np.float64).ravel()
    return vector / max(1e-12, float(np.linalg.norm(vector)))


def pick_of(candidate: Candidate, entry: Entry) -> Pick:
    """What an entry of `group_order` says about its candidate."""
    if entry.stage in (UNSURE, UNSURE_LATE):
        return _unsure(candidate, entry.stage == UNSURE_LATE)
    first, late = entry.key == 0, entry.stage == COVERING_LATE
    return Pick(candidate.image, None, _why_covers(candidate, first, late))


def _members(pool: Sequence[Candidate]) -> dict[str, list[int]]:
    """Places in the pool, by group."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, candidate in enumerate(pool):
        members[candidate.group].append(index)
    return dict(members)


def _placed(pool: Sequence[Candidate], indices: Iterable[int]) -> tuple[list[int], list[int]]:
    """Positions in the sequence, ascending, and the places in the pool they belong to."""
    found = [(place, i) for i in indices if (place := pool[i].position) is not None]
    found.sort()
    return [place for place, _ in found], [index for _, index in found]


def _by_uncertainty(
    pool: Sequence[Candidate], seen: Sequence[Candidate], config: RankConfig
) -> Iterator[Pick]:
    repeats = _Repeats(pool, config)
    for candidate in seen:
        repeats.see(candidate)
    heads = _Heads(pool, config.group_discount)
    heads.fill(range(len(pool)))
    later: list[int] = []
    while (chosen := heads.best()) is not None:
        if repeats.late[chosen]:
            heads.drop()
            later.append(chosen)
        else:
            yield _unsure(pool[chosen], False)
            heads.take()
            repeats.see(pool[chosen])
    heads.fill(later)
    while (chosen := heads.best()) is not None:
        yield _unsure(pool[chosen], True)
        heads.take()


class _Repeats:
    """Which candidates of a pool nearly repeat an image that was seen; once so, always so."""

    def __init__(self, pool: Sequence[Candidate], config: RankConfig) -> None:
        self.late = [False] * len(pool)
        self._config = config
        self._lines = {group: _placed(pool, own) for group, own in _members(pool).items()}
        self._likeness = _Likeness(pool)

    def see(self, candidate: Candidate) -> None:
        """Mark what nearly repeats an image that is ahead in the queue or reviewed."""
        place, gap = candidate.position, self._config.neighbor_gap
        line = self._lines.get(candidate.group)
        if place is not None and line is not None:
            places, indices = line
            for i in range(bisect_left(places, place - gap), bisect_right(places, place + gap)):
                self.late[indices[i]] = True
        cosines = self._likeness.to(candidate)
        if cosines is not None:
            for index in np.flatnonzero(cosines >= self._config.similarity):
                self.late[index] = True


class _Heads:
    """Candidates by group, the best of every group in a heap.

    Taking one discounts the rest of its group, which changes the worth of no other group's best.
    """

    def __init__(self, pool: Sequence[Candidate], discount: float) -> None:
        self._scores = [c.score or 0.0 for c in pool]
        self._groups = [c.group for c in pool]
        self._factors = discount_factors(discount, len(pool))
        self._taken = dict.fromkeys(self._groups, 0)
        self._rows: dict[str, list[int]] = {}
        self._heap: list[tuple[float, int, str]] = []

    def fill(self, indices: Iterable[int]) -> None:
        """Begin with these candidates; what was taken before still counts."""
        self._rows = defaultdict(list)
        for index in sorted(indices, key=lambda i: (self._scores[i], -i)):  # the best at the end
            self._rows[self._groups[index]].append(index)
        self._heap = [self._entry(group) for group in self._rows]
        heapq.heapify(self._heap)

    def best(self) -> int | None:
        """The candidate of the highest discounted score, the first of equals; None at the end."""
        return self._heap[0][1] if self._heap else None

    def take(self) -> None:
        """Put the best one into the queue."""
        self._taken[self._heap[0][2]] += 1
        self.drop()

    def drop(self) -> None:
        """Leave the best one out."""
        group = self._heap[0][2]
        self._rows[group].pop()
        if self._rows[group]:
            heapq.heapreplace(self._heap, self._entry(group))
        else:
            heapq.heappop(self._heap)

    def _entry(self, group: str) -> tuple[float, int, str]:
        index = self._rows[group][-1]
        return -self._scores[index] * self._factors[self._taken[group]], index, group


def _unsure(candidate: Candidate, late: bool) -> Pick:
    return Pick(candidate.image, candidate.score, _why_unsure(candidate, late))


def _why_unsure(candidate: Candidate, late: bool) -> str:
    score = candidate.score or 0.0
    places = {0: "no open place", 1: "1 place"}.get(candidate.regions)
    places = places or f"{candidate.regions} places"
    degree = "Very unsure" if score >= 0.5 else "Unsure" if score >= 0.15 else "Fairly sure"
    text = f"{degree} ({score:.2f}), {places} to check, group {candidate.group}"
    return f"{text}; much like an image that comes earlier or was reviewed" if late else text


def _by_coverage(
    pool: Sequence[Candidate], seen: Sequence[Candidate], config: RankConfig
) -> Iterator[Pick]:
    """Least seen group first; inside it the image least like everything seen."""
    order = _by_likeness if any(c.embedding is not None for c in pool) else _by_distance
    for chosen, first, late in order(pool, seen, config):
        yield Pick(pool[chosen].image, None, _why_covers(pool[chosen], first, late))


def _by_distance(
    pool: Sequence[Candidate], seen: Sequence[Candidate], config: RankConfig
) -> Iterator[tuple[int, bool, bool]]:
    """Place in the pool, whether its group is new, whether it nearly repeats an image seen."""
    known: dict[str, list[int]] = defaultdict(list)
    count: dict[str, int] = defaultdict(int)
    for candidate in seen:
        count[candidate.group] += 1
        if candidate.position is not None:
            known[candidate.group].append(candidate.position)
    members = _members(pool)
    lines = {group: _line(pool, own, known[group]) for group, own in members.items()}

    def entry(group: str) -> tuple[bool, int, float, float, int, str]:
        gap, middle, index = lines[group].farthest()
        return gap <= config.neighbor_gap, count[group], -gap, middle, index, group

    heap = [entry(group) for group in members]
    heapq.heapify(heap)
    while heap:
        late, ahead, _, _, index, group = heap[0]
        yield index, ahead == 0, late
        count[group] += 1
        if lines[group].take():
            heapq.heapreplace(heap, entry(group))
        else:
            heapq.heappop(heap)


def _line(pool: Sequence[Candidate], own: Sequence[int], seen: Sequence[int]) -> Line:
    unplaced = [index for index in own if pool[index].position is None]
    return Line(*_placed(pool, own), unplaced, seen)


def _by_likeness(
    pool: Sequence[Candidate], seen: Sequence[Candidate], config: RankConfig
) -> Iterator[tuple[int, bool, bool]]:
    """As `_by_distance`, where the likeness of embeddings comes before the distance."""
    state = _Pool(pool)
    for candidate in seen:
        state.see(candidate)
    left = np.ones(len(pool), np.bool_)
    while left.any():
        late = (state.gap <= config.neighbor_gap) | (state.cosine >= config.similarity)
        # np.lexsort: the last key counts most.
        keys = (state.from_middle, -state.gap, np.round(state.cosine, 6), state.count, late, ~left)
        chosen = int(np.lexsort(keys)[0])
        yield chosen, bool(state.count[chosen] == 0), bool(late[chosen])
        left[chosen] = False
        state.see(pool[chosen])


class _Pool:
    """Arrays over a pool: how near each candidate is to what has been seen."""

    def __init__(self, pool: Sequence[Candidate]) -> None:
        n = len(pool)
        self.gap = np.full(n, np.inf)  # distance in the sequence to the nearest seen image
        self.cosine = np.full(n, -1.0)  # similarity to the most similar seen image
        self.count = np.zeros(n, np.int64)  # images of the own group already seen
        self.from_middle = np.zeros(n)
        self._position = np.array(
            [np.nan if c.position is None else c.position for c in pool], np.float64
        )
        self._likeness = _Likeness(pool)
        self._members = {group: np.array(own) for group, own in _members(pool).items()}
        for own in self._members.values():
            place = self._position[own]
            if np.isfinite(place).any():
                self.from_middle[own] = np.nan_to_num(np.abs(place - np.nanmedian(place)))

    def see(self, candidate: Candidate) -> None:
        """Update distances and counts for an image that is ahead in the queue or reviewed."""
        own = self._members.get(candidate.group)
        if own is not None:
            self.count[own] += 1
            if candidate.position is not None:
                gap = np.abs(self._position[own] - candidate.position)
                self.gap[own] = np.fmin(self.gap[own], gap)
        cosines = self._likeness.to(candidate)
        if cosines is not None:
            self.cosine = np.maximum(self.cosine, cosines)


def _why_covers(candidate: Candidate, first: bool, late: bool) -> str:
    if first:
        return f"First image of group {candidate.group}: nothing like it was labeled yet"
    if late:
        return f"No proposal yet; much like an image that was seen, group {candidate.group}"
    return f"No proposal yet; least like the images seen so far in group {candidate.group}"
