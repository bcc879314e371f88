"""Animals told apart by a ridge regression: on maps that hold the truth, and on drawn ones."""

from __future__ import annotations

import numpy as np
import pytest

from data_io.geometry import full_image, parts_of_mask
from data_io.types import Instance
from model import instant, instant_animals
from model.features import FeatureMaps
from model.instances import STRIDE
from model.instant_animals import AnimalHead, Interior, cells, interior
from model.targets import animal_targets

SIDE = 128


def cow(rows, columns):
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[rows, columns] = True
    return Instance("x", "cow", parts_of_mask(mask))


PAIR = [cow(np.s_[32:64], np.s_[16:60]), cow(np.s_[32:64], np.s_[60:104])]  # side by side
ALONE = cow(np.s_[88:120], np.s_[40:84])


def told(drawn, zoom=1.0):
    """Features that hold the instance maps of an image, among noise."""
    ids = np.zeros((SIDE, SIDE), np.uint16)
    for number, one in enumerate(drawn, start=1):
        left, top = np.round(one.parts[0].outer.min(0)).astype(int)
        right, bottom = np.round(one.parts[0].outer.max(0)).astype(int)
        ids[top:bottom, left:right] = number
    t = animal_targets(ids)
    inside = (ids[2::STRIDE, 2::STRIDE] > 0).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 1, (6, *inside.shape))
    layers = [inside, t.center, t.contact, t.core, *t.offset / STRIDE, *noise]
    levels = (np.stack(layers, -1).astype(np.float16),)
    return FeatureMaps(levels, SIDE, SIDE, zoom)


def test_touching_animals_are_two_although_their_shape_is_one():
    drawn = [*PAIR, ALONE]
    maps = told(drawn)
    known = instant.known_classes(drawn, full_image(SIDE, SIDE), {"cow": 1}, SIDE, SIDE)
    head = instant.fit([instant.lesson(maps, known, drawn)], 2)
    found = instant.predict(maps, head, ["cow"], "v").instances
    middles = sorted(
        float(np.ptp(x) / 2 + x.min()) for x in (i.parts[0].outer[:, 0] for i in found)
    )
    assert middles == pytest.approx([38, 62, 82], abs=8)
    by_shape = instant.Head(head.weight, head.bias)
    assert len(instant.predict(maps, by_shape, ["cow"], "v").instances) == 2


def test_a_linear_map_is_found_again():
    rng = np.random.default_rng(1)
    weight, bias = rng.normal(size=(4, 5)), rng.normal(size=5)
    images = []
    for n in (50, 200):
        features = rng.normal(2, 3, (n, 4))
        said = features @ weight + bias
        images.append(Interior.of(features.astype(np.float32), said.astype(np.float32), 2))
    head = instant_animals.fit(images, penalty=1e-9)
    np.testing.assert_allclose(head.weight, weight, atol=1e-3)
    np.testing.assert_allclose(head.bias, bias, atol=1e-2)


def test_each_image_counts_the_same():
    def constant(value, n):
        return Interior.of(np.zeros((n, 2), np.float32), np.full((n, 5), value, np.float32), 2)

    head = instant_animals.fit([constant(0.0, 10), constant(1.0, 1000)])
    np.testing.assert_allclose(head.bias, 0.5, atol=1e-6)


def test_cells_are_those_of_the_animals_and_the_later_one_lies_on_top():
    over = [cow(np.s_[0:64], np.s_[0:64]), cow(np.s_[32:64], np.s_[32:64])]
    maps = FeatureMaps((np.zeros((32, 32, 3), np.float16),), SIDE, SIDE, 1.0)
    features, said = cells(maps, over)
    assert features.shape == (256, 3)
    assert said.shape == (256, 5)
    _, alone = cells(maps, over[1:])
    assert len(alone) == 64
    # votes of the upper one lead to its own middle
    assert {tuple(row[3:]) for row in alone} <= {tuple(row[3:]) for row in said}


def test_a_smaller_look_teaches_the_same_in_cells_of_the_image():
    half = FeatureMaps((np.zeros((16, 16, 3), np.float16),), SIDE, SIDE, 0.5)
    _, said = cells(half, PAIR[:1])
    assert len(said) == 4 * 5  # cells of 8 pixels whose middles lie inside
    assert np.abs(said[:, 3]).max() > 3  # 44 pixels across: more than 3 cells of 4 to go


@pytest.mark.parametrize("drawn", [[], [cow(np.s_[0:1], np.s_[0:1])]], ids=["none", "a pixel"])
def test_without_a_cell_of_an_animal_nothing_is_learned(drawn):
    maps = FeatureMaps((np.zeros((32, 32, 3), np.float16),), SIDE, SIDE, 1.0)
    assert interior(maps, drawn) is None
    assert instant_animals.fit([]) is None


def test_two_animals_are_too_few():
    one = Interior.of(np.zeros((9, 2), np.float32), np.zeros((9, 5), np.float32), 1)
    assert instant_animals.fit([one, one]) is None
    assert instant_animals.fit([one, one, one]) is not None


def test_no_more_cells_than_needed_and_always_the_same():
    maps = FeatureMaps((np.zeros((32, 32, 3), np.float16),), SIDE, SIDE, 1.0)
    drawn = [cow(np.s_[0:128], np.s_[0:128])]
    (_, one), (_, other) = cells(maps, drawn), cells(maps, drawn)
    assert len(one) == instant_animals.CELLS
    np.testing.assert_array_equal(one, other)


def test_maps_are_in_range_and_of_the_images_grid():
    head = AnimalHead(np.ones((3, 5), np.float32), np.full(5, 2, np.float32))
    maps = FeatureMaps((np.ones((16, 16, 3), np.float16),), SIDE, SIDE, 0.5)
    seen = instant_animals.instance_maps(maps, head)
    assert seen.core.shape == (32, 32)
    assert seen.core.max() <= 1
    assert seen.offset == pytest.approx(5.0)
