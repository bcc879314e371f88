"""What a camera sees when no animal is there: ground, feed lane, wall, trees; never changes."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from data_io.scenes.camera import Bar, Camera, Material
from data_io.scenes.ground import SIZE, mix, noise, sample, smooth, tile
from data_io.scenes.mesh import Floats, Mesh, join, mesh_of_grid, tube

MATERIALS: tuple[Material, ...] = ("steel", "wood", "wire")


def _bar_mesh(bar: Bar) -> Mesh:
    """Short pieces, because quads are sorted by the depth of their middle."""
    start, end = np.array(bar.start, np.float32), np.array(bar.end, np.float32)
    pieces = max(2, int(np.linalg.norm(end - start) / 0.22))
    centers = start + np.linspace(0, 1, pieces + 1, dtype=np.float32)[:, None] * (end - start)
    upright = abs(float(end[2] - start[2])) > 0.5
    side = np.repeat(np.array([[1, 0, 0] if upright else [0, 0, 1]], np.float32), pieces + 1, 0)
    radii = np.full((1, pieces + 1, 2), bar.radius, np.float32)
    grid = tube(centers[None], radii, side[None], 4 if bar.radius < 0.02 else 8, 1)
    material = 16 + MATERIALS.index(bar.material)
    return mesh_of_grid(*grid, material, np.zeros(1, np.int32))


@lru_cache(maxsize=16)
def fixtures(camera: Camera) -> Mesh | None:
    """Rails, posts and pipes of a camera, owner 0."""
    return join([_bar_mesh(bar) for bar in camera.bars]) if camera.bars else None


def _lane(camera: Camera, color: Floats, x: Floats, y: Floats) -> Floats:
    """A swept concrete lane behind the feeding rail, with a swath of silage along it."""
    if camera.feed is None:
        return color
    beyond = smooth(0.0, 0.10, y - camera.feed - 0.12)
    grain = _world_noise(71, x, y, 2.5)
    concrete = np.array((0.53, 0.51, 0.47), np.float32) * (1 + 0.07 * grain[..., None])
    straw = sample(tile("straw"), x * 1.7, y * 1.7, np.full_like(x, 0.01))
    silage = straw * np.array((0.66, 0.70, 0.58), np.float32)
    heap = smooth(0.62, 0.38, np.abs(y - camera.feed - 0.78) + 0.10 * grain)
    lane = mix(concrete, silage, heap)
    curb = smooth(0.16, 0.12, np.abs(y - camera.feed - 0.05))
    color = mix(color, lane, beyond)
    return mix(color, np.array((0.46, 0.44, 0.41), np.float32), curb)


def _world_noise(seed: int, x: Floats, y: Floats, metres: float) -> Floats:
    """Noise at world places; the tile is `metres` * 4 wide."""
    field = noise(seed, 256, 10)
    u = np.mod(x / (4 * metres), 1) * SIZE
    v = np.mod(y / (4 * metres), 1) * SIZE
    found: Floats = cv2.remap(
        field, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )  # fmt: skip
    return found


def _wall(camera: Camera, rays: Floats, color: Floats) -> Floats:
    """Concrete plinth with vertical boards above, darkening towards the roof."""
    if camera.wall is None:
        return color
    reach = camera.wall / np.maximum(rays[..., 1], 1e-3)
    x, z = rays[..., 0] * reach, camera.height + rays[..., 2] * reach
    grain = _world_noise(72, x * 2, z * 0.7, 1.0)
    board = np.floor(x / 0.19)
    tone = 0.92 + 0.09 * np.sin(board * 12.9898) * np.sin(board * 4.1)
    gap = smooth(0.012, 0.022, 0.095 - np.abs(np.mod(x, 0.19) - 0.095))
    wood = np.array((0.50, 0.42, 0.33), np.float32) * (tone + 0.09 * grain)[..., None]
    wood = wood * (0.45 + 0.55 * gap[..., None])
    plinth = np.array((0.50, 0.49, 0.46), np.float32) * (1 + 0.08 * grain[..., None])
    plinth = mix(plinth, (0.28, 0.23, 0.17), smooth(0.8, 0.0, z + 0.05 * grain) * 0.7)
    wall = np.where((z > 1.05)[..., None], wood, plinth)
    wall = wall * (1 - 0.35 * smooth(1.5, 3.2, z))[..., None]
    return mix(color, wall, (z > 0).astype(np.float32))


def _horizon(camera: Camera, rays: Floats, color: Floats) -> Floats:
    """Haze over the far ground, a hedge and the sky."""
    slope = rays[..., 2] / np.hypot(rays[..., 0], rays[..., 1])
    if camera.wall is not None or float(slope.max()) < -0.06:
        return color
    bearing = np.arctan2(rays[..., 0], rays[..., 1])
    leaf = _world_noise(73, bearing * 40, slope * 40, 1.0)
    crown = _world_noise(74, bearing * 9, bearing * 0, 1.0)
    top = 0.012 + 0.022 * smooth(-1.5, 2.0, crown) + 0.004 * leaf
    haze = smooth(-0.16, 0.0, slope)
    color = mix(color, (0.52, 0.56, 0.36), 0.55 * haze)
    hedge = mix((0.13, 0.19, 0.09), (0.29, 0.36, 0.19), smooth(-1.6, 1.8, leaf + slope * 30))
    hedge = mix(hedge, (0.62, 0.68, 0.70), np.full_like(leaf, 0.16))
    sky = mix((0.86, 0.89, 0.91), (0.55, 0.68, 0.82), smooth(0.0, 0.30, slope))
    color = mix(color, hedge, smooth(-0.030, -0.024, slope))
    return mix(color, sky, smooth(-0.003, 0.003, slope - top))


@lru_cache(maxsize=16)
def backdrop(camera: Camera, width: int, height: int) -> Floats:
    """(H, W, 3) float32 RGB in [0, 1], lit but without the animals' shadows."""
    rays = camera.rays(width, height)
    reach = camera.height / np.maximum(-rays[..., 2], 0.02)
    x, y = rays[..., 0] * reach, rays[..., 1] * reach
    steep = np.maximum(-rays[..., 2], 0.02) / np.sqrt((rays**2).sum(-1))
    footprint = 0.7 * reach / (camera.focal * width) / np.sqrt(steep)
    color = sample(tile(camera.ground), x, y, footprint)
    color = _lane(camera, color, x, y)
    broad = _world_noise(75, x, y, 6.0)
    color = color * (1 + 0.07 * broad[..., None])
    color = _horizon(camera, rays, _wall(camera, rays, color))
    color = color * np.array(camera.light.color, np.float32)
    return np.clip(color, 0, 1).astype(np.float32)


def ground_mask(camera: Camera, width: int, height: int) -> Floats:
    """(H, W) float32: 1 where the ground is seen, so that shadows stay off walls and sky."""
    rays = camera.rays(width, height)
    y = rays[..., 1] * camera.height / np.maximum(-rays[..., 2], 0.02)
    seen = rays[..., 2] < -0.03
    if camera.wall is not None:
        seen &= y < camera.wall
    return seen.astype(np.float32)
