"""The queue's order on hand-made scores, and by the rule on random pools."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.acquisition import (
    STRATEGIES,
    VERIFIED,
    Adaptive,
    Candidate,
    Grouped,
    Strata,
    Strategy,
    coverage,
    in_force,
    noisy_entropy,
    rule_in_words,
)
from model.group_order import RankConfig

QUIET = Grouped()  # strata, no noise


def order(pool: list[Candidate], strategy: Strategy = QUIET, k: int | None = None) -> list[str]:
    return [pick.image for pick in strategy.rank(pool, k)]


def test_the_most_uncertain_comes_first_also_with_k_1() -> None:
    pool = [
        Candidate("low", "g", 0.1, 0),
        Candidate("high", "g", 0.9, 2),
        Candidate("mid", "h", 0.5, 4),
    ]
    assert order(pool) == ["high", "mid", "low"]
    assert order(pool, k=1) == ["high"]
    assert order(pool, k=0) == []
    assert order([]) == []


def test_groups_share_the_queue() -> None:
    a = [Candidate(f"a{n}", "A", s, n) for n, s in enumerate((0.9, 0.88, 0.86))]
    b = [Candidate("b0", "B", 0.75)]
    config = RankConfig(neighbor_gap=0)
    # a1 is discounted to .88 x .8 = .704 < .75; then a1 before a2 (.86 x .64)
    assert order([*a, *b], Grouped(config=config)) == ["a0", "b0", "a1", "a2"]
    even = Grouped(config=replace(config, group_discount=1.0))
    assert order([*a, *b], even) == ["a0", "a1", "a2", "b0"]


def test_neighbors_in_a_sequence_wait_for_the_others() -> None:
    pool = [Candidate(f"f{n}", "A", s, n) for n, s in enumerate((0.5, 0.9, 0.8, 0.2, 0.1))]
    # f1 leads; f0 and f2 repeat it; f3 then bars f4
    assert order(pool) == ["f1", "f3", "f2", "f0", "f4"]
    other = [Candidate("x", "B", 0.05, 1), *pool]
    assert order(other)[:3] == ["f1", "f3", "x"]


def test_neighbors_that_look_different_do_not_wait() -> None:
    pool = [Candidate(f"f{n}", "A", 0.9 - n / 10, n, cluster=n % 2) for n in range(6)]
    # f0 bars f2 and f4, which look like it; f1 bars f3 and f5
    assert order(pool) == ["f0", "f1", "f2", "f3", "f4", "f5"]
    late = [pick.image for pick in QUIET.rank(pool) if "much like" in pick.why]
    assert late == ["f2", "f3", "f4", "f5"]


def test_neighbors_of_reviewed_images_wait() -> None:
    pool = [
        Candidate("done", "A", 1.0, 5, reviewed=True),
        Candidate("next", "A", 0.9, 6),
        Candidate("far", "A", 0.2, 9),
    ]
    picks = QUIET.rank(pool)
    assert [pick.image for pick in picks] == ["far", "next"]
    assert "much like" in picks[1].why
    assert "much like" not in picks[0].why


def test_categories_take_turns_the_rarest_first() -> None:
    cows = [Candidate(f"cow{n}", f"g{n}", 0.9 - n / 100, categories=("cow",)) for n in range(8)]
    calf = Candidate("calf", "g9", 0.1, categories=("calf", "cow"))
    assert order([*cows, calf])[:2] == ["calf", "cow0"]
    plain = order([*cows, calf], STRATEGIES["entropy"](0, 1))
    assert plain[-1] == "calf"
    assert Strata.of({"cow": 9, "calf": 1}).lane(()) == 1  # no animal: with the most usual


def test_every_group_is_covered_first() -> None:
    pool = [Candidate(f"{g}{n}", g, None, n) for g in "AB" for n in range(9)]
    for strategy in (coverage(), QUIET):  # without proposals there is nothing else to go by
        queue = order(pool, strategy)
        # the middle of each sequence, then the ends
        assert queue[:2] == ["A4", "B4"]
        assert set(queue[2:6]) == {"A0", "A8", "B0", "B8"}
        assert sorted(queue) == sorted(c.image for c in pool)


def test_coverage_keeps_away_from_what_was_reviewed() -> None:
    pool = [Candidate(f"f{n}", "A", 0.5, n, reviewed=n == 0) for n in range(6)]
    assert order(pool, coverage(), 1) == ["f5"]
    pool.append(Candidate("new", "B"))
    assert order(pool, coverage(), 1) == ["new"]


def test_coverage_shows_every_kind_of_picture_before_a_second_one() -> None:
    pool = [Candidate(f"f{n}", "A", None, n, cluster=int(n > 6)) for n in range(9)]
    first, second, third, *_ = coverage().rank(pool)
    assert {first.image[1] > "6", second.image[1] > "6"} == {True, False}
    assert "First image" in first.why
    assert "kind of picture" in second.why
    assert "To cover" in third.why


def test_images_that_probably_show_animals_come_before_empty_ones() -> None:
    pool = [
        Candidate("empty", "C", None, 0, foreground=0.1),
        Candidate("unknown", "A", None, 5),
        Candidate("herd", "B", None, 0, foreground=0.9),
    ]
    for strategy in (coverage(), STRATEGIES["random"](0, 0)):
        assert order(pool, strategy)[-1] == "empty"
    assert "probably no animal" in coverage().rank(pool)[-1].why


def test_an_empty_image_shows_the_ground_after_the_first_herd_and_every_fourth_further_one() -> (
    None
):
    herds = [Candidate(f"h{n}", "A", None, 10 * n, foreground=0.9) for n in range(9)]
    grounds = [Candidate(f"g{n}", "A", None, 10 * n + 5, foreground=0.1) for n in range(5)]
    strategy = Grouped(cover=True, config=RankConfig(neighbor_gap=0))
    picks = strategy.rank([*herds, *grounds])
    assert "".join(pick.image[0] for pick in picks) == "hghhhhghhhhggg"
    shown = [pick.why for pick in picks if pick.image[0] == "g"]
    assert ["shows the ground" in why for why in shown] == [True, True, False, False, False]
    assert all("probably no animal" in why for why in shown)
    done = [replace(one, reviewed=True) for one in (herds[4], grounds[2])]
    rest = [*herds[:4], *herds[5:], *grounds[:2], *grounds[3:], *done]
    assert "".join(image[0] for image in order(rest, strategy)) == "hhhhghhhhggg"


def test_images_with_a_proposal_come_before_those_without() -> None:
    pool = [Candidate("fresh", "B"), Candidate("scored", "A", 0.01)]
    assert order(pool) == ["scored", "fresh"]


def test_an_uncertain_pick_says_why() -> None:
    (pick,) = QUIET.rank([Candidate("a", "barn", 0.7, regions=1)])
    assert pick.why == "Very unsure (0.70), 1 place to check, group barn"


def test_the_rule_needs_verified_images_and_a_promoted_version() -> None:
    assert in_force(VERIFIED, 1) == noisy_entropy(1)
    for verified, rounds in ((VERIFIED - 1, 5), (1000, 0)):
        assert in_force(verified, rounds).cover
        assert f"now {verified} and {rounds}" in rule_in_words(verified, rounds)
    assert "round 3" in rule_in_words(VERIFIED, 3)
    pool = [Candidate(f"d{n}", "A", 0.5, n, reviewed=True) for n in range(VERIFIED)]
    pool += [Candidate("sure", "B", 0.1), Candidate("unsure", "C", 0.9)]
    assert order(pool, Adaptive(0)) == ["sure", "unsure"]
    assert order(pool, Adaptive(9)) == ["unsure", "sure"]


def test_noise_falls_and_depends_on_the_seed() -> None:
    pool = [Candidate(f"i{n}", f"g{n}", 0.3 + 0.001 * n) for n in range(300)]
    by_score = [one.image for one in reversed(pool)]

    def moved(strategy: Strategy) -> float:
        place = {image: n for n, image in enumerate(by_score)}
        return float(np.mean([abs(n - place[i]) for n, i in enumerate(order(pool, strategy))]))

    shifts = [moved(noisy_entropy(rounds)) for rounds in (1, 3, 5, 12)]
    assert shifts == sorted(shifts, reverse=True)
    assert shifts[0] > 40
    assert shifts[-1] < 1
    assert order(pool, noisy_entropy(1)) == order(pool, noisy_entropy(1))
    assert order(pool, noisy_entropy(1)) != order(pool, noisy_entropy(1, seed=1))


def candidates() -> st.SearchStrategy[list[Candidate]]:
    one = st.builds(
        Candidate,
        image=st.integers(0, 10**6).map(str),
        group=st.sampled_from("ABC"),
        score=st.none() | st.floats(0, 1),
        position=st.integers(0, 40),
        reviewed=st.booleans(),
        categories=st.sets(st.sampled_from(["cow", "calf", "bull"])).map(tuple),
        cluster=st.none() | st.integers(0, 3),
        foreground=st.none() | st.floats(0, 1),
    )
    return st.lists(one, max_size=25, unique_by=lambda c: c.image)


@pytest.mark.parametrize("name", STRATEGIES)
@settings(max_examples=30, deadline=None)
@given(pool=candidates(), data=st.data())
def test_every_image_once_no_reviewed_one_in_any_order_of_input(
    name: str, pool: list[Candidate], data: st.DataObject
) -> None:
    strategy = STRATEGIES[name](3, 1)
    picks = strategy.rank(pool)
    assert sorted(p.image for p in picks) == sorted(c.image for c in pool if not c.reviewed)
    assert all(pick.why for pick in picks)
    assert strategy.rank(data.draw(st.permutations(pool))) == picks
    k = data.draw(st.integers(0, 30))
    assert strategy.rank(pool, k) == picks[:k]


@settings(max_examples=30, deadline=None)
@given(pool=candidates(), data=st.data())
def test_more_doubt_never_moves_an_image_back(pool: list[Candidate], data: st.DataObject) -> None:
    """Without near-duplicates and in one stratum: a discount counts what is ahead alone."""
    strategy = Grouped(
        noise=0.3, strata=False, config=RankConfig(neighbor_gap=0, alike_gap=0, group_discount=1)
    )
    scored = [c for c in pool if c.score is not None and not c.reviewed]
    if not scored:
        return
    chosen = data.draw(st.sampled_from(scored))
    more = replace(chosen, score=data.draw(st.floats(chosen.score or 0.0, 1)))
    place = order(pool, strategy).index(chosen.image)
    changed = [more if c is chosen else c for c in pool]
    assert order(changed, strategy).index(chosen.image) <= place


def repeats(one: Candidate, other: Candidate, at: dict[str, int], config: RankConfig) -> bool:
    if one.group != other.group:
        return False
    apart = abs(at[one.image] - at[other.image])
    if one.cluster is None or other.cluster is None:
        return apart <= config.neighbor_gap
    return one.cluster == other.cluster and apart <= config.alike_gap


def cell(one: Candidate, config: RankConfig) -> tuple[object, ...]:
    return one.group, one.cluster, one.foreground is not None and one.foreground < config.empty


def by_the_rule(pool: list[Candidate], strategy: Grouped) -> list[str]:
    """The order of the queue, everything computed anew for every place of it."""
    config = strategy.config
    groups = defaultdict(list)
    for one in sorted(pool, key=lambda c: (c.position, c.number)):
        groups[one.group].append(one.image)
    at = {image: n for own in groups.values() for n, image in enumerate(own)}
    strata = Strata.of(Counter(c for one in pool for c in one.categories))
    scored = [c for c in pool if c.score is not None and not strategy.cover]
    lanes = [
        _by_doubt([c for c in scored if strata.lane(c.categories) == lane], pool, at, config)
        for lane in range(max(1, len(strata.categories)))
    ]
    queue = [*_turns([first for first, _ in lanes]), *_turns([late for _, late in lanes])]
    seen = [c for c in pool if c.reviewed or c in scored]
    return [*queue, *_by_distance([c for c in pool if c not in seen], seen, at, config)]


def _by_doubt(
    pool: list[Candidate], every: list[Candidate], at: dict[str, int], config: RankConfig
) -> tuple[list[str], list[str]]:
    factor = config.group_discount ** np.arange(len(pool) + 1)
    ahead: list[Candidate] = []
    parts: tuple[list[str], list[str]] = ([], [])
    seen = [c for c in every if c.reviewed]
    left = [c for c in pool if not c.reviewed]
    while left:
        late = {c.image: any(repeats(c, s, at, config) for s in seen) for c in left}

        def key(c: Candidate, late: dict[str, bool] = late) -> tuple[object, ...]:
            count = sum(a.group == c.group for a in ahead)
            return late[c.image], -(c.score or 0) * factor[count], c.number

        best = min(left, key=key)
        left.remove(best)
        parts[late[best.image]].append(best.image)
        ahead.append(best)
        if not late[best.image]:
            seen.append(best)
    return parts


def _turns(lanes: Sequence[list[str]]) -> list[str]:
    longest = max(map(len, lanes), default=0)
    return [lane[n] for n in range(longest) for lane in lanes if n < len(lane)]


def _by_distance(
    pool: list[Candidate], seen: list[Candidate], at: dict[str, int], config: RankConfig
) -> list[str]:
    middle = {
        cell(c, config): np.median(
            [at[o.image] for o in pool if cell(o, config) == cell(c, config)]
        )
        for c in pool
    }
    counted, queue, left = list(seen), [], list(pool)
    while left:

        def keys(c: Candidate) -> tuple[tuple[object, ...], tuple[object, ...]]:
            """Its place in its group, and that of its group's first against other groups."""
            own = cell(c, config)
            near = [s for s in counted if cell(s, config) == own and s not in seen]
            near += [s for s in seen if cell(s, config)[:2] == own[:2]]
            gap = min((abs(at[s.image] - at[c.image]) for s in near), default=math.inf)
            reach = config.neighbor_gap if c.cluster is None else config.alike_gap
            stage = 2 if gap <= reach else int(bool(own[2]))
            rest = (-gap, abs(at[c.image] - middle[own]), c.number)
            ahead = sum(s.group == c.group for s in counted)
            return (stage, len(near), *rest), (stage, ahead, *rest)

        firsts = {}
        for group in {c.group for c in left}:
            herds, grounds = (
                sorted(
                    (c for c in left if c.group == group and bool(cell(c, config)[2]) == empty),
                    key=lambda c: keys(c)[0],
                )
                for empty in (False, True)
            )
            both = [*herds[:1], *grounds[:1]]
            first = min(both, key=lambda c: keys(c)[0])
            stage, *rest = keys(first)[1]
            own = [bool(cell(c, config)[2]) for c in counted if c.group == group]
            full, empty = own.count(False), own.count(True)
            stages = [keys(c)[0][0] for c in both]
            if stages == [0, 1] and len(both) == 2 and full and empty <= (full - 1) // config.full:
                first, stage = grounds[0], 0
                rest = list(keys(first)[1][1:])
            firsts[first.image] = (first, (stage, *rest))
        best, _ = min(firsts.values(), key=lambda one: one[1])
        left.remove(best)
        counted.append(best)
        queue.append(best.image)
    return queue


@pytest.mark.parametrize("cover", [False, True])
@pytest.mark.parametrize("seed", range(30))
def test_the_queue_follows_the_rule_on_random_pools(seed: int, cover: bool) -> None:
    rng = np.random.default_rng(seed)
    fresh, done, kinds, held = rng.random(4)
    pool = [
        Candidate(
            image=f"i{n}",
            group=str(rng.choice(list("ABCD")[: 1 + seed % 4])),
            # Rounded and close together, so that there are equals.
            score=None if rng.random() < fresh else round(float(rng.random()), seed % 3 + 1),
            position=int(rng.integers(0, 40)),
            reviewed=bool(rng.random() < done / 2),
            categories=tuple(c for c in ("cow", "calf", "bull") if rng.random() < held * seed % 2),
            cluster=int(rng.integers(3)) if rng.random() < kinds else None,
            foreground=float(rng.random()) if seed % 2 else None,
            number=n,
        )
        for n in range(50)
    ]
    config = RankConfig(neighbor_gap=int(rng.integers(0, 4)), alike_gap=int(rng.integers(0, 6)))
    strategy = Grouped(cover=cover, config=config)
    expected = by_the_rule(pool, strategy)
    assert order(pool, strategy) == expected
    assert order(pool, strategy, 7) == expected[:7]


@pytest.mark.parametrize("groups", [1, 20, 10_000])
@pytest.mark.parametrize("proposed", [True, False])
def test_ten_thousand_images_are_ordered_at_once(groups: int, proposed: bool) -> None:
    rng = np.random.default_rng(0)
    pool = [
        Candidate(
            f"i{n}", f"g{n % groups}", score if proposed else None, n // groups, cluster=n % 7
        )
        for n, score in enumerate(rng.random(10_000).tolist())
    ]
    assert len(noisy_entropy(1).rank(pool)) == len(pool)  # quadratic work would take minutes
