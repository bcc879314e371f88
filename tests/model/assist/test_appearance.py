"""Disguises change how a scene looks, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from model.assist import appearance
from model.assist.appearance import disguised, tinted


@pytest.fixture
def scene():
    rng = np.random.default_rng(0)
    image = rng.integers(60, 200, (90, 120, 3)).astype(np.uint8)
    animals = [np.zeros((90, 120), np.bool_) for _ in range(3)]
    animals[0][10:40, 10:50] = True
    animals[1][30:80, 60:110] = True
    return image, animals


def test_pictures_keep_their_size_and_differ(scene):
    image, animals = scene
    before = image.copy()
    for seed in range(40):
        made = disguised(image, animals, np.random.default_rng(seed))
        assert made.shape == image.shape
        assert made.dtype == np.uint8
        assert np.abs(made.astype(int) - image).mean() > 3
    np.testing.assert_array_equal(image, before)


def test_equal_seeds_give_equal_disguises(scene):
    for seed in range(10):
        one, other = (disguised(*scene, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(one, other)


def test_every_animal_has_its_own_color(scene, monkeypatch):
    for name in ("GRAYS", "BLURS", "NOISES", "COARSE", "PACKED", "SHADED"):
        monkeypatch.setattr(appearance, name, 0.0)
    monkeypatch.setattr(appearance, "APART", 1.0)
    _, animals = scene
    flat = np.full((90, 120, 3), 120, np.uint8)
    made = disguised(flat, animals, np.random.default_rng(1))
    ground = ~(animals[0] | animals[1])
    colors = [np.unique(made[mask], axis=0) for mask in (*animals[:2], ground)]
    assert [len(found) for found in colors] == [1, 1, 1]
    assert len({tuple(found[0]) for found in colors}) == 3


def test_a_tint_keeps_what_is_brighter_brighter():
    ramp = np.repeat(np.arange(0, 240, 8, np.uint8)[None, :, None], 3, 2)
    for seed in range(10):
        made = tinted(ramp, np.random.default_rng(seed)).astype(int)
        assert (np.diff(made[0], axis=0) >= 0).all()
