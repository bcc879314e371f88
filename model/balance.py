"""How labels that are new to a network share its crops with those it knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data_io.snapshot import SnapshotImage

LEAST_NEW, MOST_NEW = 0.25, 0.5  # share of the labeled crops that new labels get


@dataclass(frozen=True)
class Balanced:
    """Images that take turns, those with new labels apart from the others.

    New labels get as many crops as there are images of them, but not less than `LEAST_NEW` of all,
    or a handful would drown in a large project, and not more than `MOST_NEW`, or what was learned
    would be forgotten.
    """

    new: tuple[SnapshotImage, ...]
    others: tuple[SnapshotImage, ...]

    @staticmethod
    def of(pool: Sequence[SnapshotImage], new: frozenset[str]) -> Balanced:
        """A pool with the ids of its new images."""
        return Balanced(
            tuple(image for image in pool if image.id in new),
            tuple(image for image in pool if image.id not in new),
        )

    @property
    def share(self) -> float:
        """Of the crops that show new images."""
        if not self.new or not self.others:
            return float(bool(self.new))
        natural = len(self.new) / (len(self.new) + len(self.others))
        return min(max(natural, LEAST_NEW), MOST_NEW)

    def turn(self, number: int) -> tuple[tuple[SnapshotImage, ...], int]:
        """The images of which one is shown in the crop `number`, and its number among theirs."""
        before, after = int(number * self.share), int((number + 1) * self.share)
        return (self.new, before) if after > before else (self.others, number - before)
