"""The fewest vertices for the same animal: vertices are moved, not only dropped.

pycocotools' raster is a sum over edges: in every column of pixels that an edge crosses it adds the
pixels above the crossing, or takes them away when the edge runs the other way. The number of wrong
pixels is such a sum too. With running sums down the columns of an animal's crop an edge's share is
one look-up a column, so numpy weighs thousands of possible edges at once. Edges are merged, two
vertices into one, while the wrong pixels stay within the budget, and in between vertices move to
where fewer pixels are wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from data_io import geometry as geo
from data_io.shapes import band_of_mask
from data_io.simplify import (
    FIFTHS,
    MARGIN,
    Floats,
    Ground,
    Whole,
    coarser,
    is_stepped,
    simplify,
    through_steps,
    tolerances,
    vertex_count,
)
from data_io.types import Part, Parts

_LEAST_GAIN = 0.25  # wrong pixels; less is stiffness alone
_RADII = (1, 2, 3, 5, 8, 12)  # how far a vertex moves at once, in fifths of a pixel
_MOST_MERGED = 0.12  # share of the vertices merged at once
_ROUNDS = 8  # of moves after a merge
_BOUNDARY = 1.5  # how much further below 1 the boundary IoU may be than the IoU
_TRIES = 3  # merges tried before a vertex count is final
LONGEST = 50_000.0  # pixels; a longer outline would take seconds, and vertices are only dropped

_ANGLES = np.arange(8) * np.pi / 4
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_MOVES = np.rint([(0, 0), *(r * way for r in _RADII for way in _CIRCLE)]).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Outline:
    """The rings of one part as lattice points: the outer one, then the holes.

    Attributes:
        points: (K, 2) int64.
        ring: (K,) int64, the number of each vertex's ring, ascending.
        arc: (K,) int64, the border that each vertex belongs to; -1 for one that stays as it is.
    """

    points: Whole
    ring: Whole
    arc: Whole

    @classmethod
    def of_part(cls, part: Part, ground: Ground) -> Outline:
        """All vertices of a part, each free to move."""
        rings = (part.outer, *part.holes)
        ring = np.repeat(np.arange(len(rings)), [len(one) for one in rings])
        return cls(ground.lattice(np.concatenate(rings)), ring, np.zeros_like(ring))

    def part(self, ground: Ground) -> Part:
        """The outline in image coordinates."""
        outer, *holes = self._rings((self.points + FIFTHS * ground.corner) / FIFTHS)
        return Part(outer, tuple(holes))

    def neighbors(self) -> tuple[Whole, Whole]:
        """(K,) positions of the vertices before and after each one along its ring."""
        first, count = self._starts(), len(self.ring)
        last = np.append(first[1:], count) - 1
        before, after = np.arange(-1, count - 1), np.arange(1, count + 1)
        before[first], after[last] = last, first
        return before, after

    def is_sound(self) -> bool:
        """Whether the rings make a valid polygon."""
        if np.bincount(self.ring).min() < 3:
            return False
        outer, *holes = self._rings(self.points)
        return bool(shapely.Polygon(outer, holes).is_valid)

    def _rings(self, points: NDArray[Any]) -> list[NDArray[Any]]:
        return np.split(points, self._starts()[1:])

    def _starts(self) -> Whole:
        return np.append(0, (self.ring[1:] != self.ring[:-1]).nonzero()[0] + 1)


def _cross(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    product: NDArray[Any] = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return product


# --- fewer vertices -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Trial:
    """An outline on its way to fewer vertices, with what is known about its next steps.

    Attributes:
        outline: as it is now.
        before, after: (K,) neighbors of its vertices.
        restless: (K,) bool, vertices that may have a better place nearby.
        goal: (K, 2) the best one vertex for the edge after each vertex.
        rise: (K,) cost of putting it there; NaN = not known, infinite = not to be done.
        errors: number of wrong pixels, right as long as no ring meets itself or another.
    """

    outline: Outline
    before: Whole
    after: Whole
    restless: NDArray[np.bool_]
    goal: Whole
    rise: Floats
    errors: int = -1

    @classmethod
    def of(cls, outline: Outline) -> _Trial:
        unknown = np.full(len(outline.points), np.nan)
        goal = np.zeros_like(outline.points)
        return cls(outline, *outline.neighbors(), outline.arc >= 0, goal, unknown)

    def near(self, vertices: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(K,) edges, by their first vertex, whose merging depends on some vertices."""
        reach = vertices | vertices[self.after]
        return reach | reach[self.after] | reach[self.before]

    def calm(self) -> _Trial:
        """The trial whose vertices stay until one beside them changes."""
        return replace(self, restless=np.zeros_like(self.restless))


def fewest(ground: Ground, outline: Outline, limit: int) -> list[Outline]:
    """Outlines of fewer and fewer vertices with at most `limit` wrong pixels; valid polygons all.

    Fixed vertices are in all of them. Empty when already the outline itself has too many wrong
    pixels, however its vertices move.
    """
    best = _settled(ground, _Trial.of(outline))
    if not best.outline.is_sound():
        best = _settled(ground, _Trial.of(outline).calm())
    if best.errors > limit or not best.outline.is_sound():
        return []
    found = [best.outline]
    most, failures = max(1, int(_MOST_MERGED * len(outline.points))), 0
    while failures < _TRIES:
        best = _weighed(ground, best)
        merged, edges = _merged(best, limit, most)
        if not edges:
            break
        trial = _settled(ground, merged)
        if trial.errors > limit:
            if most == 1:
                best.rise[edges] = np.inf
                failures += 1
            most = max(1, most // 2)
        elif not trial.outline.is_sound():
            # Neither these merges nor the moves left over, until something beside them changes.
            best.rise[edges] = np.inf
            best = best.calm()
        else:
            best, failures = trial, 0
            found.append(best.outline)
    return found


def _settled(ground: Ground, trial: _Trial) -> _Trial:
    """The trial with its free vertices moved to where fewer pixels are wrong."""
    before, after, restless = trial.before, trial.after, trial.restless
    points = trial.outline.points.copy()
    for _ in range(_ROUNDS):
        those = restless.nonzero()[0]
        if not len(those):
            break
        goals, cost = _around(ground, points, those, before[those], after[those])
        best = cost.argmin(axis=1)
        gain = np.zeros(len(points))
        gain[those] = cost[:, 0] - cost[np.arange(len(those)), best]
        restless = gain >= _LEAST_GAIN
        # Neighbors never move at once: what one gains depends on where the other is.
        moves = restless & (gain > gain[before]) & (gain >= gain[after])
        chosen = moves[those].nonzero()[0]
        if not len(chosen):
            break
        points[those[chosen]] = goals[chosen, best[chosen]]
        restless |= moves | moves[before] | moves[after]
        restless &= trial.outline.arc >= 0
    moved = (points != trial.outline.points).any(axis=1)
    return replace(
        trial,
        outline=replace(trial.outline, points=points),
        restless=restless,
        rise=np.where(trial.near(moved), np.nan, trial.rise),
        errors=ground.area + int(ground.wrong(points, points[after]).sum()),
    )


def _around(
    ground: Ground, points: Whole, those: Whole, before: Whole, after: Whole
) -> tuple[Whole, Floats]:
    """(F, M, 2) places around some vertices, their own first, and (F, M) what each one costs."""
    goals = np.minimum(np.maximum(points[those, None] + _MOVES, 0), ground.far)
    flat, many = goals.reshape(-1, 2), len(_MOVES)
    ends = points[before].repeat(many, axis=0), points[after].repeat(many, axis=0)
    cost = ground.cost(np.concatenate([ends[0], flat]), np.concatenate([flat, ends[1]]))
    return goals, cost.reshape(2, len(those), many).sum(axis=0)


def _merged(trial: _Trial, limit: int, most: int) -> tuple[_Trial, list[int]]:
    """The trial with its cheapest edges, at most `most`, shrunk to one vertex each.

    Args:
        trial: with the cost of all edges known.
        limit: wrong pixels to stay within, as far as can be said before vertices move; one edge is
            merged in any case.
        most: number of edges.

    Returns:
        the new trial, and the merged edges by their first vertices, none when nothing can be.
    """
    before, after, rise = trial.before, trial.after, trial.rise
    points, arc, room = trial.outline.points.copy(), trial.outline.arc, limit - trial.errors
    taken, changed, dropped = np.zeros((3, len(points)), dtype=np.bool_)
    edges: list[int] = []
    for edge in rise.argsort(kind="stable")[: 4 * most].tolist():
        if len(edges) == most or not rise[edge] < (room if edges else np.inf):
            break
        around = [before[edge], edge, after[edge], after[after[edge]]]
        if taken[around].any():
            continue
        taken[around] = True
        room -= rise[edge]
        stays, goes = (edge, after[edge]) if arc[after[edge]] >= 0 else (after[edge], edge)
        points[stays] = trial.goal[edge]
        changed[stays] = dropped[goes] = True
        edges.append(edge)
    kept = ~dropped
    outline = Outline(points[kept], trial.outline.ring[kept], arc[kept])
    merged = replace(_Trial.of(outline), goal=trial.goal[kept])
    changed = changed[kept]
    beside = changed | changed[merged.before] | changed[merged.after]
    restless = (trial.restless[kept] | beside) & (outline.arc >= 0)
    rise = np.where(merged.near(changed), np.nan, rise[kept])
    return replace(merged, restless=restless, rise=rise), edges


def _weighed(ground: Ground, trial: _Trial) -> _Trial:
    """The trial with the best merge of every edge known."""
    those = np.isnan(trial.rise).nonzero()[0]
    if not len(those):
        return trial
    points, fixed = trial.outline.points, trial.outline.arc < 0
    other = trial.after[those]
    ends = points[those], points[other]
    far = points[trial.before[those]], points[trial.after[other]]
    goals = np.minimum(np.maximum(_goals(ends, far), 0), ground.far)
    goals = np.where(fixed[those, None, None], ends[0][:, None], goals)
    goals = np.where(fixed[other, None, None], ends[1][:, None], goals)
    flat, many = goals.reshape(-1, 2), goals.shape[1]
    starts = [far[0].repeat(many, axis=0), flat, far[0], *ends]
    stops = [flat, far[1].repeat(many, axis=0), *ends, far[1]]
    cost = ground.cost(np.concatenate(starts), np.concatenate(stops))
    new = cost[: 2 * len(flat)].reshape(2, len(those), many).sum(axis=0)
    old = cost[2 * len(flat) :].reshape(3, len(those)).sum(axis=0)
    best = new.argmin(axis=1)
    every = np.arange(len(those))
    goal, rise = trial.goal.copy(), trial.rise.copy()
    goal[those], rise[those] = goals[every, best], new[every, best] - old
    smallest = np.bincount(trial.outline.ring)[trial.outline.ring] <= 3
    rise[smallest | (fixed & fixed[trial.after])] = np.inf
    return replace(trial, goal=goal, rise=rise)


def _goals(ends: tuple[Whole, Whole], outside: tuple[Whole, Whole]) -> Whole:
    """(K, 6, 2) places for the vertex that replaces an edge.

    Its ends, its middle, and the way from there to where the edges on both sides would meet.
    """
    one, other = (end.astype(np.float64) for end in ends)
    middle = (one + other) / 2
    arm, leg = one - outside[0], other - outside[1]
    gap = other - one
    cross, along = _cross(arm, leg), _cross(gap, leg)
    share = np.divide(along, cross, out=np.zeros(len(cross)), where=np.abs(cross) > 1e-9)
    away = one + share[:, None] * arm - middle
    # Nearly parallel edges meet far off; behind the animal's back they do not meet at all.
    reach = np.hypot(away[:, 0], away[:, 1])
    allowed = 2 * np.hypot(gap[:, 0], gap[:, 1])
    away *= np.minimum(1, allowed / np.maximum(reach, 1e-9))[:, None] * (share > 0)[:, None]
    steps = [one, other, *(middle + part * away for part in (0, 1 / 3, 2 / 3, 1))]
    return np.rint(np.stack(steps, axis=1)).astype(np.int64)


# --- regions --------------------------------------------------------------------------------------


def compact(parts: Parts, height: int, width: int, budget: float = 0.99) -> Parts:
    """The region with as few vertices as its raster allows; they need not be any it had before.

    Each part keeps the budget for itself, and so does the whole. The contour keeps its own (see
    `Truth`): without it a large animal might lose its ears. A part that cannot be drawn with fewer
    vertices comes back as it was; one that crosses itself becomes the outline of its raster.

    Args:
        parts: the region; may be an exact outline or anything a person drew.
        height: of the image, pixels.
        width: of the image, pixels.
        budget: least IoU of the rasters in (0, 1].

    Returns:
        parts in the same order with their holes, valid polygons; moved vertices lie on fifths of a
        pixel inside the image.

    Raises:
        DataError: as `geometry.rle_of_parts`.
    """
    pieces = [_compacted(part, height, width, budget) for part in parts]
    result = tuple(piece for one in pieces for piece in one)
    before, after = (geo.rle_of_parts(item, height, width) for item in (parts, result))
    return result if geo.rle_iou(before, after) >= budget else parts


class Truth:
    """The raster of one part, and what an outline of fewer vertices must keep of it.

    Its IoU is at least the budget, and its boundary IoU (Cheng et al., CVPR 2021; 2 % of the
    image's diagonal) at most half as much again below 1: 0.985 for a budget of 0.99.
    """

    def __init__(self, rle: geo.Rle, budget: float) -> None:
        """`rle` is not empty; `budget` in (0, 1]."""
        self.rle, self.budget = rle, budget
        self.ground = Ground.of_rle(rle)
        self._window = geo.window_of_rle(rle, MARGIN)
        mask = geo.crop_of_rle(rle, self._window)
        self._distance = max(1, round(0.02 * math.hypot(*rle["size"])))
        self._band = band_of_mask(mask, self._distance)
        self._boundary = 1 - _BOUNDARY * (1 - budget)
        # A shift of the contour shifts the inner edge of the band with it, where there is one.
        edges = [band_of_mask(one, 1).sum() for one in (mask, mask & ~self._band)]
        share = _BOUNDARY * float(self._band.sum()) / (1 + min(1.0, edges[1] / edges[0]))
        self.limit = int((1 - budget) * min(float(self.ground.area), share) + 1e-9)

    def is_kept_by(self, part: Part) -> bool:
        """Whether a part keeps the budget, by pycocotools' raster."""
        raster = geo.rle_of_parts((part,), *self.rle["size"])
        if geo.rle_iou(raster, self.rle) < self.budget:
            return False
        band = band_of_mask(geo.crop_of_rle(raster, self._window), self._distance)
        either = np.count_nonzero(band | self._band)
        return bool(np.count_nonzero(band & self._band) >= self._boundary * either)


def _compacted(part: Part, height: int, width: int, budget: float) -> Parts:
    rle = geo.rle_of_parts((part,), height, width)
    polygon = shapely.Polygon(part.outer, part.holes)
    valid = bool(polygon.is_valid)
    if valid and (vertex_count((part,)) <= 4 or not geo.area_of_rle(rle)):
        return (part,)
    x0, y0, x1, y1 = polygon.bounds
    if not valid or min(x0, y0) < 0 or x1 > width or y1 > height:
        pieces = geo.parts_of_rle(rle)
        found = tuple(p for piece in pieces for p in _compacted(piece, height, width, budget))
        fewer = vertex_count(found) < vertex_count((part,))
        return found if found and (fewer or not valid) else (part,)
    if polygon.length > LONGEST:
        return simplify((part,), height, width, budget)
    truth = Truth(rle, budget)
    for outline in _candidates(part, truth):
        compacted = outline.part(truth.ground)
        if truth.is_kept_by(compacted):
            return (compacted,) if vertex_count((compacted,)) < vertex_count((part,)) else (part,)
    return (part,)


def _candidates(part: Part, truth: Truth) -> Iterator[Outline]:
    """Valid outlines within the limit, the fewest vertices first."""
    if is_stepped(part):
        part = through_steps(part)
    polygon = shapely.orient_polygons(shapely.Polygon(part.outer, part.holes), exterior_cw=False)
    for tolerance in tolerances(truth.limit, float(polygon.length)):
        start = coarser(polygon, tolerance)
        if start:
            outline = Outline.of_part(start, truth.ground)
            yield from reversed(fewest(truth.ground, outline, truth.limit))
