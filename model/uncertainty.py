"""Where a proposal is unreliable: the entropy map, the places a person should judge, one score.

A per-image percentile would flag its share of a perfect image too, so highlights obey an absolute
floor and an area budget of their own (at most 5 % of the image).

Convention: maps are at stride 4 of the image, (ceil(H/4), ceil(W/4)), uint8, 255 = entropy / ln C
of 1. Parts and boxes are in image pixels. What a value means for a person depends on the number of
classes C: two rivals at one half each have one BIT of entropy, which is 1 / log2 C on the map, so
whatever is judged here is judged in bits.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

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
from data_io.types import Instance, Part, Parts, ReviewRegion
from model.instances import STRIDE, resample

Kind = Literal["boundary", "possible miss", "possible false alarm", "split or merge"]
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]
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
    least: int = 5  # unreliable cells a region needs
    tolerance: float = 1.5  # pixels by which a region's outline may be straightened
    most: int = 24  # regions of one image; a person loses patience beyond


def entropy(probability: Floats) -> Floats:
    """Entropy over the classes divided by ln C  (Eq. 5, normalized).

    Args:
        probability: (C, h, w) float32 softmax, C >= 2.

    Returns:
        (h, w) float32 in [0, 1].
    """
    p = np.clip(probability, 1e-12, 1.0)
    total = -(p * np.log(p)).sum(0) / np.log(len(p))
    return np.clip(total, 0.0, 1.0).astype(np.float32)


def with_doubt(normalized: Floats, probability: Floats, doubt: Floats) -> Floats:
    """The map, raised where it is unsure which animal a cell belongs to.

    Args:
        normalized: (h, w) from `entropy`.
        probability: (C, h, w) softmax, class 0 = background.
        doubt: (h, w) bits in [0, 1] between the two likeliest animals (`model.grouping`).
    """
    animal = 1.0 - probability[0]
    return np.maximum(normalized, animal * doubt / np.float32(np.log2(len(probability))))


def to_bytes(normalized: Floats) -> Bytes:
    """[0, 1] -> uint8, rounded: the form in which uncertainty maps are stored."""
    return np.asarray(np.round(np.clip(normalized, 0, 1) * 255), np.uint8)


def expected_error(classes: int) -> Floats:
    """For each byte of a map the chance that the pixel is wrong: the binary entropy's inverse.

    Exact for two rivals, however many `classes` there are beside them. More than one bit takes
    three rivals or more and counts as the coin toss of two.

    Returns:
        (256,) float32 in [0, .5].
    """
    chance = np.linspace(0, 0.5, 4001)
    p = np.clip(chance, 1e-12, 1)
    bits = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return np.interp(np.arange(256) / 255 * np.log2(classes), bits, chance).astype(np.float32)


def image_score(uncertainty: Bytes, classes: int) -> float:
    """How much an image needs a person: expected error, the worst places counting most.

    The expected error of the cells, worst first, is averaged with weights that fall by e every 5 %
    of the image, and doubled: 0 = sure everywhere, 1 = a coin toss everywhere.

    Args:
        uncertainty: (h, w) uint8; verified cells should be 0, see `without_verified`.
        classes: C of the map, background included.
    """
    count = np.bincount(uncertainty.ravel(), minlength=256)[::-1]
    edges = np.concatenate([[0], np.cumsum(count)]) / max(1, uncertainty.size)
    # Integral of the falling weight over each level's share of the ranking.
    weight = np.exp(-edges[:-1] / 0.05) - np.exp(-edges[1:] / 0.05)
    if weight.sum() <= 0:
        return 0.0
    return float(np.clip(2 * (weight * expected_error(classes)[::-1]).sum() / weight.sum(), 0, 1))


def verified_cells(verified: Parts, height: int, width: int) -> Mask:
    """Cells of the stride-4 map that a verified area reaches, however little.

    Args:
        verified: the area a person vouches for; () = nothing.

    Returns:
        (ceil(height/4), ceil(width/4)) bool.
    """
    h, w = -(-height // STRIDE), -(-width // STRIDE)
    if not verified:
        return np.zeros((h, w), np.bool_)
    mask = mask_of_parts(verified, height, width)
    padded = np.pad(mask, ((0, h * STRIDE - height), (0, w * STRIDE - width)))
    return np.asarray(padded.reshape(h, STRIDE, w, STRIDE).any((1, 3)))


def without_verified(uncertainty: Bytes, verified: Parts, height: int, width: int) -> Bytes:
    """The map with every cell of the verified area set to 0: answered places never ask again."""
    return np.where(verified_cells(verified, height, width), np.uint8(0), uncertainty)


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
    config: RegionConfig | None = None,
) -> tuple[ReviewRegion, ...]:
    """The places of an image that a person should judge, the most expected error first.

    Args:
        uncertainty: (ceil(height/4), ceil(width/4)) uint8.
        instances: the image's current animals; they decide what kind of doubt a region is.
        height, width: size of the image in pixels.
        classes: C of the map, background included.
        version: model version the map comes from.
        image: id of the image.
        verified: area already answered; no region enters it.

    Returns:
        Connected regions, together at most `config.budget` of the image; none on a sure map. The
        same place of the same image and version always has the same id.
    """
    config = config or RegionConfig()
    closed = verified_cells(verified, height, width)
    if closed.any():
        # One cell of distance, so that a rounded outline cannot slip back in.
        closed = cv2.dilate(closed.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    open_map = np.where(closed, np.uint8(0), uncertainty)
    labels = _unreliable(open_map, closed, classes, config)
    animals = label_map(instances, height, width)
    sizes = np.bincount(animals.ravel())
    made: list[ReviewRegion] = []
    for number, mass, window in _heaviest(labels, open_map, classes):
        parts = _outline(labels[window] == number, window, height, width, config)
        if not parts:
            continue
        near = _widened(window)
        kind = kind_of(
            labels[near] == number, open_map[near], animals[near], sizes, classes, config.floor
        )
        made.append(
            ReviewRegion(
                id=_region_id(version, image, parts),
                image=image,
                version=version,
                kind=kind,
                parts=parts,
                box=box_of_parts(parts),
                score=float(np.sqrt(min(1.0, mass / (config.budget * labels.size)))),
                reason=REASONS[kind],
            )
        )
        if len(made) == config.most:
            break
    return _within_budget(made, height, width, config.budget)


def _region_id(version: str, image: str, parts: Parts) -> str:
    """An id of the place: a rank would pass from an answered region on to the next in line."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{version}/{image}/{parts_to_json(parts)}").hex


def _heaviest(labels: Labels, open_map: Bytes, classes: int) -> Iterator[tuple[int, float, Window]]:
    """Number, expected wrong cells and tight window of each region, the heaviest first."""
    rows, columns = np.nonzero(labels)  # few: the area budget holds already
    numbers = labels[rows, columns]
    mass = np.bincount(numbers, expected_error(classes)[open_map[rows, columns]], minlength=1)
    for number in (np.argsort(-mass[1:], kind="stable") + 1).tolist():
        own = numbers == number
        top, bottom = int(rows[own].min()), int(rows[own].max()) + 1
        left, right = int(columns[own].min()), int(columns[own].max()) + 1
        yield number, float(mass[number]), (slice(top, bottom), slice(left, right))


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
        low, high = (middle, high) if np.count_nonzero(labels) > limit else (low, middle)
    return _grown(level >= high, closed, config)


def _grown(hot: Mask, closed: Mask, config: RegionConfig) -> Labels:
    """Hot cells grown until they can be seen, joined where they meet; crumbs are dropped."""
    size = 2 * config.grow + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    grown = (cv2.dilate(hot.astype(np.uint8), disc) > 0) & ~closed
    _, labels = cv2.connectedComponents(grown.astype(np.uint8), connectivity=4)
    seeds = np.bincount(labels[hot & ~closed], minlength=int(labels.max()) + 1)
    keep = seeds >= config.least
    keep[0] = False
    number = np.cumsum(keep) * keep
    return np.asarray(number[labels], np.int32)


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
    shape = shapely.simplify(shapely.Polygon(part.outer, part.holes), tolerance)
    if not isinstance(shape, shapely.Polygon) or shape.is_empty:
        return part
    rings = [np.array(ring.coords, np.float64)[:-1] for ring in (shape.exterior, *shape.interiors)]
    return Part(rings[0], tuple(rings[1:]))


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
