"""The queue's order within one group, computed only as far as it is asked for.

Nothing crosses groups but the merge at the end (`model.ranking`): near-duplicates are neighbors in
the own sequence, discounts and coverage count the images of the own group. So a change of one image
concerns its own group alone, and of that no more than a lane of uncertain images or a cell of
images to cover.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from model.sequence_line import Line

UNSURE, UNSURE_LATE, COVERING, COVERING_EMPTY, COVERING_LATE = range(5)
Cell = tuple[int | None, bool]  # cluster, and whether probably without an animal
_IN_TURN = (COVERING, COVERING_EMPTY)
COVER = -1  # the lane of images to cover; the others are strata, 0 the rarest category


@dataclass(frozen=True)
class RankConfig:
    """How the queue is spread."""

    group_discount: float = 0.8  # factor on a group's scores for each image it already has ahead
    neighbor_gap: int = 1  # images this close in a sequence are near-duplicates, unless known to
    alike_gap: int = 4  # look different; so are images this close that are of one cluster
    empty: float = 0.5  # chance of visible animals below which an image counts as empty
    full: int = 4  # images with animals to cover for each empty one that comes among them

    def is_empty(self, foreground: float | None) -> bool:
        """Whether an image counts as empty by the chance of visible animals, None = unknown."""
        return foreground is not None and foreground < self.empty


class Look(NamedTuple):
    """What the place of an image depends on, and that of its neighbors.

    `worth` orders uncertain images, None for one without a proposal; `lane` is its stratum;
    `cluster` the kind of picture it is, None for unknown; `empty`: probably without an animal.
    """

    worth: float | None
    reviewed: bool
    lane: int = 0
    cluster: int | None = None
    empty: bool = False


class Entry(NamedTuple):
    """One image of a group's order; entries of all groups compare as the queue orders them.

    `stage` is one of the constants above (late = nearly repeats an image ahead or reviewed), `key`
    minus the discounted worth or, for coverage, how many images of the group are ahead; `gap`
    minus the distance to the nearest image seen, `middle` the distance from the sequence's middle.
    `turn` counts entries that only wait for the one before them in their group. `lane` is where
    the image is ordered, `alike` how many images of its group and cluster are ahead (coverage).
    """

    stage: int
    key: float
    gap: float
    middle: float
    tie: int
    turn: int
    number: int
    lane: int
    alike: int = 0


class Lane:
    """Entries in their order, computed as far as they are asked for and remembered."""

    def __init__(self, rest: Iterator[Entry]) -> None:
        self._known: list[Entry] = []
        self._places: dict[int, int] = {}
        self._rest = rest

    def entry(self, number: int) -> Entry:
        """The entry of an image that is in the lane."""
        while number not in self._places:
            self._more()
        return self._known[self._places[number]]

    def at(self, index: int) -> Entry | None:
        """The entry of an index, the last one for an index beyond it; None in an empty lane."""
        while len(self._known) <= index and self._more():
            pass
        return self._known[min(index, len(self._known) - 1)] if self._known else None

    def after(self, entry: Entry | None, skip: int = 0) -> Iterator[Entry]:
        """Entries that come after any lane's entry, None = all; the first `skip` are left out."""
        place = skip + (0 if entry is None else self.count(entry))
        while place < len(self._known) or self._more():
            if place < len(self._known):
                yield self._known[place]
                place += 1

    def before(self, entry: Entry) -> Entry | None:
        """The last entry that comes before any lane's entry."""
        end = self.count(entry)
        while end and self._known[end - 1] >= entry:
            end -= 1
        return self._known[end - 1] if end else None

    def count(self, entry: Entry) -> int:
        """How many entries come before any lane's entry, itself included."""
        while not self._known or self._known[-1] <= entry:
            if not self._more():
                return len(self._known)
        return bisect_right(self._known, entry)

    def _more(self) -> bool:
        """Compute one more entry; False at the end."""
        found = next(self._rest, None)
        if found is None:
            return False
        # The merge takes a lane's images in the lane's order, also where a later one would come
        # first (discounts that vanish make equals): it waits, and then comes at once.
        last = self._known[-1] if self._known else found
        if found < last:
            found = last._replace(turn=last.turn + 1, number=found.number)
        self._places[found.number] = len(self._known)
        self._known.append(found)
        return True


class GroupOrder:
    """The images of one group that are not reviewed, best first, in one lane or more.

    Computed as far as it was asked for; after `put` what depends on the image is computed anew.
    """

    def __init__(
        self,
        numbers: Sequence[int],
        looks: Sequence[Look],
        config: RankConfig,
        cover: bool,
    ) -> None:
        """Take the group in.

        Args:
            numbers: (n,) of the images along the group's sequence (e.g. by file name), unique over
                all groups; of equals the lower number comes first. An image's position is its
                place here.
            looks: (n,) reviewed images are left out, but count as seen.
            config: how the queue is spread.
            cover: order every image for coverage, which holds reviewed images alone for seen;
                else those with a worth by it, and the rest, for coverage, behind them.
        """
        self._numbers, self._config, self._cover = list(numbers), config, cover
        self._looks = list(looks)
        self._reviewed = [look.reviewed for look in looks]
        self._cluster = [look.cluster for look in looks]
        # Positions: uncertain images of every lane, best first; the rest in the sequence.
        self._by_worth: dict[int, list[int]] = defaultdict(list)
        self._seen: dict[int | None, list[int]] = defaultdict(list)  # by cluster
        self._left: dict[Cell, list[int]] = defaultdict(list)
        self._empty = 0  # of those seen
        for position, look in enumerate(self._looks):
            self._empty += self._is_seen(look) and look.empty
            for line in self._lines_of(look):
                line.append(position)
        for ranked in self._by_worth.values():
            ranked.sort(key=self._rank)
        self._lanes: dict[int, Lane] = {}
        self._cells: dict[Cell, Lane] = {}

    @property
    def lanes(self) -> list[int]:
        """The lanes that may hold images; some may turn out to be empty."""
        return [COVER, *(name for name, own in self._by_worth.items() if own)]

    def lane(self, name: int) -> Lane:
        """One of `lanes`."""
        if name not in self._lanes:
            rest = self._covering() if name == COVER else self._unsure(name)
            self._lanes[name] = Lane(rest)
        return self._lanes[name]

    def entry(self, position: int) -> Entry:
        """The entry of the image at a position, which is not reviewed."""
        look = self._looks[position]
        lane = look.lane if self._is_unsure(look) else COVER
        return self.lane(lane).entry(self._numbers[position])

    def put(self, position: int, look: Look) -> set[int]:
        """An image looks otherwise now; returns the lanes that change."""
        old = self._looks[position]
        self._take(position, old)
        self._looks[position] = look
        self._reviewed[position], self._cluster[position] = look.reviewed, look.cluster
        self._give(position, look)
        for key in [key for key in self._cells if key[0] in (old.cluster, look.cluster)]:
            del self._cells[key]
        reach = max(self._config.neighbor_gap, self._config.alike_gap)
        near = self._looks[max(0, position - reach) : position + reach + 1]
        changed = {COVER, old.lane, *(one.lane for one in near)}
        for name in changed:
            self._lanes.pop(name, None)
        return changed

    def _is_unsure(self, look: Look) -> bool:
        return look.worth is not None and not self._cover

    def _is_seen(self, look: Look) -> bool:
        return look.reviewed or self._is_unsure(look)

    def _lines_of(self, look: Look) -> list[list[int]]:
        """The lists of positions that hold such an image, those by worth first."""
        unsure = self._is_unsure(look)
        lines = [self._by_worth[look.lane]] if unsure else []
        if self._is_seen(look):
            return [*lines, self._seen[look.cluster]]
        return [self._left[look.cluster, look.empty]]

    def _rank(self, position: int) -> tuple[float, int]:
        return -(self._looks[position].worth or 0.0), self._numbers[position]

    def _take(self, position: int, look: Look) -> None:
        self._empty -= self._is_seen(look) and look.empty
        *ranked, line = self._lines_of(look)
        del line[bisect_left(line, position)]
        for own in ranked:
            del own[bisect_left(own, self._rank(position), key=self._rank)]

    def _give(self, position: int, look: Look) -> None:
        self._empty += self._is_seen(look) and look.empty
        *ranked, line = self._lines_of(look)
        insort(line, position)
        for own in ranked:
            insort(own, position, key=self._rank)

    def _unsure(self, lane: int) -> Iterator[Entry]:
        ranked, numbers, looks = self._by_worth[lane], self._numbers, self._looks
        factors = _factors(self._config.group_discount, len(ranked).bit_length())
        repeats = _Repeats(self._reviewed, self._cluster, self._config)
        late, reviewed = repeats.late, self._reviewed
        later, taken = [], 0
        for i in ranked:
            if reviewed[i]:
                continue
            if late[i] or repeats.is_beside_reviewed(i):
                later.append(i)
                continue
            key = -(looks[i].worth or 0.0) * factors[taken]
            yield Entry(UNSURE, key, 0.0, 0.0, numbers[i], 0, numbers[i], lane)
            repeats.see(i)
            taken += 1
        for i, factor in zip(later, factors[taken:], strict=False):
            key = -(looks[i].worth or 0.0) * factor
            yield Entry(UNSURE_LATE, key, 0.0, 0.0, numbers[i], 0, numbers[i], lane)

    def _covering(self) -> Iterator[Entry]:
        """The least seen cluster first; `key` counts the images of the whole group.

        An empty image costs a second, and none teaches as much of what the ground looks like: one
        comes behind the first image with animals, then one for every `full` of those.
        """
        herds, grounds = (
            heapq.merge(*(self._cell(key).after(None) for key in list(self._left) if key[1] == own))
            for own in (False, True)
        )
        ahead, empty = sum(map(len, self._seen.values())), self._empty
        herd, ground = next(herds, None), next(grounds, None)
        while herd or ground:
            due = ahead > empty and empty <= (ahead - empty - 1) // self._config.full
            early = due and herd and ground and (herd.stage, ground.stage) == _IN_TURN
            if ground and (early or not herd or ground < herd):
                one = ground._replace(stage=COVERING) if early else ground
                ground, empty = next(grounds, None), empty + 1
            else:
                assert herd is not None
                one, herd = herd, next(herds, None)
            tie = one.tie, one.turn, one.number, COVER, int(one.key)
            yield Entry(one.stage, float(ahead), one.gap, one.middle, *tie)
            ahead += 1

    def _cell(self, key: Cell) -> Lane:
        if key not in self._cells:
            self._cells[key] = Lane(self._along(*key))
        return self._cells[key]

    def _along(self, cluster: int | None, empty: bool) -> Iterator[Entry]:
        """Images of one cell, the farthest in time from those seen of its cluster first."""
        seen, left = self._seen[cluster], self._left[cluster, empty]
        line = Line(left, seen, self._numbers)
        reach = self._config.neighbor_gap if cluster is None else self._config.alike_gap
        usual = COVERING_EMPTY if empty else COVERING
        for ahead in range(len(seen), len(seen) + len(left)):
            gap, middle, number = line.farthest()
            stage = COVERING_LATE if gap <= reach else usual
            yield Entry(stage, ahead, -gap, middle, number, 0, number, COVER)
            line.take()


class _Repeats:
    """Which images of a sequence nearly repeat one that is ahead or reviewed."""

    def __init__(
        self, reviewed: Sequence[bool], clusters: Sequence[int | None], config: RankConfig
    ) -> None:
        self._reviewed, self._clusters = reviewed, clusters
        self._gap, self._alike = config.neighbor_gap, config.alike_gap
        self.late = bytearray(len(reviewed))  # 1 = nearly repeats an image that is ahead

    def is_beside_reviewed(self, position: int) -> bool:
        """Whether an image nearly repeats a reviewed one."""
        if self._clusters[position] is None:
            return True in self._reviewed[max(0, position - self._gap) : position + self._gap + 1]
        near = self._near(position)
        return any(self._reviewed[i] and self._repeats(i, position) for i in near)

    def see(self, position: int) -> None:
        """An image is ahead now."""
        if self._clusters[position] is None:
            start, end = max(0, position - self._gap), position + self._gap + 1
            end = min(end, len(self.late))
            self.late[start:end] = b"\1" * (end - start)
            return
        for i in self._near(position):
            if self._repeats(i, position):
                self.late[i] = 1

    def _near(self, position: int) -> range:
        reach = max(self._gap, self._alike)
        return range(max(0, position - reach), min(len(self.late), position + reach + 1))

    def _repeats(self, one: int, other: int) -> bool:
        """Close in time, and of one cluster; where a cluster is unknown, closer in time."""
        own, its = self._clusters[one], self._clusters[other]
        if own is None or its is None:
            return abs(one - other) <= self._gap
        return own == its and abs(one - other) <= self._alike


@lru_cache(maxsize=64)
def _factors(discount: float, bits: int) -> list[float]:
    """Powers of a discount, enough for a group whose size has that many bits."""
    return discount_factors(discount, 1 << bits)


def discount_factors(discount: float, count: int) -> list[float]:
    """discount ** k for k = 0 ... count."""
    factors: list[float] = (discount ** np.arange(count + 1)).tolist()
    return factors
