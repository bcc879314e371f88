"""A sequence of images, cut where some were seen: which of the others is farthest from them."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import inf


class Line:
    """A group's candidates along its sequence, cut where images were seen.

    Between two cuts the farthest candidate lies next to the middle, so a stretch needs two
    look-ups and not a distance for each of its candidates.
    """

    def __init__(self, places: Sequence[int], seen: Sequence[int], numbers: Sequence[int]) -> None:
        """Lay the line out.

        Args:
            places: (n,) positions of candidates, ascending, none twice.
            seen: positions of images seen before, ascending.
            numbers: number of the image at every position, which decides between equals.
        """
        self._places, self._numbers = places, numbers
        n = len(places)
        # A first look at a group should start in the middle of its sequence.
        self._middle = (places[(n - 1) // 2] + places[n // 2]) / 2 if n else 0.0
        # -distance, distance from the middle, number; place in the line, its stretch, the cuts at
        # its ends.
        self._heap: list[tuple[float, float, int, int, int, int, float, float]] = []
        start, low = 0, -inf
        for cut in seen:
            end = bisect_left(self._places, cut, start)
            self._add(start, end, low, cut)
            start, low = end, float(cut)
        self._add(start, n, low, inf)

    def farthest(self) -> tuple[float, float, int]:
        """Distance to the nearest image seen, distance from the middle, number."""
        minus, middle, number, *_ = self._heap[0]
        return -minus, middle, number

    def take(self) -> bool:
        """See the farthest candidate; False when it was the last."""
        _, _, _, spot, start, end, low, high = heapq.heappop(self._heap)
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
        entries = (
            (
                -min(places[spot] - low, high - places[spot]),
                abs(places[spot] - middle),
                self._numbers[places[spot]],
                spot,
            )
            for spot in (cut - 1, cut)
            if start <= spot < end
        )
        heapq.heappush(self._heap, (*min(entries), start, end, low, high))
