from __future__ import annotations

import json

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.types import Part, Ring

Mask = NDArray[np.bool_]


def random_masks() -> st.SearchStrategy[Mask]:
    """Small masks: several pieces, holes, thin lines, diagonal contacts, borders all turn up."""
    shapes = st.tuples(st.integers(1, 16), st.integers(1, 16))
    return npst.arrays(np.bool_, shapes)


def drawn(*rows: str) -> Mask:
    return np.array([[letter == "#" for letter in row] for row in rows])


HARD = {
    "hole": drawn("####", "#..#", "####"),
    "two holes touching": drawn("#####", "#.###", "##.##", "#####"),
    "hole touching the outside": drawn("###.", "#.##", "####"),
    "pocket closed by a corner": drawn("##.", "#.#", "###"),
    "diagonal pixels": drawn("#.#", ".#.", "#.#"),
    "thin cross": drawn(".#.", "###", ".#."),
    "island in a hole": drawn("#####", "#...#", "#.#.#", "#...#", "#####"),
    "full": np.ones((3, 4), bool),
    "one pixel": drawn("...", "..#"),
    "checkerboard": np.indices((8, 9)).sum(axis=0) % 2 == 0,
}


def assert_exact(mask: Mask) -> None:
    parts = geo.parts_of_mask(mask)
    assert (geo.mask_of_parts(parts, *mask.shape) == mask).all()
    for part in parts:
        assert shapely.Polygon(part.outer, part.holes).is_valid
        for ring in (part.outer, *part.holes):
            assert (ring == np.round(ring)).all()


@pytest.mark.parametrize("name", HARD)
def test_outline_gives_the_mask_back(name: str) -> None:
    assert_exact(HARD[name])


@given(random_masks())
@settings(max_examples=300, deadline=None)
def test_outline_gives_any_mask_back(mask: Mask) -> None:
    assert_exact(mask)


def test_ring_counts() -> None:
    island = geo.parts_of_mask(HARD["island in a hole"])
    assert [len(part.holes) for part in island] == [1, 0]
    assert len(geo.parts_of_mask(HARD["diagonal pixels"])) == 5
    assert len(geo.parts_of_mask(HARD["two holes touching"])[0].holes) == 2


def test_one_pixel_is_the_unit_square_at_its_corner() -> None:
    (part,) = geo.parts_of_mask(HARD["one pixel"], x0=10, y0=20)
    assert sorted(map(tuple, part.outer.tolist())) == [(12, 21), (12, 22), (13, 21), (13, 22)]


@given(random_masks())
@settings(max_examples=150, deadline=None)
def test_rle_outline_area_and_box(mask: Mask) -> None:
    rle = geo.rle_of_mask(mask)
    assert (geo.mask_of_rle(rle) == mask).all()
    assert geo.parts_to_json(geo.parts_of_rle(rle)) == geo.parts_to_json(geo.parts_of_mask(mask))
    assert geo.area_of_rle(rle) == mask.sum()
    ys, xs = np.nonzero(mask)
    box = (0.0, 0.0, 0.0, 0.0)
    if len(xs):
        box = (xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1)
    assert geo.box_of_rle(rle) == box
    assert geo.box_of_parts(geo.parts_of_mask(mask)) == box


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_set_operations(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 30), st.integers(1, 9)))
    a, b = (data.draw(npst.arrays(np.bool_, shape)) for _ in range(2))
    rle_a, rle_b = geo.rle_of_mask(a), geo.rle_of_mask(b)
    assert (geo.mask_of_rle(geo.rle_union([rle_a, rle_b])) == (a | b)).all()
    assert (geo.mask_of_rle(geo.rle_intersection([rle_a, rle_b])) == (a & b)).all()
    assert (geo.mask_of_rle(geo.rle_difference(rle_a, rle_b)) == (a & ~b)).all()
    expected = (a & b).sum() / (a | b).sum() if (a | b).any() else 1.0
    assert geo.rle_iou(rle_a, rle_b) == pytest.approx(expected)


def test_set_operations_on_long_runs() -> None:
    mask = np.zeros((900, 1100), bool)
    mask[100:700, 200:1000] = True
    mask[300:400, 500:501] = False
    rle = geo.rle_of_mask(mask)
    empty = geo.rle_of_mask(np.zeros_like(mask))
    assert geo.area_of_rle(geo.rle_difference(rle, rle)) == 0
    assert (geo.mask_of_rle(geo.rle_difference(rle, empty)) == mask).all()
    assert (geo.mask_of_parts(geo.parts_of_rle(rle), *mask.shape) == mask).all()


def test_a_polygon_is_rasterized_as_pycocotools_does() -> None:
    ring = np.array([[1.3, 0.2], [9.7, 2.2], [7.1, 8.9], [0.4, 6.6]])
    (expected,) = coco_mask.frPyObjects([ring.ravel().tolist()], 10, 12)
    assert geo.rle_of_parts((Part(ring),), 10, 12) == expected


def test_a_hole_reaching_out_of_its_ring_adds_nothing() -> None:
    outer, hole = _square(2, 2, 6, 6), _square(4, 0, 8, 4)
    mask = geo.mask_of_parts((Part(outer, (hole,)),), 10, 10)
    expected = np.zeros((10, 10), bool)
    expected[2:6, 2:6] = True
    expected[0:4, 4:8] = False
    assert (mask == expected).all()


def test_no_parts_is_an_empty_mask_and_the_full_image_is_full() -> None:
    assert geo.area_of_rle(geo.rle_of_parts((), 4, 5)) == 0
    assert geo.box_of_parts(()) == (0, 0, 0, 0)
    assert geo.mask_of_parts(geo.full_image(4, 5), 4, 5).all()


@pytest.mark.parametrize(
    ("ring", "word"),
    [
        ([[0, 0], [1, 1]], "fewer than 3"),
        ([[0, 0], [1, 1], [5, 5]], "no area"),
        ([[0, 0], [np.nan, 1], [5, 2]], "finite"),
        ([[0, 0], [1e12, 1], [5, 2]], "longer"),
    ],
)
def test_validate_refuses_what_is_no_area(ring: list[list[float]], word: str) -> None:
    with pytest.raises(DataError, match=word):
        geo.validate_parts((Part(np.array(ring, np.float64)),), "a.json", index="annotation 3")


def test_validate_accepts_a_bow_tie_and_refuses_nothing_at_all() -> None:
    geo.validate_parts((Part(np.array([[0, 0], [4, 4], [4, 0], [0, 4]], np.float64)),))
    with pytest.raises(DataError, match="no outline"):
        geo.validate_parts(())


def test_raster_refuses_numbers_that_would_break_the_library() -> None:
    for value in (np.inf, 1e18):
        ring = np.array([[0, 0], [value, 0], [4, 4]])
        with pytest.raises(DataError):
            geo.rle_of_parts((Part(ring),), 10, 10)


@given(random_masks())
@settings(max_examples=50, deadline=None)
def test_parts_survive_json(mask: Mask) -> None:
    rows = geo.parts_to_json(geo.parts_of_mask(mask))
    assert geo.parts_to_json(geo.parts_of_json(json.loads(json.dumps(rows)))) == rows


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=7)
        | st.dictionaries(st.sampled_from(["outer", "holes", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(JSON)
@settings(max_examples=200, deadline=None)
def test_hostile_json_raises_nothing_but_a_sentence(value: object) -> None:
    try:
        parts = geo.parts_of_json(value)
    except DataError as error:
        assert error.sentence().endswith(".")  # noqa: PT017
    else:
        assert all(np.isfinite(part.outer).all() for part in parts)


@pytest.mark.parametrize("flat", [[1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7], [True] * 6, [10**400] * 6])
def test_flat_ring_refusals(flat: list[float]) -> None:
    with pytest.raises(DataError):
        geo.ring_of_flat(flat)


def test_flat_ring_drops_the_repeated_first_vertex() -> None:
    assert len(geo.ring_of_flat([0, 0, 4, 0, 4, 4, 0, 0])) == 3


def _square(x0: float, y0: float, x1: float, y1: float) -> Ring:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)
