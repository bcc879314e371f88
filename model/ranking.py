"""The groups' orders as one queue: strata take turns, and in each the groups compete.

An entry's place is its stage, then its index among the entries of its stratum, then the stratum. So
every category gets the same share of the front, however rare it is. Images to cover know no
stratum.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from itertools import takewhile
from math import inf

from model.group_order import COVER, COVERING, COVERING_LATE, UNSURE, Entry, GroupOrder, Lane

_STAGES = range(UNSURE, COVERING_LATE + 1)
_END = 1 << 62  # an index beyond every other


class Ranking:
    """Orders of groups, by the groups' names, as one queue."""

    def __init__(self) -> None:
        self._groups: dict[str, GroupOrder] = {}
        self._merged: dict[int, Lane] = {}
        self._strata: list[int] | None = None

    def replace(self, groups: Mapping[str, GroupOrder | None]) -> None:
        """Groups that are new or other than they were; None takes one out."""
        for name, order in groups.items():
            self._groups.pop(name, None)
            if order is not None:
                self._groups[name] = order
        self._merged.clear()
        self._strata = None

    def changed(self, lanes: set[int]) -> None:
        """Take note of what `GroupOrder.put` returned."""
        for name in lanes:
            self._merged.pop(name, None)
        self._strata = None

    def after(self, entry: Entry | None = None) -> Iterator[Entry]:
        """The queue behind an entry, or all of it."""
        for stage in _STAGES:
            if entry is None or stage > entry.stage:
                yield from _in_turn([self._run(stage, lane) for lane in self._lanes(stage)])
            elif stage == entry.stage:
                yield from self._rest(entry)

    def before(self, entry: Entry) -> Entry | None:
        """The last entry before one, None at the front."""
        if entry.lane != COVER and len(self._all_strata()) > 1:
            return self._before_in_turn(entry)
        own = (lane.before(entry) for lane in self._lanes_of_groups(entry.lane))
        found = max((one for one in own if one is not None), default=None)
        if found is None and entry.lane == COVER:
            ends = (self._last_of_stage(stage) for stage in reversed(range(COVERING)))
            return next((one for one in ends if one is not None), None)
        return found

    def _rest(self, entry: Entry) -> Iterator[Entry]:
        """What comes after an entry in its stage."""
        lanes = self._lanes(entry.stage)
        if len(lanes) == 1:
            return self._until(entry.stage, self._every(entry.lane, entry))
        index = self._index(entry)
        later = [self._run(entry.stage, lane, index) for lane in lanes if lane > entry.lane]
        again = [self._run(entry.stage, lane, index + 1) for lane in lanes if lane <= entry.lane]
        return _in_turn([*later, *again])

    def _run(self, stage: int, lane: int, skip: int = 0) -> Iterator[Entry]:
        """One lane's entries of a stage, without the first ones."""
        if len(self._lanes(stage)) == 1:
            return self._until(stage, self._every(lane, _start(stage)))
        return self._until(stage, self._lane(lane).after(_start(stage), skip))

    @staticmethod
    def _until(stage: int, entries: Iterator[Entry]) -> Iterator[Entry]:
        return takewhile(lambda one: one.stage == stage, entries)

    def _every(self, lane: int, after: Entry | None) -> Iterator[Entry]:
        """A lane of all groups, merged and not remembered: an entry far down costs no more."""
        return heapq.merge(*(one.after(after) for one in self._lanes_of_groups(lane)))

    def _lanes_of_groups(self, name: int) -> list[Lane]:
        return [group.lane(name) for group in self._groups.values() if name in group.lanes]

    def _lane(self, name: int) -> Lane:
        """A lane of all groups, merged and remembered, so that its entries can be counted."""
        if name not in self._merged:
            self._merged[name] = Lane(self._every(name, None))
        return self._merged[name]

    def _lanes(self, stage: int) -> list[int]:
        return [COVER] if stage >= COVERING else self._all_strata()

    def _all_strata(self) -> list[int]:
        if self._strata is None:
            lanes = {lane for group in self._groups.values() for lane in group.lanes}
            self._strata = sorted(lanes - {COVER})
        return self._strata

    def _index(self, entry: Entry) -> int:
        """How many entries of its stage and lane come before an entry."""
        lane = self._lane(entry.lane)
        return lane.count(entry) - 1 - lane.count(_start(entry.stage))

    def _before_in_turn(self, entry: Entry) -> Entry | None:
        index = self._index(entry)
        found = [
            self._reached(name, entry.stage, index if name < entry.lane else index - 1)
            for name in self._all_strata()
        ]
        last = max((one for one in found if one is not None), default=None)
        if last is not None:
            return last[2]
        return None if entry.stage == UNSURE else self._last_of_stage(entry.stage - 1)

    def _last_of_stage(self, stage: int) -> Entry | None:
        found = [self._reached(name, stage, _END) for name in self._all_strata()]
        last = max((one for one in found if one is not None), default=None)
        return None if last is None else last[2]

    def _reached(self, name: int, stage: int, last: int) -> tuple[int, int, Entry] | None:
        """Index, stratum and entry of the last one of a stage whose index is at most `last`."""
        lane = self._lane(name)
        start = lane.count(_start(stage))
        one = lane.at(start + last) if last >= 0 else None
        if one is not None and one.stage > stage:
            one = lane.before(_start(stage + 1))
        if one is None or one.stage != stage:
            return None
        return lane.count(one) - 1 - start, name, one


def _start(stage: int) -> Entry:
    """An entry before all those of a stage."""
    return Entry(stage, -inf, -inf, -inf, -1, -1, -1, COVER)


def _in_turn(runs: list[Iterator[Entry]]) -> Iterator[Entry]:
    """One of each run after the other, until all are at their end."""
    while runs:
        going = []
        for run in runs:
            found = next(run, None)
            if found is not None:
                yield found
                going.append(run)
        runs = going
