"""The places of an image that a person should judge, and in which order.

A per-image percentile would flag its share of a perfect image too, so highlights obey an absolute
floor and an area budget of their own (at most 5 % of the image). They are ranked by the wrong
pixels that a look is expected to remove in a second (`model.review_cost`).

Convention: maps are at stride 4 of the image, see `model.uncertainty`; parts and boxes are in image
pixels.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from data_io.geometry import (
    area_of_rle,
    box_of_parts,
    mask_of_parts,
    parts_of_mask,
    parts_to_json,
    rle_of_parts,
)
from data_io.simplify import coarser
from data_io.types import Instance, Part, Parts, ReviewRegion
from model.instances import STRIDE, resample
from model.review_cost import ANSWER, Kind, review_seconds
from model.uncertainty import expected_error, to_bytes, verified_cells

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]
NEARLY = 0.98  # of the area budget: no finer level is looked for
Window = tuple[slice, slice]  # rows, columns of a map

REASONS: dict[Kind, str] = {
    "boundary": "The outline of this animal is unsure here: check where the body ends.",
    "possible miss": "There may be an animal here that was not outlined: look whether one is.",
    "possible false alarm": "This may be no animal at all: check the outline, or delete it.",
    "split or merge": "Animals meet here: check where one ends and the next begins.",
}


@dataclass(frozen=True)
class RegionConfig:
    """What becomes a review region."""

    budget: float = 0.05  # most of the image's area that all regions together may cover
    floor: float = 0.5  # bits of entropy below which nothing is ever flagged
    smooth: float = 1.0  # sigma in cells: thin rims fade, patches a person can judge stay
    grow: int = 1  # cells added around a region so that it can be seen
    join: int = 1  # regions up to twice so many cells apart are one: every look costs seconds
    least: int = 5  # unreliable cells a region needs
    trivial: float = 16.0  # expected wrong pixels below which a look is not worth it
    mirrored: float = 0.25  # mean disagreement of the mirror image that is worth telling
    tolerance: float = 1.5  # pixels by which a region's outline may be straightened
    most: int = 24  # regions of one image; a person loses patience beyond


class Doubts(NamedTuple):
    """Why a map is unsure, on its grid."""

    whose: Floats  # (h, w) from `uncertainty.whose_doubt`
    mirror: Floats  # (h, w) in [0, 1]: probability that the mirror image is seen otherwise


class _Place(NamedTuple):
    """A region on the grid, in a window that shows two cells around it."""

    region: Mask
    unsure: Bytes  # 0 on verified ground
    animals: Labels
    doubts: Doubts


def regions(
    uncertainty: Bytes,
    instances: Sequence[Instance],
    height: int,
    width: int,
    *,
    classes: int,
    version: str,
    image: str,
    verified: Parts = (),
    doubts: Doubts | None = None,
    config: RegionConfig | None = None,
) -> tuple[ReviewRegion, ...]:
    """The places of an image that a person should judge, those that repay a look most first.

    Args:
        uncertainty: (ceil(height/4), ceil(width/4)) uint8.
        instances: the image's current animals; they decide what kind of doubt a region is.
        height, width: size of the image in pixels.
        classes: C of the map, background included.
        version: model version the map comes from.
        image: id of the image.
        verified: area already answered; no region enters it.
        doubts: what made the map; None = not known.

    Returns:
        Connected regions, together at most `config.budget` of the image; none on a sure map. The
        same place of the same image and version always has the same id. The score is the root of
        the wrong pixels that a second is expected to remove, over the most that it could.
    """
    config = config or RegionConfig()
    closed = verified_cells(verified, height, width)
    if closed.any():
        # One cell of distance, so that a rounded outline cannot slip back in.
        closed = cv2.dilate(closed.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    # A doubt whose an animal is decides about the animal, however small its weight in the map.
    raised = uncertainty if doubts is None else np.maximum(uncertainty, to_bytes(doubts.whose))
    open_map = np.where(closed, np.uint8(0), raised)
    if doubts is None:
        doubts = Doubts(*np.zeros((2, *open_map.shape), np.float32))
    labels = _unreliable(open_map, closed, classes, config)
    animals = label_map(instances, height, width)
    judge = _Judge(np.bincount(animals.ravel()), classes, height, width, config)
    made: list[ReviewRegion] = []
    for number, window in _heaviest(labels, open_map, classes):
        parts = _outline(labels[window] == number, window, height, width, config)
        if not parts:
            continue
        near = _widened(window)
        cut = Doubts(doubts.whose[near], doubts.mirror[near])
        place = _Place(labels[near] == number, open_map[near], animals[near], cut)
        kind, score, reason = judge.of(place, parts)
        if score:
            id, box = _region_id(version, image, parts), box_of_parts(parts)
            made.append(ReviewRegion(id, image, version, kind, parts, box, score, reason))
        if len(made) == config.most:
            break
    made.sort(key=lambda region: -region.score)
    return _within_budget(made, height, width, config.budget)


class _Judge:
    """Says of a place what may be wrong, how well a look repays, and why."""

    def __init__(
        self,
        sizes: NDArray[np.int64],
        classes: int,
        height: int,
        width: int,
        config: RegionConfig,
    ) -> None:
        self.sizes, self.classes, self.config = sizes, classes, config
        self.pixels, self.long_side = height * width, max(height, width)
        self.error = expected_error(classes)

    def of(self, place: _Place, parts: Parts) -> tuple[Kind, float, str]:
        """Kind, score (0 = trivial), and the reason in words."""
        config = self.config
        hot = place.region & (place.unsure >= 255 * config.floor / np.log2(self.classes))
        whose = np.round(place.doubts.whose * 255).astype(np.uint8)
        meeting = hot & (whose >= place.unsure)
        kind = kind_of(
            place.region, place.unsure, place.animals, self.sizes, self.classes, config.floor
        )
        if 2 * meeting.sum() > hot.sum() and kind == "boundary":
            kind = "split or merge"  # of pieces that were taken for one animal
        odds = float(self.error[whose[meeting]].mean()) if meeting.any() else 0.0
        share = float(self.error[place.unsure[hot]].mean()) if hot.any() else 0.0
        gain = STRIDE**2 * float(self.error[place.unsure[place.region]].sum())
        if kind == "split or merge":
            gain = max(gain, odds * STRIDE**2 * self._smaller(place))
        if gain < config.trivial:
            return kind, 0.0, ""
        length = sum(shapely.LinearRing(part.outer).length for part in parts) / 2
        spent = review_seconds(kind, min(1.0, 2 * share), length, self.long_side)
        best = 0.5 * config.budget * self.pixels / ANSWER
        score = float(np.sqrt(min(1.0, gain / spent / best)))
        mirror = float(place.doubts.mirror[hot].mean()) if hot.any() else 0.0
        return kind, score, f"{REASONS[kind]} ({self._because(kind, share, odds, mirror)})"

    def _smaller(self, place: _Place) -> float:
        """Cells that change hands if the animals of a place are told apart wrongly."""
        touched = np.unique(place.animals[place.region])
        sizes = np.sort(self.sizes[touched[touched > 0]])
        return float(sizes[-2] if sizes.size > 1 else sizes.sum() / 2)

    def _because(self, kind: Kind, share: float, odds: float, mirror: float) -> str:
        if kind == "split or merge" and odds:
            return f"one animal or two: {1 - odds:.0%} sure"
        if mirror >= self.config.mirrored:
            return f"the mirror image disagrees by {mirror:.0%}"
        return f"{share:.0%} of it may be wrong"


def _region_id(version: str, image: str, parts: Parts) -> str:
    """An id of the place: a rank would pass from an answered region on to the next in line."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{version}/{image}/{parts_to_json(parts)}").hex


def _heaviest(labels: Labels, open_map: Bytes, classes: int) -> Iterator[tuple[int, Window]]:
    """Number and tight window of each region, those with the most expected wrong cells first."""
    rows, columns = np.nonzero(labels)  # few: the area budget holds already
    numbers = labels[rows, columns]
    mass = np.bincount(numbers, expected_error(classes)[open_map[rows, columns]], minlength=1)
    for number in (np.argsort(-mass[1:], kind="stable") + 1).tolist():
        own = numbers == number
        top, bottom = int(rows[own].min()), int(rows[own].max()) + 1
        left, right = int(columns[own].min()), int(columns[own].max()) + 1
        yield number, (slice(top, bottom), slice(left, right))


def _widened(window: Window) -> Window:
    """A window and the two cells around it that the kind of doubt depends on."""
    rows, columns = window
    return (
        slice(max(0, rows.start - 2), rows.stop + 2),
        slice(max(0, columns.start - 2), columns.stop + 2),
    )


def _unreliable(open_map: Bytes, closed: Mask, classes: int, config: RegionConfig) -> Labels:
    """Grown regions of the map, numbered from 1, whose cells fit the area budget."""
    level = cv2.GaussianBlur(open_map.astype(np.float32) / 255, (0, 0), config.smooth)
    h, w = level.shape
    # On a flat map the budget could not be met by any level; the middle of the image goes first.
    y, x = np.ogrid[:h, :w]
    level = level - 1e-4 * np.hypot((y - h / 2) / h, (x - w / 2) / w)
    limit = 0.9 * config.budget * level.size  # room for the outlines' rounding
    low, high = config.floor / float(np.log2(classes)), 1.0
    labels = _grown(level >= low, closed, config)
    if np.count_nonzero(labels) <= limit:
        return labels
    for _ in range(16):
        middle = (low + high) / 2
        labels = _grown(level >= middle, closed, config)
        cells = np.count_nonzero(labels)
        if NEARLY * limit <= cells <= limit:
            return labels
        low, high = (middle, high) if cells > limit else (low, middle)
    return _grown(level >= high, closed, config)


def _grown(hot: Mask, closed: Mask, config: RegionConfig) -> Labels:
    """Hot cells grown until they can be seen, joined where they nearly meet; crumbs are dropped."""
    grown = cv2.dilate(hot.astype(np.uint8), _disc(config.grow))
    if config.join:
        # The frame is no ground: without it a region at the image's edge would grow along it.
        far = 2 * config.join
        framed = np.pad(grown, far)
        grown = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, _disc(config.join))[far:-far, far:-far]
    grown = (grown > 0) & ~closed
    _, labels = cv2.connectedComponents(grown.astype(np.uint8), connectivity=4)
    seeds = np.bincount(labels[hot & ~closed], minlength=int(labels.max()) + 1)
    keep = seeds >= config.least
    keep[0] = False
    number = np.cumsum(keep) * keep
    return np.asarray(number[labels], np.int32)


def _disc(radius: int) -> Bytes:
    size = (2 * radius + 1, 2 * radius + 1)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size), np.uint8)


def label_map(instances: Sequence[Instance], height: int, width: int) -> Labels:
    """Which animal covers each cell of the stride-4 map: 0 = none, else position + 1."""
    h, w = -(-height // STRIDE), -(-width // STRIDE)
    labels = np.zeros((h, w), np.int32)
    for number, instance in enumerate(instances, start=1):
        for part in instance.parts:
            x0, y0 = np.maximum(0, np.floor(part.outer.min(0) / STRIDE)).astype(int)
            x1, y1 = np.minimum((w, h), np.ceil(part.outer.max(0) / STRIDE)).astype(int)
            if x1 <= x0 or y1 <= y0:
                continue
            outer, *holes = (ring / STRIDE - (x0, y0) for ring in (part.outer, *part.holes))
            crop = mask_of_parts((Part(outer, tuple(holes)),), int(y1 - y0), int(x1 - x0))
            labels[y0:y1, x0:x1][crop] = number
    return labels


def kind_of(
    region: Mask,
    uncertainty: Bytes,
    animals: Labels,
    sizes: NDArray[np.int64],
    classes: int,
    floor: float = RegionConfig.floor,
) -> Kind:
    """What may be wrong in a region.

    Args:
        region: (h, w) bool: the map, or a window that shows two cells around the region.
        uncertainty: (h, w) uint8, the same window.
        animals: (h, w) from `label_map`, the same window.
        sizes: (n + 1,) cells of each animal, and of none, on the whole map.
        classes: C of the map, background included.
        floor: bits of entropy from which a cell counts as unsure.

    Returns:
        "possible false alarm" where most of an animal is unsure and it fills a quarter of the
        region; "split or merge" where two animals meet inside; "possible miss" where most of the
        region lies outside every animal and does not hug an outline; else "boundary".
    """
    inside = np.bincount(animals[region], minlength=sizes.size)
    hot = region & (uncertainty >= 255 * floor / np.log2(classes))
    unsure = np.bincount(animals[hot], minlength=sizes.size)
    touched = np.flatnonzero(inside[1:]) + 1
    # A fragment in a much larger doubt is an animal missed, not one too many.
    filled = inside[0] <= 0.75 * inside.sum()
    if filled and (unsure[touched] >= 0.5 * sizes[touched]).any():
        return "possible false alarm"
    if touched.size >= 2 and _meet(region, animals):
        return "split or merge"
    if inside[0] > 0.5 * inside.sum() and not _hugs(region, animals):
        return "possible miss"
    return "boundary"


def _meet(region: Mask, animals: Labels) -> bool:
    """True where cells of two animals lie within one cell of each other inside the region."""
    own = np.where(region, animals, 0).astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    largest = cv2.dilate(own, kernel)
    smallest = cv2.erode(np.where(own > 0, own, np.float32(1e9)), kernel)
    return bool(((largest > smallest) & (smallest < 1e9) & region).any())


def _hugs(region: Mask, animals: Labels) -> bool:
    """True when at least half of the region's outside cells lie within two cells of an animal."""
    near = cv2.dilate((animals > 0).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    outside = region & (animals == 0)
    return bool((outside & near).sum() >= 0.5 * max(1, int(outside.sum())))


def _outline(region: Mask, window: Window, height: int, width: int, config: RegionConfig) -> Parts:
    """The rounded outline, in image pixels, of a region that fills its window of the map."""
    rows, columns = window
    y0, x0 = rows.start * STRIDE, columns.start * STRIDE
    h = min(height, rows.stop * STRIDE) - y0
    w = min(width, columns.stop * STRIDE) - x0
    framed = cv2.copyMakeBorder(region.astype(np.float32), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    smooth = resample(np.asarray(framed, np.float32), 1 / STRIDE, h, w, STRIDE, STRIDE) > 0.5
    if not smooth.any():
        return ()
    return tuple(_smoothed(part, config.tolerance) for part in parts_of_mask(smooth, x0, y0))


def _smoothed(part: Part, tolerance: float) -> Part:
    """A part with fewer vertices; a highlight needs no raster guarantee, so no search is spent."""
    return coarser(shapely.Polygon(part.outer, part.holes), tolerance) or part


def _within_budget(
    ranked: Sequence[ReviewRegion], height: int, width: int, budget: float
) -> tuple[ReviewRegion, ...]:
    """The best regions whose rasters together stay within the budget."""
    kept: list[ReviewRegion] = []
    left = budget * height * width
    for region in ranked:
        area = area_of_rle(rle_of_parts(region.parts, height, width))
        if area <= left:
            kept.append(region)
            left -= area
    return tuple(kept)
