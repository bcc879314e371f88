"""Regions as single rings, for formats that know neither holes nor parts.

pycocotools toggles pixels where an outline crosses a column, so a way walked there and back again
changes nothing: holes hang on a vertical slit, parts on a bridge. Exact for exact outlines; for
others compare the rasters (see `exact_rings`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from data_io import geometry as geo
from data_io.types import Part, Parts, Ring


def keyhole(part: Part) -> Ring:
    """One ring that has the part's raster: each hole is joined to what lies above it by a slit."""
    merged = part.outer
    # From the top down, what a slit meets first is the outer ring or a hole joined already.
    for hole in sorted(part.holes, key=lambda ring: float(ring[:, 1].min())):
        merged = _joined(merged, hole)
    return merged


def separate_rings(parts: Parts) -> list[Ring]:
    """A ring for each part, holes by `keyhole`: for formats whose rings are a union."""
    return [keyhole(part) if part.holes else part.outer for part in parts]


def one_ring(parts: Parts) -> list[Ring]:
    """A list of one ring with the raster of all parts, joined by bridges between near vertices."""
    rings = separate_rings(parts)
    merged = rings[0]
    for ring in rings[1:]:
        # Near vertices make short bridges; the best of a few is near enough.
        steps = merged[:: -(-len(merged) // 64)], ring[:: -(-len(ring) // 64)]
        gaps = ((steps[0][:, None] - steps[1][None]) ** 2).sum(axis=2)
        i, j = np.unravel_index(int(gaps.argmin()), gaps.shape)
        here, there = int(i) * -(-len(merged) // 64), int(j) * -(-len(ring) // 64)
        loop = np.concatenate([np.roll(ring, -there, axis=0), ring[there : there + 1]])
        merged = np.concatenate([merged[: here + 1], loop, merged[here:]])
    return [merged]


def exact_rings(
    parts: Parts,
    rle: geo.Rle,
    shape: Callable[[Parts], list[Ring]],
    stored: Callable[[Ring], Ring] | None = None,
) -> list[Ring] | None:
    """Rings of `parts` as drawn, else of the exact outline; None when neither keeps the raster.

    Args:
        parts: the region. rle: its raster.
        shape: `separate_rings` or `one_ring`.
        stored: what is left of a ring once the format has written and read its numbers; None where
            it keeps them all.
    """
    plain = parts and not any(part.holes for part in parts)
    if plain and stored is None and shape is separate_rings:
        return [part.outer for part in parts]  # the raster of a region is that of its rings
    for candidate in (lambda: parts, lambda: geo.parts_of_rle(rle)):
        found = candidate()
        rings = [stored(ring) if stored else ring for ring in shape(found)] if found else []
        if rings and geo.same_raster(rings_rle(rings, *rle["size"]), rle):
            return rings
    return None


def rings_rle(rings: list[Ring], height: int, width: int) -> geo.Rle:
    """The raster of a union of rings."""
    return geo.rle_of_parts(tuple(Part(ring) for ring in rings), height, width)


def _joined(ring: Ring, hole: Ring) -> Ring:
    top = int(np.argmin(hole[:, 1]))
    x, y = hole[top]
    after = np.roll(ring, -1, axis=0)
    run = after[:, 0] - ring[:, 0]
    share = np.divide(x - ring[:, 0], run, out=np.full(len(ring), -1.0), where=run != 0)
    level = ring[:, 1] + share * (after[:, 1] - ring[:, 1])
    above = np.flatnonzero((share >= 0) & (share <= 1) & (level <= y))
    if not len(above):  # nothing above the hole: it lies outside and takes nothing away
        return ring
    edge = int(above[np.argmax(level[above])])
    hit = np.array([[x, level[edge]]])
    loop = np.concatenate([np.roll(hole, -top, axis=0), hole[top : top + 1]])
    joined = np.concatenate([ring[: edge + 1], hit, loop, hit, ring[edge + 1 :]])
    return joined[(joined != np.roll(joined, 1, axis=0)).any(axis=1)]
