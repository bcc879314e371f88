"""Which image next: coverage while there is no proposal, then uncertainty, spread over the groups.

Scores come from elsewhere (`uncertainty.image_score`); this module only orders them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class RankConfig:
    """How the queue is spread."""

    group_discount: float = 0.8  # factor on a group's scores for each image it already has ahead
    neighbor_gap: int = 1  # images this close in a sequence are near-duplicates
    similarity: float = 0.97  # so are embeddings whose cosine is at least this


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
    if k is not None and k <= 0:
        return ()
    scored = [c for c in candidates if c.score is not None and not c.reviewed]
    fresh = [c for c in candidates if c.score is None and not c.reviewed]
    seen = [c for c in candidates if c.reviewed]
    picks = _by_uncertainty(scored, seen, len(scored) if k is None else k, config)
    left = len(fresh) if k is None else k - len(picks)
    return (*picks, *_by_coverage(fresh, [*seen, *scored], left, config))


class _Pool:
    """Arrays of the open candidates, and how near each is to what has been seen."""

    def __init__(self, pool: Sequence[Candidate]) -> None:
        self.groups = np.array([c.group for c in pool], dtype=object)
        self.position = np.array(
            [np.nan if c.position is None else c.position for c in pool], np.float64
        )
        self.gap = np.full(len(pool), np.inf)  # distance in the sequence to the nearest seen image
        self.cosine = np.full(len(pool), -1.0)  # similarity to the most similar seen image
        self.count = np.zeros(len(pool), np.int64)  # images of the own group already seen
        self.unit = [_unit(c.embedding) for c in pool]
        known = [u for u in self.unit if u is not None]
        self.matrix = (
            np.stack([known[0] * 0 if u is None else u for u in self.unit]) if known else None
        )

    def see(self, candidate: Candidate) -> None:
        """Update distances and counts for an image that is ahead in the queue or reviewed."""
        same = self.groups == candidate.group
        self.count[same] += 1
        if candidate.position is not None:
            gap = np.abs(self.position[same] - candidate.position)
            self.gap[same] = np.fmin(self.gap[same], gap)
        unit = _unit(candidate.embedding)
        if unit is not None and self.matrix is not None:
            self.cosine = np.maximum(self.cosine, self.matrix @ unit)

    def duplicates(self, config: RankConfig) -> NDArray[np.bool_]:
        """(n,) True where an image nearly repeats one that has been seen."""
        return np.asarray((self.gap <= config.neighbor_gap) | (self.cosine >= config.similarity))


def _unit(embedding: NDArray[np.float32] | None) -> Floats | None:
    if embedding is None:
        return None
    vector = np.asarray(embedding, np.float64).ravel()
    return vector / max(1e-12, float(np.linalg.norm(vector)))


def _by_uncertainty(
    pool: Sequence[Candidate], seen: Sequence[Candidate], k: int, config: RankConfig
) -> list[Pick]:
    if not pool:
        return []
    state = _Pool(pool)
    for candidate in seen:
        state.see(candidate)
    # Reviewed images make duplicates, but only the queue itself discounts a group.
    state.count[:] = 0
    scores = np.array([c.score for c in pool], np.float64)
    left = np.ones(len(pool), np.bool_)
    picks: list[Pick] = []
    while left.any() and len(picks) < k:
        value = scores * config.group_discount**state.count
        late = state.duplicates(config)
        open_now = left & ~late if (left & ~late).any() else left
        chosen = int(np.argmax(np.where(open_now, value, -np.inf)))
        candidate = pool[chosen]
        picks.append(
            Pick(candidate.image, candidate.score, _why_unsure(candidate, bool(late[chosen])))
        )
        left[chosen] = False
        state.see(candidate)
    return picks


def _why_unsure(candidate: Candidate, late: bool) -> str:
    score = candidate.score or 0.0
    places = {0: "no open place", 1: "1 place"}.get(candidate.regions)
    places = places or f"{candidate.regions} places"
    degree = "Very unsure" if score >= 0.5 else "Unsure" if score >= 0.15 else "Fairly sure"
    text = f"{degree} ({score:.2f}), {places} to check, group {candidate.group}"
    return f"{text}; much like an image that comes earlier or was reviewed" if late else text


def _by_coverage(
    pool: Sequence[Candidate], seen: Sequence[Candidate], k: int, config: RankConfig
) -> list[Pick]:
    """Least seen group first; inside it the image least like everything seen."""
    if not pool:
        return []
    state = _Pool(pool)
    for candidate in seen:
        state.see(candidate)
    from_middle = _from_middle(state)
    left = np.ones(len(pool), np.bool_)
    picks: list[Pick] = []
    while left.any() and len(picks) < k:
        late = state.duplicates(config)
        open_now = left & ~late if (left & ~late).any() else left
        # np.lexsort: the last key counts most.
        gap = np.where(np.isfinite(state.gap), state.gap, 1e18)
        order = np.lexsort((from_middle, -gap, np.round(state.cosine, 6), state.count, ~open_now))
        chosen = int(order[0])
        first = state.count[chosen] == 0
        candidate = pool[chosen]
        picks.append(
            Pick(candidate.image, None, _why_covers(candidate, bool(first), bool(late[chosen])))
        )
        left[chosen] = False
        state.see(candidate)
    return picks


def _from_middle(state: _Pool) -> Floats:
    """Distance from the middle of the own sequence: where a first look at a group should start."""
    distance = np.zeros(len(state.position))
    for group in dict.fromkeys(state.groups.tolist()):
        same = state.groups == group
        if np.isfinite(state.position[same]).any():
            distance[same] = np.abs(state.position[same] - np.nanmedian(state.position[same]))
    return np.nan_to_num(distance)


def _why_covers(candidate: Candidate, first: bool, late: bool) -> str:
    if first:
        return f"First image of group {candidate.group}: nothing like it was labeled yet"
    if late:
        return f"No proposal yet; much like an image that was seen, group {candidate.group}"
    return f"No proposal yet; least like the images seen so far in group {candidate.group}"
