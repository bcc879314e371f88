"""The vector of a picture, and the chance that animals are visible."""

from __future__ import annotations

import numpy as np
import pytest

from model.embedding import LENGTH, embedding, foreground


def test_alike_pictures_have_alike_vectors_whatever_the_backbone() -> None:
    rng = np.random.default_rng(0)
    for depth in (3, 320):
        one, other = rng.random((2, depth, 8, 12), np.float32)
        near = one + rng.normal(0, 0.01, one.shape).astype(np.float32)
        a, b, c = (embedding(maps) for maps in (one, near, 2 * other))
        assert (a.shape, a.dtype) == ((LENGTH,), np.float32)
        assert np.linalg.norm(a - b) < 0.1 * np.linalg.norm(a - c)
        np.testing.assert_array_equal(a, embedding(one))


def test_the_animals_count_beside_the_image() -> None:
    maps = np.zeros((2, 8, 12), np.float32)
    maps[0, 2:4, 2:4], maps[1, 5:7, 2:4] = 1, 1  # two animals that look different
    first, second, nothing = np.zeros((3, 32, 48), np.float32)
    first[8:16, 8:16], second[20:28, 8:16] = 1, 1
    vectors = [embedding(maps, one) for one in (first, second, nothing, None)]
    assert not np.allclose(vectors[0], vectors[1])
    assert not np.allclose(vectors[0], vectors[2])
    np.testing.assert_array_equal(vectors[2], vectors[3])


def test_one_animal_makes_animals_visible() -> None:
    background = np.full((2, 40, 60), 0.05, np.float32)
    background[0] = 0.95
    assert foreground(background) == pytest.approx(0.05)
    herd = background.copy()
    herd[:, 3:8, 3:8] = np.array([0.1, 0.9], np.float32)[:, None, None]
    assert foreground(herd) == pytest.approx(0.9)
    speck = background.copy()
    speck[:, 3, 3] = 0, 1
    assert foreground(speck) < 0.15
    assert foreground(np.ones((2, 1, 1), np.float32)) == 0
