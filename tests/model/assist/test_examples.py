"""What the refiner learns from."""

from __future__ import annotations

import numpy as np
import pytest

from data_io.scenes import scene
from model.assist import examples
from model.assist.crops import SIDE
from model.assist.examples import KINDS, Picture, example, spoiled, wandering


@pytest.fixture(scope="module")
def picture():
    made = scene(3, "ceiling-straw", 0, 320, 240)
    return Picture(made.image, [np.asarray(mask) for mask in made.masks])


def test_an_example_shows_the_animal_the_bad_mask_and_a_click(picture):
    rng = np.random.default_rng(0)
    for _ in range(30):
        animal = int(rng.integers(len(picture.animals)))
        made = example(picture, animal, rng)
        assert made.crop.shape == (6, SIDE, SIDE)
        assert made.truth.shape == (SIDE, SIDE)
        assert 0 < made.truth.mean() < 0.9
        assert made.crop[4:].any()
        assert np.isfinite(made.crop).all()


def test_equal_seeds_draw_equal_examples(picture):
    one, other = (example(picture, 0, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.crop, other.crop)
    np.testing.assert_array_equal(one.truth, other.truth)


def test_a_real_bad_mask_is_shown_as_it_is(picture):
    truth = picture.animals[0]
    made = example(picture, 0, np.random.default_rng(1), before=truth)
    assert ((made.crop[3] > 0.5) != (made.truth > 0.5)).mean() < 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_bad_masks_are_bad_in_their_way(picture, monkeypatch, kind):
    shares = tuple(float(one == kind) for one in KINDS)
    monkeypatch.setattr(examples, "SHARES", shares)
    sizes = [int(one.sum()) for one in picture.animals]
    truth = picture.animals[int(np.argmax(sizes))]
    others = [one for one in picture.animals if one is not truth]
    made = [spoiled(truth, others, np.random.default_rng(seed)) for seed in range(12)]
    shares_kept = [float((bad & truth).sum() / truth.sum()) for bad in made]
    extra = [float((bad & ~truth).sum() / truth.sum()) for bad in made]
    if kind == "nothing":
        assert not any(bad.any() for bad in made)
    elif kind == "part":
        assert np.mean(shares_kept) < 0.8
    elif kind in ("neighbor", "ground"):
        assert np.mean(extra) > 0.1
    else:
        assert np.mean(shares_kept) > 0.6


def test_an_outline_wanders_no_farther_than_it_should(picture):
    truth = picture.animals[0]
    for seed in range(10):
        bad = wandering(truth, np.random.default_rng(seed), most=0.1)
        union = (bad | truth).sum()
        assert (bad & truth).sum() / union > 0.3
        np.testing.assert_array_equal(
            wandering(truth, np.random.default_rng(seed), most=0.0), truth
        )
