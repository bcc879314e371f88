from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from data_io import geometry as geo
from data_io.simplify import coarser, is_stepped, simplify, through_steps, tolerances
from data_io.types import Part, Parts

HEIGHT, WIDTH = 120, 160


def iou(a: Parts, b: Parts) -> float:
    first, second = (geo.mask_of_parts(parts, HEIGHT, WIDTH) for parts in (a, b))
    return float((first & second).sum() / max(1, (first | second).sum()))


def vertices(parts: Parts) -> int:
    return sum(len(ring) for part in parts for ring in (part.outer, *part.holes))


def ellipse(x: float, y: float, a: float, b: float) -> np.ndarray:
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    mask: np.ndarray = ((xs - x) / a) ** 2 + ((ys - y) / b) ** 2 < 1
    return mask


@pytest.mark.parametrize("budget", [0.9, 0.97, 0.99])
def test_a_round_animal_needs_few_vertices(budget: float) -> None:
    parts = geo.parts_of_mask(ellipse(80, 60, 50, 30))
    simple = simplify(parts, HEIGHT, WIDTH, budget)
    assert iou(parts, simple) >= budget
    assert vertices(simple) <= 40 < 100 < vertices(parts)


def test_a_smaller_budget_never_costs_vertices() -> None:
    parts = geo.parts_of_mask(ellipse(80, 60, 50, 30) | ellipse(40, 40, 15, 35))
    counts = [vertices(simplify(parts, HEIGHT, WIDTH, b)) for b in (0.999, 0.99, 0.95, 0.9)]
    assert counts == sorted(counts, reverse=True)


def test_holes_and_parts_stay() -> None:
    mask = ellipse(60, 60, 45, 40) & ~ellipse(60, 60, 15, 20) | ellipse(140, 60, 12, 12)
    parts = geo.parts_of_mask(mask)
    simple = simplify(parts, HEIGHT, WIDTH)
    assert [len(part.holes) for part in simple] == [1, 0]
    assert vertices(simple) < vertices(parts) / 2
    for before, after in zip(parts, simple, strict=True):
        assert iou((before,), (after,)) >= 0.99


def test_a_square_needs_its_four_corners_and_one_pixel_stays() -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:90, 20:100] = True
    mask[100, 100] = True
    parts = geo.parts_of_mask(mask)
    simple = simplify(parts, HEIGHT, WIDTH)
    assert [len(part.outer) for part in simple] == [4, 4]
    assert iou(parts, simple) == 1


def test_a_hand_drawn_outline_keeps_a_subset_of_its_vertices() -> None:
    corners = np.array([[10.2, 10.4], [140.7, 15.1], [120.3, 100.8], [30.9, 90.6]])
    share = np.linspace(0, 1, 20, endpoint=False)[:, None]
    dense = np.concatenate(
        [a + share * (b - a) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)]
    )
    (simple,) = simplify((Part(dense),), HEIGHT, WIDTH)
    assert len(simple.outer) == 4
    assert {tuple(vertex) for vertex in simple.outer} <= {tuple(vertex) for vertex in dense}


def test_a_bow_tie_and_nothing_come_back_as_they_were() -> None:
    bow = (Part(np.array([[10.0, 10], [90, 90], [90, 10], [10, 90]])),)
    assert simplify(bow, HEIGHT, WIDTH, 0.5) == bow
    assert simplify((), HEIGHT, WIDTH) == ()


def test_steps_are_led_through_their_middles_and_real_sides_kept() -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[np.tril_indices(20)] = True
    (part,) = geo.parts_of_mask(mask)
    slope = through_steps(part).outer
    middles = slope[(slope[:, 0] > 1) & (slope[:, 1] < 19)]
    # Along the hypotenuse half a pixel to the right of the diagonal, as the pixels' centers demand.
    assert len(middles) >= 30
    assert (np.abs(middles[:, 0] - middles[:, 1] - 0.5) <= 0.01).all()
    assert is_stepped(part)
    assert not is_stepped(Part(slope))


def test_holes_are_never_simplified_away() -> None:
    square = np.array([[0.0, 0], [40, 0], [40, 40], [0, 40]])
    polygon = shapely.Polygon(square, [square / 40 + 20])
    for tolerance in (0.5, 3.0, 30.0):
        found = coarser(polygon, tolerance)
        assert found is None or len(found.holes) == 1


def test_tolerances_grow_with_the_budget() -> None:
    for limit, length in ((0, 10.0), (30, 300.0), (10**6, 1.0)):
        steps = tolerances(limit, length)
        assert list(steps) == sorted(steps, reverse=True)
        assert 0 < steps[-1] <= steps[0] <= 4
    assert tolerances(300, 300.0)[0] > tolerances(100, 300.0)[0]


@given(
    npst.arrays(np.bool_, (12, 16)),
    st.sampled_from([1, 4]),
    st.sampled_from([0.8, 0.95, 0.99, 1.0]),
)
@settings(max_examples=80, deadline=None)
def test_the_budget_is_kept_on_any_mask(cells: np.ndarray, scale: int, budget: float) -> None:
    parts = geo.parts_of_mask(np.kron(cells, np.ones((scale, scale), bool)))
    simple = simplify(parts, HEIGHT, WIDTH, budget)
    assert vertices(simple) <= vertices(parts)
    if parts:
        assert iou(parts, simple) >= budget
        geo.validate_parts(simple)
    for before, after in zip(parts, simple, strict=True):
        assert after is before or shapely.Polygon(after.outer, after.holes).is_valid
