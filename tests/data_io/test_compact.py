from __future__ import annotations

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from data_io import geometry as geo
from data_io.compact import Outline, Truth, compact, fewest
from data_io.shapes import band_of_mask
from data_io.simplify import Ground, simplify, vertex_count
from data_io.types import Part, Parts

HEIGHT, WIDTH = 240, 320


def mask_of(parts: Parts) -> np.ndarray:
    mask: np.ndarray = geo.mask_of_parts(parts, HEIGHT, WIDTH)
    return mask


def iou(a: Parts, b: Parts) -> float:
    first, second = mask_of(a), mask_of(b)
    return float((first & second).sum() / max(1, (first | second).sum()))


def ellipse(x: float, y: float, a: float, b: float) -> np.ndarray:
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    mask: np.ndarray = ((xs - x) / a) ** 2 + ((ys - y) / b) ** 2 < 1
    return mask


def blobs(seed: int, share: float = 0.35) -> np.ndarray:
    """Smooth random pieces, many with holes, some cut by the border."""
    noise = np.random.default_rng(seed).random((HEIGHT, WIDTH))
    smooth = cv2.GaussianBlur(noise, (0, 0), 7)
    mask: np.ndarray = smooth > np.quantile(smooth, 1 - share)
    return mask


def assert_kept(parts: Parts, result: Parts, budget: float) -> None:
    """Every part and the whole within the budget, valid, inside the image, holes kept."""
    assert vertex_count(result) <= vertex_count(parts)
    if parts:
        assert iou(parts, result) >= budget
    for before, after in zip(parts, result, strict=True):
        assert iou((before,), (after,)) >= budget
        assert len(before.holes) == len(after.holes)
        assert shapely.Polygon(after.outer, after.holes).is_valid
        assert after.outer.min() >= 0
        assert (after.outer <= [WIDTH, HEIGHT]).all()


# --- wrong pixels ---------------------------------------------------------------------------------


@given(st.integers(0, 2**31), st.integers(3, 9))
@settings(max_examples=60, deadline=None)
def test_edges_count_the_wrong_pixels_of_pycocotools_raster(seed: int, corners: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[20:80, 30:100] = rng.random((60, 70)) < 0.7
    ground = Ground.of_rle(geo.rle_of_mask(mask))
    angles = 2 * np.pi * (np.arange(corners) + rng.random(corners)) / corners
    spokes = rng.uniform(3, 30, corners)[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    points = ground.lattice(np.array([65.0, 50.0]) + spokes)
    outline = Outline(points, np.zeros(corners, np.int64), np.zeros(corners, np.int64))
    if not outline.is_sound():
        return
    after = points[outline.neighbors()[1]]
    drawn = geo.mask_of_parts((outline.part(ground),), HEIGHT, WIDTH)
    clockwise = shapely.Polygon(points).exterior.is_ccw  # y grows downward
    edges = ground.wrong(points, after) if clockwise else ground.wrong(after, points)
    assert ground.area + edges.sum() == (drawn ^ mask).sum()


# --- fewer vertices -------------------------------------------------------------------------------


@pytest.mark.parametrize(("budget", "share"), [(0.9, 0.9), (0.97, 1.0), (0.99, 0.6)])
def test_moving_vertices_needs_fewer_than_dropping_them(budget: float, share: float) -> None:
    parts = geo.parts_of_mask(ellipse(80, 60, 40, 20) | ellipse(40, 40, 12, 25))
    result = compact(parts, HEIGHT, WIDTH, budget)
    assert_kept(parts, result, budget)
    assert vertex_count(result) <= share * vertex_count(simplify(parts, HEIGHT, WIDTH, budget))


@pytest.mark.parametrize("seed", range(6))
def test_blobs_with_holes_keep_the_budget_with_few_vertices(seed: int) -> None:
    parts = geo.parts_of_mask(blobs(seed))
    result = compact(parts, HEIGHT, WIDTH)
    assert_kept(parts, result, 0.99)
    assert vertex_count(result) <= 0.75 * vertex_count(simplify(parts, HEIGHT, WIDTH))


@pytest.mark.parametrize("seed", range(3))
def test_again_keeps_the_budget_against_its_own_input(seed: int) -> None:
    once = compact(geo.parts_of_mask(blobs(seed)), HEIGHT, WIDTH)
    assert_kept(once, compact(once, HEIGHT, WIDTH), 0.99)


@pytest.mark.parametrize("seed", range(3))
def test_every_part_keeps_its_boundary_iou(seed: int) -> None:
    distance = round(0.02 * np.hypot(HEIGHT, WIDTH))
    for part in geo.parts_of_mask(blobs(seed)):
        result = compact((part,), HEIGHT, WIDTH)
        one, other = (band_of_mask(mask_of(parts), distance) for parts in ((part,), result))
        assert (one & other).sum() >= 0.985 * (one | other).sum()


def test_the_contour_keeps_a_budget_of_its_own() -> None:
    # One per cent of the body alone would pay for the ear.
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[40:220, 20:300] = True
    mask[20:40, 140:154] = True
    parts = geo.parts_of_mask(mask)
    assert mask[20:40].sum() < 0.01 * mask.sum()
    assert mask_of(compact(parts, HEIGHT, WIDTH))[20:40, 140:154].mean() > 0.8


@given(
    npst.arrays(np.bool_, (12, 16)),
    st.sampled_from([1, 3, 8]),
    st.sampled_from([0.8, 0.95, 0.99, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_the_budget_is_kept_on_any_mask(cells: np.ndarray, scale: int, budget: float) -> None:
    parts = geo.parts_of_mask(np.kron(cells, np.ones((scale, scale), bool)))
    assert_kept(parts, compact(parts, HEIGHT, WIDTH, budget), budget)


@pytest.mark.parametrize("angle", [0, 20, 45, 90])
def test_a_line_one_pixel_thin_stays_whole(angle: int) -> None:
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    way = 50 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    ends = [tuple(int(v) for v in np.rint([80, 60] + sign * way)) for sign in (-1, 1)]
    cv2.line(canvas, ends[0], ends[1], 1, 1, cv2.LINE_4)
    parts = geo.parts_of_mask(canvas)
    assert_kept(parts, compact(parts, HEIGHT, WIDTH), 0.99)


def test_an_animal_cut_by_the_image_border_stays_on_it() -> None:
    parts = geo.parts_of_mask(ellipse(0, 60, 40, 30) | ellipse(300, 230, 35, 25))
    result = compact(parts, HEIGHT, WIDTH)
    assert_kept(parts, result, 0.99)
    assert vertex_count(result) < vertex_count(parts) / 4
    before, after = mask_of(parts), mask_of(result)
    for side in np.s_[:, 0], np.s_[-1], np.s_[:, -1]:
        assert before[side].any()
        assert (after[side] ^ before[side]).sum() <= 2


def test_of_an_endless_outline_vertices_are_only_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = geo.parts_of_mask(blobs(1))
    monkeypatch.setattr("data_io.compact.LONGEST", 0.0)
    result, simple = compact(parts, HEIGHT, WIDTH), simplify(parts, HEIGHT, WIDTH)
    assert [part.outer.tolist() for part in result] == [part.outer.tolist() for part in simple]


# --- what a person drew ---------------------------------------------------------------------------


def test_a_drawn_outline_loses_the_vertices_it_does_not_need() -> None:
    corners = np.array([[10.2, 10.4], [140.6, 15.2], [120.4, 100.8], [31, 90.6]])
    share = np.linspace(0, 1, 20, endpoint=False)[:, None]
    dense = np.concatenate(
        [a + share * (b - a) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)]
    )
    for ring in (dense, dense[::-1]):
        (result,) = compact((Part(ring),), HEIGHT, WIDTH)
        assert len(result.outer) == 4
        assert iou((Part(ring),), (result,)) >= 0.99


def test_few_vertices_and_nothing_come_back_as_they_were() -> None:
    triangle = (Part(np.array([[10.0, 10], [90, 30], [40, 90]])),)
    assert compact(triangle, HEIGHT, WIDTH, 0.5) == triangle
    sliver = (Part(np.array([[10.1, 10.1], [10.2, 10.1], [10.2, 10.2], [10.1, 10.2], [10, 10]])),)
    assert compact(sliver, HEIGHT, WIDTH) == sliver
    assert compact((), HEIGHT, WIDTH) == ()


def test_a_bow_tie_becomes_the_valid_outline_of_its_pixels() -> None:
    bow = (Part(np.array([[10.0, 10], [90, 90], [90, 10], [10, 90]])),)
    result = compact(bow, HEIGHT, WIDTH)
    assert all(shapely.Polygon(part.outer).is_valid for part in result)
    assert iou(bow, result) >= 0.99
    assert vertex_count(result) <= 8


def test_an_outline_beyond_the_image_is_drawn_inside_it() -> None:
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    circle = (Part(np.stack([300 + 30 * np.cos(angles), 60 + 30 * np.sin(angles)], axis=1)),)
    result = compact(circle, HEIGHT, WIDTH)
    assert iou(circle, result) >= 0.99
    assert vertex_count(result) < 30
    assert WIDTH - 0.5 < result[0].outer[:, 0].max() <= WIDTH


# --- fixed vertices -------------------------------------------------------------------------------


def test_fixed_vertices_stay_and_all_outlines_keep_the_limit() -> None:
    rle = geo.rle_of_mask(ellipse(80, 60, 50, 30))
    truth = Truth(rle, 0.98)
    (part,) = geo.parts_of_rle(rle)
    outline = Outline.of_part(part, truth.ground)
    outline.arc[[3, 40, 41]] = -1
    fixed = {tuple(point) for point in outline.points[[3, 40, 41]].tolist()}
    found = fewest(truth.ground, outline, truth.limit)
    counts = [len(one.points) for one in found]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < 20
    for one in found:
        assert fixed <= {tuple(point) for point in one.points.tolist()}
        drawn = geo.mask_of_parts((one.part(truth.ground),), HEIGHT, WIDTH)
        assert (drawn ^ geo.mask_of_rle(rle)).sum() <= truth.limit
