"""Tiles cover an image, leave no seam, and know which animals they cannot show whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.tiles import STRIDE, animals_beyond, starts, tiled

Floats = NDArray[np.float32]


@given(
    length=st.integers(1, 5000),
    tile=st.integers(8, 400).map(lambda n: n * STRIDE),
    share=st.floats(0, 0.5),
)
def test_tiles_cover_the_length_and_overlap(length: int, tile: int, share: float) -> None:
    overlap = int(share * tile)
    found = starts(length, tile, overlap)
    assert found[0] == 0
    assert found[-1] + tile >= length
    assert all(start % STRIDE == 0 for start in found)
    gaps = np.diff(found)
    assert (gaps > 0).all()
    assert (gaps <= tile - overlap + STRIDE).all()


def brightness(image: NDArray[np.uint8]) -> Floats:
    """A look that answers with the image: the mean of each cell, the last row and column padded."""
    height, width = image.shape[:2]
    padded = np.pad(image[..., 0], ((0, -height % 4), (0, -width % 4)), mode="edge")
    cells = padded.reshape(len(padded) // 4, 4, -1, 4).mean((1, 3))
    return np.stack([cells, 1 - cells]).astype(np.float32)


@pytest.mark.parametrize("size", [(40, 60), (123, 241), (64, 64), (301, 97)])
def test_what_all_tiles_agree_on_comes_back(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    found = tiled(image, brightness, tile=64, overlap=16)
    np.testing.assert_allclose(found, brightness(image), rtol=1e-5)


def test_where_tiles_differ_there_is_no_step() -> None:
    """Every tile answers with a number of its own: the blend climbs evenly from one to the next."""
    seen = iter(range(10))

    def number(image: NDArray[np.uint8]) -> Floats:
        return np.full((1, image.shape[0] // 4, image.shape[1] // 4), next(seen), np.float32)

    found = tiled(np.zeros((64, 112, 3), np.uint8), number, tile=64, overlap=16)[0, 8]
    assert (found[0], found[-1]) == (0, 1)
    assert (np.diff(found) >= 0).all()
    assert np.diff(found).max() <= 0.4  # over an overlap of four cells


def test_no_tile_is_larger_than_asked() -> None:
    sizes = []

    def look(image: NDArray[np.uint8]) -> Floats:
        sizes.append(image.shape[:2])
        return brightness(image)

    tiled(np.zeros((200, 300, 3), np.uint8), look, tile=64, overlap=16)
    assert max(max(size) for size in sizes) == 64
    assert len(sizes) == 4 * 6


def test_long_animals_are_found_however_they_lie() -> None:
    numbers = np.zeros((40, 60), np.int32)
    numbers[2:12, 3:5], numbers[20:24, 10:40], numbers[30:34, 50:54] = 1, 2, 3
    found = animals_beyond(numbers, 36)
    assert found[5, 3]
    assert found[22, 20]
    assert not found[numbers == 3].any()
    assert not found[numbers == 0].any()
    assert not animals_beyond(np.zeros((4, 4), np.int32), 1).any()
