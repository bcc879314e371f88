"""Colors of categories are told apart by people with any color vision.

Color vision deficiency is simulated after Machado, Oliveira and Fernandes (2009), "A
physiologically-based model for simulation of color vision deficiency", severity 1.0.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from data_io.store.categories import PALETTE

MODULE = Path(__file__).resolve().parents[2] / "app" / "static" / "palette.js"
EYES = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = [
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
]
WHITE = [0.95047, 1.0, 1.08883]  # D65


def lab(color: str, eye: str) -> NDArray[np.float64]:
    """CIELAB of a #rrggbb color as an eye sees it."""
    value = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(EYES[eye]) @ linear, 0, 1)
    x, y, z = np.array(TO_XYZ) @ seen / np.array(WHITE)
    fx, fy, fz = (np.cbrt(v) if v > 216 / 24389 else (24389 / 27 * v + 16) / 116 for v in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


def closest(colors: tuple[str, ...], eye: str) -> float:
    """The smallest CIELAB distance between two of the colors."""
    seen = [lab(color, eye) for color in colors]
    return min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2))


def canvas_palette() -> tuple[str, ...]:
    """PALETTE of the canvas."""
    [listed] = re.findall(r"PALETTE = \[(.*?)\]", MODULE.read_text(), re.DOTALL)
    return tuple(re.findall(r'"(#[0-9a-f]{6})"', listed))


@pytest.mark.parametrize("eye", EYES)
def test_every_pair_of_colors_differs_for_every_eye(eye: str) -> None:
    assert len(canvas_palette()) == 8
    assert closest(canvas_palette(), eye) > 20
    assert closest(PALETTE, eye) > 15  # of new categories: Okabe and Ito


def test_the_canvas_colors_stand_on_dark_pictures() -> None:
    assert min(lab(color, "normal")[0] for color in canvas_palette()) > 50
