"""Animals told apart by their shape alone, and the flooding that does it.

A watershed on the distance map separates touching animals: every cell climbs to the summit of its
hill, and two hills stay apart only where the pass between them is clearly lower than the lower
summit (a neck between two bodies), relative to the animals' own size.

Why not `cv2.watershed`: it floods by color difference between neighbors, not by height, and on a
distance map (slope 1 everywhere) puts the border midway between markers, not in the neck.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.int64]
Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SeparationConfig:
    """When two hills are two animals; lengths are relative to animals."""

    neck: float = 0.75  # hills merge when the pass is at least this share of the lower summit
    limb: float = 0.45  # a summit below this share of its neighbor's is a limb, not an animal
    smooth: float = 0.25  # sigma of the distance map's smoothing, in summit heights
    sure: float = 0.8  # second probability level whose distance map is averaged in


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


def _climb(height: Floats, inside: Mask) -> tuple[Cells, Cells]:
    """Flat positions, in a map with a frame of one cell, of the cells inside and of the summit that
    each reaches by steepest ascent."""
    h, w = height.shape
    framed = np.full((h + 2, w + 2), -np.inf, np.float64)
    # A tiny ramp breaks ties on plateaus, always towards the same corner.
    ramp = np.arange(h * w, dtype=np.float64).reshape(h, w) * (1e-6 / max(1, h * w))
    framed[1:-1, 1:-1] = np.where(inside, height + ramp, -np.inf)
    flat = framed.ravel()
    cells = np.flatnonzero(flat > -np.inf)
    parent = np.arange(flat.size)
    best, target = flat[cells], cells.copy()
    pitch = w + 2
    for offset in (-pitch - 1, -pitch, -pitch + 1, -1, 1, pitch - 1, pitch, pitch + 1):
        level = flat[cells + offset]
        higher = level > best
        best[higher] = level[higher]
        target[higher] = cells[higher] + offset
    parent[cells] = target
    while True:
        further = parent[target]
        if np.array_equal(further, target):
            return cells, target
        target = parent[cells] = further


def hills(height: Floats, inside: Mask) -> Labels:
    """The catchment of each local maximum, by steepest ascent with pointer doubling.

    Returns:
        (h, w) int32: 0 outside, else 1 + the summit's position in the list of summits.
    """
    cells, summit = _climb(height, inside)
    numbers = np.unique(summit, return_inverse=True)[1] + 1
    return _on_map(numbers, cells, inside.shape)


def _on_map(numbers: NDArray[np.integer], cells: Cells, shape: tuple[int, ...]) -> Labels:
    h, w = shape
    labels = np.zeros((h + 2) * (w + 2), np.int32)
    labels[cells] = numbers
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


class _Union:
    """Sets of labels that are one."""

    def __init__(self, count: int) -> None:
        self.root = np.arange(count)

    def find(self, label: int) -> int:
        """The label that stands for a set."""
        root = self.root
        while root[label] != label:
            root[label] = root[root[label]]
            label = int(root[label])
        return label

    def all(self) -> NDArray[np.int64]:
        """That of every label."""
        return np.array([self.find(label) for label in range(len(self.root))])


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
    union = _Union(count + 1)
    # Highest pass first, so that a hill joins the neighbor it hangs on to most.
    for index in np.argsort(-level, kind="stable"):
        a, b = (union.find(int(label)) for label in pairs[index])
        if a == b:
            continue
        low, high = (a, b) if summit[a] < summit[b] else (b, a)
        if level[index] >= config.neck * summit[low] or summit[low] < config.limb * summit[high]:
            union.root[low] = high
    return np.unique(union.all(), return_inverse=True)[1].astype(np.int32)[labels]


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
