"""Which images judge versions: asked for by rule, spread, never drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from app import validation_set
from app.validation_set import choose, wanted
from data_io.geometry import full_image
from data_io.store import ImageState, NewImage, Store

SIZE = 8


def frames(group: str, count: int, taught: tuple[int, ...] = ()) -> list[ImageState]:
    """The frames of a group; those at the given places are verified whole."""
    blank = ImageState("", 0, "", group, None, False, 0, 0, "none", None, None, 0)
    made = [
        replace(blank, id=f"{group}{place}", number=place, path=f"/{group}/frame{place}.png")
        for place in range(count)
    ]
    return [replace(one, verified="whole") if n in taught else one for n, one in enumerate(made)]


def judges(chosen: dict[str, object]) -> list[str]:
    return [id for id, split in chosen.items() if split == "val"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "project") as opened:
        yield opened


@pytest.fixture
def add(store: Store) -> Callable[..., list[str]]:
    """Registers images of a group; the picture files are not there."""

    def images(group: str, count: int) -> list[str]:
        there = len(store.images())
        new = [
            NewImage(f"/{group}/{there + n}.png", SIZE, SIZE, f"{group}{there + n}", group)
            for n in range(count)
        ]
        return [one.id for one in store.add_images(new)]

    return images


def verify(store: Store, *images: str) -> None:
    for image in images:
        store.save_revision(image, 0, [], full_image(SIZE, SIZE), "me")


def set_aside(store: Store) -> set[str]:
    return {one.id for one in store.images() if one.split == "val"}


def test_the_rule_starts_late_grows_slowly_and_ends() -> None:
    assert [wanted(n, 1000, 20) for n in (4, 5, 9, 10, 20, 500)] == [0, 3, 3, 4, 6, 20]
    assert wanted(5, 8, 20) == 2  # a quarter of the project at most
    assert wanted(50, 1000, 0) == 0


def test_groups_take_turns_the_largest_first() -> None:
    found = judges(choose([*frames("a", 4), *frames("b", 40), *frames("c", 9)], 4))
    assert [id[0] for id in found] == ["b", "c", "a", "b"]


def test_a_single_group_is_spread_over_time_and_away_from_what_was_learned() -> None:
    chosen = choose(frames("a", 100, taught=(0, 50)), 4)
    places = sorted(int(id[1:]) for id in judges(chosen))
    assert min(abs(p - q) for p in places for q in (0, 50)) >= 12
    assert min(right - left for left, right in pairwise(places)) >= 12


def test_frames_beside_a_judge_stay_unused_up_to_a_quarter_of_the_group() -> None:
    chosen = choose(frames("a", 100, taught=(0,)), 3)
    unused = {int(id[1:]) for id, split in chosen.items() if split == "gap"}
    places = [int(id[1:]) for id in judges(chosen)]
    assert places[1] == 49
    assert {places[1] - 2, places[1] - 1, places[1] + 1, places[1] + 2} <= unused
    short = choose(frames("a", 12), 2)  # the first one takes the quarter
    assert short == {"a6": "val", "a5": "gap", "a7": "gap", "a0": "val"}


def test_a_group_where_every_frame_has_a_learned_neighbor_comes_last() -> None:
    crowded = frames("a", 90, taught=tuple(range(0, 90, 2)))
    assert judges(choose([*crowded, *frames("b", 3)], 1))[0].startswith("b")
    assert len(judges(choose(crowded, 1))) == 1  # where it cannot be avoided


def test_labeled_images_are_never_taken(store: Store, add: Callable[..., list[str]]) -> None:
    images = add("a", 20)
    verify(store, *images)
    assert validation_set.grow(store) == []
    assert not validation_set.standing(store).choice


def test_it_grows_and_is_never_drawn_again(store: Store, add: Callable[..., list[str]]) -> None:
    images = add("a", 60)
    verify(store, *images[:4])
    assert validation_set.grow(store) == []
    verify(store, images[4])
    first = validation_set.grow(store)
    assert len(first) == 3
    assert validation_set.grow(store) == []
    left = [one.id for one in store.images() if one.split is None]
    verify(store, *[id for id in left if store.revision(id) is None][:5])
    (more,) = validation_set.grow(store)
    assert set_aside(store) == {*first, more}


def test_judges_are_not_counted_as_learned_from(
    store: Store, add: Callable[..., list[str]]
) -> None:
    images = add("a", 60)
    verify(store, *images[:5])
    verify(store, *validation_set.grow(store))
    standing = validation_set.standing(store)
    assert (standing.taught, len(standing.judges), standing.asked) == (5, 3, ())


def test_an_excluded_judge_is_replaced_and_stays_one(
    store: Store, add: Callable[..., list[str]]
) -> None:
    verify(store, *add("a", 60)[:5])
    out = validation_set.grow(store)[0]
    store.set_excluded(out, True)
    assert len(validation_set.grow(store)) == 1
    store.set_excluded(out, False)
    assert store.image(out).split == "val"


def test_a_persons_split_is_left_alone(store: Store, add: Callable[..., list[str]]) -> None:
    images = add("a", 60)
    verify(store, *images[:9])
    store.set_splits({id: "val" if n % 3 == 0 else "train" for n, id in enumerate(images)})
    before = set_aside(store)
    assert validation_set.grow(store) == []
    assert set_aside(store) == before
    standing = validation_set.standing(store)
    assert standing.own
    assert len(standing.judges) == 3
    assert len(standing.asked) == 0  # three of them are a start already
