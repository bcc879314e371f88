"""At which size images are looked at: as small as time demands, as large as the animals demand.

Images are scaled down to a usual long side. Where the smaller animals would be too few pixels for
the network to know, as in pictures of a drone, images are kept larger: training takes its crops
from them, predicting goes over them in tiles (`model.tiles`). Images are never scaled up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pycocotools import mask as coco_mask

from data_io.snapshot import VOID, SnapshotImage

SMALL = 10  # percentile of the sizes of animals that must still be seen


@dataclass(frozen=True)
class Scaling:
    """The sizes of animals in image pixels: square root of the area, of the smaller ones."""

    max_side: int  # usual long side of an image, pixels
    least: float = 0.0  # an animal's size that must be left, pixels; 0 = images are always max_side
    small: float = 0.0  # size of the project's animals; 0 = not known
    groups: Mapping[str, float] = field(default_factory=dict)  # that of a group's, where labeled

    def usual(self, width: int, height: int) -> float:
        """Pixels of an image scaled to `max_side` per image pixel."""
        return min(1.0, self.max_side / max(width, height))

    def wanted(self, width: int, height: int, small: float) -> float:
        """As `usual`, but animals of the size `small` keep at least `least` pixels."""
        if not (self.least and small):
            return self.usual(width, height)
        return min(1.0, max(self.usual(width, height), self.least / small))

    def of(self, record: SnapshotImage) -> float:
        """Pixels at training size per image pixel."""
        small = self.groups.get(record.group, self.small)
        return self.wanted(record.width, record.height, small)

    def size(self, record: SnapshotImage) -> tuple[int, int]:
        """Width and height at training size."""
        zoom = self.of(record)
        return max(1, round(record.width * zoom)), max(1, round(record.height * zoom))


def measured(records: Sequence[SnapshotImage], max_side: int, least: float) -> Scaling:
    """The scaling for a project with these labeled images.

    Parts of animals outside the verified area count too: their size is what matters.
    """
    sides: dict[str, list[float]] = {}
    for record in records:
        rles = [rle for index, rle in record.labels if index != VOID]
        areas = coco_mask.area(rles) if rles else []
        sides.setdefault(record.group, []).extend(float(a) ** 0.5 for a in areas if a)
    groups = {name: float(np.percentile(one, SMALL)) for name, one in sides.items() if one}
    everything = [side for one in sides.values() for side in one]
    small = float(np.percentile(everything, SMALL)) if everything else 0.0
    return Scaling(max_side, least, small, groups)
