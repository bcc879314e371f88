"""Which image next: coverage in the first rounds, then uncertainty, stratified and noisy.

A strategy is a small object with `rank(candidates, k)`; `STRATEGIES` has them by name. Scores,
clusters and chances of animals come from elsewhere; this module only orders.

The queue is ordered anew at every click, so nothing here looks at the whole pool for each place of
it: see `model.group_order` and `model.ranking`.

Sources: foreground-aware random sampling is hard to beat (nnActive, arXiv:2511.19183); what does so
is class-stratified sampling by entropy with noise that falls (ClaSP-PE, arXiv:2601.13677).
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import Protocol

from model.group_order import (
    COVERING,
    COVERING_LATE,
    UNSURE,
    UNSURE_LATE,
    Entry,
    GroupOrder,
    Look,
    RankConfig,
)
from model.ranking import Ranking

VERIFIED = 10  # images that coverage looks for before uncertainty decides
NOISE = 0.5  # scale of the noise on the logarithm of a score in the first round; then halved


@dataclass(frozen=True)
class Candidate:
    """One image of the pool.

    `score` in [0, 1], higher = look sooner, None = no proposal yet. `position` orders the images of
    a group (e.g. by file name); neighbors in that order may be near-duplicates. `categories` are
    those its proposal holds. `cluster` is the kind of picture it is, `foreground` the chance in
    [0, 1] that animals are visible, None = unknown. A `reviewed` image is never returned, but it
    counts as seen. Of equals the lower `number`, then the lower id comes first.
    """

    image: str
    group: str
    score: float | None = None
    position: int = 0
    reviewed: bool = False
    regions: int = 0  # open review regions, told in the reason
    categories: tuple[str, ...] = ()
    cluster: int | None = None
    foreground: float | None = None
    number: int = 0


@dataclass(frozen=True)
class Pick:
    """One place of the queue. `score` is the candidate's own, `why` for people."""

    image: str
    score: float | None
    why: str


class Strategy(Protocol):
    """Orders a pool."""

    def rank(self, candidates: Sequence[Candidate], k: int | None = None) -> tuple[Pick, ...]:
        """The k images to look at next, best first, None = all; reviewed ones never.

        The order of `candidates` decides nothing.
        """
        ...


@dataclass(frozen=True)
class Strata:
    """Categories that take turns, the rarest first: an image belongs to its rarest one."""

    categories: tuple[str, ...] = ()

    @classmethod
    def of(cls, images: Mapping[str, int]) -> Strata:
        """The strata of a pool: category -> number of images whose proposal holds it.

        Rarity counts in powers of two, so that one image more hardly ever changes the order.
        """
        held = (category for category, count in images.items() if count > 0)
        return cls(tuple(sorted(held, key=lambda one: (images[one].bit_length(), one))))

    def lane(self, categories: Sequence[str]) -> int:
        """The stratum of an image; without any animal it competes with the most usual ones."""
        if len(self.categories) < 2:
            return 0
        held = (n for n, one in enumerate(self.categories) if one in categories)
        return next(held, len(self.categories) - 1)

    def turn(self, lane: int) -> str:
        """The category whose turn a lane is, "" where none take turns."""
        return self.categories[lane] if lane >= 0 and len(self.categories) > 1 else ""


@dataclass(frozen=True)
class Grouped:
    """A strategy whose order can follow single changes, group by group.

    `cover` orders every image for coverage. `strata` = categories take turns. `noise` is the scale
    of Gumbel noise on the logarithm of scores, the same for an image and `seed` always.
    """

    cover: bool = False
    strata: bool = True
    noise: float = 0.0
    seed: str = ""
    config: RankConfig = field(default_factory=RankConfig)

    def rank(self, candidates: Sequence[Candidate], k: int | None = None) -> tuple[Pick, ...]:
        """See `Strategy`; what was ordered by following changes is in the same order."""
        pool = sorted(candidates, key=lambda one: (one.number, one.image))
        strata = Strata.of(_counts(pool))
        members: dict[str, list[int]] = defaultdict(list)
        for index, one in enumerate(pool):
            members[one.group].append(index)
        ranking = Ranking()
        for own in members.values():
            own.sort(key=lambda index: (pool[index].position, index))
        ranking.replace(
            {
                name: self.order(own, [self.look(pool[index], strata) for index in own])
                for name, own in members.items()
            }
        )
        best = islice(ranking.after(), None if k is None else max(0, k))
        return tuple(pick_of(pool[one.number], one, self._turn(strata, one)) for one in best)

    def _turn(self, strata: Strata, entry: Entry) -> str:
        return strata.turn(entry.lane) if self.strata else ""

    def order(self, numbers: Sequence[int], looks: Sequence[Look]) -> GroupOrder:
        """The order of one group, whose images are given along its sequence."""
        return GroupOrder(numbers, looks, self.config, self.cover)

    def look(self, candidate: Candidate, strata: Strata) -> Look:
        """What the place of a candidate depends on."""
        one = candidate
        seen = one.reviewed, one.cluster, one.foreground
        return self.look_of(one.image, one.score, strata.lane(one.categories), *seen)

    def look_of(
        self,
        image: str,
        score: float | None,
        lane: int,
        reviewed: bool,
        cluster: int | None,
        foreground: float | None,
    ) -> Look:
        """As `look`, of the fields of a candidate and its stratum; quick, for a whole project."""
        if score is not None and self.noise and not self.cover:
            score *= math.exp(self.noise * _gumbel(f"{self.seed}/{image}"))
        empty = self.config.is_empty(foreground)
        return Look(score, reviewed, lane if self.strata else 0, cluster, empty)


@dataclass(frozen=True)
class StratifiedRandom:
    """Groups take turns at random, images that probably show animals first."""

    seed: str = ""
    config: RankConfig = field(default_factory=RankConfig)

    def rank(self, candidates: Sequence[Candidate], k: int | None = None) -> tuple[Pick, ...]:
        """See `Strategy`."""
        drawn = sorted(
            (one for one in candidates if not one.reviewed),
            key=lambda one: (self._empty(one), _uniform(f"{self.seed}/{one.image}")),
        )
        turns = Counter(one.group for one in candidates if one.reviewed)
        order = []
        for place, one in enumerate(drawn):
            order.append((self._empty(one), turns[one.group], place))
            turns[one.group] += 1
        best = sorted(order)[: None if k is None else max(0, k)]
        return tuple(self._pick(drawn[place]) for _, _, place in best)

    def _empty(self, one: Candidate) -> bool:
        return self.config.is_empty(one.foreground)

    @staticmethod
    def _pick(one: Candidate) -> Pick:
        return Pick(one.image, one.score, f"Drawn at random from group {one.group}")


@dataclass(frozen=True)
class Adaptive:
    """Coverage first, then stratified noisy uncertainty; see `in_force`.

    `rounds` counts the model versions that were ever promoted.
    """

    rounds: int = 0
    seed: int = 0

    def rank(self, candidates: Sequence[Candidate], k: int | None = None) -> tuple[Pick, ...]:
        """See `Strategy`."""
        verified = sum(one.reviewed for one in candidates)
        return in_force(verified, self.rounds, self.seed).rank(candidates, k)


def coverage() -> Grouped:
    """Every group and every kind of picture once before any of them twice; scores do not count."""
    return Grouped(cover=True)


def noisy_entropy(rounds: int, seed: int = 0) -> Grouped:
    """The most uncertain first, categories in turn; noise is halved with every further round."""
    noise = NOISE * 0.5 ** max(0, rounds - 1)
    return Grouped(noise=noise, seed=f"{seed}/{rounds}")


def plain_entropy() -> Grouped:
    """By score alone: no strata, no noise, near-duplicates as they come."""
    config = RankConfig(group_discount=1.0, neighbor_gap=0, alike_gap=0)
    return Grouped(strata=False, config=config)


def in_force(verified: int, rounds: int, seed: int = 0) -> Grouped:
    """The rule: coverage until `VERIFIED` images are verified and a version was promoted."""
    if verified < VERIFIED or rounds < 1:
        return coverage()
    return noisy_entropy(rounds, seed)


def rule_in_words(verified: int, rounds: int) -> str:
    """Which strategy is in force and why, for people."""
    if in_force(verified, rounds).cover:
        return (
            "Coverage: every group and every kind of picture comes before a second one like it,"
            f" until {VERIFIED} images are verified and a model version is promoted"
            f" (now {verified} and {rounds})."
        )
    return (
        f"Uncertainty, round {rounds}: the images the model is least sure of, categories in turn,"
        f" with some chance that falls with every round ({verified} images are verified)."
    )


# Name -> the strategy for a seed and the number of versions promoted so far.
STRATEGIES: Mapping[str, Callable[[int, int], Strategy]] = MappingProxyType(
    {
        "random": lambda seed, rounds: StratifiedRandom(f"{seed}/{rounds}"),
        "entropy": lambda seed, rounds: plain_entropy(),
        "coverage": lambda seed, rounds: coverage(),
        "noisy entropy": lambda seed, rounds: noisy_entropy(rounds, seed),
        "adaptive": lambda seed, rounds: Adaptive(rounds, seed),
    }
)


def pick_of(candidate: Candidate, entry: Entry, turn: str = "") -> Pick:
    """What an entry says about its candidate; `turn` names the category whose turn it is."""
    if entry.stage in (UNSURE, UNSURE_LATE):
        why = _why_unsure(candidate, entry.stage == UNSURE_LATE, turn)
    else:
        why = _why_covers(candidate, entry)
    return Pick(candidate.image, candidate.score, why)


def _counts(pool: Iterable[Candidate]) -> Counter[str]:
    return Counter(category for one in pool for category in set(one.categories))


def _why_unsure(candidate: Candidate, late: bool, turn: str) -> str:
    score = candidate.score or 0.0
    places = {0: "no open place", 1: "1 place"}.get(candidate.regions)
    places = places or f"{candidate.regions} places"
    degree = "Very unsure" if score >= 0.5 else "Unsure" if score >= 0.15 else "Fairly sure"
    text = f"{degree} ({score:.2f}), {places} to check, group {candidate.group}"
    if turn:
        text = f"{text}, the turn of {turn}"
    return f"{text}; much like an image that comes earlier or was reviewed" if late else text


def _why_covers(candidate: Candidate, entry: Entry) -> str:
    group = f"group {candidate.group}"
    if entry.stage == COVERING_LATE:
        return f"To cover {group}; much like an image that comes earlier or was reviewed"
    animals = ""
    if RankConfig().is_empty(candidate.foreground):
        animals = "; probably no animal in it"
        animals += ", which shows the ground" if entry.stage == COVERING else ""
    if entry.key == 0:
        return f"First image of {group}: nothing like it was labeled yet{animals}"
    if entry.alike == 0:
        return f"A kind of picture that {group} has not shown yet{animals}"
    return f"To cover {group}: least like what was seen of it so far{animals}"


def _uniform(text: str) -> float:
    """A number in (0, 1) that belongs to a text."""
    digest = hashlib.blake2b(text.encode(), digest_size=7).digest()
    return (int.from_bytes(digest, "big") + 0.5) / 2**56


def _gumbel(text: str) -> float:
    return -math.log(-math.log(_uniform(text)))
