"""Splits: shares kept, groups whole, gaps empty, and the same whatever the order of the input."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_io import splits
from data_io.errors import DataError
from data_io.splits import Drawn, Shares, SplitImage, draw, partition

SHARES = Shares(val=0.2, test=0.1)


def film(group: str, count: int, animals: Sequence[int | None] = (3,)) -> list[SplitImage]:
    """Frames of one camera, animal counts repeated in turn."""
    return [
        SplitImage(f"{group}-{n}", group, f"frame{n}.png", animals[n % len(animals)])
        for n in range(count)
    ]


def members(images: Sequence[SplitImage], drawn: Drawn) -> dict[str, list[SplitImage]]:
    found: dict[str, list[SplitImage]] = {}
    for one in images:
        found.setdefault(drawn.splits[one.id], []).append(one)
    return found


collections = st.lists(
    st.builds(
        SplitImage,
        id=st.integers(0, 999).map(str),
        group=st.sampled_from("abcdef"),
        name=st.integers(0, 30).map("f{}.png".format),
        animals=st.none() | st.integers(0, 40),
    ),
    max_size=40,
    unique_by=lambda one: one.id,
)


@settings(max_examples=50, deadline=None)
@given(collections, st.sampled_from(["group", "block", "image"]), st.integers(0, 9), st.randoms())
def test_any_input_gives_every_image_one_place_whatever_its_order(images, by, seed, rng) -> None:
    try:
        drawn = draw(images, SHARES, by, seed)
    except DataError:
        assert len(images) < 5 * 6 or by != "block"
        return
    assert drawn.splits.keys() == {one.id for one in images}
    assert {"train", "val", "test"} <= set(drawn.splits.values())
    shuffled = images.copy()
    rng.shuffle(shuffled)
    assert draw(shuffled, SHARES, by, seed) == drawn
    if by == "group":
        assert all(
            len({drawn.splits[one.id] for one in images if one.group == group}) == 1
            for group in {one.group for one in images}
        )


@pytest.mark.parametrize(
    ("val", "test"), [(0, 0), (0.5, 0.5), (-0.1, 0.5), (float("nan"), 0.1), (0.1, float("inf"))]
)
def test_shares_that_leave_nothing_are_refused(val: float, test: float) -> None:
    with pytest.raises(DataError, match="sum is below 1"):
        Shares(val, test)


@pytest.mark.parametrize("by", ["group", "block", "image"])
def test_a_part_without_a_share_gets_nothing(by: splits.By) -> None:
    images = [one for name in "abc" for one in film(name, 10)]
    parts = set(draw(images, Shares(0.3, 0.0), by).splits.values())
    assert parts - {"gap"} == {"train", "val"}


# --- groups ---------------------------------------------------------------------------------------


def brute_force(images: Sequence[SplitImage], shares: Shares) -> float:
    """The least cost of all assignments of groups."""
    groups = sorted({one.group for one in images})
    table, wanted = splits._table(images, groups), np.array(list(shares.wanted.values()))
    return min(
        cost_of(table, wanted, choice)
        for choice in itertools.product(range(len(wanted)), repeat=len(groups))
    )


def cost_of(table: splits.Table, wanted: splits.Table, choice: Sequence[int]) -> float:
    sums = np.zeros((len(wanted), table.shape[1]))
    np.add.at(sums, list(choice), table)
    return float(splits._cost(sums, wanted))


@pytest.mark.parametrize("seed", range(8))
def test_no_other_assignment_of_whole_groups_comes_nearer(seed: int) -> None:
    rng = random.Random(seed)
    images = [
        one
        for name in "abcdefg"
        for one in film(name, rng.randint(1, 30), [rng.choice([None, 0, 1, 5, 20]), 2])
    ]
    drawn = splits.by_group(images, SHARES, seed)
    groups = sorted({one.group for one in images})
    parts = {one.group: list(SHARES.wanted).index(drawn.splits[one.id]) for one in images}
    table, wanted = splits._table(images, groups), np.array(list(SHARES.wanted.values()))
    reached = cost_of(table, wanted, [parts[group] for group in groups])
    assert reached == pytest.approx(brute_force(images, SHARES))


def test_shares_and_animal_counts_are_met_with_many_groups() -> None:
    images = [
        one
        for index in range(40)
        for one in film(f"camera{index}", 10, [0] if index % 4 == 0 else [6])
    ]
    drawn = splits.by_group(images, SHARES)
    assert Counter(drawn.splits.values()) == {"train": 280, "val": 80, "test": 40}
    empty = Counter(drawn.splits[one.id] for one in images if one.animals == 0)
    assert empty == {"train": 70, "val": 20, "test": 10}
    assert drawn.warnings == ()


def test_another_seed_is_another_split() -> None:
    images = [one for index in range(20) for one in film(f"camera{index}", 5)]
    found = {tuple(splits.by_group(images, SHARES, seed).splits.values()) for seed in range(5)}
    assert len(found) == 5


def test_groups_are_never_cut() -> None:
    with pytest.raises(DataError, match=r"2 groups cannot make train, val, test.*--by block"):
        splits.by_group(film("a", 50) + film("b", 50), SHARES)
    with pytest.raises(DataError, match="1 group cannot"):
        splits.by_group(film("a", 50), Shares(0.2, 0))


def test_few_groups_give_what_can_be_given_and_say_so() -> None:
    images = film("a", 50) + film("b", 40) + film("c", 30)
    drawn = splits.by_group(images, SHARES)
    assert {part: found[0].group for part, found in members(images, drawn).items()} == {
        "train": "a",
        "val": "b",
        "test": "c",
    }
    assert "test has 25% of the labeled images instead of 10%" in drawn.warnings


def test_labeled_images_count_more_than_their_unlabeled_neighbors() -> None:
    labeled = [one for name in "abc" for one in film(name, 10)]
    unlabeled = [one for name in "defghi" for one in film(name, 10, [None])]
    found = members(labeled, splits.by_group(labeled + unlabeled, SHARES))
    assert found.keys() == {"train", "val", "test"}


def test_parts_without_labels_or_animals_are_told() -> None:
    images = film("a", 9, [None]) + film("b", 9, [0]) + film("c", 9, [4])
    told = " ".join(splits.by_group(images, SHARES).warnings)
    assert "has no labeled image" in told
    assert "shows an animal" in told


def test_ten_thousand_groups_are_no_trouble() -> None:
    images = [SplitImage(str(n), str(n), f"{n}.png", n % 7) for n in range(10_000)]
    counts = Counter(splits.by_group(images, SHARES).splits.values())
    assert counts["val"] == pytest.approx(2000, abs=60)
    assert counts["test"] == pytest.approx(1000, abs=60)


# --- blocks ---------------------------------------------------------------------------------------


def test_blocks_follow_time_with_gaps_between_and_test_last() -> None:
    images = film("a", 100)
    parts = [splits.by_block(images, SHARES).splits[f"a-{n}"] for n in range(100)]
    runs = [(part, len(list(run))) for part, run in itertools.groupby(parts)]
    assert runs == [("train", 67), ("gap", 2), ("val", 19), ("gap", 2), ("test", 10)]


def test_time_is_the_natural_order_of_names() -> None:
    names = ["f2", "f10", "f1", "f9", "f08", "f11", "f3"]
    images = [SplitImage(name, "a", f"{name}.png", 1) for name in names]
    drawn = splits.by_block(images, Shares(0.0, 0.4))
    order = ["f1", "f2", "f3", "f08", "f9", "f10", "f11"]
    assert [drawn.splits[name] for name in order] == ["train"] * 4 + ["gap"] + ["test"] * 2


def test_every_group_is_cut_and_short_ones_train() -> None:
    images = film("a", 20) + film("b", 40) + film("c", 4)
    drawn = splits.by_block(images, SHARES)
    for group in "ab":
        assert {drawn.splits[one.id] for one in images if one.group == group} == {
            "train",
            "val",
            "test",
            "gap",
        }
    assert {drawn.splits[f"c-{n}"] for n in range(4)} == {"train"}
    assert "1 group too short to be cut went to train" in drawn.warnings


def test_five_images_are_the_shortest_film_that_can_be_cut() -> None:
    parts = list(splits.by_block(film("a", 5), SHARES).splits.values())
    assert parts == ["train", "gap", "val", "gap", "test"]
    with pytest.raises(DataError, match=r"largest has 4 images and 5 are needed; .*--by image"):
        splits.by_block(film("a", 4) + film("b", 3), SHARES)


# --- single images --------------------------------------------------------------------------------


def test_single_images_have_the_wanted_counts_and_the_same_mix_of_animals() -> None:
    images = film("a", 100, [0, 0, 4, 30]) + film("b", 50, [None])
    drawn = splits.by_image(images, SHARES)
    found = members(images, drawn)
    labeled = {
        p: [one.animals for one in all if one.animals is not None] for p, all in found.items()
    }
    assert {part: len(all) for part, all in labeled.items()} == {
        "train": 70,
        "val": 20,
        "test": 10,
    }
    assert Counter(labeled["val"]) == {0: 10, 4: 5, 30: 5}
    assert Counter(labeled["test"])[0] == 5
    assert all(drawn.splits[one.id] == "train" for one in images if one.animals is None)


def test_single_images_say_that_they_leak() -> None:
    assert splits.LEAK in splits.by_image(film("a", 100), SHARES).warnings


def test_too_few_labeled_images_are_refused() -> None:
    with pytest.raises(DataError, match=r"2 labeled images cannot make train, val, test"):
        splits.by_image(film("a", 2) + film("b", 9, [None]), SHARES)


@settings(max_examples=50, deadline=None)
@given(st.integers(3, 200), st.floats(0.01, 0.6), st.floats(0.01, 0.39))
def test_counts_add_up_and_stay_near_their_shares(total: int, val: float, test: float) -> None:
    shares = Shares(val, test).wanted.values()
    counts = splits._counts(total, shares)
    assert sum(counts) == total
    assert min(counts) >= 1
    assert all(
        count == 1 or abs(count - share * total) <= 2
        for count, share in zip(counts, shares, strict=True)
    )


# --- partitions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("total", "kept"), [(10582, 662), (1464, 92), (2975, 186), (3, 1)])
def test_partitions_have_the_sizes_of_the_published_ones(total: int, kept: int) -> None:
    assert len(partition(film("a", total), 16)) == kept


@settings(max_examples=50, deadline=None)
@given(collections, st.integers(0, 9), st.randoms())
def test_partitions_are_nested_show_an_animal_and_ignore_order(images, seed, rng) -> None:
    labeled = {one.id: one for one in images if one.animals is not None}
    if not any(one.animals for one in labeled.values()):
        with pytest.raises(DataError, match="shows an animal"):
            partition(images, 2, seed)
        return
    kept = {number: partition(images, number, seed) for number in (1, 2, 4, 8, 16)}
    assert set(kept[1]) == labeled.keys()
    for more, less in itertools.pairwise(kept.values()):
        assert set(less) <= set(more)
    assert any(labeled[id].animals for id in kept[16])
    shuffled = images.copy()
    rng.shuffle(shuffled)
    assert partition(shuffled, 8, seed) == kept[8]


def test_another_seed_keeps_other_labels() -> None:
    images = film("a", 100)
    assert len({tuple(partition(images, 8, seed)) for seed in range(5)}) == 5
