"""What the canvas shows of one image, and what saving, accepting, fixing and skipping mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
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
from data_io.pyramid import is_tiled
from data_io.store import Store, VerifiedState
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
_WORDS: dict[VerifiedState, Status] = {"none": "draft", "partial": "partial", "whole": "verified"}


class StaleError(DataError):
    """An answer to a proposal that is no longer the image's current one; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("the canvas", "new proposals arrived", "reload the image")


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


def document(store: Store, image_id: str) -> dict[str, Any]:
    """The canvas's document of one image; plain JSON, urls relative to the page.

    Raises:
        DataError: no such image.
    """
    seen = view(store, image_id)
    pending = seen.pending(seen.instances, seen.rejected)
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
        "tile_url": f"{base}/tiles/{record.sha256[:16]}" if is_tiled(record) else None,
        "heat_url": f"{base}/heat?version={seen.version}" if heat else None,
        "revision": seen.number,
        "status": seen.status,
        "version": seen.version,
        "categories": [
            {"id": category.id, "name": category.name, "color": category.color}
            for category in store.categories()
        ],
        "instances": [
            *(_instance_json(instance, False) for instance in seen.instances),
            *(_instance_json(instance, True) for instance in pending),
        ],
        "regions": [region_json(region) for region in shown_regions(seen)],
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

    Sending again what the newest revision holds adds nothing, also from the base of that revision:
    a browser that never got the reply repeats its request.

    Raises:
        ConflictError: `base` is not the newest revision.
        DataError: the body does not fit the image.
    """
    seen = view(store, image_id)
    instances, rejected = received(store, seen, body)
    unchanged = rejected == seen.rejected and same_instances(instances, seen.instances)
    if not (unchanged and follows(seen, base, author)):
        _check_base(seen, base)
    if unchanged:
        return {"revision": seen.number}
    verified = seen.revision.verified if seen.revision else ()
    revision = add_revision(store, seen, instances, rejected, verified, author)
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
    A repeated answer changes nothing.

    Raises:
        ConflictError: `base` is not the newest revision.
        StaleError: the image's current proposal has no such region.
        DataError: no such action, or an unfit body.
    """
    action = body.get("action")
    if action not in _STATES:
        raise DataError("the canvas", "there is no such action", "use accept, fix or skip")
    seen, state = view(store, image_id), _STATES[action]
    if action == "skip":
        store.answer_region(_region(seen, region_id).id, state)
        return document(store, image_id)
    instances, rejected = sent = received(store, seen, body)
    answered = any(one.id == region_id and one.state == state for one in seen.regions)
    if not (answered and _repeats(store, seen, base, author, sent)):
        region = _region(seen, region_id)
        _check_base(seen, base)
        area = seen.raster(region.parts)
        adopted = [
            one
            for one in seen.pending(instances, rejected)
            if area_of_rle(rle_intersection([seen.raster(one.parts), area]))
        ]
        verified = parts_of_rle(rle_union([seen.verified, area]))
        answer = (region_id, state)
        add_revision(store, seen, (*instances, *adopted), rejected, verified, author, answer)
    _close_covered(store, image_id)
    return document(store, image_id)


def accept_image(
    store: Store, image_id: str, base: int, body: Mapping[str, Any], author: str
) -> dict[str, Any]:
    """Adopt what is still pending and verify the whole image; returns the new document.

    The body's `version` names the proposal on the screen (None or absent for none): a person cannot
    vouch for animals that arrived since. A repeated acceptance changes nothing.

    Raises:
        ConflictError: `base` is not the newest revision.
        StaleError: the image has another proposal now.
        DataError: the body does not fit the image.
    """
    seen = view(store, image_id)
    instances, rejected = sent = received(store, seen, body)
    verified = full_image(seen.record.height, seen.record.width)
    if not (seen.status == "verified" and _repeats(store, seen, base, author, sent)):
        _check_base(seen, base)
        if body.get("version") != seen.version:
            raise StaleError
        adopted = seen.pending(instances, rejected)
        add_revision(store, seen, (*instances, *adopted), rejected, verified, author)
    _close_covered(store, image_id)
    return document(store, image_id)


def received(
    store: Store, seen: View, body: Mapping[str, Any]
) -> tuple[tuple[Instance, ...], tuple[str, ...]]:
    """Instances and deletions after this request; what the body leaves out stays as it was."""
    rejected = tuple(dict.fromkeys((*seen.rejected, *rejected_of_client(body.get("rejected")))))
    if body.get("instances") is None:
        return seen.instances, rejected
    # A tab opened, or an edit undone, from before a merge still names the merged category.
    categories = {category.id: category.id for category in store.categories()}
    categories |= store.merged_categories()
    instances = instances_of_client(body["instances"], seen.record, seen.known, categories)
    return instances, rejected


def add_revision(
    store: Store,
    seen: View,
    instances: Sequence[Instance],
    rejected: Sequence[str],
    verified: Parts,
    author: str,
    answer: tuple[str, RegionState] | None = None,
) -> Revision:
    """Store the next revision of the image that was seen; see `Store.save_revision`."""
    return store.save_revision(
        seen.record.id,
        seen.number,
        instances,
        verified,
        author,
        rejected=rejected,
        proposal=seen.version,
        answer=answer,
    )


def same_instances(some: Sequence[Instance], others: Sequence[Instance]) -> bool:
    """True when both hold the same instances in the same order."""
    return len(some) == len(others) and all(
        a.id == b.id and same_shape(a, b) and dict(a.attributes) == dict(b.attributes)
        for a, b in zip(some, others, strict=True)
    )


def follows(seen: View, base: int, author: str) -> bool:
    """True when the author of this request has made the newest revision from the same base."""
    newest = seen.revision
    return newest is not None and newest.number == base + 1 and newest.author == author


def _repeats(
    store: Store, seen: View, base: int, author: str, sent: tuple[Sequence[Instance], Sequence[str]]
) -> bool:
    """True when the newest revision holds this answer already: what was sent, then adopted ones."""
    instances, rejected = sent
    kept, adopted = seen.instances[: len(instances)], seen.instances[len(instances) :]
    same = rejected == seen.rejected and same_instances(instances, kept)
    if not (same and follows(seen, base, author)):
        return False
    before = store.revision(seen.record.id, base)
    old = {one.id for one in before.instances} if before else set()
    return all(one.source == "model" and one.id not in old for one in adopted)


def _check_base(seen: View, base: int) -> None:
    if base != seen.number:
        raise ConflictError(seen.record.id, base, seen.number)


def _region(seen: View, region_id: str) -> ReviewRegion:
    for region in seen.regions:
        if region.id == region_id and region.version == seen.version:
            return region
    raise StaleError


def _close_covered(store: Store, image_id: str) -> None:
    """Open regions inside the verified area are answered: a person vouches for what is there."""
    seen = view(store, image_id)
    for region in seen.regions:
        if region.state in ("open", "skipped") and seen.covers(region.parts):
            with suppress(DataError):  # a new proposal has just replaced it; the save stands
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


def region_json(region: ReviewRegion) -> dict[str, Any]:
    """A review region as the canvas gets it."""
    return {
        "id": region.id,
        "kind": region.kind,
        "box": list(region.box),
        "parts": parts_to_json(region.parts),
        "score": region.score,
        "reason": region.reason,
        "state": region.state,
    }
