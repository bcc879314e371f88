"""An uncertainty map as a picture to lay over the image.

The ramp runs dark violet -> red -> orange -> pale yellow with steadily rising lightness, so it
reads the same for every kind of color vision and in grey; low uncertainty is transparent.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# position in [0, 1] -> red, green, blue, alpha in 0..255
STOPS = (
    (0.00, (20, 8, 60, 0)),
    (0.25, (75, 16, 108, 0)),
    (0.45, (160, 44, 92, 125)),
    (0.65, (222, 95, 45, 185)),
    (0.85, (250, 165, 50, 220)),
    (1.00, (252, 250, 170, 240)),
)


@lru_cache(maxsize=1)
def color_table() -> NDArray[np.uint8]:
    """(256, 4) RGBA, linear between the stops."""
    place = [256 * position for position, _ in STOPS]
    channels = [np.interp(np.arange(256), place, [c[k] for _, c in STOPS]) for k in range(4)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def heat_png(uncertainty: NDArray[np.uint8]) -> bytes:
    """PNG of an uncertainty map (h, w) uint8, 255 = entropy / ln C of 1."""
    buffer = io.BytesIO()
    picture = Image.fromarray(color_table()[uncertainty])
    picture.save(buffer, "PNG", compress_level=3)  # small maps: time matters more than bytes
    return buffer.getvalue()
