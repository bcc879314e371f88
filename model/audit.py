"""Random checks: places a person judges although no doubt points there.

Review regions only show mistakes the network doubts. So a share of what is reviewed is drawn at
random: it finds confident mistakes, and tells how many there are without bias. The image is cut
into tiles of about a usual region's size, every tile of a stratum (with a part of an animal, or of
ground alone) has the same chance, and half of the checks fall on animals, however small they are.

The error rate of a pool is sum(weight * wrong) / sum(weight * area) over its checks, `wrong` and
`area` in pixels (Hajek's estimator: https://en.wikipedia.org/wiki/Horvitz%E2%80%93Thompson_estimator).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from data_io.geometry import (
    area_of_rle,
    box_of_parts,
    parts_of_mask,
    parts_to_json,
    rle_of_parts,
)
from data_io.types import Instance, Parts, ReviewRegion
from model.instances import STRIDE
from model.regions import RegionConfig, label_map
from model.uncertainty import expected_error, verified_cells

KIND = "audit"
REASON = "A random check: is everything right here? It finds mistakes the model does not doubt."
Mask = NDArray[np.bool_]
Window = tuple[slice, slice]  # rows, columns of a map


@dataclass(frozen=True)
class AuditConfig:
    """How many random checks there are, and how large."""

    share: float = 0.15  # of all regions of a project that are random checks, in [0, .5]
    budget: float = 0.05  # most of the image's area that they may cover, beside other regions
    usual: float = 0.01  # of the image's area: a check where the image has no other region
    least: int = 4  # cells along a tile's side, unless the budget allows less
    most: int = 6  # checks of one image


def audits(
    uncertainty: NDArray[np.uint8],
    instances: Sequence[Instance],
    height: int,
    width: int,
    *,
    classes: int,
    version: str,
    image: str,
    pixels: str,
    regions: Sequence[ReviewRegion] = (),
    verified: Parts = (),
    config: AuditConfig | None = None,
) -> tuple[ReviewRegion, ...]:
    """Places to check at random; the same for a picture, version and verified area always.

    Args:
        uncertainty: (ceil(height/4), ceil(width/4)) uint8, for the score alone.
        instances: the image's proposed animals.
        height, width: size of the image in pixels.
        classes: C of the map, background included.
        version: model version of the proposal.
        image: id of the image.
        pixels: hash of the picture, from which the places follow: two projects with the same
            pictures and versions ask the same.
        regions: the image's other regions. Their number times share / (1 - share) is the expected
            number of checks; an image without any counts as one with one region.
        verified: area already answered; no check enters it.

    Returns:
        Regions of the kind "audit" with their `weight`: how many tiles of the pool each stands for.
    """
    config = config or AuditConfig()
    closed, animals = verified_cells(verified, height, width), label_map(instances, height, width)
    side = _side(regions, height, width, config)
    strata = _strata(closed, animals > 0, side)
    expected = min(
        _expected(len(regions), height * width / STRIDE**2, side, config),
        float(sum(map(len, strata))),
    )
    if expected <= 0:
        return ()
    dice = np.random.default_rng(_seed(f"{pixels}/{version}/{KIND}"))
    count = int(expected + dice.random())
    made = []
    for stratum, share in zip(strata, _shares(count, strata, dice), strict=True):
        weight = max(1.0, len(stratum) * len(strata) / expected)
        for index in sorted(dice.choice(len(stratum), share, replace=False).tolist()):
            window = stratum[index]
            parts = _outline(window, ~closed[window], height, width)
            score = _score(uncertainty, window, classes)
            made.append(_check(image, version, parts, score, weight))
    return tuple(made)


def _check(image: str, version: str, parts: Parts, score: float, weight: float) -> ReviewRegion:
    return ReviewRegion(
        id=_id(f"{version}/{image}/{KIND}/{parts_to_json(parts)}"),
        image=image,
        version=version,
        kind=KIND,
        parts=parts,
        box=box_of_parts(parts),
        score=score,
        reason=REASON,
        weight=weight,
    )


def _strata(closed: Mask, animal: Mask, side: int) -> list[list[Window]]:
    """Tiles with a part of an animal, and tiles of ground alone; those without any are left out.

    Args:
        closed: (h, w) bool, verified cells; a tile needs one that is not.
        animal: (h, w) bool.
        side: cells along a tile at most; 0 = no tiles.
    """
    rows, columns = (_bands(length, side) for length in closed.shape)
    strata: tuple[list[Window], list[Window]] = ([], [])
    for window in ((row, column) for row in rows for column in columns):
        left = ~closed[window]
        if left.any():
            strata[0 if (animal[window] & left).any() else 1].append(window)
    return [stratum for stratum in strata if stratum]


def _side(regions: Sequence[ReviewRegion], height: int, width: int, config: AuditConfig) -> int:
    """Cells along a tile: about a usual region of the image, and one tile within the budget."""
    areas = [area_of_rle(rle_of_parts(one.parts, height, width)) for one in regions]
    usual = float(np.median(areas)) if areas else config.usual * height * width
    cells = min(max(usual / STRIDE**2, config.least**2), config.budget * height * width / STRIDE**2)
    return int(np.sqrt(cells))


def _bands(length: int, side: int) -> list[slice]:
    """A length cut into nearly equal bands of at most `side`; none for a side of 0."""
    if not side:
        return []
    edges = np.linspace(0, length, -(-length // side) + 1).astype(int).tolist()
    return [slice(start, end) for start, end in pairwise(edges)]


def _expected(regions: int, cells: float, side: int, config: AuditConfig) -> float:
    """Expected number of checks of an image; their area fits the budget."""
    wanted = config.share / (1 - config.share) * max(1, regions)
    fitting = int(config.budget * cells / max(1, side**2))
    return min(wanted, float(config.most), float(fitting))


def _shares(count: int, strata: Sequence[Sequence[Window]], dice: np.random.Generator) -> list[int]:
    """How many of the checks fall into each stratum: the same, an odd one by chance."""
    shares = [count // len(strata)] * len(strata)
    if count % len(strata):
        shares[int(dice.integers(len(strata)))] += 1
    return [min(share, len(stratum)) for share, stratum in zip(shares, strata, strict=True)]


def _outline(window: Window, left: Mask, height: int, width: int) -> Parts:
    """Cells of a tile, in image pixels."""
    rows, columns = window
    pixels = np.repeat(np.repeat(left, STRIDE, 0), STRIDE, 1)
    y, x = rows.start * STRIDE, columns.start * STRIDE
    return tuple(parts_of_mask(pixels[: height - y, : width - x], x, y))


def _score(uncertainty: NDArray[np.uint8], window: Window, classes: int) -> float:
    """Expected wrong cells, on the scale of the other regions."""
    mass = float(expected_error(classes)[uncertainty[window]].sum())
    return float(np.sqrt(min(1.0, mass / (RegionConfig.budget * uncertainty.size))))


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _id(text: str) -> str:
    """The same place of the same version always has the same id."""
    return uuid.uuid5(uuid.NAMESPACE_OID, text).hex
