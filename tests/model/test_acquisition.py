"""The queue's order on hand-made scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from model.acquisition import Candidate, RankConfig, rank


def order(candidates: list[Candidate], k: int | None = None, **config: float) -> list[str]:
    return [pick.image for pick in rank(candidates, k, RankConfig(**config))]


def test_the_most_uncertain_comes_first_also_with_k_1() -> None:
    pool = [Candidate("low", "g", 0.1), Candidate("high", "g", 0.9), Candidate("mid", "g", 0.5)]
    assert order(pool) == ["high", "mid", "low"]
    assert order(pool, 1) == ["high"]
    assert order(pool, 0) == []
    assert order([]) == []


def test_groups_share_the_queue() -> None:
    a = [Candidate(f"a{n}", "A", s) for n, s in enumerate((0.9, 0.88, 0.86))]
    b = [Candidate("b0", "B", 0.75)]
    # a1 is discounted to .88 x .8 = .704 < .75; then a1 before a2 (.86 x .64)
    assert order([*a, *b]) == ["a0", "b0", "a1", "a2"]
    assert order([*a, *b], group_discount=1.0) == ["a0", "a1", "a2", "b0"]


def test_neighbors_in_a_sequence_wait_for_the_others() -> None:
    pool = [Candidate(f"f{n}", "A", s, n) for n, s in enumerate((0.5, 0.9, 0.8, 0.2, 0.1))]
    # f1 leads; f0 and f2 repeat it; f3 then bars f4
    assert order(pool) == ["f1", "f3", "f2", "f0", "f4"]
    other = [Candidate("x", "B", 0.05, 1), *pool]
    assert order(other)[:3] == ["f1", "f3", "x"]


def test_neighbors_of_reviewed_images_wait() -> None:
    pool = [
        Candidate("done", "A", 1.0, 5, reviewed=True),
        Candidate("next", "A", 0.9, 6),
        Candidate("far", "A", 0.2, 9),
    ]
    picks = rank(pool)
    assert [pick.image for pick in picks] == ["far", "next"]
    assert "much like" in picks[1].why
    assert "much like" not in picks[0].why


def test_near_identical_embeddings_wait() -> None:
    one, same, other = (np.array(v, np.float32) for v in ([1, 0], [5, 0.01], [0, 2]))
    pool = [
        Candidate("one", "A", 0.9, embedding=one),
        Candidate("same", "B", 0.8, embedding=same),
        Candidate("other", "C", 0.1, embedding=other),
        Candidate("bare", "D", 0.05),
    ]
    assert order(pool) == ["one", "other", "bare", "same"]


def test_without_proposals_every_group_is_covered_first() -> None:
    pool = [Candidate(f"{g}{n}", g, None, n) for g in "AB" for n in range(9)]
    queue = order(pool)
    # the middle of each sequence, then the ends
    assert queue[:2] == ["A4", "B4"]
    assert set(queue[2:6]) == {"A0", "A8", "B0", "B8"}
    assert sorted(queue) == sorted(c.image for c in pool)


def test_coverage_keeps_away_from_what_was_reviewed() -> None:
    pool = [Candidate(f"f{n}", "A", None, n, reviewed=n == 0) for n in range(6)]
    assert order(pool, 1) == ["f5"]
    pool.append(Candidate("new", "B", None, 0))
    assert order(pool, 1) == ["new"]


def test_coverage_by_embedding_takes_the_least_similar() -> None:
    vectors = {"seen": [1, 0], "near": [0.9, 0.3], "away": [0, 1]}
    pool = [
        Candidate(k, "A", embedding=np.array(v, np.float32), reviewed=k == "seen")
        for k, v in vectors.items()
    ]
    assert order(pool) == ["away", "near"]


def test_images_with_a_proposal_come_before_those_without() -> None:
    pool = [Candidate("fresh", "B"), Candidate("scored", "A", 0.01)]
    assert order(pool) == ["scored", "fresh"]


def test_every_pick_says_why() -> None:
    pool = [Candidate("a", "barn", 0.7, regions=1), Candidate("b", "barn"), Candidate("c", "yard")]
    why = {pick.image: pick.why for pick in rank(pool)}
    assert why["a"] == "Very unsure (0.70), 1 place to check, group barn"
    assert "First image of group yard" in why["c"]
    assert "No proposal yet" in why["b"]


def gap(one: Candidate, seen: Sequence[Candidate]) -> float:
    """Distance to the nearest seen image of the same sequence."""
    places = [s.position for s in seen if s.group == one.group and s.position is not None]
    if one.position is None:
        return math.inf
    return min((float(abs(one.position - p)) for p in places), default=math.inf)


def cosine(one: Candidate, seen: Sequence[Candidate]) -> float:
    """Likeness to the most similar seen image; a pool with embeddings has them all here."""
    if one.embedding is None:
        return -1.0
    units = [s.embedding / np.linalg.norm(s.embedding) for s in seen if s.embedding is not None]
    own = one.embedding / np.linalg.norm(one.embedding)
    return max((float(own @ unit) for unit in units), default=-1.0)


def by_the_rule(pool: Sequence[Candidate], config: RankConfig) -> list[str]:
    """The order of the queue, every distance computed anew for every place of it."""
    factor = config.group_discount ** np.arange(len(pool) + 1)
    seen = [c for c in pool if c.reviewed]
    ahead: list[Candidate] = []
    scored = [c for c in pool if c.score is not None and not c.reviewed]
    fresh = [c for c in pool if c.score is None and not c.reviewed]
    queue = []

    def late(c: Candidate) -> bool:
        return gap(c, seen) <= config.neighbor_gap or cosine(c, seen) >= config.similarity

    def pick(left: list[Candidate], key) -> None:
        best = min(left, key=key)  # the first of equals
        left.remove(best)
        queue.append(best.image)
        seen.append(best)
        ahead.append(best)

    left = list(scored)
    while left:
        pick(left, lambda c: (late(c), -c.score * factor[sum(a.group == c.group for a in ahead)]))
    # Coverage holds everything with a proposal for seen, whatever its place in the queue.
    middles = {
        g: np.median([c.position for c in fresh if c.group == g and c.position is not None] or [0])
        for g in {c.group for c in fresh}
    }
    left = list(fresh)
    while left:
        pick(
            left,
            lambda c: (
                late(c),
                sum(s.group == c.group for s in seen),
                round(cosine(c, seen), 6),
                -gap(c, seen),
                0.0 if c.position is None else abs(c.position - middles[c.group]),
            ),
        )
    return queue


@pytest.mark.parametrize("seed", range(40))
def test_the_queue_follows_the_rule_on_random_pools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(6, 3)).astype(np.float32)
    fresh, done, placed, alike = rng.random(4)
    pool = [
        Candidate(
            image=f"i{n}",
            group=str(rng.choice(list("ABCD")[: 1 + seed % 4])),
            # Rounded and close together, so that there are equals.
            score=None if rng.random() < fresh else round(float(rng.random()), seed % 3 + 1),
            position=int(rng.integers(0, 40)) if rng.random() < placed + 0.5 else None,
            embedding=vectors[rng.integers(6)] if seed % 2 and alike > 0.3 else None,
            reviewed=bool(rng.random() < done / 2),
        )
        for n in range(50)
    ]
    config = RankConfig(neighbor_gap=int(rng.integers(0, 4)))
    expected = by_the_rule(pool, config)
    assert [pick.image for pick in rank(pool, None, config)] == expected
    assert [pick.image for pick in rank(pool, 7, config)] == expected[:7]


@pytest.mark.parametrize("groups", [1, 20, 10_000])
@pytest.mark.parametrize("proposed", [True, False])
def test_ten_thousand_images_are_ordered_at_once(groups: int, proposed: bool) -> None:
    rng = np.random.default_rng(0)
    pool = [
        Candidate(f"i{n}", f"g{n % groups}", score if proposed else None, n // groups)
        for n, score in enumerate(rng.random(10_000).tolist())
    ]
    assert len(rank(pool)) == len(pool)  # quadratic work would take minutes
