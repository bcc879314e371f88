"""The geometry of a simulated person: a target drawn from the truth, errors, strokes, vertices.

Convention: masks are (rows, columns) bool of a window around one animal; lengths are image pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from app.simulate.clock import SECONDS, SHOWN_CM, STANDARD, Action, Kind
from data_io.geometry import (
    Rle,
    area_of_rle,
    crop_of_rle,
    mask_of_parts,
    parts_of_mask,
    parts_of_rle,
    rle_of_parts,
    window_of_rle,
)
from data_io.simplify import FIFTHS, Ground, simplify, vertex_count
from data_io.types import Part, Parts, Ring

Mask = NDArray[np.bool_]
Window = tuple[int, int, int, int]  # left, top, right, bottom, ends exclusive

SHOWN_PIXELS = 1000.0  # of the screen along `SHOWN_CM`
TREMOR = 2.0  # screen pixels by which a stroke may lie beside its way
SMOOTH = 0.12  # correlation of the boundary noise, in roots of the animal's area
ISLAND = 0.02  # of an animal's area; smaller pieces that the noise cuts off are none
MOST_VERTICES = 45  # of an animal: what the clock's scratch outline was measured on
LEAST = 4  # pixels; nobody repairs less
REACH = 12  # pixels around an error that a stroke may touch
WASTE = 1.3  # vertex edits of a person for each of the best sequence
LARGE = 0.02  # of an animal's area: errors for which moving vertices comes to mind
MOST_EDITS = 12  # vertices changed for one error
GOALS = 24  # points of the outline that is wanted, tried for a vertex
WORTH = 2  # wrong pixels that an edit must put right
EDITED = 0.99  # IoU of the outline whose vertices are edited


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union; two empty masks agree: 1."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def around(rles: Sequence[Rle], margin: int = 4) -> Window:
    """The window that holds all of some RLEs of one image."""
    windows = [window_of_rle(rle, margin) for rle in rles if area_of_rle(rle)]
    left, top, right, bottom = zip(*windows, strict=True)
    return min(left), min(top), max(right), max(bottom)


# --- what a person takes for the animal ---------------------------------------------------------


def jittered(truth: Rle, agreement: float, rng: np.random.Generator) -> Rle:
    """The truth with smooth noise along its boundary, so strong that the IoU is `agreement`.

    Args:
        truth: an animal, not empty.
        agreement: in (0, 1]; an animal of few pixels comes as near as its pixels allow.
    """
    area = area_of_rle(truth)
    window = window_of_rle(truth, 4 + round(0.25 * area**0.5))
    mask = crop_of_rle(truth, window)
    signed = _signed_distance(mask)
    noise = cv2.GaussianBlur(
        rng.standard_normal(mask.shape).astype(np.float32), (0, 0), max(1.0, SMOOTH * area**0.5)
    )
    noise /= max(float(noise.std()), 1e-9)

    def at(strength: float) -> Mask:
        return _without_islands(signed + strength * noise > 0, area)

    low, high = 0.0, 0.5 * area**0.5
    for _ in range(11):
        middle = (low + high) / 2
        low, high = (middle, high) if iou(at(middle), mask) > agreement else (low, middle)
    nearest = min((at(low), at(high)), key=lambda made: abs(iou(made, mask) - agreement))
    height, width = truth["size"]
    return rle_of_parts(parts_of_mask(nearest, *window[:2]), height, width)


def _signed_distance(mask: Mask) -> NDArray[np.float32]:
    """Pixels from the boundary, positive inside; the image's edge is no boundary."""
    inside, outside = (
        cv2.distanceTransform(np.pad(part, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 5)
        for part in (mask, ~mask)
    )
    signed = np.where(mask, inside[1:-1, 1:-1] - 0.5, 0.5 - outside[1:-1, 1:-1])
    return signed.astype(np.float32)


def _without_islands(mask: Mask, area: int) -> Mask:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count <= 2:
        return mask
    kept = stats[:, cv2.CC_STAT_AREA] >= ISLAND * area
    kept[0] = False
    kept[1 + stats[1:, cv2.CC_STAT_AREA].argmax()] = True
    return np.asarray(kept[labels])


def outlined(target: Rle, quality: float) -> Parts:
    """An animal as it is drawn from scratch: a simplified outline that keeps so much IoU."""
    height, width = target["size"]
    return simplify(parts_of_rle(target), height, width, quality)


def vertices_for(parts: Parts) -> int:
    """How many vertices of an outline from scratch are charged."""
    return min(MOST_VERTICES, vertex_count(parts))


# --- errors -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Error:
    """A connected place where a label is wrong.

    Attributes:
        mask: the place. area: its pixels.
        missing: animal that is not in the label; else ground that is.
        near: rows and columns of the mask that hold it and `REACH` pixels around it.
    """

    mask: Mask
    missing: bool
    area: int
    near: tuple[slice, slice]


def errors(shown: Mask, target: Mask) -> list[Error]:
    """Connected errors that are no slivers of a pixel, largest first."""
    found: list[Error] = []
    for missing, wrong in ((True, target & ~shown), (False, shown & ~target)):
        kernel = np.ones((2, 2), np.uint8)
        opened = cv2.morphologyEx(wrong.astype(np.uint8), cv2.MORPH_OPEN, kernel)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
        found += [
            Error(labels == k, missing, int(stats[k, cv2.CC_STAT_AREA]), _near(stats[k]))
            for k in range(1, count)
            if stats[k, cv2.CC_STAT_AREA] >= LEAST
        ]
    return sorted(found, key=lambda error: -error.area)


def _near(stats: NDArray[np.int32]) -> tuple[slice, slice]:
    x, y, width, height = (int(value) for value in stats[:4])
    rows = slice(max(0, y - REACH), y + height + REACH)
    return rows, slice(max(0, x - REACH), x + width + REACH)


# --- repairs ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Repair:
    """One way to repair an error: the label afterwards and what it took."""

    mask: Mask
    actions: tuple[Action, ...]


@dataclass(frozen=True)
class Screen:
    """How an image is shown: its long side, in pixels, takes `SHOWN_CM`."""

    long_side: int

    def cm(self, pixels: float) -> float:
        """Centimeters of so many image pixels."""
        return pixels * SHOWN_CM / self.long_side

    @property
    def tremor(self) -> float:
        """Image pixels by which a stroke may lie beside its way."""
        return TREMOR * self.long_side / SHOWN_PIXELS


def brushed(shown: Mask, error: Error, screen: Screen, rng: np.random.Generator | None) -> Repair:
    """Sweep an error's middle line with a brush of its median half-width.

    Args:
        rng: where the hand ends up; None = exactly on its way, as a person expects it.
    """
    place = error.mask[error.near]
    depth = cv2.distanceTransform(np.pad(place, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    ridge = place & (depth >= cv2.dilate(depth, np.ones((3, 3), np.uint8)) - 1e-3)
    radius = max(0.5, float(np.median(depth[ridge])) - 0.5)
    reach = round(radius)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    way = ridge.astype(np.uint8)
    if rng is not None:
        x, y = rng.uniform(-screen.tremor, screen.tremor, 2)
        moved = np.array([[1, 0, round(x)], [0, 1, round(y)]], np.float64)
        way = cv2.warpAffine(way, moved, way.shape[::-1], flags=cv2.INTER_NEAREST)
    swept = cv2.dilate(way, disc) > 0
    length = error.area / (2 * radius + 1)
    mask = shown.copy()
    mask[error.near] = mask[error.near] | swept if error.missing else mask[error.near] & ~swept
    return Repair(mask, (Action("stroke"), Action("draw", round(screen.cm(length), 3))))


def reshaped(shown: Mask, target: Mask, error: Error, thought: bool) -> Repair | None:
    """Move, insert and delete vertices at an error, each time what gains most a second.

    Args:
        thought: a glance at a highlight came before, which saves thinking once more.

    Returns:
        None where no edit is worth its time.
    """
    rows, columns = shown.shape
    parts = simplify(parts_of_mask(shown), rows, columns, EDITED)
    editor = _Vertices.of(parts, target, error)
    if not len(editor.goals):
        return None
    made: list[Action] = [] if thought else [Action("think")]
    before = len(made)
    while len(made) < before + MOST_EDITS and (edit := editor.best()) is not None:
        editor.apply(edit)
        made.append(Action(edit.kind, WASTE))
    if len(made) == before:
        return None
    mask = mask_of_parts(editor.parts(), rows, columns)
    better = np.count_nonzero(mask ^ target) < np.count_nonzero(shown ^ target)
    return Repair(mask, tuple(made)) if better else None


def chosen(
    mask: Mask, wanted: Mask, error: Error, lit: bool, screen: Screen, rng: np.random.Generator
) -> Repair | None:
    """The repair that is expected to gain most a second; None where none gains anything."""
    before = iou(mask, wanted)

    def rate(repair: Repair) -> float:
        return (iou(repair.mask, wanted) - before) / STANDARD.seconds(repair.actions)

    planned = brushed(mask, error, screen, None)
    large = error.area >= LARGE * np.count_nonzero(wanted)
    edited = reshaped(mask, wanted, error, lit) if large else None
    if edited is not None and rate(edited) >= rate(planned):
        return edited
    if rate(planned) <= 0:
        return None
    done = brushed(mask, error, screen, rng)
    if iou(done.mask, wanted) < before:  # it shows at once
        return Repair(mask, (*done.actions, Action("undo")))
    return done


@dataclass(frozen=True)
class _Edit:
    ring: int
    kind: Kind
    vertex: int
    goal: int


@dataclass
class _Vertices:
    """The outline near an error, and what each possible edit would put right.

    Rings are lattice points of `data_io.simplify.Ground`, in fifths of a pixel.
    """

    ground: Ground
    rings: list[NDArray[np.int64]]
    holes: list[int]  # how many of a part's rings, behind its outer one, are holes
    goals: NDArray[np.int64]  # (n, 2) points of the wanted outline at the error
    near: Mask
    found: dict[int, tuple[float, _Edit] | None] = field(default_factory=dict)  # by ring

    @classmethod
    def of(cls, parts: Parts, target: Mask, error: Error) -> _Vertices:
        near = cv2.dilate(error.mask.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        ground = ground_of(target)
        rings = [ground.lattice(ring) for p in parts for ring in (p.outer, *p.holes)]
        return cls(ground, rings, [len(p.holes) for p in parts], _goals(target, near), near)

    def best(self) -> _Edit | None:
        """The edit that puts most pixels right a second, None where none is worth it."""
        for number in range(len(self.rings)):
            if number not in self.found:
                self.found[number] = self._best_of(number)
        rated = [found for found in self.found.values() if found is not None]
        return max(rated, key=lambda found: found[0])[1] if rated else None

    def _best_of(self, number: int) -> tuple[float, _Edit] | None:
        best: tuple[float, _Edit] | None = None
        for kind, vertices, gains in self._gains(self.rings[number]):
            if not gains.size:
                continue
            row, goal = divmod(int(gains.argmax()), gains.shape[1])
            gain = int(gains[row, goal])
            rate = gain / SECONDS[kind]
            if gain >= WORTH and (best is None or rate > best[0]):
                best = rate, _Edit(number, kind, int(vertices[row]), goal)
        return best

    def apply(self, edit: _Edit) -> None:
        """Do an edit."""
        ring = self.rings[edit.ring]
        if edit.kind == "delete":
            ring = np.delete(ring, edit.vertex, axis=0)
        elif edit.kind == "insert":
            ring = np.insert(ring, edit.vertex + 1, self.goals[edit.goal], axis=0)
        else:
            ring = ring.copy()
            ring[edit.vertex] = self.goals[edit.goal]
        self.rings[edit.ring] = ring
        del self.found[edit.ring]

    def parts(self) -> Parts:
        """The outline as it is now."""
        rings = iter(ring / FIFTHS for ring in self.rings)
        return tuple(
            Part(next(rings), tuple(next(rings) for _ in range(count))) for count in self.holes
        )

    def _gains(
        self, ring: NDArray[np.int64]
    ) -> Iterator[tuple[Kind, NDArray[np.int64], NDArray[np.int64]]]:
        """Kind, (n,) vertices near the error, (n, goals) pixels that the edit puts right."""
        behind, before = np.roll(ring, -1, axis=0), np.roll(ring, 1, axis=0)
        close = self._is_near(ring)
        at = np.flatnonzero(close | np.roll(close, -1) | self._crosses(ring, behind))
        if not len(at):
            return
        edges = self.ground.wrong(ring, behind)
        yield "insert", at, edges[at, None] - self._through(ring[at], behind[at])
        at = np.flatnonzero(close)
        if not len(at):
            return
        joined = (np.roll(edges, 1) + edges)[at, None]  # of both edges at a vertex
        yield "drag", at, joined - self._through(before[at], behind[at])
        if len(ring) > 3:
            yield "delete", at, joined - self.ground.wrong(before[at], behind[at])[:, None]

    def _through(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n, goals) what two edges by way of each goal cost."""
        n, m = len(start), len(self.goals)
        goals = np.tile(self.goals, (n, 1))
        there = self.ground.wrong(np.repeat(start, m, 0), goals)
        return (there + self.ground.wrong(goals, np.repeat(end, m, 0))).reshape(n, m)

    def _is_near(self, points: NDArray[np.int64]) -> Mask:
        rows, columns = self.near.shape
        x = np.clip(points[:, 0] // FIFTHS, 0, columns - 1)
        y = np.clip(points[:, 1] // FIFTHS, 0, rows - 1)
        return self.near[y, x]

    def _crosses(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> Mask:
        """Edges whose middle, or a third of whose way, lies near the error."""
        shares = ((2 * start + end) // 3, (start + end) // 2, (start + 2 * end) // 3)
        return np.any([self._is_near(points) for points in shares], axis=0)


def ground_of(mask: Mask) -> Ground:
    """The pixels that an outline should hold; coordinates are those of the mask."""
    rows, columns = mask.shape
    sums = np.zeros((columns, rows + 1), dtype=np.int32)
    np.cumsum(1 - 2 * mask.T.astype(np.int8), axis=1, dtype=np.int32, out=sums[:, 1:])
    far = FIFTHS * np.array([columns, rows])
    return Ground(np.zeros(2, np.int64), far, int(mask.sum()), sums.ravel())


def _goals(target: Mask, near: Mask) -> NDArray[np.int64]:
    """Points of the wanted outline near an error, at most `GOALS`, on the lattice."""
    rings: list[Ring] = [r for p in parts_of_mask(target) for r in (p.outer, *p.holes)]
    points = np.concatenate(rings) if rings else np.zeros((0, 2))
    rows, columns = target.shape
    x = np.clip(points[:, 0].astype(np.int64), 0, columns - 1)
    y = np.clip(points[:, 1].astype(np.int64), 0, rows - 1)
    close = points[near[y, x]]
    step = max(1, -(-len(close) // GOALS))
    return (close[::step] * FIFTHS).astype(np.int64)
