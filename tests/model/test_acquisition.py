"""The queue's order on hand-made scores."""

from __future__ import annotations

import numpy as np

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
