"""Coats: what color the skin has at a place of the body, before light falls on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_io.scenes.cattle import EAR, HEAD, HORN, LEG, TRUNK, UDDER
from data_io.scenes.ground import SIZE, mix, noise, smooth
from data_io.scenes.mesh import Floats, Ints

Color = tuple[float, float, float]

WHITE: Color = (0.86, 0.82, 0.75)
_DIRT: Color = (0.27, 0.20, 0.13)
_PINK: Color = (0.74, 0.55, 0.48)


@dataclass(frozen=True)
class Coat:
    """`base` and `patch` colors; where the patch noise exceeds `threshold` the patch color shows.

    `pied` marks white-legged, blazed breeds; `shift` is the place in the noise; `dirt` in [0, 1].
    """

    base: Color
    patch: Color
    threshold: float
    pied: bool
    shift: tuple[int, int]
    blaze: float
    muzzle: Color
    dirt: float


def draw_coat(rng: np.random.Generator, breeds: tuple[float, ...]) -> Coat:
    """A coat of a breed drawn by weight: holstein, red holstein, black, brown, dun."""
    breed = int(rng.choice(5, p=np.array(breeds) / sum(breeds)))
    tone = float(rng.uniform(0.88, 1.12))
    black, dark = (0.085, 0.078, 0.075), (0.10, 0.085, 0.075)
    colors: list[tuple[Color, Color]] = [
        (WHITE, black),
        (WHITE, (0.40 * tone, 0.19 * tone, 0.10 * tone)),
        (black, (0.12, 0.085, 0.06)),
        ((0.40 * tone, 0.245 * tone, 0.145 * tone), (0.27, 0.16, 0.095)),
        ((0.72 * tone, 0.585 * tone, 0.41 * tone), (0.79, 0.68, 0.52)),
    ]
    base, patch = colors[breed]
    pied = breed < 2
    threshold = float(np.clip(rng.normal(-0.15, 0.55), -1.1, 0.9)) if pied else 0.4
    muzzle = dark if breed in (0, 2) or rng.random() < 0.3 else _PINK
    shift = (int(rng.integers(SIZE)), int(rng.integers(SIZE)))
    blaze = float(rng.uniform(0.0, 0.17))
    return Coat(base, patch, threshold, pied, shift, blaze, muzzle, float(rng.beta(1.2, 3.0)))


def _lookup(field: Floats, x: Floats, y: Floats) -> Floats:
    row = y.astype(np.int32) & (SIZE - 1)
    found: Floats = field.ravel().take(row * SIZE + (x.astype(np.int32) & (SIZE - 1)))
    return found


def skin(
    coats: list[Coat], owner: Ints, part: Ints, along: Floats, turn: Floats, up: Floats
) -> Floats:
    """Unlit colors of n samples.

    Args:
        coats: one per animal.
        owner: (n,) animal number from 0.
        part: (n,) body part.
        along, turn, up: (n,) metres along the tube, turn around it [0, 1), metres above ground.

    Returns:
        (n, 3) float32 in [0, 1].
    """
    table = np.array(
        [[*c.base, *c.patch, c.threshold, c.pied, *c.shift, c.blaze, *c.muzzle, c.dirt]
         for c in coats], np.float32,
    )[owner]  # fmt: skip
    base, patch, threshold, pied = table[:, :3], table[:, 3:6], table[:, 6], table[:, 7] > 0
    x = along * 230 + table[:, 8] + part.astype(np.float32) * 137
    y = turn * 460 + table[:, 9]
    field = _lookup(noise(51, 150, 30), x, y) + 0.045 * _lookup(noise(52, 14, 3), x, y)
    patches, shading = smooth(-0.05, 0.05, field - threshold), smooth(-0.6, 1.4, field)
    spotted = np.where(pied, patches, np.float32(0.6) * shading)
    top = np.abs(turn - 0.5)
    head, leg = part == HEAD, part == LEG
    blaze = smooth(-0.02, 0.02, top - table[:, 10] - 0.03 * field)
    spotted = np.where(head & pied, blaze, spotted)
    spotted = np.where(leg & pied, spotted * smooth(0.5, 0.75, up), spotted)
    spotted[(part == EAR) & pied] = 1
    color = base + (patch - base) * spotted[:, None]
    color = _details(color, table[:, 11:14], part, along, top, up)
    fur = _lookup(noise(53, 14, 2, 0.35), along * 500 + table[:, 8], turn * 900)
    color = color * (1 + 0.03 * fur[:, None])
    trunk = np.flatnonzero(part == TRUNK)
    color[trunk] *= _topline(along[trunk], top[trunk])[:, None]
    stain = smooth(0.2, 1.4, _lookup(noise(54, 60, 5), y, x) + 1.6 * (0.55 - up))
    return mix(color, _DIRT, 0.75 * stain * table[:, 14] * (part != HORN))


def _topline(along: Floats, top: Floats) -> Floats:
    """Brightness of the bones under the skin: spine, the hollows beside it, hooks, shoulder."""
    spine = 0.07 * np.exp(-((top / 0.010) ** 2)) - 0.12 * np.exp(-(((top - 0.036) / 0.024) ** 2))
    hooks = np.exp(-(((along - 0.47) / 0.07) ** 2) - ((top - 0.15) / 0.045) ** 2)
    hollow = np.exp(-(((along - 0.70) / 0.09) ** 2) - ((top - 0.19) / 0.07) ** 2)
    blade = np.exp(-(((along - 1.62) / 0.07) ** 2) - ((top - 0.16) / 0.10) ** 2)
    along_back = smooth(0.02, 0.25, along) * smooth(2.2, 1.8, along)
    relief = spine * along_back + 0.20 * hooks - 0.24 * hollow - 0.20 * blade
    return (1 + relief).astype(np.float32)


def _details(
    color: Floats, muzzle: Floats, part: Ints, along: Floats, top: Floats, up: Floats
) -> Floats:
    """Muzzle, eyes, hooves, udder, horns and the darker inside of the ears."""
    head = part == HEAD
    nose = smooth(0.40, 0.45, along) * head
    color = color + (muzzle - color) * nose[:, None]
    eye = (np.hypot((along - 0.17) / 0.028, (top - 0.20) / 0.045) < 1) & head
    hoof = (part == LEG) * smooth(0.08, 0.05, up)
    color = mix(color, (0.13, 0.11, 0.09), np.clip(hoof + eye, 0, 1).astype(np.float32))
    color[part == UDDER] = _PINK
    color[part == HORN] = (0.74, 0.68, 0.55)
    color[(part == EAR) & (top < 0.16)] *= 0.8
    return color
