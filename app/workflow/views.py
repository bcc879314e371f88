"""The newest state of an image: its revision and proposal, and what is still to be decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from data_io.geometry import (
    Rle,
    area_of_rle,
    rle_difference,
    rle_intersection,
    rle_iou,
    rle_of_parts,
)
from data_io.store import Store, VerifiedState
from data_io.types import ImageRecord, Instance, Parts, Proposal, ReviewRegion, Revision

Status = Literal["unlabeled", "draft", "partial", "verified"]
SAME = 0.5  # IoU from which a proposed and a drawn instance are the same animal
_WORDS: dict[VerifiedState, Status] = {"none": "draft", "partial": "partial", "whole": "verified"}


@dataclass(frozen=True)
class View:
    """The newest revision and proposal of an image, read together."""

    record: ImageRecord
    revision: Revision | None
    proposal: Proposal | None
    regions: tuple[ReviewRegion, ...]

    @property
    def number(self) -> int:
        """Number of the newest revision, 0 for none."""
        return self.revision.number if self.revision else 0

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Instances of the newest revision."""
        return self.revision.instances if self.revision else ()

    @property
    def rejected(self) -> tuple[str, ...]:
        """Proposed instances deleted up to the newest revision."""
        return self.revision.rejected if self.revision else ()

    @property
    def version(self) -> str | None:
        """The model version of the proposal, None for no proposal."""
        return self.proposal.version if self.proposal else None

    @cached_property
    def verified(self) -> Rle:
        """Raster of the verified area, empty when there is none."""
        return self.raster(self.revision.verified if self.revision else ())

    @cached_property
    def status(self) -> Status:
        """How far a person has got with the image."""
        area, whole = area_of_rle(self.verified), self.record.width * self.record.height
        verified: VerifiedState = "partial" if 0 < area < whole else "whole" if area else "none"
        return status_of(self.number, verified)

    @cached_property
    def known(self) -> dict[str, Instance]:
        """Every instance a browser may refer to; the revision's win over the proposal's."""
        proposed = self.proposal.instances if self.proposal else ()
        return {instance.id: instance for instance in (*proposed, *self.instances)}

    def raster(self, parts: Parts) -> Rle:
        """RLE of a region in this image."""
        return rle_of_parts(parts, self.record.height, self.record.width)

    def covers(self, parts: Parts) -> bool:
        """True when the verified area holds the whole region."""
        return area_of_rle(rle_difference(self.raster(parts), self.verified)) == 0

    def pending(
        self, instances: Sequence[Instance], rejected: Sequence[str]
    ) -> tuple[Instance, ...]:
        """Proposed instances still to be decided, given the instances and deletions so far.

        Left out are the adopted and the deleted ones, those that are the same animal as an
        instance, and those mostly inside the verified area, where a person has spoken already.
        """
        if self.proposal is None:
            return ()
        gone = {instance.id for instance in instances} | set(rejected)
        drawn = [self.raster(instance.parts) for instance in instances]
        return tuple(
            one
            for one in self.proposal.instances
            if one.id not in gone and self._is_news(self.raster(one.parts), drawn)
        )

    def _is_news(self, raster: Rle, drawn: Sequence[Rle]) -> bool:
        area = area_of_rle(raster)
        if area == 0 or area_of_rle(rle_intersection([raster, self.verified])) > area / 2:
            return False
        return all(rle_iou(raster, other) < SAME for other in drawn)


def status_of(revision: int, verified: VerifiedState) -> Status:
    """The word for how far a person has got with an image; `revision` is its newest, 0 for none."""
    return _WORDS[verified] if revision else "unlabeled"


def view(store: Store, image_id: str) -> View:
    """Read an image with its newest revision, proposal and regions.

    Raises:
        DataError: no such image.
    """
    record = store.image(image_id)
    regions = tuple(store.regions(image_id))
    return View(record, store.revision(image_id), store.proposal(image_id), regions)
