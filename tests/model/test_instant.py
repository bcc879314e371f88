from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_io.geometry import full_image
from data_io.types import Instance, Part
from model.features import FeatureMaps
from model.instant import (
    PRESUMED,
    UNKNOWN,
    Head,
    InstantConfig,
    _care,
    _factors,
    fit,
    known_classes,
    lesson,
    predict,
)

SIZE = 128  # of the images, pixels


def cow(x, y, width, height, category="cow"):
    ring = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], float)
    return Instance(id=f"{x}-{y}-{category}", category=category, parts=(Part(ring),))


def maps_of(shown, noise=0.3, seed=0):
    """Features of an image that shows classes (SIZE, SIZE): one channel a class, and noise."""
    cells = shown[2::4, 2::4]
    random = np.random.default_rng(seed)
    fine = np.stack([cells == index for index in range(3)], axis=2) + noise * random.normal(
        size=(*cells.shape, 3)
    )
    blind = [random.normal(size=(cells.shape[0] // n, cells.shape[1] // n, 2)) for n in (2, 4)]
    levels = tuple(level.astype(np.float16) for level in (fine, *blind))
    return FeatureMaps(levels, SIZE, SIZE, 1.0)


def shown_by(*animals):
    """(SIZE, SIZE) classes: cow 1, calf 2."""
    shown = np.zeros((SIZE, SIZE), np.uint8)
    for one in animals:
        (x, y), (right, bottom) = one.parts[0].outer.min(0), one.parts[0].outer.max(0)
        shown[int(y) : int(bottom), int(x) : int(right)] = {"cow": 1, "calf": 2}[one.category]
    return shown


def known_of(drawn, verified=()):
    return known_classes(drawn, verified, {"cow": 1, "calf": 2}, SIZE, SIZE)


def everything():
    return full_image(SIZE, SIZE)


# --- what is known --------------------------------------------------------------------------------


def test_a_verified_image_is_known_everywhere():
    known = known_of([cow(20, 20, 40, 40)], everything())
    np.testing.assert_array_equal(known, shown_by(cow(20, 20, 40, 40)))


def test_an_animal_alone_says_nothing_about_far_ground():
    known = known_of([cow(20, 20, 40, 40)])
    assert (known[20:60, 20:60] == 1).all()
    assert (known[30, 63:78] == PRESUMED).all()  # half an animal's size beyond the margin
    assert known[30, 61] == UNKNOWN  # the margin
    assert (known[90:] == UNKNOWN).all()


def test_nothing_drawn_and_nothing_verified_is_nothing_known():
    assert (known_of([]) == UNKNOWN).all()


def test_an_empty_verified_image_is_ground():
    assert (known_of([], everything()) == 0).all()


def test_an_animal_of_an_unknown_category_is_unknown_ground():
    known = known_of([cow(20, 20, 40, 40, "goat")], everything())
    assert (known[20:60, 20:60] == UNKNOWN).all()


def test_later_animals_lie_on_top():
    known = known_of([cow(20, 20, 40, 40), cow(40, 40, 40, 40, "calf")], everything())
    assert known[50, 50] == 2


# --- lessons --------------------------------------------------------------------------------------


def test_nothing_known_is_no_lesson():
    assert lesson(maps_of(shown_by()), known_of([])) is None


def test_weights_stand_for_areas_whatever_is_drawn():
    animal = cow(0, 0, 32, 64)  # an eighth of the image
    made = lesson(maps_of(shown_by(animal)), known_of([animal], everything()))
    assert made.weights.sum() == pytest.approx(1)
    assert made.weights[made.classes == 1].sum() == pytest.approx(1 / 8)


@settings(max_examples=30, deadline=None)
@given(cells=st.integers(2, 400), side=st.integers(8, 120), verified=st.booleans())
def test_a_lesson_never_has_more_cells_than_asked_for(cells, side, verified):
    animal = cow(0, 0, side, side)
    known = known_of([animal], everything() if verified else ())
    made = lesson(maps_of(shown_by(animal)), known, config=InstantConfig(cells=cells))
    assert 0 < made.classes.size <= cells
    assert made.weights.sum() == pytest.approx(1, abs=1e-5)
    assert np.isfinite(made.features).all()


def test_presumed_ground_weighs_no_more_than_the_animals():
    animal = cow(40, 40, 40, 40)
    made = lesson(maps_of(shown_by(animal)), known_of([animal]))
    assert made.weights[made.presumed].sum() == pytest.approx(0.5, abs=1e-5)
    assert not made.vouched


# --- learning -------------------------------------------------------------------------------------


def taught(*scenes, verified=True):
    return [
        lesson(
            maps_of(shown_by(*animals), seed=seed),
            known_of(animals, everything() if verified else ()),
        )
        for seed, animals in enumerate(scenes)
    ]


def answers(head, shown, seed=99):
    return maps_of(shown, seed=seed).project(head.weight, head.bias).argmax(0)


def test_two_categories_are_learned():
    head = fit(taught([cow(8, 8, 48, 48), cow(70, 70, 48, 48, "calf")]), 3)
    shown = shown_by(cow(60, 8, 48, 48), cow(8, 70, 48, 48, "calf"))
    assert (answers(head, shown) == shown[2::4, 2::4]).mean() > 0.95


def test_one_animal_of_a_herd_finds_the_others_beside_it():
    """The neighbor stands in the rim that is presumed to be background."""
    herd = shown_by(cow(8, 40, 48, 48), cow(66, 40, 48, 48))
    one = lesson(maps_of(herd), known_of([cow(8, 40, 48, 48)]))
    assert one.presumed.any()
    found = answers(fit([one], 2), herd)
    truth = herd[2::4, 2::4] == 1
    assert found[truth].mean() > 0.9
    assert found[~truth].mean() < 0.1


def test_the_fit_is_the_minimum_of_its_loss():
    """The slope of the penalized loss vanishes, written out independently."""
    config = InstantConfig(tolerance=1e-7, steps=5000)
    lessons = taught([cow(8, 8, 48, 48)], [cow(40, 40, 60, 60)])
    head = fit(lessons, 2, config=config)
    x = np.concatenate([one.features for one in lessons]).astype(float)
    w = np.concatenate([one.weights for one in lessons]) / 2
    cows = np.concatenate([one.classes for one in lessons]) == 1
    share = config.first  # the lessons do not say how many animals they have
    w = np.where(cows, w * share / w[cows].sum(), w * (1 - share) / w[~cows].sum())
    y = np.eye(2)[np.concatenate([one.classes for one in lessons])]
    middle = (w[:, None] * x).sum(0)
    spread = np.sqrt((w[:, None] * (x - middle) ** 2).sum(0)) + 1e-3
    logits = x @ head.weight + head.bias
    chance = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    error = w[:, None] * (chance - y)
    slope = ((x - middle) / spread).T @ error + 2 * config.wary * head.weight * spread[:, None]
    assert np.abs(slope).max() < 1e-4
    assert np.abs(error.sum(0)).max() < 1e-4


def test_a_rare_animal_among_empty_images_is_found_again():
    scenes = [cow(60, 60, 12, 12)], [], [], []
    lessons = taught(*scenes)
    shown = shown_by(cow(20, 20, 24, 24))
    by_area = InstantConfig(raised=1.0, first=0.0)
    found, missed = (
        answers(fit(lessons, 2, config=config), shown)[shown[2::4, 2::4] == 1].mean()
        for config in (InstantConfig(), by_area)
    )
    assert missed < 0.1  # or there is nothing to mend
    assert found > 0.7


@pytest.mark.parametrize(
    ("animals", "penalty", "first"),
    [(1, 0.1, 0.44), (10, 0.1, 0.35), (20, 0.05, 0.25), (100, 0.01, 0.0), (500, 0.01, 0.0)],
)
def test_many_animals_are_trusted_more(animals, penalty, first):
    drawn = [cow(0, 0, 32, 32)]
    one = lesson(maps_of(shown_by(*drawn)), known_of(drawn, everything()), drawn)
    many = replace(one, inside=replace(one.inside, animals=animals))
    assert _care([many], InstantConfig()) == pytest.approx((penalty, first))


@pytest.mark.parametrize(
    ("has", "first", "gets"), [(0.1, 0.0, 0.15), (0.1, 0.3, 0.3), (0.4, 0.0, 0.5), (0.6, 0.45, 0.6)]
)
def test_animals_weigh_more_than_their_area_up_to_half(has, first, gets):
    one = replace(taught([cow(0, 0, 32, 32)])[0])
    one.__dict__["of_animals"] = has
    ground, animals = _factors([one], first, 1.5)
    assert (animals * has, ground * (1 - has)) == pytest.approx((gets, 1 - gets))


def test_animals_that_have_their_share_keep_it():
    lessons = taught([cow(0, 0, 128, 64)])  # half of the image
    areas = fit(lessons, 2, config=InstantConfig(raised=1.0, first=0.0))
    np.testing.assert_array_equal(fit(lessons, 2).weight, areas.weight)


def test_beginning_elsewhere_ends_at_the_same_head():
    config = InstantConfig(tolerance=1e-6, steps=5000)
    lessons = taught([cow(8, 8, 48, 48)], [cow(40, 40, 60, 60)])
    fresh = fit(lessons, 2, config=config)
    warm = fit(lessons, 2, fit(lessons[:1], 2, config=config), config=config)
    np.testing.assert_allclose(warm.weight, fresh.weight, atol=1e-3)


def test_a_head_of_other_classes_is_no_start():
    lessons = taught([cow(8, 8, 48, 48)])
    old = Head(np.zeros((7, 5), np.float32), np.zeros(5, np.float32))
    assert fit(lessons, 2, old).weight.shape == (7, 2)


@pytest.mark.parametrize("animals", [[], [cow(0, 0, SIZE, SIZE)]])
def test_one_class_alone_gives_finite_weights(animals):
    head = fit(taught(animals), 2)
    assert np.isfinite(head.weight).all()
    assert np.isfinite(head.bias).all()


# --- proposing ------------------------------------------------------------------------------------


def test_a_proposal_has_animals_maps_and_the_version():
    head = fit(taught([cow(8, 8, 48, 48)]), 2)
    shown = shown_by(cow(8, 60, 40, 40), cow(72, 60, 40, 40))
    made = predict(maps_of(shown, noise=0.05, seed=5), head, ["cow"], "instant-1")
    assert made.probability.shape == (2, 32, 32)
    np.testing.assert_allclose(made.probability.sum(0), 1, atol=1e-5)
    assert made.uncertainty.shape == (32, 32)
    assert [(one.category, one.version) for one in made.instances] == [("cow", "instant-1")] * 2


def test_what_is_far_smaller_than_the_animals_drawn_is_left_out():
    head = fit(taught([cow(8, 8, 48, 48)]), 2)
    shown = shown_by(cow(8, 60, 48, 48), cow(90, 90, 16, 16))
    maps = maps_of(shown, noise=0.05, seed=5)
    assert len(predict(maps, head, ["cow"], "v").instances) == 2
    assert len(predict(maps, head, ["cow"], "v", small=48).instances) == 1


def test_a_scaled_image_gets_maps_of_its_own_size():
    head = fit(taught([cow(8, 8, 48, 48)]), 2)
    maps = maps_of(shown_by(cow(8, 8, 48, 48)))
    large = FeatureMaps(maps.levels, 3 * SIZE + 1, 3 * SIZE, 1 / 3)
    made = predict(large, head, ["cow"], "v")
    assert made.probability.shape == (2, 97, 96)
    box = made.instances[0].parts[0].outer
    assert box.min() == pytest.approx(24, abs=12)
    assert box.max() == pytest.approx(168, abs=12)
