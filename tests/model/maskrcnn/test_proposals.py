"""Detections become outlines that do not overlap and probabilities that sum to one."""

from __future__ import annotations

import numpy as np
import pytest

from data_io.geometry import mask_of_parts
from data_io.types import Instance
from model.maskrcnn import proposals
from model.maskrcnn.detections import Detections
from tests.model.maskrcnn.tiny import detections

NAMES = ("cow", "calf")


def told(found: Detections, height: int = 80, width: int = 100) -> tuple[Instance, ...]:
    return proposals.instances(found, height, width, NAMES, "v1")


def raster(animal: Instance, height: int = 80, width: int = 100) -> np.ndarray:
    return mask_of_parts(animal.parts, height, width)


def test_a_full_mask_is_the_pixels_of_its_box() -> None:
    (animal,) = told(detections(((10, 20, 50, 60), 0.9, 2)))
    assert (animal.category, animal.version, animal.source) == ("calf", "v1", "model")
    assert animal.score == pytest.approx(0.9)
    expected = np.zeros((80, 100), bool)
    expected[20:60, 10:50] = True
    mask = raster(animal)
    assert (mask & expected).sum() / (mask | expected).sum() > 0.97


def test_a_mask_lies_where_its_cells_are() -> None:
    """The left half of a box, and a box that reaches over the corner of the image."""
    half = np.zeros((28, 28), np.float32)
    half[:, :14] = 1
    (animal,) = told(detections(((20, 10, 76, 66), 0.9, 1), masks=[half]))
    columns, rows = (np.flatnonzero(raster(animal).any(axis)) for axis in (0, 1))
    assert (columns[0], columns[-1]) == (20, 47)
    assert (rows[0], rows[-1]) == (10, 65)
    (corner,) = told(detections(((-28, -28, 28, 28), 0.9, 1)))
    assert raster(corner)[:28, :28].all()
    assert raster(corner).sum() == 28 * 28


def test_holes_and_pieces_are_kept() -> None:
    ring = np.ones((28, 28), np.float32)
    ring[8:20, 8:20] = 0
    (animal,) = told(detections(((10, 10, 66, 66), 0.9, 1), masks=[ring]))
    assert len(animal.parts) == 1
    assert len(animal.parts[0].holes) == 1
    assert not raster(animal)[38, 38]


def test_animals_do_not_overlap_and_the_higher_score_is_on_top() -> None:
    found = detections(((10, 10, 50, 50), 0.7, 1), ((34, 10, 74, 50), 0.9, 2))
    lower, upper = told(found)
    assert (lower.category, upper.category) == ("cow", "calf")  # drawing order
    one, other = raster(lower), raster(upper)
    assert (one & other).sum() <= 0.01 * one.sum()
    assert other.sum() == pytest.approx(1600, rel=0.02)
    assert one.sum() == pytest.approx(24 * 40, rel=0.03)


def test_an_echo_of_an_animal_is_no_animal() -> None:
    found = detections(((10, 10, 50, 50), 0.9, 1), ((12, 11, 51, 50), 0.8, 2))
    assert [animal.category for animal in told(found)] == ["cow"]


def test_doubtful_animals_and_specks_are_not_proposed() -> None:
    assert told(detections(((10, 10, 50, 50), 0.49, 1))) == ()
    assert told(detections(((10, 10, 15, 15), 0.99, 1))) == ()
    assert told(detections()) == ()


def test_the_background_is_what_no_detection_says() -> None:
    found = detections(((0, 0, 40, 40), 0.5, 1), ((0, 0, 40, 40), 0.6, 2), ((0, 40, 40, 80), 1, 2))
    p = proposals.probability(found, 80, 100, 2)
    assert p.shape == (3, 20, 25)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p.sum(0), 1, atol=1e-5)
    np.testing.assert_allclose(p[:, 5, 5], [0.2, 0.8 * 5 / 11, 0.8 * 6 / 11], atol=1e-5)
    np.testing.assert_allclose(p[:, 15, 5], [0, 0, 1], atol=1e-5)
    np.testing.assert_allclose(p[:, 5, 20], [1, 0, 0])


def test_without_detections_all_is_ground_and_an_animal_may_fill_the_image() -> None:
    p = proposals.probability(detections(), 9, 7, 2)
    assert p.shape == (3, 3, 2)
    assert (p[0] == 1).all()
    assert not p[1:].any()
    found = detections(((0, 0, 100, 80), 1.0, 1))
    (animal,) = told(found)
    assert raster(animal).mean() > 0.98
    assert proposals.probability(found, 80, 100, 2)[1].min() > 0.4


def test_detections_may_lie_anywhere() -> None:
    """Outside of the image, thinner than a pixel, larger than the image."""
    found = detections(
        ((200, 200, 240, 240), 0.9, 1),
        ((10, 10, 10.01, 60), 0.9, 1),
        ((-500, -500, 900, 900), 0.9, 2),
    )
    (animal,) = told(found)
    assert raster(animal).all()
    p = proposals.probability(found, 80, 100, 2)
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(0), 1, atol=1e-5)
