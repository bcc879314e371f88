"""Taking answers back, and what is still to be reviewed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from app.workflow import documents, measure
from app.workflow.documents import add_revision, check_base
from app.workflow.requests import holds, made_from, received
from app.workflow.views import View, view
from data_io.errors import ConflictError, DataError
from data_io.geometry import Rle, area_of_rle, parts_of_rle, rle_difference, rle_intersection
from data_io.store import Store
from data_io.types import Parts, RegionState, ReviewRegion

_ANSWERED = ("accepted", "fixed")


def answer_region(
    store: Store,
    image_id: str,
    region_id: str,
    base: int,
    body: Mapping[str, Any],
    author: str,
) -> dict[str, Any]:
    """Accept, fix, skip or reopen one review region; returns the new document.

    Reopen takes an answer back with a new revision: the region's area is verified no longer and
    the region is open again. Proposed instances the body leaves out are pending once more.

    Raises:
        ConflictError: `base` is not the newest revision.
        DataError: no such region or action, or an unfit body.
    """
    if body.get("action") != "reopen":
        return documents.answer_region(store, image_id, region_id, base, body, author)
    seen = view(store, image_id)
    region = _region(seen, region_id)
    made = made_from(store, seen, base, author)
    area = seen.raster(region.parts)
    if made is not None and _apart(made.verified, area) and holds(store, made, base, body):
        return documents.document(store, image_id)
    check_base(seen, base)
    instances, rejected = received(store, seen, base, body)
    verified = parts_of_rle(rle_difference(seen.verified, area))
    answer: tuple[str, RegionState] | None = None
    if region.version == seen.version:
        answer = (region.id, "open")
    reading = measure.taken_back(body.get("seconds"), region.id)
    try:
        add_revision(store, seen, instances, rejected, verified, author, answer, reading)
    except ConflictError:  # perhaps another copy of this request was faster: look again
        return answer_region(store, image_id, region_id, base, body, author)
    return documents.document(store, image_id)


def reopen_image(
    store: Store, image_id: str, base: int, body: Mapping[str, Any], author: str
) -> dict[str, Any]:
    """Take the acceptance of a whole image back with a new revision; returns the new document.

    Verified stays what was verified before; regions outside of that are open again. Of an image
    that is not verified whole, the edits alone are saved.

    Raises:
        ConflictError: `base` is not the newest revision; nothing of the request is stored.
        DataError: no such image, or an unfit body.
    """
    seen = view(store, image_id)
    made = made_from(store, seen, base, author)
    given = made is not None and made.status != "verified" and holds(store, made, base, body)
    if given or seen.status != "verified":
        documents.save(store, image_id, base, body, author)
        return documents.document(store, image_id)
    check_base(seen, base)
    instances, rejected = received(store, seen, base, body)
    verified = _verified_before(store, seen)
    reading = measure.taken_back(body.get("seconds"), None)
    try:
        add_revision(store, seen, instances, rejected, verified, author, None, reading)
    except ConflictError:  # perhaps another copy of this request was faster: look again
        return reopen_image(store, image_id, base, body, author)
    _open_uncovered(store, image_id)
    return documents.document(store, image_id)


def _apart(some: Rle, other: Rle) -> bool:
    """True when two rasters share no pixel."""
    return area_of_rle(rle_intersection([some, other])) == 0


def _region(seen: View, region_id: str) -> ReviewRegion:
    for region in seen.regions:
        if region.id == region_id:
            return region
    raise DataError(f"region {region_id}", "is no longer there", "reload the image")


def _verified_before(store: Store, seen: View) -> Parts:
    """The verified area of the newest revision before the image was verified whole."""
    for number in range(seen.number - 1, 0, -1):
        before = store.revision(seen.record.id, number)
        if before is None:
            continue
        earlier = View(seen.record, before, seen.proposal, ())
        if earlier.status != "verified":
            return before.verified
    return ()


def _open_uncovered(store: Store, image_id: str) -> None:
    seen = view(store, image_id)
    for region in seen.regions:
        current = region.version == seen.version
        if current and region.state in _ANSWERED and not seen.covers(region.parts):
            with suppress(DataError):  # a new proposal has just replaced it; the save stands
                store.answer_region(region.id, "open")
