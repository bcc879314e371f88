"""Class probabilities -> one instance per animal.

Touching animals share one blob of foreground. `model.grouping` tells them apart by what the
instance heads say, `model.separation` by their shape where there are no heads.

Convention: cell (row, column) of a map at stride s covers image pixels [s*column, s*column + s) x
[s*row, s*row + s); maps are resampled with half-pixel centers.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from data_io.geometry import parts_of_mask
from data_io.simplify import simplify
from data_io.types import Instance, Parts
from model.grouping import GroupingConfig, InstanceMaps, group
from model.separation import SeparationConfig, separate

STRIDE = 4  # image pixels per cell of the network's output
OUTLINE_BUDGET = 0.99  # raster IoU that a simplified outline keeps

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ExtractionConfig:
    """How animals are told apart, and which are kept; areas in image pixels."""

    shape: SeparationConfig = field(default_factory=SeparationConfig)
    votes: GroupingConfig = field(default_factory=GroupingConfig)
    min_area: float = 64.0  # animals smaller than this many pixels are specks
    min_median: float = 0.1  # so are those below this share of the image's median animal
    min_usual: float = 0.08  # and below this share of its usual one, unless they are `sure`
    sure: float = 0.5  # score
    least_belief: float = 0.0  # mean probability of an animal's category; less is no animal
    fine_pixels: float = 4e6  # images up to this size are separated by shape at stride 2, not 4


def resample(
    values: Floats,
    step: float | tuple[float, float],
    height: int,
    width: int,
    x0: int = 0,
    y0: int = 0,
) -> Floats:
    """Bilinear samples of a map on a finer (or coarser) grid, edges replicated.

    Args:
        values: (h, w) float32 map.
        step: map cells per output pixel along x and y, e.g. 1/4 from stride 4 to full resolution.
        height, width: size of the output in output pixels.
        x0, y0: the output's top-left corner, in output pixels from the map's corner.

    Returns:
        (height, width) float32.
    """
    dx, dy = step if isinstance(step, tuple) else (step, step)
    times = round(1 / dx)
    inside = (y0 + height) * dy <= values.shape[0] and (x0 + width) * dx <= values.shape[1]
    if dx == dy and times and times * dx == 1 and inside:
        return _enlarged(values, times, height, width, x0, y0)
    matrix = np.array([[dx, 0, (x0 + 0.5) * dx - 0.5], [0, dy, (y0 + 0.5) * dy - 0.5]], np.float64)
    return np.asarray(
        cv2.warpAffine(
            values,
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.float32,
    )


def _enlarged(values: Floats, times: int, height: int, width: int, x0: int, y0: int) -> Floats:
    """`resample` by a whole number, of the cells around the output alone: five times as fast."""
    top, left = max(0, y0 // times - 1), max(0, x0 // times - 1)
    bottom, right = -(-(y0 + height) // times) + 1, -(-(x0 + width) // times) + 1
    near = values[top:bottom, left:right]
    size = (near.shape[1] * times, near.shape[0] * times)
    fine = cv2.resize(near, size, interpolation=cv2.INTER_LINEAR)
    y0, x0 = y0 - top * times, x0 - left * times
    return np.asarray(fine[y0 : y0 + height, x0 : x0 + width], np.float32)


class Extraction(NamedTuple):
    """What is made of the maps of one image."""

    instances: tuple[Instance, ...]
    doubt: Floats  # (h, w) bits in [0, 1] at stride 4: whose cell this is; see `Grouping`


class Animal(NamedTuple):
    """One animal of an image, before it has an outline."""

    category: int  # class
    score: float  # in [0, 1]
    mask: Mask  # (bh, bw) image pixels, crumbs of interpolation among them
    x0: int  # image position of the mask's corner
    y0: int


def tell_apart(
    probability: Floats,
    height: int,
    width: int,
    categories: Sequence[str],
    version: str,
    maps: InstanceMaps | None = None,
    config: ExtractionConfig | None = None,
) -> Extraction:
    """The animals of one image, and where it is in doubt whose a cell is.

    Args:
        categories: category ids of classes 1..C-1.
        version: model version the instances carry.
        probability, height, width, maps, config: see `animals_of`.

    Returns:
        Instances with simplified outlines in image pixels, in the order of `animals_of`.
    """
    animals, doubt = animals_of(probability, height, width, maps, config)
    made = _outlined(animals, (height, width), categories, version)
    return Extraction(tuple(made), doubt)


def animals_of(
    probability: Floats,
    height: int,
    width: int,
    maps: InstanceMaps | None = None,
    config: ExtractionConfig | None = None,
) -> tuple[list[Animal], Floats]:
    """The animals of one image as masks, and where it is in doubt whose a cell is.

    Args:
        probability: (C, h, w) float32 softmax at stride 4 of the image, class 0 = background.
        height, width: size of the image in pixels.
        maps: what the instance heads say, at stride 4; None = the shape alone decides.

    Returns:
        The animals, largest first within a category; no two share a pixel. The category is the most
        probable one of all cells together, the score its mean probability, times
        `Grouping.certainty` where there are maps. And the doubt (h, w), see `Extraction`.
    """
    config = config or ExtractionConfig()
    fine = maps is None and height * width <= config.fine_pixels
    stride = 2 if fine else STRIDE
    h, w = -(-height // stride), -(-width // stride)
    grid = probability
    if fine:
        grid = np.stack([resample(layer, stride / STRIDE, h, w) for layer in probability])
    labels, certainty, doubt = _told_apart(grid, maps, config)
    kept = _kept(_found(grid, labels, certainty, stride), config)
    margin = np.asarray(probability[1:].max(0) - probability[0], np.float32)
    boxes = label_boxes(labels) if kept else {}
    # Step by step over all animals, not animal by animal: caches stay warm, a tenth of the time.
    masks = [
        outline_mask(margin, labels, one.label, boxes[one.label], stride, (height, width))
        for one in kept
    ]
    animals = [
        Animal(one.category, min(1.0, one.score), *mask)
        for one, mask in zip(kept, masks, strict=True)
    ]
    rows, columns = probability.shape[1:]
    return animals, cv2.resize(doubt, (columns, rows), interpolation=cv2.INTER_AREA)


def _found(grid: Floats, labels: Labels, certainty: Floats, stride: int) -> list[Found]:
    known = certainty.size
    count = np.bincount(labels.ravel(), minlength=known)
    belief = np.stack([np.bincount(labels.ravel(), p.ravel(), known) for p in grid[1:]])
    return [
        Found(
            k,
            int(belief[:, k].argmax()) + 1,
            float(count[k]) * stride**2,
            float(belief[:, k].max() / count[k]),
            float(belief[:, k].max() / count[k] * certainty[k]),
        )
        for k in range(1, count.size)
        if count[k]
    ]


class Found(NamedTuple):
    """An animal on the grid."""

    label: int
    category: int  # class
    area: float  # image pixels
    belief: float  # mean probability of the category
    score: float  # times its certainty


def numbered(probability: Floats, maps: InstanceMaps | None) -> Labels:
    """Which animal each cell of (C, h, w) maps at stride 4 shows (h, w); 0 = none."""
    return _told_apart(probability, maps, ExtractionConfig())[0]


def _told_apart(
    grid: Floats, maps: InstanceMaps | None, config: ExtractionConfig
) -> tuple[Labels, Floats, Floats]:
    """(h, w) one number an animal, how certain each one is by that number, and (h, w) doubt."""
    winner = grid.argmax(0)
    if maps is not None:
        found = group(winner > 0, maps, config.votes)
        return found.labels, np.append(np.float32(0), found.certainty), found.doubt
    labels, known = np.zeros(winner.shape, np.int32), 0
    for index in range(1, len(grid)):
        more = separate(grid[index], winner == index, config.shape)
        labels = np.where(more > 0, more + known, labels)
        known += int(more.max(initial=0))
    return labels, np.ones(known + 1, np.float32), np.zeros(winner.shape, np.float32)


def _kept(found: Sequence[Found], config: ExtractionConfig) -> list[Found]:
    """Those that are no specks, largest first within a category."""
    if not found:
        return []
    least, sized = _least_areas([animal.area for animal in found], config)
    return [
        animal
        for animal in sorted(found, key=lambda f: (f.category, -f.area))
        if animal.belief >= config.least_belief
        and animal.area >= least
        and (animal.area >= sized or animal.score >= config.sure)
    ]


def _outlined(
    animals: Sequence[Animal], size: tuple[int, int], categories: Sequence[str], version: str
) -> Iterator[Instance]:
    """Instances of the animals; one without a whole pixel is left out."""
    exact = [without_crumbs(parts_of_mask(one.mask, one.x0, one.y0)) for one in animals]
    outlines = [simplify(parts, *size, budget=OUTLINE_BUDGET) for parts in exact]
    for animal, parts in zip(animals, outlines, strict=True):
        if parts:
            yield Instance(
                id=uuid.uuid4().hex,
                category=categories[animal.category - 1],
                parts=parts,
                source="model",
                version=version,
                score=animal.score,
            )


def _least_areas(areas: Sequence[float], config: ExtractionConfig) -> tuple[float, float]:
    """The area that an animal has at least, and the one that it has where it is not sure.

    The median animal is a speck where specks win by number. The usual one is that which half of all
    the ground is smaller than; far below it a small animal in the distance is sure, a speck is not.
    """
    ranked = np.sort(areas)
    usual = ranked[np.searchsorted(np.cumsum(ranked), ranked.sum() / 2)]
    least = max(config.min_area, config.min_median * float(np.median(ranked)))
    return least, config.min_usual * float(usual)


def label_boxes(labels: Labels) -> dict[int, tuple[int, int, int, int]]:
    """Label -> (top, left, bottom, right) in cells, ends exclusive, in one pass over the map."""
    rows, columns = np.nonzero(labels)
    values = labels[rows, columns]
    count = int(labels.max(initial=0)) + 1
    low = np.full((2, count), max(labels.shape), np.int64)
    high = np.zeros((2, count), np.int64)
    for axis, position in enumerate((rows, columns)):
        np.minimum.at(low[axis], values, position)
        np.maximum.at(high[axis], values, position + 1)
    return {
        k: (int(low[0, k]), int(low[1, k]), int(high[0, k]), int(high[1, k]))
        for k in range(1, count)
    }


def outline_mask(
    margin: Floats,
    labels: Labels,
    label: int,
    box: tuple[int, int, int, int],
    stride: int,
    size: tuple[int, int],
) -> tuple[Mask, int, int]:
    """One animal at full resolution, in a crop just around it.

    Where two animals touch, the border runs where the interpolated share of this label falls below
    one half, so that crops computed one by one neither overlap nor leave a gap.

    Args:
        margin: (h4, w4) at stride 4, how much more probable any animal is than the background.
        labels: (h, w) at `stride`; `label` is the animal, `box` its rows and columns.
        size: height and width of the image.

    Returns:
        (bh, bw) bool mask, crumbs of interpolation among it, and the image position x0, y0 of its
        corner.
    """
    height, width = size
    top, left, bottom, right = box
    top, left = max(0, top - 2), max(0, left - 2)
    bottom, right = min(labels.shape[0], bottom + 2), min(labels.shape[1], right + 2)
    y0, x0 = top * stride, left * stride
    h, w = min(height, bottom * stride) - y0, min(width, right * stride) - x0
    crop = labels[top:bottom, left:right]
    own = (crop == label).astype(np.float32)
    others = ((crop != label) & (crop > 0)).astype(np.float32)
    # Bilinear foreground reaches up to a cell beyond the coarse one; it belongs to the nearest.
    empty = crop == 0
    kernel = np.ones((3, 3), np.uint8)
    grown = np.where(empty, cv2.dilate(own, kernel) > cv2.dilate(others, kernel), own > 0)
    share = resample(grown.astype(np.float32), 1 / stride, h, w)
    fine = resample(margin, 1 / STRIDE, h, w, x0, y0)
    return (fine > 0) & (share > 0.5), x0, y0


def without_crumbs(parts: Parts) -> Parts:
    """Drop pieces below a hundredth of the animal: interpolation's crumbs, no part of it."""
    if len(parts) < 2:
        return parts
    areas = np.array([abs(shapely.Polygon(part.outer).area) for part in parts])
    return tuple(p for p, area in zip(parts, areas, strict=True) if area >= 0.01 * areas.sum())
