"""When a running phase is looked at, so that its curve of the validation IoU grows meanwhile."""

from __future__ import annotations

EVERY_SECONDS = 10.0  # at most so often
COST = 0.03  # of a training's time
LOOKED = 6  # validation images of one look; a phase's end is judged on more


class Glances:
    """Seldom enough to cost no more than `COST`.

    Args:
        now: seconds on the clock that later calls use.
    """

    def __init__(self, now: float) -> None:
        self._next = now + EVERY_SECONDS

    def due(self, now: float) -> bool:
        """Whether it is time for another look."""
        return now >= self._next

    def took(self, began: float, ended: float) -> None:
        """Note what a look cost."""
        self._next = ended + max(EVERY_SECONDS, (ended - began) / COST)
