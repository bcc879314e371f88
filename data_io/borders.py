"""Animals that touch: outlines with few vertices and one common border.

Exact outlines are cut into arcs at the corners where three or more pixels of different animals (or
an animal and the background) meet. Each arc is simplified once and used, forward and backward, by
both of its neighbors, so that in pycocotools' raster, where an edge means the same in both
directions, a pixel along the border belongs to exactly one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from data_io import geometry as geo
from data_io import shapes
from data_io.compact import LONGEST, Outline, Truth, compact, fewest
from data_io.simplify import FIFTHS, Ground, Whole, edge_middles, tolerances, vertex_count
from data_io.types import Part, Parts, Ring

_REACH = 2  # pixels: animals this near may come to overlap when each is simplified for itself
_EXACT = 3  # the level at which arcs stay exact; each one before halves the wrong pixels allowed

Way = list[tuple[int, bool]]  # a ring as numbers of arcs and whether each is walked backward


def compact_together(
    regions: Sequence[Parts], height: int, width: int, budget: float = 0.99
) -> list[Parts]:
    """The regions with few vertices each; those that touch keep a common border.

    Regions that overlap another, and those with none nearby, are compacted alone.

    Args:
        regions: of one image.
        height: of the image, pixels.
        width: of the image, pixels.
        budget: least IoU of the rasters of every part in (0, 1].

    Returns:
        regions in the same order. Along a common border both have the same vertices. Where nothing
        overlapped, nothing overlaps afterwards.

    Raises:
        DataError: as `geometry.rle_of_parts`.
    """
    rles = [geo.rle_of_parts(parts, height, width) for parts in regions]
    result = list(regions)
    shared: set[int] = set()
    for group in _groups(rles):
        shared.update(group)
        together = _Herd(group, [rles[k] for k in group], budget).compacted()
        fewer = sum(map(vertex_count, together)) < sum(vertex_count(regions[k]) for k in group)
        for number, parts in zip(group, together if fewer else (), strict=False):
            result[number] = parts
    for number in set(range(len(regions))) - shared:
        result[number] = compact(regions[number], height, width, budget)
    return result


# --- who is near whom -----------------------------------------------------------------------------


def _groups(rles: Sequence[geo.Rle]) -> list[list[int]]:
    """Positions of regions that are near each other, directly or by way of others."""
    pairs = list(_near(rles))
    overlapping = {k for a, b in pairs if _overlap(rles[a], rles[b]) for k in (a, b)}
    near: dict[int, set[int]] = {}
    for a, b in pairs:
        if not {a, b} & overlapping and _adjoin(rles[a], rles[b]):
            near.setdefault(a, set()).add(b)
            near.setdefault(b, set()).add(a)
    return _components(near)


def _components(near: dict[int, set[int]]) -> list[list[int]]:
    groups, left = [], set(near)
    while left:
        group, ahead = set(), {min(left)}
        while ahead:
            group |= ahead
            ahead = set().union(*(near[k] for k in ahead)) - group
        groups.append(sorted(group))
        left -= group
    return groups


def _near(rles: Sequence[geo.Rle]) -> Iterator[tuple[int, int]]:
    """Pairs of regions whose boxes are at most `_REACH` pixels apart."""
    boxes = np.array([geo.box_of_rle(rle) for rle in rles]).reshape(-1, 4)
    filled = np.flatnonzero(boxes[:, 2] > 0)
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:] + _REACH
    for place, a in enumerate(filled.tolist()):
        later = filled[place + 1 :]
        meets = (low[later] < high[a]) & (high[later] > low[a])
        yield from ((a, b) for b in later[meets.all(axis=1)].tolist())


def _overlap(a: geo.Rle, b: geo.Rle) -> bool:
    return geo.area_of_rle(geo.rle_intersection([a, b])) > 0


def _adjoin(a: geo.Rle, b: geo.Rle) -> bool:
    """Whether a pixel of one region is at most `_REACH` steps, also diagonal ones, from the other.

    Args:
        a, b: regions whose boxes are that near.
    """
    windows = geo.window_of_rle(a, _REACH), geo.window_of_rle(b, _REACH)
    left, top = (max(ends) for ends in zip(*(window[:2] for window in windows), strict=True))
    right, bottom = (min(ends) for ends in zip(*(window[2:] for window in windows), strict=True))
    one, other = (geo.crop_of_rle(rle, (left, top, right, bottom)) for rle in (a, b))
    side = 2 * _REACH + 1
    wide = cv2.dilate(np.ascontiguousarray(one, np.uint8), np.ones((side, side), np.uint8))
    return bool((other & (wide > 0)).any())


# --- arcs -----------------------------------------------------------------------------------------


@dataclass
class _Arc:
    """A stretch of border between the same two neighbors.

    Attributes:
        path: (N, 2) exact corners; with both ends, or of a closed ring each once.
        closed: whether it is a ring without an end.
        line: what it becomes, in the same direction; None = not decided.
    """

    path: Ring
    closed: bool
    line: Ring | None = None

    def start(self, tolerance: float) -> Ring:
        """The path through the middles of its steps, by Douglas-Peucker, with its own ends."""
        path = np.concatenate([self.path, self.path[:1]]) if self.closed else self.path
        middles = edge_middles(path[:-1], path[1:])
        if self.closed:
            middles = np.concatenate([middles, middles[:1]])
        else:
            middles = np.concatenate([path[:1], middles, path[-1:]])
        line = shapely.simplify(shapely.LineString(middles), tolerance, preserve_topology=False)
        points = np.asarray(shapely.get_coordinates(line), dtype=np.float64)
        if not self.closed:
            return points
        return points[:-1] if len(points) > 3 else self.path


@dataclass
class _Borders:
    """Exact outlines cut into arcs, each arc known once however many outlines use it."""

    meets: NDArray[np.bool_]  # corners (row, column) where three or more borders meet
    corner: Whole  # x, y of the first of them
    arcs: list[_Arc] = field(default_factory=list)
    known: dict[bytes, int] = field(default_factory=dict)

    def cut(self, ring: Ring) -> Way:
        """The arcs of an exact ring."""
        steps = _unit_steps(ring)
        column, row = (steps - self.corner).T
        stops = np.flatnonzero(self.meets[row, column])
        if not len(stops):
            first = int(np.lexsort((steps[:, 1], steps[:, 0]))[0])
            return [self._arc(np.roll(steps, -first, axis=0), closed=True)]
        steps = np.roll(steps, -stops[0], axis=0)
        steps = np.concatenate([steps, steps[:1]])
        ends = [*(stops - stops[0]).tolist(), len(steps) - 1]
        return [self._arc(steps[a : b + 1], closed=False) for a, b in pairwise(ends)]

    def _arc(self, steps: Whole, closed: bool) -> tuple[int, bool]:
        back = np.concatenate([steps[:1], steps[:0:-1]]) if closed else steps[::-1]
        backward = back.tobytes() < steps.tobytes()
        forward = back if backward else steps
        key = forward.tobytes()
        if key not in self.known:
            self.known[key] = len(self.arcs)
            self.arcs.append(_Arc(_turns(forward, closed), closed))
        return self.known[key], backward


def _unit_steps(ring: Ring) -> Whole:
    """Every pixel corner along an exact ring, (N, 2)."""
    step = np.roll(ring, -1, axis=0) - ring
    length = np.abs(step).sum(axis=1).astype(np.int64)
    begin = np.cumsum(length) - length
    along = np.arange(length.sum()) - np.repeat(begin, length)
    dense = np.repeat(ring, length, axis=0) + along[:, None] * np.repeat(
        np.sign(step), length, axis=0
    )
    return dense.astype(np.int64)


def _turns(steps: Whole, closed: bool) -> Ring:
    """The corners where a path of unit steps turns, and its ends."""
    if closed:
        kept = (np.roll(steps, -1, axis=0) - steps != steps - np.roll(steps, 1, axis=0)).any(axis=1)
    else:
        kept = np.ones(len(steps), dtype=np.bool_)
        kept[1:-1] = (np.diff(steps[1:], axis=0) != np.diff(steps[:-1], axis=0)).any(axis=1)
    return steps[kept].astype(np.float64)


def _meeting(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """(H, W) labels -> (H - 1, W - 1): inner corners where three or more borders meet."""
    a, b, c, d = labels[:-1, :-1], labels[:-1, 1:], labels[1:, 1:], labels[1:, :-1]
    borders = np.zeros(a.shape, dtype=np.uint8)
    for one, other in ((a, b), (b, c), (c, d), (d, a)):
        borders += one != other
    return borders >= 3


# --- one group ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Piece:
    """A connected piece of a region: the unit that keeps the budget."""

    region: int
    rle: geo.Rle
    area: int
    length: float
    ways: tuple[Way, ...]  # outer ring, holes


class _Herd:
    """A group of regions near each other that do not overlap."""

    def __init__(self, numbers: Sequence[int], rles: Sequence[geo.Rle], budget: float) -> None:
        self._budget, self._numbers = budget, numbers
        height, width = rles[0]["size"]
        outlines = [(k, part) for k, rle in enumerate(rles) for part in geo.parts_of_rle(rle)]
        cut = [geo.rle_of_parts((part,), height, width) for _, part in outlines]
        self._borders = _borders_of(cut)
        self._pieces = [
            _Piece(
                region,
                rle,
                geo.area_of_rle(rle),
                shapely.Polygon(part.outer, part.holes).length,
                tuple(self._borders.cut(ring) for ring in (part.outer, *part.holes)),
            )
            for (region, part), rle in zip(outlines, cut, strict=True)
        ]
        self._near = list(_near(cut))

    def compacted(self) -> list[Parts]:
        """A region for each of the group's, in their order."""
        level = [0] * len(self._pieces)
        while True:
            parts = self._parts(level)
            finer = {k for k in self._failing(parts) if level[k] < _EXACT}
            if not finer:
                break
            for k in finer | self._beside(finer):
                level[k] = min(_EXACT, level[k] + 1)
        return [
            tuple(p for p, piece in zip(parts, self._pieces, strict=True) if piece.region == region)
            for region in range(len(self._numbers))
        ]

    def _parts(self, level: Sequence[int]) -> list[Part]:
        for arc in self._borders.arcs:
            arc.line = None
        for k, piece in enumerate(self._pieces):
            if level[k] == _EXACT:
                self._settle(piece, None, None)
        # The smallest first: a pixel costs it most.
        for k in sorted(range(len(level)), key=lambda k: self._pieces[k].area):
            self._simplify(self._pieces[k], 0.5 ** level[k])
        return [self._part(piece) for piece in self._pieces]

    def _simplify(self, piece: _Piece, share: float) -> None:
        """Decide those arcs of a piece that are not decided yet."""
        if piece.length > LONGEST:
            self._settle(piece, None, None)
            return
        truth = Truth(piece.rle, self._budget)
        ground, limit = truth.ground, int(share * truth.limit)
        for tolerance in tolerances(limit, piece.length):
            found = fewest(ground, self._outline(piece, ground, tolerance), limit)
            for outline in reversed(found):
                if truth.is_kept_by(outline.part(ground)):
                    self._settle(piece, ground, outline)
                    return
        self._settle(piece, None, None)

    def _outline(self, piece: _Piece, ground: Ground, tolerance: float) -> Outline:
        points, ring, owner = [], [], []
        for number, way in enumerate(piece.ways):
            for k, backward in way:
                arc = self._borders.arcs[k]
                line = arc.start(tolerance) if arc.line is None else arc.line
                line = line[::-1] if backward else line
                points.append(line if arc.closed else line[:-1])
                own = np.full(len(points[-1]), k if arc.line is None else -1)
                own[0] = own[0] if arc.closed else -1
                owner.append(own)
                ring.append(np.full(len(own), number))
        return Outline(
            ground.lattice(np.concatenate(points)), np.concatenate(ring), np.concatenate(owner)
        )

    def _settle(self, piece: _Piece, ground: Ground | None, outline: Outline | None) -> None:
        """Give undecided arcs their lines from an outline; without one they stay exact."""
        for way in piece.ways:
            for k, backward in way:
                arc = self._borders.arcs[k]
                if arc.line is not None:
                    continue
                arc.line = arc.path
                if ground is not None and outline is not None:
                    own = outline.points[outline.arc == k] + FIFTHS * ground.corner
                    line = (own[::-1] if backward else own) / FIFTHS
                    ends = arc.path[:1], arc.path[-1:]
                    arc.line = line if arc.closed else np.concatenate([ends[0], line, ends[1]])

    def _part(self, piece: _Piece) -> Part:
        rings = []
        for way in piece.ways:
            lines = []
            for k, backward in way:
                arc = self._borders.arcs[k]
                line = arc.path if arc.line is None else arc.line
                line = line[::-1] if backward else line
                lines.append(line if arc.closed else line[:-1])
            rings.append(np.concatenate(lines))
        return Part(rings[0], tuple(rings[1:]))

    def _failing(self, parts: Sequence[Part]) -> set[int]:
        """Pieces that are not valid, miss the budget, or overlap another."""
        failing = set(shapes.invalid([(part,) for part in parts]))
        if failing:
            return failing
        rasters = [geo.rle_of_parts((part,), *self._pieces[0].rle["size"]) for part in parts]
        for k, (raster, piece) in enumerate(zip(rasters, self._pieces, strict=True)):
            if geo.rle_iou(raster, piece.rle) < self._budget:
                failing.add(k)
        for a, b in self._near:
            if _overlap(rasters[a], rasters[b]):
                failing |= {a, b}
        return failing

    def _beside(self, pieces: Iterable[int]) -> set[int]:
        """Pieces that share an arc with some others."""
        arcs = {k for number in pieces for way in self._pieces[number].ways for k, _ in way}
        return {
            number
            for number, piece in enumerate(self._pieces)
            if any(k in arcs for way in piece.ways for k, _ in way)
        }


def _borders_of(rles: Sequence[geo.Rle]) -> _Borders:
    """Where the borders of pieces meet, without any arc yet."""
    windows = [geo.window_of_rle(rle) for rle in rles]
    left, top = (min(ends) - 1 for ends in zip(*(window[:2] for window in windows), strict=True))
    right, bottom = (
        max(ends) + 1 for ends in zip(*(window[2:] for window in windows), strict=True)
    )
    labels = np.zeros((bottom - top, right - left), dtype=np.int32)
    for number, (rle, window) in enumerate(zip(rles, windows, strict=True), start=1):
        x0, y0, x1, y1 = window
        labels[y0 - top : y1 - top, x0 - left : x1 - left][geo.crop_of_rle(rle, window)] = number
    return _Borders(_meeting(labels), np.array([left + 1, top + 1]))
