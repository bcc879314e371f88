"""The queue's order within one group, computed only as far as it is asked for.

Without embeddings nothing in `acquisition.rank` crosses groups but the merge at the end: discounts
count the images of the own group, near-duplicates are neighbors in the own sequence. So a change
of one image concerns its own group alone, and the groups' orders, merged, are the queue.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from math import inf
from typing import NamedTuple

import numpy as np

UNSURE, UNSURE_LATE, COVERING, COVERING_LATE = range(4)


@dataclass(frozen=True)
class RankConfig:
    """How the queue is spread."""

    group_discount: float = 0.8  # factor on a group's scores for each image it already has ahead
    neighbor_gap: int = 1  # images this close in a sequence are near-duplicates
    similarity: float = 0.97  # so are embeddings whose cosine is at least this


class Entry(NamedTuple):
    """One image of a group's order; entries of all groups compare as the queue orders them.

    `stage` is one of the constants above (late = nearly repeats an image ahead or reviewed), `key`
    minus the discounted score or, for coverage, how many images of the group are ahead; `gap`
    minus the distance to the nearest image seen, `middle` the distance from the sequence's middle.
    `turn` counts entries that only wait for the one before them in their group.
    """

    stage: int
    key: float
    gap: float
    middle: float
    tie: int
    turn: int
    number: int


class GroupOrder:
    """The images of one group that are not reviewed, best first, as `acquisition.rank` has them.

    Computed as far as it was asked for, and anew after `put`.
    """

    def __init__(
        self,
        numbers: Sequence[int],
        scores: Sequence[float | None],
        reviewed: Sequence[bool],
        config: RankConfig,
    ) -> None:
        """Take the group in.

        Args:
            numbers: (n,) of the images along the group's sequence (e.g. by file name), unique over
                all groups; of equals the lower number comes first. An image's position is its
                place here.
            scores: (n,) in [0, 1], None = no proposal yet.
            reviewed: (n,) such images are left out, but count as seen.
            config: how the queue is spread.
        """
        self._numbers, self._config = list(numbers), config
        self._scores, self._reviewed = list(scores), list(reviewed)
        scored = (i for i, score in enumerate(scores) if score is not None)
        self._by_score = sorted(scored, key=self._rank)
        self._start()

    def put(self, position: int, score: float | None, reviewed: bool) -> None:
        """Another score of an image, or that it is reviewed now or no longer."""
        if self._scores[position] is not None:
            del self._by_score[bisect_left(self._by_score, self._rank(position), key=self._rank)]
        self._scores[position], self._reviewed[position] = score, reviewed
        if score is not None:
            insort(self._by_score, position, key=self._rank)
        self._start()

    def entry(self, number: int) -> Entry:
        """The entry of an image that is not reviewed."""
        while number not in self._places:
            self._more()
        return self._known[self._places[number]]

    def after(self, entry: Entry | None) -> Iterator[Entry]:
        """Entries of this group that come after any group's entry; None = all."""
        place = 0 if entry is None else self._place_after(entry)
        while place < len(self._known) or self._more():
            yield self._known[place]
            place += 1

    def before(self, entry: Entry) -> Entry | None:
        """The last entry of this group that comes before any group's entry."""
        end = self._place_after(entry)
        while end and self._known[end - 1] >= entry:
            end -= 1
        return self._known[end - 1] if end else None

    def _place_after(self, entry: Entry) -> int:
        while not self._known or self._known[-1] <= entry:
            if not self._more():
                return len(self._known)
        return bisect_right(self._known, entry)

    def _start(self) -> None:
        self._known: list[Entry] = []
        self._places: dict[int, int] = {}
        self._rest = chain(self._unsure(), self._covering())

    def _more(self) -> bool:
        """Compute one more entry; False at the end."""
        found = next(self._rest, None)
        if found is None:
            return False
        # The merge takes a group's images in the group's order, also where a later one would come
        # first (discounts that vanish make equals): it waits, and then comes at once.
        last = self._known[-1] if self._known else found
        if found < last:
            found = last._replace(turn=last.turn + 1, number=found.number)
        self._places[found.number] = len(self._known)
        self._known.append(found)
        return True

    def _rank(self, position: int) -> tuple[float, int]:
        return -(self._scores[position] or 0.0), self._numbers[position]

    def _unsure(self) -> Iterator[Entry]:
        numbers, reviewed, reach = self._numbers, self._reviewed, self._config.neighbor_gap
        factors = _factors(self._config.group_discount, len(numbers).bit_length())
        late, later, taken = bytearray(len(numbers)), [], 0
        for i in self._by_score:
            start, end = max(0, i - reach), min(len(late), i + reach + 1)
            if reviewed[i]:
                continue
            if late[i] or True in reviewed[start:end]:
                later.append(i)
                continue
            key = -(self._scores[i] or 0.0) * factors[taken]
            yield Entry(UNSURE, key, 0.0, 0.0, numbers[i], 0, numbers[i])
            late[start:end] = b"\1" * (end - start)
            taken += 1
        for i, factor in zip(later, factors[taken:], strict=False):
            key = -(self._scores[i] or 0.0) * factor
            yield Entry(UNSURE_LATE, key, 0.0, 0.0, numbers[i], 0, numbers[i])

    def _covering(self) -> Iterator[Entry]:
        numbers, every = self._numbers, zip(self._scores, self._reviewed, strict=True)
        is_seen = [score is not None or done for score, done in every]
        seen = [i for i, known in enumerate(is_seen) if known]
        fresh = [i for i, known in enumerate(is_seen) if not known]
        line = Line(fresh, [numbers[i] for i in fresh], (), seen)
        for ahead in range(len(seen), len(numbers)):
            gap, middle, number = line.farthest()
            stage = COVERING_LATE if gap <= self._config.neighbor_gap else COVERING
            yield Entry(stage, ahead, -gap, middle, number, 0, number)
            line.take()


def merged(groups: Iterable[GroupOrder], after: Entry | None = None) -> Iterator[Entry]:
    """The queue behind an entry, or all of it."""
    return heapq.merge(*(group.after(after) for group in groups))


@lru_cache(maxsize=64)
def _factors(discount: float, bits: int) -> list[float]:
    """Powers of a discount, enough for a group whose size has that many bits."""
    return discount_factors(discount, 1 << bits)


def discount_factors(discount: float, count: int) -> list[float]:
    """discount ** k for k = 0 ... count."""
    factors: list[float] = (discount ** np.arange(count + 1)).tolist()
    return factors


class Line:
    """A group's candidates along its sequence, cut where images were seen.

    Between two cuts the farthest candidate lies next to the middle, so a stretch needs two
    look-ups and not a distance for each of its candidates.
    """

    def __init__(
        self,
        places: Sequence[int],
        indices: Sequence[int],
        unplaced: Sequence[int],
        seen: Sequence[int],
    ) -> None:
        """Lay the line out.

        Args:
            places: (n,) positions of candidates, ascending; of equals the lower index first.
            indices: (n,) their indices, which decide between equals.
            unplaced: indices of candidates without a position: far from everything.
            seen: positions of images seen before, in any order.
        """
        self._places, self._indices = places, indices
        n = len(places)
        # A first look at a group should start in the middle of its sequence.
        self._middle = (places[(n - 1) // 2] + places[n // 2]) / 2 if n else 0.0
        # -distance, distance from the middle, index; place in the line, its stretch, the cuts at
        # its ends.
        self._heap: list[tuple[float, float, int, int, int, int, float, float]] = [
            (-inf, 0.0, index, 0, 0, 0, -inf, inf) for index in unplaced
        ]
        heapq.heapify(self._heap)
        start, low = 0, -inf
        for cut in sorted(set(seen)):
            end = bisect_left(self._places, cut, start)
            self._add(start, end, low, cut)
            start, low = end, float(cut)
        self._add(start, n, low, inf)

    def farthest(self) -> tuple[float, float, int]:
        """Distance to the nearest image seen, distance from the middle, index."""
        minus, middle, index, *_ = self._heap[0]
        return -minus, middle, index

    def take(self) -> bool:
        """See the farthest candidate; False when it was the last."""
        _, _, _, spot, start, end, low, high = heapq.heappop(self._heap)
        if start < end:
            place = self._places[spot]
            self._add(start, spot, low, place)
            self._add(spot + 1, end, place, high)
        return bool(self._heap)

    def _add(self, start: int, end: int, low: float, high: float) -> None:
        """Note the farthest candidate of a stretch between the cuts `low` and `high`."""
        if start == end:
            return
        places, middle = self._places, self._middle
        uncut = low == -inf and high == inf
        cut = bisect_right(places, middle if uncut else (low + high) / 2, start, end)
        spots = [cut] if cut < end else []
        if cut > start:
            spots.append(bisect_left(places, places[cut - 1], start, cut))  # the first of equals
        entries = (
            (
                -min(places[spot] - low, high - places[spot]),
                abs(places[spot] - middle),
                self._indices[spot],
                spot,
            )
            for spot in spots
        )
        heapq.heappush(self._heap, (*min(entries), start, end, low, high))
