"""What an answer tells about the pre-label it judges: the reading stored with its revision.

The pre-label is the proposal on the screen, as the model made it: a proposed animal that the person
has changed is pending no longer, yet how far it was off is what counts. Everything is measured
inside the fresh area, which is verified by this answer and was not before, so no pixel is judged
twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from app.workflow.client import same_shape
from app.workflow.views import SAME, View
from data_io.artifacts import Artifacts
from data_io.errors import DataError
from data_io.geometry import (
    Rle,
    area_of_rle,
    crop_of_rle,
    rle_difference,
    rle_intersection,
    rle_iou,
    rle_union,
    window_of_rle,
)
from data_io.store import NewReading, Store
from data_io.store.records import Bin, ReadingKind
from data_io.types import Instance
from model.instances import STRIDE
from model.uncertainty import expected_error

AUDIT = "audit"  # kind of the random review regions
LONGEST = 3600.0  # active seconds one reading may have; more is a clock gone wrong
BINS = 10  # of the told error chance, which ends at one half
Animal = tuple[Instance, Rle]


def seconds_of_client(sent: object) -> float | None:
    """Active seconds as a browser tells them, at most `LONGEST`; None for anything else."""
    if isinstance(sent, bool) or not isinstance(sent, int | float):
        return None
    if not math.isfinite(sent) or sent < 0:
        return None
    return min(float(sent), LONGEST)


def saved(sent: object) -> NewReading | None:
    """The reading of a plain save; None where the browser told no time, as nothing is known then.

    Args:
        sent: `seconds` of the request, any JSON.
    """
    seconds = seconds_of_client(sent)
    return None if seconds is None else NewReading(kind="save", seconds=seconds)


def taken_back(sent: object, region: str | None) -> NewReading:
    """The reading of a revision that takes the answer to a region (None: the image) back."""
    return NewReading(kind="reopen", region=region, seconds=seconds_of_client(sent))


def measured(
    store: Store,
    seen: View,
    instances: Sequence[Instance],
    area: Rle,
    sent: object,
    region: str | None = None,
) -> NewReading:
    """The reading of an answer, before it is stored.

    Args:
        store: the project.
        seen: the image as it was before the answer.
        instances: the label after it.
        area: what the answer makes verified.
        sent: `seconds` of the request, any JSON.
        region: id of the region answered, None for the whole image.
    """
    judged = _Judged(seen, tuple(instances), area)
    kept, changed, added, deleted = judged.animals()
    audits, audits_wrong = judged.audits()
    both, either = judged.overlap()
    told = seen.proposal is not None
    return NewReading(
        kind=_kind(seen, region),
        region=region,
        seconds=seconds_of_client(sent),
        version=seen.version,
        kept=kept,
        changed=changed,
        added=added,
        deleted=deleted,
        pixels_both=both,
        pixels_either=either if told else 0,
        pixels_wrong=area_of_rle(judged.wrong) if told else 0,
        pixels_caught=judged.caught() if told else 0,
        audits=audits,
        audits_wrong=audits_wrong,
        bins=_bins(store, judged),
    )


def _kind(seen: View, region: str | None) -> ReadingKind:
    if region is None:
        return "image"
    audit = any(one.id == region and one.kind == AUDIT for one in seen.regions)
    return "audit" if audit else "region"


@dataclass(frozen=True)
class _Judged:
    """The pre-label and the label, compared inside the fresh area."""

    seen: View
    instances: tuple[Instance, ...]
    area: Rle

    @cached_property
    def fresh(self) -> Rle:
        return rle_difference(self.area, self.seen.verified)

    @cached_property
    def before(self) -> list[Animal]:
        return self._near(self.seen.proposal.instances if self.seen.proposal else ())

    @cached_property
    def after(self) -> list[Animal]:
        return self._near(self.instances)

    @cached_property
    def wrong(self) -> Rle:
        """Fresh pixels that the pre-label has in another category than the label."""
        categories = {one.category for one, _ in (*self.before, *self.after)}
        pieces = [
            difference
            for category in sorted(categories)
            for a, b in [(self._union(self.before, category), self._union(self.after, category))]
            for difference in (rle_difference(a, b), rle_difference(b, a))
        ]
        return rle_union(pieces) if pieces else self._nothing

    def overlap(self) -> tuple[int, int]:
        """Fresh pixels that are animal in both, and in either of the two."""
        a, b = self._union(self.before), self._union(self.after)
        return area_of_rle(rle_intersection([a, b])), area_of_rle(rle_union([a, b]))

    def caught(self) -> int:
        """Wrong pixels inside regions the queue had flagged, random ones left out."""
        flagged = [
            self.seen.raster(one.parts)
            for one in self.seen.regions
            if one.version == self.seen.version and one.kind != AUDIT
        ]
        if not flagged:
            return 0
        return area_of_rle(rle_intersection([self.wrong, rle_union(flagged)]))

    def animals(self) -> tuple[int, int, int, int]:
        """Animals kept, changed, added and deleted, of those this answer is the first to reach."""
        proposal = self.seen.proposal
        proposed = {one.id: one for one in (proposal.instances if proposal else ())}
        used = {one.id for one in self.instances}
        free = [(one, raster) for one, raster in self.before if one.id not in used]
        kept = changed = added = 0
        for one, raster in self.after:
            twin = proposed.get(one.id) or _take_twin(free, one, raster)
            if not self._is_first(raster):
                continue
            kept += twin is not None and twin.id == one.id and same_shape(twin, one)
            changed += twin is not None and not (twin.id == one.id and same_shape(twin, one))
            added += twin is None
        return kept, changed, added, sum(self._is_first(raster) for _, raster in free)

    def audits(self) -> tuple[int, int]:
        """Random regions that became verified, and those in which anything was changed."""
        pieces = [
            rle_intersection([raster, self.fresh])
            for one in self.seen.regions
            if one.kind == AUDIT and one.version == self.seen.version
            for raster in [self.seen.raster(one.parts)]
            if not area_of_rle(rle_difference(raster, self.area))
        ]
        judged = [piece for piece in pieces if area_of_rle(piece)]
        return len(judged), sum(
            self._inside(self.before, piece) != self._inside(self.after, piece) for piece in judged
        )

    @property
    def _nothing(self) -> Rle:
        return self.seen.raster(())

    def _near(self, instances: Sequence[Instance]) -> list[Animal]:
        """The instances that reach the fresh area, with their rasters."""
        left, top, right, bottom = window_of_rle(self.fresh)
        rasters = (
            (one, self.seen.raster(one.parts))
            for one in instances
            if _meets(one, left, top, right, bottom)
        )
        return [
            (one, raster)
            for one, raster in rasters
            if area_of_rle(rle_intersection([raster, self.fresh]))
        ]

    def _union(self, animals: Sequence[Animal], category: str | None = None) -> Rle:
        rasters = [raster for one, raster in animals if category in (None, one.category)]
        if not rasters:
            return self._nothing
        return rle_intersection([rle_union(rasters), self.fresh])

    def _is_first(self, raster: Rle) -> bool:
        return area_of_rle(rle_intersection([raster, self.seen.verified])) == 0

    def _inside(self, animals: Sequence[Animal], piece: Rle) -> set[tuple[str, bytes]]:
        """What of each animal lies in a piece of the image: (category, raster)."""
        cut = ((one, rle_intersection([raster, piece])) for one, raster in animals)
        return {(one.category, raster["counts"]) for one, raster in cut if area_of_rle(raster)}


def _meets(one: Instance, left: int, top: int, right: int, bottom: int) -> bool:
    """Whether an instance's box comes near a window of pixels."""
    outer = np.concatenate([part.outer for part in one.parts])
    (x0, y0), (x1, y1) = outer.min(0), outer.max(0)
    return bool(x0 <= right and y0 <= bottom and x1 >= left and y1 >= top)


def _take_twin(free: list[Animal], one: Instance, raster: Rle) -> Instance | None:
    """A proposed animal the person drew anew; it is used up."""
    for place, (other, drawn) in enumerate(free):
        if rle_iou(raster, drawn) >= SAME:
            del free[place]
            return other
    return None


def _bins(store: Store, judged: _Judged) -> tuple[Bin, ...]:
    """Told against found error by bins of the uncertainty map; () where there is no map."""
    proposal = judged.seen.proposal
    if proposal is None or not area_of_rle(judged.fresh):
        return ()
    try:
        told = Artifacts(store.project).read_uncertainty(proposal.uncertainty)
        classes = len(store.version(proposal.version).categories) + 1
    except DataError:  # a map that was tidied away must not stop an answer
        return ()
    left, top, right, bottom = window_of_rle(judged.fresh)
    window = (left // STRIDE * STRIDE, top // STRIDE * STRIDE, right, bottom)
    fresh, wrong = (_cells(rle, window) for rle in (judged.fresh, judged.wrong))
    y, x = window[1] // STRIDE, window[0] // STRIDE
    cells = told[y : y + fresh.shape[0], x : x + fresh.shape[1]]
    if cells.shape != fresh.shape:
        return ()
    # By value of the map first: there are 256 of them, and cells without number.
    pixels, errors = (np.bincount(cells.ravel(), w.ravel(), 256) for w in (fresh, wrong))
    chance = expected_error(classes).astype(np.float64)
    places = np.minimum(chance * (2 * BINS), BINS - 1).astype(np.int64)
    sums = (np.bincount(places, w, BINS).tolist() for w in (pixels, pixels * chance, errors))
    return tuple((round(n), round(told, 6), round(bad)) for n, told, bad in zip(*sums, strict=True))


def _cells(rle: Rle, window: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Pixels of an RLE in each cell of the stride-4 map, in a window that begins at a cell."""
    left, top, right, bottom = window
    columns, rows = -(-(right - left) // STRIDE), -(-(bottom - top) // STRIDE)
    if not area_of_rle(rle):  # an untouched pre-label has no wrong pixel
        return np.zeros((rows, columns), np.uint8)
    crop = crop_of_rle(rle, window).T  # by columns, as an RLE runs: this way it is contiguous
    pad = ((0, columns * STRIDE - crop.shape[0]), (0, rows * STRIDE - crop.shape[1]))
    # A cell's mean of 240 a pixel is 15 times its count, so rounding to bytes loses nothing.
    full = np.pad(crop, pad).view(np.uint8) * np.uint8(240)
    means = cv2.resize(full, (rows, columns), interpolation=cv2.INTER_AREA)
    return np.asarray(means.T // 15, np.uint8)
