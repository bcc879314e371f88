"""Class probabilities -> one instance per animal.

Touching animals share one blob of foreground. A watershed on the distance map separates them: every
cell climbs to the summit of its hill, and two hills stay apart only where the pass between them is
clearly lower than the lower summit (a neck between two bodies), relative to the animals' own size.

Why not `cv2.watershed`: it floods by color difference between neighbors, not by height, and on a
distance map (slope 1 everywhere) puts the border midway between markers, not in the neck.

Convention: cell (row, column) of a map at stride s covers image pixels [s*column, s*column + s) x
[s*row, s*row + s); maps are resampled with half-pixel centers.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from data_io.geometry import parts_of_mask
from data_io.simplify import simplify
from data_io.types import Instance

STRIDE = 4  # image pixels per cell of the network's output
OUTLINE_BUDGET = 0.99  # raster IoU that a simplified outline keeps

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SeparationConfig:
    """How animals are told apart; lengths are relative to animals, areas in image pixels."""

    neck: float = 0.75  # hills merge when the pass is at least this share of the lower summit
    limb: float = 0.45  # a summit below this share of its neighbor's is a limb, not an animal
    smooth: float = 0.25  # sigma of the distance map's smoothing, in summit heights
    sure: float = 0.8  # second probability level whose distance map is averaged in
    min_area: float = 64.0  # animals smaller than this many pixels are specks
    min_median: float = 0.1  # so are those below this share of the image's median animal
    fine_pixels: float = 4e6  # images up to this size are separated at stride 2, larger ones at 4


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


def heights(belief: Floats, inside: Mask, config: SeparationConfig) -> Floats:
    """The landscape that is flooded: distance to the outline, smoothed relative to animal size.

    The distance maps of all and of the surest cells are averaged, so that a dip of the probability
    between two animals lowers the pass even where the foreground is solid.

    Args:
        belief: (h, w) probability of the category in [0, 1].
        inside: (h, w) cells that belong to it.

    Returns:
        (h, w) float32 in cells, 0 outside.
    """

    def distance(mask: Mask) -> Floats:
        # The frame of zeros bounds the distance of an animal that fills the whole image.
        framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        result = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return np.asarray(result[1:-1, 1:-1], np.float32)

    sure = inside & (belief >= config.sure)
    height: Floats = (0.5 * (distance(inside) + distance(sure))).astype(np.float32)
    near = cv2.dilate(height, np.ones((5, 5), np.uint8))
    summits = height[inside & (height >= near)]
    if summits.size == 0:
        return height
    sigma = config.smooth * float(np.median(summits))
    if sigma > 0.3:
        height = np.asarray(cv2.GaussianBlur(height, (0, 0), sigma), np.float32)
    height[~inside] = 0
    return height


def hills(height: Floats, inside: Mask) -> Labels:
    """The catchment of each local maximum, by steepest ascent with pointer doubling.

    Returns:
        (h, w) int32: 0 outside, else 1 + the summit's position in the list of summits.
    """
    h, w = height.shape
    framed = np.full((h + 2, w + 2), -1.0, np.float64)
    # A tiny ramp breaks ties on plateaus, always towards the same corner.
    ramp = np.arange(h * w, dtype=np.float64).reshape(h, w) * (1e-6 / max(1, h * w))
    framed[1:-1, 1:-1] = np.where(inside, height + ramp, -1.0)
    flat = framed.ravel()
    cells = np.flatnonzero(flat >= 0)
    parent = np.arange(flat.size)
    best = flat[cells].copy()
    target = cells.copy()
    pitch = w + 2
    for offset in (-pitch - 1, -pitch, -pitch + 1, -1, 1, pitch - 1, pitch, pitch + 1):
        higher = flat[cells + offset] > best
        best[higher] = flat[cells + offset][higher]
        target[higher] = cells[higher] + offset
    parent[cells] = target
    while True:
        further = parent[target]
        if np.array_equal(further, target):
            break
        target = parent[cells] = further
    labels = np.zeros(flat.size, np.int32)
    if cells.size:
        labels[cells] = np.unique(target, return_inverse=True)[1].astype(np.int32) + 1
    return labels.reshape(h + 2, w + 2)[1:-1, 1:-1].copy()


def passes(labels: Labels, height: Floats) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Neighboring hills and the height of the highest pass between them.

    Returns:
        (n, 2) int64 label pairs, smaller label first, and (n,) float64 heights.
    """
    count = int(labels.max(initial=0)) + 1
    keys, levels = [], []
    views = (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1, :], np.s_[1:, :]),
        (np.s_[:-1, :-1], np.s_[1:, 1:]),
        (np.s_[1:, :-1], np.s_[:-1, 1:]),
    )
    for one, other in views:
        a, b = labels[one].astype(np.int64), labels[other].astype(np.int64)
        border = (a != b) & (a > 0) & (b > 0)
        a, b = a[border], b[border]
        keys.append(np.minimum(a, b) * count + np.maximum(a, b))
        levels.append(np.minimum(height[one][border], height[other][border]))
    unique, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    highest = np.zeros(unique.size, np.float64)
    np.maximum.at(highest, inverse, np.concatenate(levels))
    return np.stack([unique // count, unique % count], 1), highest


def merge_hills(labels: Labels, height: Floats, config: SeparationConfig) -> Labels:
    """Join hills that are one animal: a high pass between them, or one a limb of the other.

    Returns:
        (h, w) int32 with labels 1..n, 0 outside.
    """
    count = int(labels.max(initial=0))
    if count <= 1:
        return labels
    summit = np.zeros(count + 1, np.float64)
    np.maximum.at(summit, labels.ravel(), height.ravel())
    pairs, level = passes(labels, height)
    root = np.arange(count + 1)

    def find(label: int) -> int:
        while root[label] != label:
            root[label] = root[root[label]]
            label = int(root[label])
        return label

    # Highest pass first, so that a hill joins the neighbor it hangs on to most.
    for index in np.argsort(-level, kind="stable"):
        a, b = find(int(pairs[index, 0])), find(int(pairs[index, 1]))
        if a == b:
            continue
        low, high = (a, b) if summit[a] < summit[b] else (b, a)
        if level[index] >= config.neck * summit[low] or summit[low] < config.limb * summit[high]:
            root[low] = high
    roots = np.array([find(label) for label in range(count + 1)])
    return np.unique(roots, return_inverse=True)[1].astype(np.int32)[labels]


def separate(belief: Floats, inside: Mask, config: SeparationConfig | None = None) -> Labels:
    """Animals of one category.

    Args:
        belief: (h, w) float32 probability of the category in [0, 1].
        inside: (h, w) bool, the cells that belong to it.

    Returns:
        (h, w) int32: 0 outside, 1..n one number an animal. Every inside cell has a number.
    """
    config = config or SeparationConfig()
    if not inside.any():
        return np.zeros(inside.shape, np.int32)
    height = heights(belief, inside, config)
    return merge_hills(hills(height, inside), height, config)


def extract(
    probability: Floats,
    height: int,
    width: int,
    categories: Sequence[str],
    version: str,
    config: SeparationConfig | None = None,
) -> tuple[Instance, ...]:
    """The animals of one image.

    Args:
        probability: (C, h, w) float32 softmax at stride 4 of the image, class 0 = background.
        height, width: size of the image in pixels.
        categories: category ids of classes 1..C-1.
        version: model version the instances carry.

    Returns:
        Instances with simplified outlines in image pixels, largest first within a category, score =
        mean probability of the category inside; they do not overlap before simplification.
    """
    config = config or SeparationConfig()
    stride = 2 if height * width <= config.fine_pixels else STRIDE
    h, w = -(-height // stride), -(-width // stride)
    grid = np.stack([resample(layer, stride / STRIDE, h, w) for layer in probability])
    winner = grid.argmax(0)
    found: list[tuple[int, Labels, int, float, float]] = []
    for index in range(1, len(categories) + 1):
        labels = separate(grid[index], winner == index, config)
        count = np.bincount(labels.ravel())
        belief = np.bincount(labels.ravel(), weights=grid[index].ravel())
        found += [
            (index, labels, k, float(count[k]) * stride**2, float(belief[k] / count[k]))
            for k in range(1, count.size)
        ]
    return tuple(
        _outlined(found, probability, (height, width), stride, categories, version, config)
    )


def _outlined(
    found: Sequence[tuple[int, Labels, int, float, float]],
    probability: Floats,
    size: tuple[int, int],
    stride: int,
    categories: Sequence[str],
    version: str,
    config: SeparationConfig,
) -> Iterator[Instance]:
    """Instances of the animals that are no specks; `found` = class, labels, label, area, score."""
    if not found:
        return
    least = max(config.min_area, config.min_median * float(np.median([f[3] for f in found])))
    boxes = {f[0]: _label_boxes(f[1]) for f in {f[0]: f for f in found}.values()}
    for index, labels, label, area, score in sorted(found, key=lambda f: (f[0], -f[3])):
        if area < least:
            continue
        mask, x0, y0 = outline_mask(
            probability, index, labels, label, boxes[index][label], stride, size
        )
        if mask.any():
            parts = simplify(parts_of_mask(mask, x0, y0), *size, budget=OUTLINE_BUDGET)
            yield Instance(
                id=uuid.uuid4().hex,
                category=categories[index - 1],
                parts=parts,
                source="model",
                version=version,
                score=min(1.0, score),
            )


def _label_boxes(labels: Labels) -> dict[int, tuple[int, int, int, int]]:
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
    probability: Floats,
    index: int,
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
        probability: (C, h4, w4) at stride 4.
        index: class of the animal.
        labels: (h, w) at `stride`; `label` is the animal, `box` its rows and columns.
        size: height and width of the image.

    Returns:
        (bh, bw) bool mask and the image position x0, y0 of its corner.
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
    # Cut the map first: warping reads only what it needs, and coordinates stay small.
    r0, c0 = max(0, y0 // STRIDE - 1), max(0, x0 // STRIDE - 1)
    r1, c1 = -(-(y0 + h) // STRIDE) + 1, -(-(x0 + w) // STRIDE) + 1
    layers = [
        resample(
            np.ascontiguousarray(layer[r0:r1, c0:c1]),
            1 / STRIDE,
            h,
            w,
            x0 - c0 * STRIDE,
            y0 - r0 * STRIDE,
        )
        for layer in probability
    ]
    rival = np.max([layer for k, layer in enumerate(layers) if k != index], axis=0)
    mask = (layers[index] > rival) & (share > 0.5)
    return _without_crumbs(mask), x0, y0


def _without_crumbs(mask: Mask) -> Mask:
    """Drop pieces below a hundredth of the mask: interpolation's crumbs, no part of an animal."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=4
    )
    if count <= 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    keep = areas >= 0.01 * areas.sum()
    return np.asarray(keep[labels], np.bool_)
