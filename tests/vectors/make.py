"""Writes raster.json: what data_io answers to rings, masks and pairs of masks.

The browser's raster.js and outline.js must answer the same. After a change of the raster rule run
`PYTHONPATH=. python tests/vectors/make.py` and read the difference before committing it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from data_io import geometry as geo

PATH = Path(__file__).with_name("raster.json")
WIDTH, HEIGHT = 48, 36
Mask = NDArray[np.bool_]


def by_hand() -> dict[str, Any]:
    """Named regions, as JSON parts."""

    def one(*ring: float, holes: tuple[list[float], ...] = ()) -> list[dict[str, Any]]:
        return [{"outer": list(ring), "holes": list(holes)}]

    square = [8.0, 6.0, 30.0, 6.0, 30.0, 28.0, 8.0, 28.0]
    return {
        "square": one(*square),
        "square the other way": one(*square[6:], *square[4:6], *square[2:4], *square[:2]),
        "whole image": one(0, 0, WIDTH, 0, WIDTH, HEIGHT, 0, HEIGHT),
        "beyond the border": one(-7.3, -4.8, 20.2, -9, WIDTH + 6.4, 12, 22, HEIGHT + 11.7, -3, 20),
        "left of the image": one(-9, 3, -2, 3, -2, 9, -9, 9),
        "thin": one(3, 3.2, 40.6, 17.9, 40.6, 18.2, 3, 3.6),
        "thinner than a pixel": one(10.1, 2, 10.3, 2, 10.3, 30, 10.1, 30),
        "below a pixel": one(12.4, 12.4, 12.7, 12.4, 12.7, 12.7, 12.4, 12.7),
        "one pixel": one(12, 12, 13, 12, 13, 13, 12, 13),
        "half pixels": one(4.5, 4.5, 20.5, 4.5, 20.5, 20.5, 4.5, 20.5),
        "crossing itself": one(5, 5, 30, 25, 30, 5, 5, 25),
        "touching itself": one(4, 4, 16, 4, 16, 16, 28, 16, 28, 28, 16, 28, 16, 16, 4, 16),
        "repeated vertices": one(5, 5, 5, 5, 25, 5, 25, 5, 25, 20, 5, 20, 5, 20),
        "a hole": one(*square, holes=([12.2, 10.1, 22.7, 11.3, 18.4, 22.9],)),
        "two holes that overlap": one(
            *square, holes=([10, 10, 20, 10, 20, 20, 10, 20], [15, 15, 25, 15, 25, 25, 15, 25])
        ),
        "a hole across the border": one(*square, holes=([20, 10, 40, 10, 40, 15, 20, 15],)),
        "two parts": [*one(2, 2, 15, 3, 9, 14), *one(25.5, 8.1, 44.2, 12.6, 31, 33)],
        "parts that overlap": [*one(*square), *one(20, 12, 44, 14, 36, 33)],
        "part in a hole": [
            *one(2, 2, 40, 2, 40, 34, 2, 34, holes=([8, 8, 34, 8, 34, 28, 8, 28],)),
            *one(14, 14, 28, 14, 28, 22, 14, 22),
        ],
    }


def star(rng: np.random.Generator) -> list[float]:
    """A random flat ring, spiky or round, sometimes across the border."""
    count = int(rng.integers(3, 16))
    x, y = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
    spread = rng.uniform(0.0, 0.8)
    ring: list[float] = []
    for k in range(count):
        radius = rng.uniform(2, 22) * (1 - spread * rng.random())
        angle = 2 * math.pi * (k + 0.4 * rng.random()) / count
        ring += [
            round(x + radius * math.cos(angle), 2),
            round(y + radius * math.sin(angle), 2),
        ]
    return ring


def regions() -> dict[str, Any]:
    """All regions by name."""
    rng = np.random.default_rng(11)
    stars = {f"star {i}": [{"outer": star(rng), "holes": []}] for i in range(40)}
    holes = {f"star with hole {i}": [{"outer": star(rng), "holes": [star(rng)]}] for i in range(12)}
    return {**by_hand(), **stars, **holes}


def masks() -> dict[str, Mask]:
    """Masks by name: noise is full of corners that touch; blobs look like animals."""
    rng = np.random.default_rng(12)
    noise = {f"noise {i}": rng.random((10, 14)) < 0.2 + 0.06 * i for i in range(10)}
    blobs = {
        f"blobs {i}": cv2.GaussianBlur(rng.standard_normal((HEIGHT, WIDTH)), (0, 0), 2 + i / 2) > 0
        for i in range(6)
    }
    full, ring = np.ones((4, 5), np.bool_), np.ones((5, 5), np.bool_)
    ring[1:4, 1:4], ring[2, 2] = False, True
    return {"empty": ~full, "full": full, "ring and core": ring, **noise, **blobs}


def runs(mask: Mask) -> list[int]:
    """Run lengths, column by column, starting outside."""
    lengths: list[int] = geo.runs_of_rle(geo.rle_of_mask(mask)).tolist()
    return lengths


def without_holes(mask: Mask) -> Mask:
    """The mask and all ground that no path of side-by-side pixels joins to the border."""
    ground = np.pad(~mask, 1, constant_values=True).astype(np.uint8)
    labels = np.asarray(cv2.connectedComponents(ground, connectivity=4)[1])
    return np.asarray(labels[1:-1, 1:-1] != labels[0, 0])


def raster_case(name: str, parts: Any) -> dict[str, Any]:
    """A region and its raster."""
    rle = geo.rle_of_parts(geo.parts_of_json(parts), HEIGHT, WIDTH)
    return {"name": name, "parts": parts, "runs": runs(geo.mask_of_rle(rle))}


def outline_case(name: str, mask: Mask) -> dict[str, Any]:
    """A mask, its outline, and the mask with its holes filled."""
    height, width = mask.shape
    parts = [
        {kind: _whole(rings) for kind, rings in part.items()}
        for part in geo.parts_to_json(geo.parts_of_mask(mask))
    ]
    filled = runs(without_holes(mask))
    return {
        "name": name, "width": width, "height": height, "runs": runs(mask),
        "parts": parts, "filled": filled,
    }  # fmt: skip


def _whole(rings: list[Any]) -> list[Any]:
    """Outline coordinates are whole numbers; as such they take half the space."""
    return [_whole(item) if isinstance(item, list) else int(item) for item in rings]


def pair_case(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """Two regions by name, and what their rasters have together."""
    one, two = (
        geo.mask_of_parts(geo.parts_of_json(item["parts"]), HEIGHT, WIDTH) for item in (a, b)
    )
    return {
        "a": a["name"], "b": b["name"],
        "union": runs(one | two), "difference": runs(one & ~two), "intersection": runs(one & two),
    }  # fmt: skip


def vectors() -> dict[str, Any]:
    """All of raster.json."""
    rasters = [raster_case(name, parts) for name, parts in regions().items()]
    outlines = [outline_case(name, mask) for name, mask in masks().items()]
    pairs = [pair_case(rasters[i], rasters[(7 * i + 3) % len(rasters)]) for i in range(0, 60, 3)]
    return {
        "width": WIDTH, "height": HEIGHT,
        "rasters": rasters, "outlines": outlines, "pairs": pairs,
    }  # fmt: skip


if __name__ == "__main__":
    PATH.write_text(json.dumps(vectors(), separators=(",", ":")) + "\n", encoding="utf-8")
