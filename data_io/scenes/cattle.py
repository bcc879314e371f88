"""The body of an animal: proportions and poses, from which the tubes are made.

Body frame: x forward, y left, z up, metres of an adult cow, the origin under the middle of the
barrel. Proportions are drawn from how a dairy cow looks (1.45 m at the withers), not from data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from data_io.scenes.mesh import Floats, Mesh, cross, join, mesh_of_grid, tube

Pose = Literal["standing", "walking", "lying", "grazing", "feeding"]
TRUNK, HEAD, LEG, TAIL, EAR, UDDER, HORN = range(1, 8)

# x, z, half width, half height from the pins to the base of the neck
_BARREL = np.array(
    [
        [-1.06, 1.20, 0.10, 0.11],
        [-1.03, 1.18, 0.205, 0.22],
        [-0.88, 1.13, 0.245, 0.28],
        [-0.60, 1.09, 0.315, 0.34],
        [-0.40, 1.04, 0.295, 0.375],
        [-0.05, 0.99, 0.36, 0.43],
        [0.28, 1.00, 0.35, 0.42],
        [0.54, 1.04, 0.290, 0.395],
        [0.78, 1.07, 0.290, 0.36],
        [0.95, 1.12, 0.180, 0.28],
    ],
    np.float32,
)
_NECK = np.array([[0.13, 0.145, 0.255], [0.15, 0.12, 0.205], [0.13, 0.108, 0.165]], np.float32)
# step along the head, half width, half height: poll, forehead, eyes, nose, muzzle, lips
_SKULL = np.array(
    [
        [0.00, 0.085, 0.095],
        [0.06, 0.12, 0.135],
        [0.10, 0.138, 0.142],
        [0.135, 0.108, 0.118],
        [0.13, 0.086, 0.094],
        [0.08, 0.100, 0.094],
        [0.05, 0.078, 0.062],
        [0.02, 0.02, 0.02],
    ],
    np.float32,
)


@dataclass(frozen=True)
class Animal:
    """One animal at one moment. Angles in radians, lengths in metres.

    `x`, `y` the place of the barrel; `heading` counter-clockwise from +x; `scale` 1 = cow;
    `fat` widens the barrel; `neck_yaw` turns the head (left positive); `phase` of the walk;
    `bend` curves the spine; `lean` is the side (+1, -1) the hind legs of a lying animal lie on.
    """

    x: float
    y: float
    heading: float
    scale: float
    pose: Pose
    fat: float
    neck_yaw: float
    neck_pitch: float
    head_pitch: float
    phase: float
    bend: float
    tail: float
    lean: int
    horns: bool


Stations = tuple[Floats, Floats, Floats]  # centers (N, 3), radii (N, 2), side (N, 3)


def _direction(yaw: float, pitch: float) -> Floats:
    flat = np.cos(pitch)
    return np.array([flat * np.cos(yaw), flat * np.sin(yaw), np.sin(pitch)], np.float32)


def _sideways(yaw: float) -> Floats:
    return np.array([-np.sin(yaw), np.cos(yaw), 0], np.float32)


def _barrel(animal: Animal) -> Floats:
    barrel = _BARREL.copy()
    barrel[2:8, 2] *= animal.fat
    if animal.pose == "lying":
        barrel[:, 1] -= np.linspace(0.66, 0.60, len(barrel), dtype=np.float32)
        barrel[:, 2] *= 1.13
        barrel[:, 3] *= 0.92
    return barrel


def _trunk(animal: Animal) -> Stations:
    """Barrel and neck in one tube, so that the shoulder has no seam."""
    barrel = _barrel(animal)
    yaw = animal.bend * barrel[:, 0]
    centers = np.stack([barrel[:, 0], 0.5 * animal.bend * barrel[:, 0] ** 2, barrel[:, 1]], 1)
    sides = np.stack([-np.sin(yaw), np.cos(yaw), np.zeros_like(yaw)], 1)
    spot, turn = centers[-1], float(yaw[-1])
    rows, lateral = [], []
    for k, (step, _, _) in enumerate(_NECK):
        share = (k + 1) / len(_NECK)
        angle = turn + animal.neck_yaw * share
        spot = spot + step * _direction(angle, animal.neck_pitch * (0.55 + 0.45 * share))
        rows.append(spot)
        lateral.append(_sideways(angle))
    radii = np.concatenate([barrel[:, 2:], _NECK[:, 1:]])
    return (
        np.concatenate([centers, np.stack(rows)]).astype(np.float32),
        radii,
        np.concatenate([sides, np.stack(lateral)]),
    )


def _head(animal: Animal, trunk: Stations) -> Stations:
    yaw = animal.bend * float(_BARREL[-1, 0]) + animal.neck_yaw * 1.15
    direction = _direction(yaw, animal.head_pitch)
    start = trunk[0][-1] + np.array([0, 0, 0.05], np.float32) - 0.02 * direction
    centers = start + np.cumsum(_SKULL[:, :1], axis=0) * direction
    side = np.repeat(_sideways(yaw)[None], len(_SKULL), axis=0)
    return centers.astype(np.float32), _SKULL[:, 1:], side


def _ear(head: Stations, left: int, horn: bool) -> Stations:
    """A flat leaf, or a horn above it, growing sideways out of the poll."""
    side, along = head[2][0], head[0][3] - head[0][1]
    along = along / np.linalg.norm(along)
    crown = cross(along, side)
    if horn:
        out = left * side * 0.6 + crown * 0.75 + along * 0.1
        steps, wide = np.array([0.0, 0.07, 0.14, 0.19]), np.array([0.03, 0.026, 0.018, 0.006])
        centers = head[0][1] + 0.07 * left * side + 0.07 * crown + steps[:, None] * out
        radii = np.stack([wide, wide], 1)
    else:
        out = left * side * 0.95 - along * 0.32 + crown * 0.02
        steps, wide = np.array([0.0, 0.08, 0.17, 0.26]), np.array([0.03, 0.075, 0.07, 0.012])
        centers = head[0][1] + 0.075 * left * side + 0.03 * crown + steps[:, None] * out
        radii = np.stack([wide, wide * 0.3 + 0.006], 1)
    lateral = np.repeat(along[None], 4, axis=0)
    return centers.astype(np.float32), radii.astype(np.float32), lateral.astype(np.float32)


def _standing_leg(animal: Animal, front: bool, left: int) -> Stations:
    swing = 0.0
    if animal.pose == "walking":
        swing = 0.24 * np.sin(animal.phase + (np.pi if front == (left > 0) else 0))
    elif not front:
        swing = 0.06 * left * np.sin(animal.phase)
    if front:
        rows = [
            [0.68, 0.16, 1.00, 0.10, 0.17],
            [0.66, 0.18, 0.76, 0.085, 0.12],
            [0.65, 0.17, 0.46, 0.058, 0.066],
            [0.65, 0.165, 0.38, 0.052, 0.056],
            [0.64, 0.165, 0.16, 0.042, 0.044],
            [0.65, 0.165, 0.08, 0.05, 0.05],
            [0.69, 0.165, 0.0, 0.058, 0.075],
        ]
    else:
        rows = [
            [-0.72, 0.17, 1.06, 0.13, 0.27],
            [-0.74, 0.20, 0.80, 0.115, 0.20],
            [-0.86, 0.19, 0.57, 0.062, 0.085],
            [-0.90, 0.185, 0.46, 0.05, 0.064],
            [-0.87, 0.18, 0.18, 0.043, 0.046],
            [-0.86, 0.18, 0.08, 0.05, 0.052],
            [-0.81, 0.18, 0.0, 0.058, 0.075],
        ]
    table = np.array(rows, np.float32)
    table[:, 0] += swing * np.clip(1 - table[:, 2], 0, 1)
    table[-2:, 2] += 0.10 * max(0.0, np.cos(animal.phase)) * (abs(swing) > 0.08)
    return _leg_stations(table, left)


def _lying_leg(animal: Animal, front: bool, left: int) -> Stations:
    if front:
        rows = [
            [0.62, 0.17, 0.34, 0.10, 0.16],
            [0.78, 0.23, 0.22, 0.09, 0.11],
            [0.96, 0.24, 0.13, 0.068, 0.075],
            [0.99, 0.25, 0.08, 0.055, 0.055],
            [0.86, 0.27, 0.06, 0.045, 0.045],
            [0.76, 0.27, 0.06, 0.05, 0.05],
            [0.70, 0.27, 0.05, 0.045, 0.05],
        ]
    else:
        reach = 0.20 if left == animal.lean else 0.0
        rows = [
            [-0.74, 0.22, 0.42, 0.13, 0.25],
            [-0.58, 0.32, 0.32, 0.15, 0.22],
            [-0.32, 0.36 + 0.5 * reach, 0.18, 0.10, 0.13],
            [-0.22, 0.38 + reach, 0.11, 0.07, 0.08],
            [-0.36, 0.40 + 1.4 * reach, 0.07, 0.048, 0.05],
            [-0.30, 0.40 + 1.8 * reach, 0.06, 0.05, 0.05],
            [-0.18, 0.39 + 1.9 * reach, 0.05, 0.045, 0.06],
        ]
    return _leg_stations(np.array(rows, np.float32), left)


def _leg_stations(table: Floats, left: int) -> Stations:
    table[:, 1] *= left
    side = np.repeat(np.array([[0, 1, 0]], np.float32), len(table), axis=0)
    return table[:, :3], table[:, 3:], side


def _tail(animal: Animal) -> Stations:
    z = np.array([1.24, 1.26, 1.08, 0.80, 0.58, 0.40], np.float32)
    x = np.array([-0.96, -1.09, -1.15, -1.15, -1.14, -1.13], np.float32)
    y = animal.tail * np.array([0, 0.01, 0.05, 0.14, 0.22, 0.27], np.float32)
    if animal.pose == "lying":
        z = np.array([0.58, 0.58, 0.38, 0.12, 0.06, 0.05], np.float32)
        x = np.array([-0.96, -1.09, -1.16, -1.12, -0.98, -0.82], np.float32)
        y = animal.lean * np.array([0, 0.01, 0.06, 0.18, 0.34, 0.44], np.float32)
    thick = np.array([0.045, 0.038, 0.026, 0.022, 0.045, 0.012], np.float32)
    centers = np.stack([x, y + 0.5 * animal.bend * x * x, z], 1)
    side = np.repeat(np.array([[0, 1, 0]], np.float32), 6, axis=0)
    return centers, np.stack([thick, thick], 1), side


def _udder(animal: Animal) -> Stations:
    z = 0.14 if animal.pose == "lying" else 0.60
    x = np.array([-0.72, -0.66, -0.52, -0.38, -0.32], np.float32)
    wide = np.array([0.03, 0.14, 0.17, 0.13, 0.02], np.float32)
    if animal.scale < 0.8:
        wide *= 0.3
    centers = np.stack([x, np.zeros(5, np.float32), np.full(5, z, np.float32)], 1)
    side = np.repeat(np.array([[0, 1, 0]], np.float32), 5, axis=0)
    return centers, np.stack([wide, wide * 0.95], 1), side


# part, points around (fine, coarse), samples between stations (fine, coarse), ridge
_TUBES = (
    [(TRUNK, (16, 12), (2, 2), 0.30), (HEAD, (10, 8), (2, 1), 0.12)]
    + [(EAR, (6, 4), (1, 1), 0.0)] * 2
    + [(LEG, (8, 6), (1, 1), 0.0)] * 4
    + [(TAIL, (5, 4), (1, 1), 0.0), (UDDER, (8, 6), (1, 1), 0.0)]
)


def _stations(animal: Animal) -> list[Stations]:
    trunk = _trunk(animal)
    head = _head(animal, trunk)
    leg = _lying_leg if animal.pose == "lying" else _standing_leg
    legs = [leg(animal, front, left) for front in (True, False) for left in (1, -1)]
    ears = [_ear(head, 1, False), _ear(head, -1, False)]
    horns = [_ear(head, 1, True), _ear(head, -1, True)] if animal.horns else []
    return [trunk, head, *ears, *legs, _tail(animal), _udder(animal), *horns]


def _to_world(animals: list[Animal], stations: list[Stations]) -> Stations:
    """Stack one tube of all animals and put it where each stands."""
    cos = np.cos([a.heading for a in animals])
    sin = np.sin([a.heading for a in animals])
    turn = np.zeros((len(animals), 3, 3), np.float32)
    turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1] = cos, sin, -sin, cos
    turn[:, 2, 2] = 1
    scale = np.array([a.scale for a in animals], np.float32)[:, None, None]
    place = np.array([[a.x, a.y, 0] for a in animals], np.float32)[:, None]
    centers = np.stack([s[0] for s in stations]) @ turn * scale + place
    radii = np.stack([s[1] for s in stations]) * scale
    return centers, radii, np.stack([s[2] for s in stations]) @ turn


def herd_mesh(animals: list[Animal], coarse: bool) -> tuple[Mesh, Mesh]:
    """Quads of all animals, and a quarter as many to cast shadows with (no ears, tails, udders).

    Animal k (from 0) owns number k + 1. `coarse` for small animals.
    """
    owners = np.arange(1, len(animals) + 1, dtype=np.int32)
    tubes = [_stations(a) for a in animals]
    meshes: list[Mesh] = []
    casters: list[Mesh] = []
    for k, (part, around, steps, ridge) in enumerate(_TUBES):
        placed = _to_world(animals, [t[k] for t in tubes])
        grid = tube(*placed, around[coarse], steps[coarse], ridge)
        meshes.append(mesh_of_grid(*grid, part, owners))
        if part in (TRUNK, HEAD, LEG):
            casters.append(mesh_of_grid(grid[0][:, ::2, ::2], grid[1][:, ::2, ::2], part, owners))
    for k, owner in enumerate(owners):
        for horn in tubes[k][len(_TUBES) :]:
            grid = tube(*_to_world([animals[k]], [horn]), 5, 1)
            meshes.append(mesh_of_grid(*grid, HORN, np.array([owner], np.int32)))
    return join(meshes), join(casters)
