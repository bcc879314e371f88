"""Procedural ground: periodic tiles of bedding, mud, grass and concrete, and smooth noise.

A tile is (1024, 1024, 3) float32 RGB in [0, 1], TILE_METRES wide, and repeats without a seam.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from data_io.scenes.camera import GroundKind
from data_io.scenes.mesh import Floats

SIZE = 1024
TILE_METRES = 9.0


@lru_cache(maxsize=12)
def noise(seed: int, coarse: float, fine: float, stretch: float = 1.0) -> Floats:
    """(1024, 1024) float32 periodic noise, zero mean, unit deviation.

    Args:
        seed: which noise.
        coarse, fine: wavelengths in pixels between which the power falls as 1/f.
        stretch: > 1 draws the grain out along x.
    """
    rng = np.random.default_rng([seed, 77])
    frequency_y = np.fft.fftfreq(SIZE)[:, None]
    frequency_x = np.fft.rfftfreq(SIZE)[None] * stretch
    radius = np.hypot(frequency_x, frequency_y)
    low, high = 1 / coarse, 1 / fine
    band = np.exp(-((radius / high) ** 2)) / np.maximum(radius, low) ** 1.2
    band[0, 0] = 0
    spectrum = rng.standard_normal(band.shape) + 1j * rng.standard_normal(band.shape)
    field = np.fft.irfft2(spectrum * band, s=(SIZE, SIZE))
    return ((field - field.mean()) / field.std()).astype(np.float32)


def mix(a: Floats | tuple[float, ...], b: Floats | tuple[float, ...], share: Floats) -> Floats:
    """Colors between `a` and `b`; `share` (...) in [0, 1]."""
    start, end = np.asarray(a, np.float32), np.asarray(b, np.float32)
    blended: Floats = start + (end - start) * share[..., None]
    return blended


def smooth(low: float, high: float, values: Floats) -> Floats:
    """Smoothstep from 0 at `low` to 1 at `high`."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def _relief(height: Floats, strength: float) -> Floats:
    """Brightness factor of a bumpy surface lit from the upper left."""
    slope = np.roll(height, 1, 0) - height + np.roll(height, 1, 1) - height
    factor: Floats = np.clip(1 - strength * slope, 0.35, 1.8)
    return factor


def _strands(
    tile: Floats, rng: np.random.Generator, count: int, length: tuple[float, float],
    colors: NDArray[np.float64], thickness: int = 1,
) -> None:  # fmt: skip
    """Draw short straight strands in batches of one color, wrapping around the tile."""
    per = max(1, count // len(colors))
    for color in colors:
        at = rng.uniform(0, SIZE, (per, 2))
        angle, half = rng.uniform(0, np.pi, per), rng.uniform(*length, per) / 2
        step = np.stack([np.cos(angle), np.sin(angle)], 1) * half[:, None]
        for dx in (0, SIZE):
            for dy in (0, SIZE):
                shifted = np.where(at > SIZE / 2, at - (dx, dy), at)
                if (dx or dy) and not (np.abs(at - SIZE / 2) > SIZE / 2 - 40).any():
                    continue
                lines = np.stack([shifted - step, shifted + step], 1)
                near = (np.abs(lines - SIZE / 2) < SIZE / 2 + 40).all((1, 2))
                fixed = np.round(lines[near] * 8).astype(np.int32)
                shade = tuple(float(c) for c in color)
                cv2.polylines(tile, list(fixed), False, shade, thickness, cv2.LINE_8, 3)


def _straw(rng: np.random.Generator) -> Floats:
    soil = mix((0.27, 0.21, 0.14), (0.42, 0.33, 0.22), smooth(-1.5, 1.5, noise(11, 200, 4)))
    litter = np.ascontiguousarray(soil)
    for level, count in ((0.62, 8000), (0.78, 12000), (0.92, 11000), (1.06, 5500)):
        tone = rng.uniform(0.82, 1.1, (24, 1)) * level
        warm = np.array([0.88, 0.75, 0.50]) + rng.normal(0, 0.03, (24, 3))
        _strands(litter, rng, count, (9, 32), np.clip(tone * warm, 0, 1))
    worn = smooth(0.7, 1.9, noise(12, 380, 24)) * 0.75
    dung = smooth(1.75, 1.95, noise(13, 130, 34) + 0.10 * noise(15, 20, 6))
    ground = litter * (1 - worn[..., None]) + soil * worn[..., None] * 0.9
    ground = mix(ground, (0.20, 0.155, 0.095), 0.75 * dung) * _relief(dung, 0.3)[..., None]
    return ground * _relief(noise(14, 90, 24), 0.9)[..., None]


def _mud(rng: np.random.Generator) -> Floats:
    height = noise(21, 300, 12) + 0.35 * noise(22, 40, 6) + 0.16 * noise(24, 9, 2)
    prints = np.zeros((SIZE, SIZE), np.float32)
    for _ in range(1500):
        x, y, angle = rng.uniform(12, SIZE - 12), rng.uniform(12, SIZE - 12), rng.uniform(0, 6.3)
        for side in (-4.0, 4.0):
            spot = (round(x - side * np.sin(angle)), round(y + side * np.cos(angle)))
            cv2.ellipse(prints, spot, (9, 4), float(np.degrees(angle)), 0, 360, 1.0, -1)
    height -= 1.8 * cv2.GaussianBlur(prints, (0, 0), 1.5)
    wet = smooth(-0.2, 1.0, -noise(23, 260, 16))
    tone = smooth(-2, 2, height)
    color = mix(
        mix((0.235, 0.19, 0.15), (0.47, 0.40, 0.325), tone), (0.17, 0.14, 0.115), 0.75 * wet
    )
    relief = _relief(height, 0.6)
    glint = smooth(1.25, 1.7, relief)[..., None] * wet[..., None]
    return np.clip(color * relief[..., None] + 0.16 * glint, 0, 1).astype(np.float32)


def _grass(rng: np.random.Generator) -> Floats:
    patch = noise(31, 420, 20)
    base = np.ascontiguousarray(mix((0.24, 0.32, 0.13), (0.38, 0.41, 0.20), smooth(-2, 2, patch)))
    for level, count in ((0.45, 16000), (0.72, 18000), (1.0, 16000), (1.32, 7000)):
        tone = rng.uniform(0.8, 1.15, (24, 1)) * level
        green = np.array([0.47, 0.55, 0.25]) + rng.normal(0, 0.035, (24, 3))
        _strands(base, rng, count, (6, 20), np.clip(tone * green, 0, 1))
    dry = smooth(0.7, 1.9, noise(32, 260, 8))
    lush = smooth(1.0, 1.8, noise(33, 140, 10))
    sward = mix(base, base * np.array([1.45, 1.15, 1.15], np.float32), 0.75 * dry)
    sward = mix(sward, sward * np.array([0.62, 0.78, 0.60], np.float32), 0.8 * lush)
    return sward * _relief(noise(34, 80, 10), 0.35)[..., None]


def _slats(rng: np.random.Generator) -> Floats:
    tone = 0.5 + 0.035 * noise(41, 400, 6) + 0.03 * noise(42, 5, 2)
    color = tone[..., None] * np.array([1.0, 0.97, 0.92], np.float32)
    smear = smooth(-0.1, 1.6, noise(43, 360, 5, 0.45))
    color = mix(color, (0.29, 0.235, 0.165), 0.72 * smear)
    pats = smooth(1.7, 1.95, noise(44, 120, 30) + 0.10 * noise(46, 20, 6))
    color = mix(color, (0.20, 0.16, 0.11), 0.8 * pats) * _relief(pats, 0.35)[..., None]
    litter = np.ascontiguousarray(color)
    _strands(litter, rng, 700, (5, 16), np.full((6, 3), (0.70, 0.60, 0.42)))
    row = np.arange(SIZE)
    pitch, panel = SIZE / 48, SIZE / 4
    gap = np.abs((row % pitch) - pitch / 2) < 2.2
    beam = np.abs((row % panel) - panel / 2) > panel / 2 - 9
    slot = (gap[:, None] & ~beam[None]).astype(np.float32)
    seam = np.abs((row % panel) - panel / 2) > panel / 2 - 1
    shade = cv2.GaussianBlur(slot, (0, 0), 0.8) * (0.86 + 0.05 * noise(45, 30, 6))
    edge = np.roll(slot, 2, 0) * (1 - slot)
    slatted = mix(litter, (0.07, 0.06, 0.05), np.clip(shade, 0, 1))
    slatted = slatted * (1 + 0.10 * edge[..., None])
    return mix(slatted, (0.2, 0.18, 0.15), 0.6 * np.repeat(seam[None], SIZE, 0).astype(np.float32))


_MAKERS = {"straw": _straw, "mud": _mud, "grass": _grass, "slats": _slats}


@lru_cache(maxsize=2)  # 17 MB each, needed only while a backdrop is made
def tile(kind: GroundKind) -> tuple[Floats, ...]:
    """The tile and its halvings (1024, 512, 256, 128, 64, 32), for what is far away."""
    rng = np.random.default_rng([5, sorted(_MAKERS).index(kind)])
    levels = [np.clip(_MAKERS[kind](rng), 0, 1).astype(np.float32)]
    while len(levels) < 6:
        size = levels[-1].shape[0] // 2
        levels.append(cv2.resize(levels[-1], (size, size), interpolation=cv2.INTER_AREA))
    return tuple(levels)


def sample(levels: tuple[Floats, ...], x: Floats, y: Floats, metres_per_pixel: Floats) -> Floats:
    """Look a tile up at world places: x, y, metres_per_pixel (H, W) -> (H, W, 3)."""
    wanted = np.log2(np.maximum(metres_per_pixel * SIZE / TILE_METRES, 1))
    wanted = np.clip(wanted, 0, len(levels) - 1.001)
    result = np.zeros((*x.shape, 3), np.float32)
    for k, level in enumerate(levels):
        weight = np.maximum(0, 1 - np.abs(wanted - k)).astype(np.float32)
        if weight.any():
            size = level.shape[0]
            u = (np.mod(x / TILE_METRES, 1) * size - 0.5).astype(np.float32)
            v = (np.mod(y / TILE_METRES, 1) * size - 0.5).astype(np.float32)
            seen = cv2.remap(level, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
            result += weight[..., None] * seen
    return result
