from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from data_io import geometry as geo
from data_io import shapes
from data_io.errors import DataError
from data_io.types import Part, Parts

HEIGHT, WIDTH = 20, 26
MASKS = npst.arrays(np.bool_, (HEIGHT, WIDTH), elements=st.booleans(), fill=st.booleans())


def box(x0: float, y0: float, x1: float, y1: float) -> Part:
    return Part(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64))


def mask_of(parts: Parts) -> np.ndarray:
    mask: np.ndarray = geo.mask_of_parts(parts, HEIGHT, WIDTH)
    return mask


def area(parts: Parts) -> float:
    polygons = [shapely.Polygon(part.outer, part.holes) for part in parts]
    return float(sum(polygon.area for polygon in polygons))


# --- two regions ----------------------------------------------------------------------------------


@given(MASKS, MASKS)
@settings(max_examples=50, deadline=None)
def test_operations_on_exact_outlines_are_those_on_pixels(a: np.ndarray, b: np.ndarray) -> None:
    one, other = geo.parts_of_mask(a), geo.parts_of_mask(b)
    for result, expected in (
        (shapes.union(one, other), a | b),
        (shapes.difference(one, other), a & ~b),
        (shapes.intersection(one, other), a & b),
    ):
        assert (mask_of(result) == expected).all()
        assert not shapes.invalid([result])
        assert all(part.outer.dtype == np.float64 for part in result)
        assert bool(result) == bool(expected.any())


def test_outlines_keep_the_vertices_a_person_set() -> None:
    drawn = Part(np.array([[1.25, 1.5], [11.75, 2.25], [9.5, 12.125]]))
    (result,) = shapes.union((drawn,), (box(15, 15, 20, 19),))[:1]
    assert {tuple(v) for v in result.outer} == {tuple(v) for v in drawn.outer}
    (rest,) = shapes.difference((box(0, 0, 10, 10),), (box(2, 2, 4, 4),))
    assert [len(rest.outer), *map(len, rest.holes)] == [4, 4]


def test_touching_regions_merge_and_distant_ones_stay_parts() -> None:
    regions = [(box(0, 0, 5, 5),), (box(5, 0, 9, 5),), (box(12, 0, 15, 5),)]
    assert sorted(area((part,)) for part in shapes.merge(regions)) == [15, 45]
    assert shapes.merge([]) == shapes.merge([(), ()]) == ()


def test_what_crosses_itself_is_taken_by_the_even_odd_rule() -> None:
    bow = (Part(np.array([[0.0, 0], [10, 10], [10, 0], [0, 10]])),)
    assert area(shapes.intersection(bow, (box(0, 0, 5, 10),))) == pytest.approx(25)
    outside = (Part(box(0, 0, 6, 6).outer, (box(4, 4, 12, 12).outer,)),)
    assert area(shapes.union(outside, ())) == pytest.approx(32)  # a hole never adds


def test_regions_that_are_none_are_refused() -> None:
    for ring in ([[0.0, 0], [1, 1]], [[0.0, 0], [1, np.nan], [2, 5]], [[0.0, 0], [1, 1], [2, 2]]):
        with pytest.raises(DataError, match="outline"):
            shapes.union((Part(np.array(ring)),), ())
    assert shapes.difference((), ()) == shapes.intersection((), (box(0, 0, 5, 5),)) == ()


# --- split ----------------------------------------------------------------------------------------


def test_a_line_across_makes_two_regions_that_share_the_cut() -> None:
    pieces = shapes.split((box(2, 2, 22, 12),), np.array([[8.0, 0], [9, 7], [13, 18]]))
    assert [len(piece) for piece in pieces] == [1, 1]
    assert area(pieces[0]) > area(pieces[1])
    total = sum(mask_of(piece).astype(int) for piece in pieces)
    assert (total == mask_of((box(2, 2, 22, 12),))).all()
    corners = [{tuple(v) for v in piece[0].outer} for piece in pieces]
    assert len(corners[0] & corners[1]) == 3


@pytest.mark.parametrize(
    "line",
    [
        [[0.0, 0], [1, 18]],  # beside it
        [[8.0, 0], [8, 9]],  # ends inside
        [[4.0, 4], [8, 9], [9, 5]],  # inside
        [[2.0, 0], [2, 18]],  # along its edge
        [[8.0, 0], [8, 0]],
    ],
)
def test_a_line_that_does_not_cross_is_refused(line: list[list[float]]) -> None:
    with pytest.raises(DataError, match="the line must cross the animal"):
        shapes.split((box(2, 2, 22, 12),), np.array(line))


def test_lines_that_are_none_are_refused() -> None:
    for line in (np.zeros((1, 2)), np.zeros((3, 3)), np.array([[0, 0], [np.inf, 3.0]])):
        with pytest.raises(DataError, match="no two points"):
            shapes.split((box(2, 2, 22, 12),), line)
    with pytest.raises(DataError, match="must cross"):
        shapes.split((), np.array([[0.0, 0], [5, 5]]))


def test_parts_on_one_side_stay_together() -> None:
    body, leg, near, far = (
        box(2, 2, 22, 8),
        box(4, 10, 6, 14),
        box(9, 10, 15, 14),
        box(18, 10, 20, 14),
    )
    pieces = shapes.split((body, leg, near, far), np.array([[12.0, 0], [12, 20]]))
    assert [len(piece) for piece in pieces] == [3, 3]
    # A line that ends above the legs leaves them whole, each on the side of most of it.
    pieces = shapes.split((body, leg, near, far), np.array([[11.0, 0], [11, 9]]))
    assert sorted(len(piece) for piece in pieces) == [2, 3]
    assert sorted(map(area, pieces)) == [9 * 6 + 8, 11 * 6 + 24 + 8]


def test_a_line_that_winds_cuts_as_often_as_it_crosses() -> None:
    line = np.array([[6.0, 0], [6, 18], [12, 18], [12, 0]])
    pieces = shapes.split((box(2, 2, 22, 12),), line)
    assert sum(map(area, pieces)) == pytest.approx(200)
    assert len(pieces) >= 2


@given(MASKS, npst.arrays(np.float64, (3, 2), elements=st.floats(-5, 30, width=16)))
@settings(max_examples=50, deadline=None)
def test_no_pixel_is_lost_or_doubled_by_a_cut(mask: np.ndarray, line: np.ndarray) -> None:
    parts = geo.parts_of_mask(mask)
    try:
        pieces = shapes.split(parts, line)
    except DataError:
        return
    assert len(pieces) >= 2
    assert sum(map(area, pieces)) == pytest.approx(mask.sum(), abs=1e-3)
    assert (sum(mask_of(piece).astype(int) for piece in pieces) == mask).all()
    assert not shapes.invalid(pieces)


# --- stacking order -------------------------------------------------------------------------------


@given(st.lists(MASKS, max_size=5))
@settings(max_examples=50, deadline=None)
def test_flattened_regions_share_no_pixel_and_lose_none(masks: list[np.ndarray]) -> None:
    regions = [geo.parts_of_mask(mask) for mask in masks]
    flat = shapes.flatten(regions, HEIGHT, WIDTH)
    above = np.zeros((HEIGHT, WIDTH), bool)
    for mask, before, after in zip(masks[::-1], regions[::-1], flat[::-1], strict=True):
        assert (mask_of(after) == (mask & ~above)).all()
        assert (after is before) == (not (mask & above).any())
        above |= mask


# --- repair ---------------------------------------------------------------------------------------


def test_valid_regions_are_left_alone_and_broken_ones_found() -> None:
    good = (box(0, 0, 10, 10), box(5, 5, 15, 15))  # parts may overlap
    holed = (Part(box(0, 0, 10, 10).outer, (box(2, 2, 5, 5).outer,)),)
    bow = (box(0, 0, 3, 3), Part(np.array([[0.0, 0], [10, 10], [10, 0], [0, 10]])))
    outside = (Part(box(0, 0, 6, 6).outer, (box(4, 4, 12, 12).outer,)),)
    short = (Part(np.array([[0.0, 0], [1, 1]])),)
    unreal = (Part(np.array([[0.0, 0], [1, np.nan], [2, 5]])),)
    regions = [good, bow, (), holed, outside, short, unreal, good]
    assert shapes.invalid(regions) == [1, 4, 5, 6]
    assert shapes.invalid([]) == []
    assert shapes.repair(good, HEIGHT, WIDTH) == (good, False)
    assert shapes.repair((), HEIGHT, WIDTH) == ((), False)


def test_a_crossing_ring_is_cut_where_it_crosses() -> None:
    good = box(12, 12, 20, 18)
    bow = Part(np.array([[0.0, 0], [10, 10], [10, 0], [0, 10]]))
    fixed, changed = shapes.repair((bow, good), HEIGHT, WIDTH)
    assert changed
    assert fixed[-1] is good
    assert not shapes.invalid([fixed])
    assert (mask_of(fixed) == mask_of((bow, good))).all()
    assert len(fixed) == 3


@given(npst.arrays(np.float64, (7, 2), elements=st.floats(-4, 30, width=16)))
@settings(max_examples=50, deadline=None)
def test_repair_keeps_the_raster_of_any_scribble(ring: np.ndarray) -> None:
    parts = (Part(ring[:5]), Part(ring[2:], (ring[:3],)))
    fixed, changed = shapes.repair(parts, HEIGHT, WIDTH)
    assert changed == bool(shapes.invalid([parts]))
    assert not shapes.invalid([fixed])
    assert (mask_of(fixed) == mask_of(parts)).all()


def test_a_ring_that_is_none_is_refused() -> None:
    with pytest.raises(DataError, match="fewer than 3"):
        shapes.repair((Part(np.array([[0.0, 0], [1, 1]])),), HEIGHT, WIDTH)


# --- windows --------------------------------------------------------------------------------------


@given(MASKS, st.integers(0, 4))
@settings(max_examples=50, deadline=None)
def test_crops_are_those_of_the_mask(mask: np.ndarray, margin: int) -> None:
    rle = geo.rle_of_mask(mask)
    left, top, right, bottom = geo.window_of_rle(rle, margin)
    crop = geo.crop_of_rle(rle, (left, top, right, bottom))
    assert (crop == mask[top:bottom, left:right]).all()
    assert crop.sum() == mask.sum()
    whole = geo.crop_of_rle(rle, (0, 0, WIDTH, HEIGHT))
    assert (whole == mask).all()


@given(MASKS, st.integers(1, 3))
@settings(max_examples=50, deadline=None)
def test_the_band_is_what_is_near_the_outside(mask: np.ndarray, distance: int) -> None:
    framed = np.pad(mask, distance)
    size = 2 * distance + 1
    near = ~np.lib.stride_tricks.sliding_window_view(framed, (size, size)).all(axis=(2, 3))
    assert (shapes.band_of_mask(mask, distance) == (mask & near)).all()
