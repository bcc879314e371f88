"""What the canvas shows of one image, and what saving, accepting, fixing and skipping mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any, Literal

from app.workflow.client import instances_of_client, rejected_of_client, same_shape
from data_io.errors import ConflictError, DataError
from data_io.geometry import (
    Rle,
    area_of_rle,
    full_image,
    parts_of_rle,
    parts_to_json,
    rle_difference,
    rle_intersection,
    rle_iou,
    rle_of_parts,
    rle_union,
)
from data_io.store import Store
from data_io.types import (
    ImageRecord,
    Instance,
    Parts,
    Proposal,
    RegionState,
    ReviewRegion,
    Revision,
)

Action = Literal["accept", "fix", "skip"]
Status = Literal["unlabeled", "draft", "partial", "verified"]
SAME = 0.5  # IoU from which a proposed and a drawn instance are the same animal
_STATES: dict[str, RegionState] = {"accept": "accepted", "fix": "fixed", "skip": "skipped"}


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

    @cached_property
    def verified(self) -> Rle:
        """Raster of the verified area, empty when there is none."""
        return self.raster(self.revision.verified if self.revision else ())

    @cached_property
    def status(self) -> Status:
        """How far a person has got with the image."""
        if self.revision is None:
            return "unlabeled"
        area = area_of_rle(self.verified)
        if area == 0:
            return "draft"
        return "verified" if area == self.record.width * self.record.height else "partial"

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


def view(store: Store, image_id: str) -> View:
    """Read an image with its newest revision, proposal and regions.

    Raises:
        DataError: no such image.
    """
    record = store.image(image_id)
    regions = tuple(store.regions(image_id))
    return View(record, store.revision(image_id), store.proposal(image_id), regions)


def document(store: Store, image_id: str) -> dict[str, Any]:
    """The canvas's document of one image; plain JSON, urls relative to the page.

    Raises:
        DataError: no such image.
    """
    seen = view(store, image_id)
    rejected = seen.revision.rejected if seen.revision else ()
    pending = seen.pending(seen.instances, rejected)
    version = seen.proposal.version if seen.proposal else None
    record, base = seen.record, f"api/images/{image_id}"
    heat = seen.proposal is not None and bool(seen.proposal.uncertainty)
    return {
        "image": {
            "id": record.id,
            "name": PurePath(record.path).name,
            "width": record.width,
            "height": record.height,
            "group": record.group,
            "split": record.split,
        },
        "image_url": f"{base}/pixels",
        "heat_url": f"{base}/heat?version={version}" if heat else None,
        "revision": seen.number,
        "status": seen.status,
        "version": version,
        "categories": [
            {"id": category.id, "name": category.name, "color": category.color}
            for category in store.categories()
        ],
        "instances": [
            *(_instance_json(instance, False) for instance in seen.instances),
            *(_instance_json(instance, True) for instance in pending),
        ],
        "regions": [_region_json(region) for region in shown_regions(seen)],
        "verified": parts_to_json(seen.revision.verified) if seen.revision else [],
    }


def shown_regions(seen: View) -> list[ReviewRegion]:
    """The regions of the proposal on the screen, without open ones that are verified already."""
    if seen.proposal is None:
        return []
    return [
        region
        for region in seen.regions
        if region.version == seen.proposal.version
        and (region.state not in ("open", "skipped") or not seen.covers(region.parts))
    ]


def save(
    store: Store, image_id: str, base: int, body: Mapping[str, Any], author: str
) -> dict[str, Any]:
    """A new revision with the instances sent; nothing becomes verified by it.

    Sending again what the newest revision holds adds nothing.

    Raises:
        ConflictError: `base` is not the newest revision.
        DataError: the body does not fit the image.
    """
    seen = view(store, image_id)
    _check_base(seen, base)
    instances, rejected = _sent(store, seen, body)
    if _unchanged(seen, instances, rejected):
        return {"revision": seen.number}
    verified = seen.revision.verified if seen.revision else ()
    revision = _save(store, seen, instances, rejected, verified, author)
    return {"revision": revision.number}


def answer_region(
    store: Store,
    image_id: str,
    region_id: str,
    base: int,
    body: Mapping[str, Any],
    author: str,
) -> dict[str, Any]:
    """Accept, fix or skip one review region; returns the new document.

    Accept and fix adopt every pending proposed instance that touches the region, WHOLE: an animal
    is never cut. The region's area becomes verified. Skip changes nothing but the region's state.

    Raises:
        ConflictError: `base` is not the newest revision.
        DataError: no such region or action, a region of an older proposal, or an unfit body.
    """
    action = body.get("action")
    if action not in _STATES:
        raise DataError("the canvas", "there is no such action", "use accept, fix or skip")
    seen = view(store, image_id)
    region = _region(seen, region_id)
    if action == "skip":
        store.answer_region(region_id, "skipped")
        return document(store, image_id)
    _check_base(seen, base)
    instances, rejected = _sent(store, seen, body)
    area = seen.raster(region.parts)
    adopted = [
        one
        for one in seen.pending(instances, rejected)
        if area_of_rle(rle_intersection([seen.raster(one.parts), area]))
    ]
    verified = parts_of_rle(rle_union([seen.verified, area]))
    answer = (region_id, _STATES[action])
    _save(store, seen, (*instances, *adopted), rejected, verified, author, answer)
    _close_covered(store, image_id)
    return document(store, image_id)


def accept_image(
    store: Store, image_id: str, base: int, body: Mapping[str, Any], author: str
) -> dict[str, Any]:
    """Adopt what is still pending and verify the whole image; returns the new document.

    Raises:
        ConflictError: `base` is not the newest revision.
        DataError: the body does not fit the image.
    """
    seen = view(store, image_id)
    _check_base(seen, base)
    instances, rejected = _sent(store, seen, body)
    adopted = seen.pending(instances, rejected)
    verified = full_image(seen.record.height, seen.record.width)
    _save(store, seen, (*instances, *adopted), rejected, verified, author)
    _close_covered(store, image_id)
    return document(store, image_id)


def _sent(
    store: Store, seen: View, body: Mapping[str, Any]
) -> tuple[tuple[Instance, ...], tuple[str, ...]]:
    """Instances and deletions after this request; what the body leaves out stays as it was."""
    before = seen.revision.rejected if seen.revision else ()
    rejected = tuple(dict.fromkeys((*before, *rejected_of_client(body.get("rejected")))))
    if body.get("instances") is None:
        return seen.instances, rejected
    categories = [category.id for category in store.categories()]
    instances = instances_of_client(body["instances"], seen.record, seen.known, categories)
    return instances, rejected


def _save(
    store: Store,
    seen: View,
    instances: Sequence[Instance],
    rejected: Sequence[str],
    verified: Parts,
    author: str,
    answer: tuple[str, RegionState] | None = None,
) -> Revision:
    version = seen.proposal.version if seen.proposal else None
    return store.save_revision(
        seen.record.id,
        seen.number,
        instances,
        verified,
        author,
        rejected=rejected,
        proposal=version,
        answer=answer,
    )


def _unchanged(seen: View, instances: Sequence[Instance], rejected: Sequence[str]) -> bool:
    """True when a save would repeat the newest revision, the empty one included."""
    if tuple(rejected) != (seen.revision.rejected if seen.revision else ()):
        return False
    return len(instances) == len(seen.instances) and all(
        a.id == b.id and same_shape(a, b) and dict(a.attributes) == dict(b.attributes)
        for a, b in zip(instances, seen.instances, strict=True)
    )


def _check_base(seen: View, base: int) -> None:
    if base != seen.number:
        raise ConflictError(seen.record.id, base, seen.number)


def _region(seen: View, region_id: str) -> ReviewRegion:
    for region in seen.regions:
        if region.id == region_id:
            if seen.proposal is None or region.version != seen.proposal.version:
                break
            return region
    raise DataError("the canvas", "the region belongs to an older proposal", "reload the image")


def _close_covered(store: Store, image_id: str) -> None:
    """Open regions inside the verified area are answered: a person vouches for what is there."""
    seen = view(store, image_id)
    for region in seen.regions:
        if region.state in ("open", "skipped") and seen.covers(region.parts):
            store.answer_region(region.id, "accepted")


def _instance_json(instance: Instance, proposed: bool) -> dict[str, Any]:
    return {
        "id": instance.id,
        "category": instance.category,
        "parts": parts_to_json(instance.parts),
        "source": instance.source,
        "score": instance.score,
        "version": instance.version,
        "attributes": dict(instance.attributes),
        "proposed": proposed,
    }


def _region_json(region: ReviewRegion) -> dict[str, Any]:
    return {
        "id": region.id,
        "kind": region.kind,
        "box": list(region.box),
        "parts": parts_to_json(region.parts),
        "score": region.score,
        "reason": region.reason,
        "state": region.state,
    }
