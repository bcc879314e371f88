"""What the refiner learns from."""

from __future__ import annotations

import numpy as np
import pytest

from data_io.scenes import scene
from model.assist import examples
from model.assist.clicks import hull
from model.assist.crops import SIDE
from model.assist.examples import (
    KINDS,
    Picture,
    begun,
    boxed,
    example,
    extremes,
    spoiled,
    wandering,
)


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


@pytest.fixture
def largest(picture):
    truth = max(picture.animals, key=lambda one: int(one.sum()))
    return truth, [one for one in picture.animals if one is not truth]


@pytest.mark.parametrize("kind", KINDS[:5])
def test_bad_masks_are_bad_in_their_way(largest, kind):
    truth, others = largest
    made = [spoiled(truth, others, kind, np.random.default_rng(seed)) for seed in range(12)]
    kept = np.mean([(bad & truth).sum() / truth.sum() for bad in made])
    extra = np.mean([(bad & ~truth).sum() / truth.sum() for bad in made])
    if kind == "nothing":
        assert not any(bad.any() for bad in made)
    elif kind == "part":
        assert kept < 0.8
    elif kind == "wandering":
        assert kept > 0.6
    else:
        assert extra > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_with_its_clicks(largest, monkeypatch, kind):
    truth, others = largest
    monkeypatch.setattr(examples, "SHARES", tuple(float(one == kind) for one in KINDS))
    bad, clicks = begun(truth, others, np.random.default_rng(0))
    assert bad.any() == (kind != "nothing")
    assert len(clicks) == {"box": 0, "extremes": 4}.get(kind, len(clicks))
    assert clicks or kind == "box"


def test_boxes_and_extreme_points_lie_around_the_animal(largest):
    truth, _ = largest
    for seed in range(10):
        rng = np.random.default_rng(seed)
        assert (boxed(truth, rng) & truth).sum() > 0.8 * truth.sum()
        points = extremes(truth, rng)
        assert all(click.positive for click in points)
        inside = hull(points, truth.shape)
        assert (inside & truth).sum() > 0.4 * truth.sum()


def test_an_outline_wanders_no_farther_than_it_should(picture):
    truth = picture.animals[0]
    for seed in range(10):
        bad = wandering(truth, np.random.default_rng(seed), most=0.1)
        union = (bad | truth).sum()
        assert (bad & truth).sum() / union > 0.3
        np.testing.assert_array_equal(
            wandering(truth, np.random.default_rng(seed), most=0.0), truth
        )
