"""What the canvas shows of one image, and what saving, accepting, fixing and skipping mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import PurePath
from typing import Any, Literal

from app.workflow import measure
from app.workflow.requests import holds, holds_answer, is_as_seen, made_from, received
from app.workflow.views import View, view
from data_io.errors import ConflictError, DataError
from data_io.geometry import (
    area_of_rle,
    full_image,
    parts_of_rle,
    parts_to_json,
    rle_intersection,
    rle_union,
)
from data_io.pyramid import is_tiled
from data_io.store import NewReading, Store
from data_io.types import Instance, Parts, RegionState, ReviewRegion, Revision

Action = Literal["accept", "fix", "skip"]
_STATES: dict[str, RegionState] = {"accept": "accepted", "fix": "fixed", "skip": "skipped"}
_WAITING = ("open", "skipped")


class StaleError(DataError):
    """An answer to a proposal that is no longer the image's current one; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("the canvas", "new proposals arrived", "reload the image")


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
        and (region.state not in _WAITING or not seen.covers(region.parts))
    ]


def save(
    store: Store, image_id: str, base: int, body: Mapping[str, Any], author: str
) -> dict[str, Any]:
    """A new revision with the instances sent; nothing becomes verified by it.

    Sending again what the newest revision holds adds nothing, and a repeated request gets the
    number of the revision it made the first time, whoever has saved since.

    Raises:
        ConflictError: `base` is not the newest revision; nothing of the request is stored.
        DataError: the body does not fit the image.
    """
    seen = view(store, image_id)
    made = made_from(store, seen, base, author)
    if made is not None and holds(store, made, base, body):
        return {"revision": made.number}
    check_base(seen, base)
    instances, rejected = received(store, seen, base, body)
    if is_as_seen(seen, instances, rejected):
        return {"revision": seen.number}
    verified = seen.revision.verified if seen.revision else ()
    try:
        reading = measure.saved(body.get("seconds"))
        revision = add_revision(store, seen, instances, rejected, verified, author, None, reading)
    except ConflictError:  # perhaps another copy of this request was faster: look again
        return save(store, image_id, base, body, author)
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
    A repeated answer changes nothing, whoever has saved since.

    Raises:
        ConflictError: `base` is not the newest revision; nothing of the request is stored.
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
    made = made_from(store, seen, base, author)
    # Somebody may have taken the answer back since; it is given all the same.
    given = made is not None and any(
        one.id == region_id and one.state in (state, *_WAITING) and made.covers(one.parts)
        for one in seen.regions
    )
    if not (made and given and holds_answer(store, made, base, body)):
        region = _region(seen, region_id)
        check_base(seen, base)
        instances, rejected = received(store, seen, base, body)
        area = seen.raster(region.parts)
        adopted = [
            one
            for one in seen.pending(instances, rejected)
            if area_of_rle(rle_intersection([seen.raster(one.parts), area]))
        ]
        verified = parts_of_rle(rle_union([seen.verified, area]))
        label, answer = (*instances, *adopted), (region_id, state)
        spent = body.get("seconds")
        reading = measure.measured(store, seen, label, area, spent, region_id)
        try:
            add_revision(store, seen, label, rejected, verified, author, answer, reading)
        except ConflictError:  # see `save`
            return answer_region(store, image_id, region_id, base, body, author)
    _close_covered(store, image_id)
    return document(store, image_id)


def accept_image(
    store: Store, image_id: str, base: int, body: Mapping[str, Any], author: str
) -> dict[str, Any]:
    """Adopt what is still pending and verify the whole image; returns the new document.

    The body's `version` names the proposal on the screen (None or absent for none): a person cannot
    vouch for animals that arrived since. A repeated acceptance changes nothing, whoever has saved
    since, and neither does one of an image that is verified as it is (a second click).

    Raises:
        ConflictError: `base` is not the newest revision; nothing of the request is stored.
        StaleError: the image has another proposal now.
        DataError: the body does not fit the image.
    """
    seen = view(store, image_id)
    made = made_from(store, seen, base, author)
    given = made is not None and made.status == "verified"
    if not (made and given and holds_answer(store, made, base, body)):
        check_base(seen, base)
        instances, rejected = received(store, seen, base, body)
        if body.get("version") != seen.version:
            raise StaleError
        label = (*instances, *seen.pending(instances, rejected))
        if seen.status == "verified" and is_as_seen(seen, label, rejected):
            return document(store, image_id)
        verified = full_image(seen.record.height, seen.record.width)
        area = seen.raster(verified)
        reading = measure.measured(store, seen, label, area, body.get("seconds"))
        try:
            add_revision(store, seen, label, rejected, verified, author, None, reading)
        except ConflictError:  # see `save`
            return accept_image(store, image_id, base, body, author)
    _close_covered(store, image_id)
    return document(store, image_id)


def add_revision(
    store: Store,
    seen: View,
    instances: Sequence[Instance],
    rejected: Sequence[str],
    verified: Parts,
    author: str,
    answer: tuple[str, RegionState] | None = None,
    reading: NewReading | None = None,
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
        reading=reading,
    )


def check_base(seen: View, base: int) -> None:
    """Raise ConflictError unless `base` is the newest revision."""
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
        if region.state in _WAITING and seen.covers(region.parts):
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
