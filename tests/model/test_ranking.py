"""Following single changes gives the queue that is ranked from nothing."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from model.acquisition import Candidate, Grouped, Strata, pick_of
from model.group_order import Entry, RankConfig
from model.ranking import Ranking

STRATA = Strata(("bull", "calf", "cow"))


class Followed:
    """A pool whose order follows its changes."""

    def __init__(self, dice: random.Random, size: int, groups: str, strategy: Grouped) -> None:
        self.dice, self.strategy, self.ranking = dice, strategy, Ranking()
        self.pool = [Candidate(f"i{n}", dice.choice(groups), number=n) for n in range(size)]
        members = {
            group: [n for n, c in enumerate(self.pool) if c.group == group] for group in groups
        }
        for own in members.values():
            for place, n in enumerate(own):
                self.pool[n] = replace(self.dealt(self.pool[n]), position=place)
        self.orders = {
            group: strategy.order(own, [strategy.look(self.pool[n], STRATA) for n in own])
            for group, own in members.items()
        }
        self.ranking.replace(self.orders)

    def dealt(self, one: Candidate) -> Candidate:
        dice = self.dice
        return replace(
            one,
            score=None if dice.random() < 0.3 else round(dice.random(), dice.choice([1, 3])),
            reviewed=dice.random() < 0.2,
            categories=tuple(c for c in STRATA.categories if dice.random() < 0.4),
            cluster=dice.choice([None, 0, 0, 1]),
            foreground=dice.choice([None, 0.1, 0.9]),
        )

    def change(self) -> None:
        n = self.dice.randrange(len(self.pool))
        one = self.pool[n] = self.dealt(self.pool[n])
        lanes = self.orders[one.group].put(one.position, self.strategy.look(one, STRATA))
        self.ranking.changed(lanes)

    def ranked(self) -> list[str]:
        """From nothing, with the strata that are in force."""
        fresh = Ranking()
        members = {g: [n for n, c in enumerate(self.pool) if c.group == g] for g in self.orders}
        fresh.replace(
            {
                g: self.strategy.order(own, [self.strategy.look(self.pool[n], STRATA) for n in own])
                for g, own in members.items()
            }
        )
        return self.told(list(fresh.after()))

    def told(self, entries: list[Entry]) -> list[str]:
        return [str(pick_of(self.pool[entry.number], entry)) for entry in entries]


@pytest.mark.parametrize("cover", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_following_changes_is_ranking_from_nothing(seed: int, cover: bool) -> None:
    dice = random.Random(seed)
    config = RankConfig(neighbor_gap=dice.randrange(3), alike_gap=dice.randrange(5))
    strategy = Grouped(cover=cover, strata=seed % 3 > 0, noise=0.2, seed="s", config=config)
    followed = Followed(dice, dice.randint(1, 60), "abcd"[: 1 + seed % 4], strategy)
    for _ in range(12):
        followed.change()
        entries = followed.ranking.after()
        some = [next(entries, None) for _ in range(dice.choice([0, 1, 5]))]
        right = followed.ranked()
        assert followed.told([one for one in some if one]) == right[: len(some)]
        if dice.random() < 0.5:
            assert followed.told(list(followed.ranking.after())) == right


@pytest.mark.parametrize("cover", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_every_step_back_and_forth_follows_the_queue(seed: int, cover: bool) -> None:
    dice = random.Random(seed)
    strategy = Grouped(cover=cover, strata=seed % 3 > 0)
    followed = Followed(dice, 40, "abcd"[: 1 + seed % 4], strategy)
    ranking, queue = followed.ranking, list(followed.ranking.after())
    if seed % 2:  # a step is right also where nothing was computed before
        followed.change()
        queue = list(ranking.after())
        followed.ranking.replace(followed.orders)
    pairs = list(pairwise(queue))
    dice.shuffle(pairs)
    for one, other in pairs:
        assert next(ranking.after(one)) == other
        assert ranking.before(other) == one
    if queue:
        assert ranking.before(queue[0]) is None
        assert next(ranking.after(queue[-1]), None) is None
        place = dice.randrange(len(queue))
        assert list(ranking.after(queue[place])) == queue[place + 1 :]
        one = followed.pool[queue[place].number]
        assert followed.orders[one.group].entry(one.position) == queue[place]


def test_a_discount_that_vanishes_keeps_the_order() -> None:
    scores = [0.1, 0.9, 0.5] * 2000  # 0.8 ** 3400 is 0
    pool = [
        Candidate(f"{group}{n}", group, score, n, number=n + len(scores) * (group == "h"))
        for group in "gh"
        for n, score in enumerate(scores)
    ]
    strategy = Grouped(config=RankConfig(neighbor_gap=0))
    ranked = [pick.image for pick in strategy.rank(pool)]
    ranking = Ranking()
    ranking.replace(
        {
            group: strategy.order(
                [one.number for one in pool if one.group == group],
                [strategy.look(one, Strata()) for one in pool if one.group == group],
            )
            for group in "gh"
        }
    )
    queue = list(ranking.after())
    assert [pool[entry.number].image for entry in queue] == ranked
    for one, other in list(pairwise(queue))[::101]:
        assert next(ranking.after(one)) == other
        assert ranking.before(other) == one


def test_strata_have_equal_shares_of_the_front() -> None:
    dice = random.Random(0)
    followed = Followed(dice, 600, "abcd", Grouped(config=RankConfig(neighbor_gap=0, alike_gap=0)))
    lanes = [entry.lane for entry in followed.ranking.after()][:60]
    assert Counter(lanes) == {0: 20, 1: 20, 2: 20}


def test_near_duplicates_are_capped_at_the_front() -> None:
    """Of frames that all look alike no two within reach of each other come in the first stage."""
    pool = [Candidate(f"i{n}", "g", 0.5 + n / 1000, n, cluster=n // 50) for n in range(200)]
    config = RankConfig(alike_gap=4)
    for cover in (False, True):
        picks = Grouped(cover=cover, config=config).rank(pool)
        front = [int(p.image[1:]) for p in picks if "much like" not in p.why]
        places = sorted(front)
        assert all(b - a > 4 or a // 50 != b // 50 for a, b in pairwise(places))
        assert len(front) <= 200 / 5 + 4
