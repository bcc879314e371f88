"""How much people have labeled for trainings, in figures that tell whether anything is new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from data_io.snapshot import SET_ASIDE
from data_io.store import Store


@dataclass(frozen=True)
class Labels:
    """What the images hold that a training may take; excluded ones and test images never count.

    Attributes:
        images: those that are verified whole.
        regions: answered review regions, those that an accepted image closed included.
        edits: revisions of images with a verified area; a correction is told from nothing by them.
    """

    images: int = 0
    regions: int = 0
    edits: int = 0

    def as_dict(self) -> dict[str, int]:
        """Plain JSON values."""
        return asdict(self)

    @staticmethod
    def of_dict(values: Mapping[str, Any]) -> Labels:
        """Inverse of `as_dict`."""
        return Labels(**values)


def count(store: Store) -> Labels:
    """The labels of the project as they are now."""
    usable = {
        name: one
        for name, one in store.image_states().items()
        if one.verified != "none" and not one.excluded and one.split not in SET_ASIDE
    }
    return Labels(
        images=sum(one.verified == "whole" for one in usable.values()),
        regions=sum(n for image, n in store.answered_regions().items() if image in usable),
        edits=sum(one.revision for one in usable.values()),
    )
