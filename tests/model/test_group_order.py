"""The groups' orders, merged, are the queue."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from model.acquisition import Candidate, RankConfig, pick_of, rank
from model.group_order import GroupOrder, merged


@pytest.mark.parametrize("seed", range(60))
def test_merged_orders_are_the_queue(seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = RankConfig(neighbor_gap=int(rng.integers(0, 4)))
    fresh, done = rng.random(2)
    pool: list[Candidate] = []
    places = dict.fromkeys("abcde", 0)
    for n in range(int(rng.integers(1, 120))):
        group = str(rng.choice(list("abcde")[: 1 + seed % 5]))
        # Rounded, so that there are equals.
        score = None if rng.random() < fresh else round(float(rng.random()), seed % 3)
        reviewed = bool(rng.random() < done / 2)
        pool.append(Candidate(f"i{n}", group, score, places[group], reviewed=reviewed, regions=n))
        places[group] += 1
    turned = dict(enumerate(rng.permutation(len(pool)).tolist()))  # numbers need not ascend
    listed = [pool[index] for index, _ in sorted(turned.items(), key=lambda pair: pair[1])]
    orders = []
    for group in places:
        own = [(turned[index], one) for index, one in enumerate(pool) if one.group == group]
        numbers, members = [number for number, _ in own], [one for _, one in own]
        scores, reviewed_ = [one.score for one in members], [one.reviewed for one in members]
        orders.append(GroupOrder(numbers, scores, reviewed_, config))
    picks = [pick_of(listed[entry.number], entry) for entry in merged(orders)]
    assert picks == list(rank(listed, None, config))


def test_a_discount_that_vanishes_keeps_the_order() -> None:
    scores = [0.1, 0.9, 0.5] * 2000  # 0.8 ** 3400 is 0
    pool = [Candidate(f"i{n}", "g", score, 3 * n) for n, score in enumerate(scores)]
    pool += [Candidate(f"j{n}", "h", score, 3 * n) for n, score in enumerate(scores)]
    by_id = {one.image: one for one in pool}
    config = RankConfig(neighbor_gap=0)
    ranked = rank(pool, None, config)
    numbers = range(len(scores)), range(len(scores), 2 * len(scores))
    orders = [GroupOrder(own, scores, [False] * len(scores), config) for own in numbers]
    queue = list(merged(orders))
    assert [pool[entry.number] for entry in queue] == [by_id[pick.image] for pick in ranked]
    for one, other in list(pairwise(queue))[::101]:
        assert next(merged(orders, one)) == other
        assert max(filter(None, (order.before(other) for order in orders))) == one
