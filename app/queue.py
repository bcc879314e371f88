"""The order in which images are worth a person's time."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, compress, islice
from operator import is_not
from pathlib import PurePath
from typing import Any

from app.workflow.documents import shown_regions
from app.workflow.views import Status, View, status_of, view
from data_io.store import ImageState, Store
from data_io.types import ImageRecord, Proposal, ReviewRegion
from model.acquisition import Candidate, Strata, in_force, pick_of, rule_in_words
from model.group_order import Entry, GroupOrder, Look
from model.ranking import Ranking

REACH = 1000  # places an outlook goes through: few of 100,000 images may have open regions


@dataclass(frozen=True)
class Item:
    """One place of the queue. `score` in [0, 1], None before the first proposal; `why` in words."""

    image: str
    name: str
    score: float | None
    why: str
    regions: int
    status: Status

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dict(vars(self))


@dataclass(frozen=True)
class Coming:
    """Open regions of one of the next images, highest score first."""

    image: ImageRecord
    regions: tuple[ReviewRegion, ...]


@dataclass(frozen=True)
class Outlook:
    """What is left to do, and the next images of the queue that have open regions."""

    images: int
    verified: int
    open_regions: int
    coming: tuple[Coming, ...]


class Queue:
    """The queue of one project, by the strategy that `acquisition.in_force` names; thread-safe.

    Every answer knows what any process had saved before it was asked for. Only the groups of images
    that changed are ordered anew, and those only as far as the answer reaches.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._states: Mapping[str, ImageState] = {}
        self._groups: dict[str, _Group] = {}
        self._ranking = Ranking()
        self._counts, self._rounds = _Counts(), 0
        self._strategy, self._strata = in_force(0, 0), Strata()
        self._names: dict[int, str] = {}  # number -> id

    def ranked(self, top: int | None = None) -> list[Item]:
        """The images that are not verified whole, best next one first.

        Args:
            top: length of the queue, None = all.
        """
        with self._lock:
            self._renew()
            names = self._names_of_turns()
            best = islice(self._ranking.after(), top)
            return [self._item(one, names.get(self._strata.turn(one.lane), "")) for one in best]

    def next_image(self, after: str | None = None, direction: int = 1) -> str | None:
        """The image after (1) or before (-1) `after` in the queue; None at its end.

        An image that has left the queue, for instance since it was just accepted, continues at the
        front: what is ahead was ranked knowing what it taught.
        """
        with self._lock:
            self._renew()
            entry = self._entry(after)
            if direction > 0:
                found = next(self._ranking.after(entry), None)
            else:
                found = None if entry is None else self._ranking.before(entry)
            return None if found is None else self._names[found.number]

    def outlook(self, after: str, top: int) -> Outlook:
        """Count what is done and left, and look ahead.

        Args:
            after: the image on the screen; it is not among the coming ones.
            top: how many images to name at most, of the next `REACH`.
        """
        with self._lock:
            self._renew()
            ahead, counts = self._ahead(after, top), self._counts
            told = counts.images, counts.verified, counts.regions
        return Outlook(*told, tuple(_coming(self._store, one) for one in ahead))

    def waiting(self) -> int:
        """Length of the whole queue."""
        with self._lock:
            self._renew()
            return self._counts.images - self._counts.verified

    def strategy(self) -> str:
        """Which strategy is in force and why, in words."""
        with self._lock:
            self._renew()
            return rule_in_words(self._counts.verified, self._rounds)

    def _item(self, entry: Entry, turn: str) -> Item:
        one = self._states[self._names[entry.number]]
        pick = pick_of(_candidate(one), entry, turn)
        status = status_of(one.revision, one.verified)
        name = PurePath(one.path).name
        return Item(one.id, name, pick.score, pick.why, one.open_regions, status)

    def _names_of_turns(self) -> Mapping[str, str]:
        """Category id -> name, where categories take turns."""
        several = len(self._strata.categories) > 1 and not self._strategy.cover
        return self._store.category_names() if several else {}

    def _entry(self, image: str | None) -> Entry | None:
        """The place of an image; None when it is not in the queue."""
        one = self._states.get(image or "")
        if one is None or one.excluded or one.verified == "whole":
            return None
        return self._groups[one.group].entry(one)

    def _ahead(self, after: str, top: int) -> list[ImageState]:
        """Images with open regions behind one in the queue, or at its front."""
        if not self._counts.regions:
            return []
        near = islice(self._ranking.after(self._entry(after)), REACH)
        states = (self._states[self._names[entry.number]] for entry in near)
        return list(islice((one for one in states if one.open_regions), top))

    def _renew(self) -> None:
        """Follow everything that was saved since the last look."""
        before, (now, rounds) = self._states, self._store.standing()
        if now is before and rounds == self._rounds:
            return
        # Both hold the images in the order they were added, so the new ones are at the end.
        touched = compress(now.values(), map(is_not, before.values(), now.values()))
        added = islice(now.values(), len(before), None)
        changed = [(before.get(one.id), one) for one in chain(touched, added)]
        self._states, self._rounds = now, rounds
        self._counts.follow(changed)
        if self._is_ruled_anew():
            self._rebuild({one.group for one in now.values()})
            return
        stale = [pair for pair in changed if _ranks_as(pair[0]) != _ranks_as(pair[1])]
        moved = [pair for pair in stale if _membership(pair[0]) != _membership(pair[1])]
        rebuilt = {one.group for pair in moved for one in pair if one is not None}
        self._rebuild(rebuilt)
        for _, one in stale:
            if one.group not in rebuilt:
                self._ranking.changed(self._groups[one.group].put(one, self._look(one)))

    def _is_ruled_anew(self) -> bool:
        """Whether another strategy is in force, or other strata; takes them over."""
        strategy = in_force(self._counts.verified, self._rounds)
        strata = Strata.of(self._counts.proposed)
        same = strategy == self._strategy and (strategy.cover or strata == self._strata)
        self._strategy, self._strata = strategy, strata
        return not same

    def _look(self, one: ImageState) -> Look:
        lane = self._strata.lane(one.proposed.split())
        seen = one.verified == "whole", one.cluster, one.foreground
        return self._strategy.look_of(one.id, one.score, lane, *seen)

    def _rebuild(self, names: set[str]) -> None:
        """Groups that images came into or left."""
        if not names:
            return
        self._names = {one.number: one.id for one in self._states.values()}
        members: dict[str, list[ImageState]] = defaultdict(list)
        for one in self._states.values():
            if one.group in names and not one.excluded:
                members[one.group].append(one)
        for name in names:
            self._groups.pop(name, None)
        made = {name: self._group(found) for name, found in members.items()}
        self._groups |= made
        orders = {name: made[name].order if name in made else None for name in names}
        self._ranking.replace(orders)

    def _group(self, members: list[ImageState]) -> _Group:
        """The images of one group along its sequence, which is by path."""
        members.sort(key=lambda one: one.path)
        positions = {one.id: position for position, one in enumerate(members)}
        looks = [self._look(one) for one in members]
        return _Group(positions, self._strategy.order([one.number for one in members], looks))


def _candidate(one: ImageState) -> Candidate:
    """An image as the strategies see it; its place in its group is kept by the queue."""
    return Candidate(
        one.id,
        one.group,
        one.score,
        reviewed=one.verified == "whole",
        regions=one.open_regions,
        categories=tuple(one.proposed.split()),
        cluster=one.cluster,
        foreground=one.foreground,
        number=one.number,
    )


def _membership(one: ImageState | None) -> tuple[str, str] | None:
    """Group and place in its sequence; None for an image that is in none."""
    return None if one is None or one.excluded else (one.group, one.path)


def _ranks_as(one: ImageState | None) -> tuple[Any, ...] | None:
    """What the place of an image, and of its neighbors, depends on."""
    where = _membership(one)
    if one is None or where is None:
        return None
    reviewed = one.verified == "whole"
    return where, one.score, reviewed, one.proposed, one.cluster, one.foreground


@dataclass
class _Counts:
    """Images that are not excluded, and what they hold."""

    images: int = 0
    verified: int = 0
    regions: int = 0
    proposed: Counter[str] = field(default_factory=Counter)  # images by category

    def follow(self, changed: Iterable[tuple[ImageState | None, ImageState]]) -> None:
        """Take images in as they are now and out as they were."""
        for was, one in changed:
            if was is not None:
                self._add(was, -1)
            self._add(one, 1)

    def _add(self, one: ImageState, sign: int) -> None:
        if one.excluded:
            return
        self.images += sign
        self.verified += sign * (one.verified == "whole")
        self.regions += sign * one.open_regions
        for category in one.proposed.split():
            self.proposed[category] += sign


@dataclass(frozen=True)
class _Group:
    """One group's order, and where in its sequence an image is."""

    positions: Mapping[str, int]
    order: GroupOrder

    def put(self, one: ImageState, look: Look) -> set[int]:
        """An image looks otherwise now; see `GroupOrder.put`."""
        return self.order.put(self.positions[one.id], look)

    def entry(self, one: ImageState) -> Entry:
        """The place of an image that is not verified whole."""
        return self.order.entry(self.positions[one.id])


def _coming(store: Store, one: ImageState) -> Coming:
    if one.verified == "none":  # the geometry of instances decides nothing then
        record, regions = store.image(one.id), tuple(store.regions(one.id))
        proposal = Proposal(one.id, one.proposal_version or "", (), "", one.score or 0.0)
        seen = View(record, None, proposal, regions)
    else:
        seen = view(store, one.id)
    return Coming(seen.record, tuple(r for r in shown_regions(seen) if r.state == "open"))
