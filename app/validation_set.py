"""The images that judge versions: set aside once, asked for, never learned from afterwards.

Rule: from `START` images verified whole on, `FIRST` unlabeled ones are set aside when a training
starts, and one more for every `EVERY` further, up to the setting `validation` and a quarter of the
project. Groups take turns; inside a group it is the frame farthest from what was learned from and
from its other validation images, with unused frames around it where the group is long enough.
A split that a person made is theirs: nothing is added to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app import settings
from data_io.splits import SplitImage, in_order
from data_io.store import ImageState, Store
from data_io.types import Split

START, FIRST, EVERY = 5, 3, 5
MOST_SHARE = 4  # a quarter at most: of the project for validation, of a group with what is unused
GAP = 0.02  # share of a group that stays unused on each side, as in a split by blocks,
MOST_GAP = 5  # but frames at most
NEIGHBOR = 1.0  # distance in frames
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Standing:
    """Where the validation set stands.

    Attributes:
        judges: images set aside that are verified whole, by group and time.
        asked: those to label next, likewise.
        taught: images verified whole that trainings learn from.
        wanted: how many images the rule wants set aside by now.
        own: a person divided the images.
        choice: unlabeled images are left that could be set aside.
    """

    judges: tuple[ImageState, ...]
    asked: tuple[ImageState, ...]
    taught: int
    wanted: int
    own: bool
    choice: bool


def wanted(taught: int, images: int, most: int) -> int:
    """How many of `images` are to judge once `taught` are verified whole and learned from."""
    if taught < START:
        return 0
    return min(most, images // MOST_SHARE, FIRST + (taught - START) // EVERY)


def standing(store: Store) -> Standing:
    """Where the validation set of a project stands; nothing is changed."""
    states = _used(store)
    own = _is_divided(states)
    aside = ordered(one for one in states if one.split == "val")
    judges = [one for one in aside if one.verified == "whole"]
    waiting = [one for one in aside if one.verified != "whole"]
    taught = _taught(states)
    rule = wanted(taught, len(states), settings.load(store.project).validation)
    if own:  # it may be large, and a handful says enough for a start
        waiting = spread(waiting, max(0, max(FIRST, rule) - len(judges)))
    choice = not own and any(_is_free(one) for one in states)
    return Standing(tuple(judges), tuple(waiting), taught, rule, own, choice)


def grow(store: Store) -> list[str]:
    """Set aside what the rule asks for by now; ids of the new validation images.

    Only images nobody has labeled are taken, so no work is lost to training, and none of those set
    aside before changes.
    """
    states = _used(store)
    if _is_divided(states):
        return []
    most = settings.load(store.project).validation
    there = sum(one.split == "val" for one in states)
    missing = wanted(_taught(states), len(states), most) - there
    found = choose(states, missing)
    if found:
        store.set_splits(found)
    return [id for id, split in found.items() if split == "val"]


def choose(states: Iterable[ImageState], count: int) -> dict[str, Split]:
    """Which `count` images to set aside (``val``), and which frames around them (``gap``).

    Args:
        states: all images in use; those without split and verified area may be chosen.
    """
    groups: dict[str, list[ImageState]] = {}
    for one in ordered(states):
        groups.setdefault(one.group, []).append(one)
    series = [_Series(members) for members in groups.values()] if count > 0 else []
    chosen: dict[str, Split] = {}
    for _ in range(count):
        able = [one for one in series if one.best is not None]
        if not able:
            break
        chosen |= min(able, key=lambda one: one.turn).take()
    return chosen


def spread(images: Sequence[ImageState], most: int) -> list[ImageState]:
    """At most `most` of the images, evenly spaced over them."""
    count = min(len(images), most)
    return [images[(2 * k + 1) * len(images) // (2 * count)] for k in range(count)]


def ordered(states: Iterable[ImageState]) -> list[ImageState]:
    """By group, then time."""
    known = {one.id: one for one in states}
    rows = (SplitImage(one.id, one.group, one.path) for one in known.values())
    return [known[row.id] for row in in_order(rows)]


class _Series:
    """One group in order of time: what of it may still be set aside."""

    def __init__(self, members: Sequence[ImageState]) -> None:
        self.ids = [one.id for one in members]
        self.size = len(members)
        self.free = np.array([_is_free(one) for one in members])
        self.marks = np.array([one.split == "val" or _teaches(one) for one in members])
        self.judges = sum(one.split == "val" for one in members)
        self.unused = sum(one.split in ("val", "gap") for one in members)

    @property
    def best(self) -> int | None:
        """Place of the free frame farthest from every mark; the middle one without any mark."""
        places = np.flatnonzero(self.free)
        if not len(places):
            return None
        if not self.marks.any():
            return int(places[len(places) // 2])
        return int(places[np.argmax(self._distance(places))])

    @property
    def turn(self) -> tuple[bool, int, bool, int, str]:
        """The least one is next: not beside what was learned from, few judges yet, many images."""
        best = self.best
        assert best is not None
        near = bool(self._distance(np.array([best]))[0] <= NEIGHBOR)
        return near, self.judges, self.size == 1, -self.size, self.ids[0]

    def take(self) -> Mapping[str, Split]:
        """Set the best one aside, and what lies around it as far as the group's quarter goes."""
        place = self.best
        assert place is not None
        taken: dict[str, Split] = {self.ids[place]: "val"}
        self.free[place], self.marks[place] = False, True
        self.judges, self.unused = self.judges + 1, self.unused + 1
        reach = min(max(1, round(GAP * self.size)), MOST_GAP)
        for step in range(1, reach + 1):
            for near in (place - step, place + step):
                room = self.unused < self.size // MOST_SHARE
                if room and 0 <= near < self.size and self.free[near]:
                    taken[self.ids[near]] = "gap"
                    self.free[near] = False
                    self.unused += 1
        return taken

    def _distance(self, places: Places) -> NDArray[np.float64]:
        """Frames to the nearest mark."""
        marks = np.flatnonzero(self.marks)
        if not len(marks):
            return np.full(len(places), np.inf)
        after = np.searchsorted(marks, places)
        right = marks[np.minimum(after, len(marks) - 1)]
        left = marks[np.maximum(after - 1, 0)]
        return np.minimum(np.abs(right - places), np.abs(places - left)).astype(np.float64)


def _used(store: Store) -> list[ImageState]:
    return [one for one in store.image_states().values() if not one.excluded]


def _is_divided(states: Iterable[ImageState]) -> bool:
    return any(one.split in ("train", "test") for one in states)


def _is_free(one: ImageState) -> bool:
    return one.split is None and one.verified == "none"


def _teaches(one: ImageState) -> bool:
    return one.split in (None, "train") and one.verified != "none"


def _taught(states: Iterable[ImageState]) -> int:
    return sum(_teaches(one) and one.verified == "whole" for one in states)
