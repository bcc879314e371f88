"""The uncertainty map as a picture."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from app.heatmap import color_table, heat_png


def test_low_uncertainty_is_transparent_and_high_is_not() -> None:
    alpha = color_table()[:, 3].astype(int)
    assert alpha[0] == 0
    assert (alpha[:30] == 0).all()
    assert alpha[255] > 200
    assert (np.diff(alpha) >= 0).all()


def test_lightness_rises_so_that_the_ramp_reads_in_grey() -> None:
    red, green, blue = (color_table()[:, k].astype(float) for k in range(3))
    lightness = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    assert (np.diff(lightness[8:]) >= -0.6).all()  # rounding to bytes may take half a step back
    assert lightness[255] - lightness[0] > 200


def test_the_png_has_the_size_of_the_map() -> None:
    values = np.arange(20, dtype=np.uint8).reshape(4, 5) * 13
    with Image.open(io.BytesIO(heat_png(values))) as picture:
        assert (picture.mode, picture.size) == ("RGBA", (5, 4))
        pixels = np.asarray(picture)
    assert (pixels[0, 0] == color_table()[0]).all()
    assert (pixels[3, 4] == color_table()[247]).all()
