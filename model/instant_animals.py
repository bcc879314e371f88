"""Animals told apart on frozen features: the instance maps by ridge regression.

What the instance head of a trained network says of a cell, how deep it lies in its animal, where
the middle is, whether another animal touches, is linear enough in the features of `model.features`
to find many more animals of a herd than their joint shape does (`benchmarks/instant.py`). It is
fitted inside drawn animals in closed form, so equal labels give equal maps; `model.grouping` reads
these as it does those of a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from data_io.geometry import mask_of_parts
from data_io.types import Instance
from model.features import FeatureMaps
from model.instances import STRIDE, resample
from model.pieces import InstanceMaps
from model.targets import animal_targets

SAID = 5  # numbers of a cell
CELLS = 1000  # of one image that teach, at most
ENOUGH = 3  # animals; fewer say too little, and their shape tells animals apart better
PENALTY = 0.1  # of squared weights, on features of unit spread; chosen on label draws 10 and 11

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Interior:
    """Cells inside the drawn animals of one image: all of them that a regression needs to know.

    Of a cell there are K features, and what is said of it: center, contact, core, and x and y to
    the middle in cells of stride 4.

    Attributes:
        mean: (K + 5,) of both, one behind the other. products: (K + 5, K + 5), mean of theirs.
        animals: how many they are.
    """

    mean: Doubles
    products: Doubles
    animals: int

    @staticmethod
    def of(features: Floats, said: Floats, animals: int) -> Interior:
        """Of (n, K) features and (n, 5) of what is said."""
        both = np.concatenate([features, said], axis=1).astype(np.float64)
        return Interior(both.mean(0), both.T @ both / len(both), animals)


@dataclass(frozen=True, eq=False)
class AnimalHead:
    """Maps = features @ weight + bias.

    Attributes:
        weight: (K, 5) float32. bias: (5,) float32.
    """

    weight: Floats
    bias: Floats


def interior(maps: FeatureMaps, drawn: Sequence[Instance], seed: int = 0) -> Interior | None:
    """What the animals of an image teach; None where no cell is theirs. See `cells`."""
    found = cells(maps, drawn, seed)
    return None if found is None else Interior.of(*found, len(drawn))


def cells(
    maps: FeatureMaps, drawn: Sequence[Instance], seed: int = 0
) -> tuple[Floats, Floats] | None:
    """Features (n, K) of cells inside animals, those drawn later on top, and what is said (n, 5).

    Args:
        maps: the image's features.
        drawn: in image pixels; an animal that nobody has drawn counts as ground beside the others.
    """
    ids = np.zeros([-(-side // STRIDE) * STRIDE for side in (maps.height, maps.width)], np.uint16)
    image = ids[: maps.height, : maps.width]
    for number, one in enumerate(drawn, start=1):
        image[mask_of_parts(one.parts, *image.shape)] = number
    h, w = maps.shown
    if not (h and w):
        return None
    inside = cv2.resize(image, (w, h), interpolation=cv2.INTER_NEAREST_EXACT) > 0
    row, column = np.nonzero(inside)
    if not row.size:
        return None
    if row.size > CELLS:
        kept = np.random.default_rng(seed).choice(row.size, CELLS, replace=False)
        row, column = row[kept], column[kept]
    said = cv2.resize(_said(ids), (w, h), interpolation=cv2.INTER_LINEAR)
    return maps.at(row, column), said[row, column]


def _said(ids: NDArray[np.uint16]) -> Floats:
    """(h, w, 5) at stride 4 of the image, see `Interior`."""
    target = animal_targets(ids)
    offset = target.offset / np.float32(STRIDE)
    return np.stack([target.center, target.contact, target.core, *offset], axis=-1)


def fit(interiors: Sequence[Interior], penalty: float = PENALTY) -> AnimalHead | None:
    """The head that all images teach, each counting the same; None with too few animals."""
    if sum(one.animals for one in interiors) < ENOUGH:
        return None
    mean = np.mean([one.mean for one in interiors], axis=0)
    products = np.mean([one.products for one in interiors], axis=0) - np.outer(mean, mean)
    k = len(mean) - SAID
    spread = np.sqrt(np.maximum(np.diag(products)[:k], 0)) + 1e-3
    inner = products[:k, :k] / np.outer(spread, spread)
    inner[np.diag_indices(k)] += penalty
    weight = np.linalg.solve(inner, products[:k, k:] / spread[:, None]) / spread[:, None]
    bias = mean[k:] - mean[:k] @ weight
    return AnimalHead(weight.astype(np.float32), bias.astype(np.float32))


def on_image(maps: FeatureMaps, layers: Floats) -> Floats:
    """Layers on the grid of the features (n, h, w) -> on stride 4 of the image."""
    step = (
        max(1, round(maps.width * maps.zoom)) / maps.width,
        max(1, round(maps.height * maps.zoom)) / maps.height,
    )
    rows, columns = -(-maps.height // STRIDE), -(-maps.width // STRIDE)
    return np.stack([resample(np.ascontiguousarray(one), step, rows, columns) for one in layers])


def instance_maps(maps: FeatureMaps, head: AnimalHead) -> InstanceMaps:
    """What the head says of an image, on stride 4 of the image."""
    fine = on_image(maps, maps.project(head.weight, head.bias))
    center, contact, core = np.clip(fine[:3], 0, 1)
    return InstanceMaps(center, fine[3:], contact, core)
