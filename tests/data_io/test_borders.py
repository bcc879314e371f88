from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from data_io import geometry as geo
from data_io import shapes
from data_io.borders import compact_together
from data_io.compact import compact
from data_io.simplify import vertex_count
from data_io.types import Part, Parts

HEIGHT, WIDTH = 120, 160


def masks_of(regions: Sequence[Parts]) -> list[np.ndarray]:
    return [geo.mask_of_parts(parts, HEIGHT, WIDTH) for parts in regions]


def regions_of(labels: np.ndarray) -> list[Parts]:
    """A region for each label but 0, the background."""
    return [geo.parts_of_mask(labels == k) for k in range(1, int(labels.max()) + 1)]


def herd(seed: int, animals: int, ground: float) -> np.ndarray:
    """Labels of a crowd with smooth borders; a share of the image is background."""
    rng = np.random.default_rng(seed)
    fields = rng.random((animals, HEIGHT, WIDTH))
    smooth = np.stack([cv2.GaussianBlur(field, (0, 0), 9) for field in fields])
    labels = smooth.argmax(axis=0) + 1
    labels[smooth.max(axis=0) < np.quantile(smooth.max(axis=0), ground)] = 0
    return labels


def assert_shared(before: Sequence[Parts], after: Sequence[Parts], budget: float) -> None:
    """Budgets kept, polygons valid, no pixel doubled, none lost but at the outside of them all."""
    assert len(before) == len(after)
    assert not shapes.invalid(after)
    old, new = masks_of(before), masks_of(after)
    for one, other in zip(old, new, strict=True):
        assert not one.any() or (one & other).sum() / (one | other).sum() >= budget
    nothing = np.zeros((HEIGHT, WIDTH), int)
    total = sum((mask.astype(int) for mask in new), start=nothing)
    assert total.max() <= 1
    was = sum((mask.astype(int) for mask in old), start=nothing) > 0
    # A gap along a common border would be a patch of lost pixels that the ground does not touch.
    ground = cv2.dilate(np.pad(~was, 1, constant_values=True).astype(np.uint8), np.ones((3, 3)))
    lost = was & (total == 0)
    count, patches = cv2.connectedComponents(lost.astype(np.uint8), connectivity=8)
    for patch in range(1, count):
        assert (ground[1:-1, 1:-1] > 0)[patches == patch].any()


def corners(parts: Parts) -> set[tuple[float, ...]]:
    return {tuple(v) for part in parts for ring in (part.outer, *part.holes) for v in ring.tolist()}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ground", [0.0, 0.4])
def test_a_crowd_keeps_its_common_borders(seed: int, ground: float) -> None:
    regions = regions_of(herd(seed, 6, ground))
    result = compact_together(regions, HEIGHT, WIDTH)
    assert_shared(regions, result, 0.99)
    assert sum(map(vertex_count, result)) < 0.35 * sum(map(vertex_count, regions))


@pytest.mark.parametrize(("seed", "animals"), [(12, 6), (20, 6), (4, 10), (7, 16)])
def test_a_piece_whose_neighbors_spend_its_budget_gets_finer_borders(
    seed: int, animals: int
) -> None:
    regions = regions_of(herd(seed, animals, 0.0))
    result = compact_together(regions, HEIGHT, WIDTH)
    for before, after in zip(regions, result, strict=True):
        for part, compacted in zip(before, after, strict=True):
            rasters = [geo.rle_of_parts((one,), HEIGHT, WIDTH) for one in (part, compacted)]
            assert geo.rle_iou(*rasters) >= 0.99


def test_neighbors_have_the_same_vertices_along_their_border() -> None:
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    disc = (xs - 80) ** 2 + (ys - 60) ** 2 < 50**2
    left = xs < 80 + 12 * np.sin(ys / 9)
    regions = [geo.parts_of_mask(disc & left), geo.parts_of_mask(disc & ~left)]
    one, other = compact_together(regions, HEIGHT, WIDTH)
    assert_shared(regions, [one, other], 0.99)
    border = corners(one) & corners(other)
    assert len(border) >= 6
    inside = {v for v in corners(one) | corners(other) if np.hypot(v[0] - 80, v[1] - 60) < 45}
    assert inside <= border
    # Each for itself would not meet the other.
    alone = [corners(compact(parts, HEIGHT, WIDTH)) for parts in regions]
    assert not inside <= alone[0] & alone[1]


def test_an_animal_inside_another_shares_the_whole_ring() -> None:
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    away = np.hypot(xs - 70, ys - 60)
    regions = [geo.parts_of_mask((away < 45) & (away >= 20)), geo.parts_of_mask(away < 20)]
    cow, calf = compact_together(regions, HEIGHT, WIDTH)
    assert_shared(regions, [cow, calf], 0.99)
    assert {tuple(v) for v in cow[0].holes[0]} == corners(calf)
    assert len(corners(calf)) < 30


def test_two_that_touch_at_a_corner_do_not_come_to_overlap() -> None:
    labels = np.zeros((HEIGHT, WIDTH), int)
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    labels[(xs < 60) & (ys < 50) & (xs + ys > 40)] = 1
    labels[(xs >= 60) & (ys >= 50) & (xs + ys < 200)] = 2
    labels[(xs >= 62) & (ys < 48)] = 3  # near both
    regions = regions_of(labels)
    assert_shared(regions, compact_together(regions, HEIGHT, WIDTH), 0.99)


def test_a_narrow_gap_is_not_closed_by_a_generous_budget() -> None:
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    disc = np.hypot((xs - 80) / 60, (ys - 60) / 45) < 1
    overlaps = 0
    for phase in range(12):
        wave = 80 + 6 * np.sin(ys / (5 + phase) + phase)
        regions = [geo.parts_of_mask(disc & side) for side in (xs < wave, xs > wave + 2)]
        one, other = masks_of(compact_together(regions, HEIGHT, WIDTH, 0.7))
        assert not (one & other).any()
        alone = masks_of([compact(parts, HEIGHT, WIDTH, 0.7) for parts in regions])
        overlaps += int((alone[0] & alone[1]).any())
    assert overlaps  # else this shows nothing


def test_those_that_overlap_or_are_far_are_compacted_alone() -> None:
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5

    def disc(x: float, y: float, radius: float) -> Parts:
        return geo.parts_of_mask(np.hypot(xs - x, ys - y) < radius)

    regions = [disc(30, 30, 20), disc(50, 40, 20), disc(130, 40, 22), (), disc(75, 90, 15)]
    result = compact_together(regions, HEIGHT, WIDTH)
    for parts, compacted in zip(regions, result, strict=True):
        alone = compact(parts, HEIGHT, WIDTH)
        assert [part.outer.tolist() for part in compacted] == [p.outer.tolist() for p in alone]


def test_drawn_outlines_never_get_more_vertices() -> None:
    left = (Part(np.array([[10.0, 10], [60, 20], [55, 60], [60, 90], [12, 100]])),)
    right = (Part(np.array([[60.0, 20], [110, 30], [100, 95], [60, 90], [55, 60]])),)
    result = compact_together([left, right], HEIGHT, WIDTH)
    assert_shared([left, right], result, 0.99)
    assert sum(map(vertex_count, result)) <= 10


@given(
    npst.arrays(np.int64, (8, 10), elements=st.integers(0, 4)),
    st.sampled_from([1, 4, 9]),
    st.sampled_from([0.9, 0.99, 1.0]),
)
@settings(max_examples=50, deadline=None)
def test_no_pixel_is_lost_or_doubled_on_any_map(
    cells: np.ndarray, scale: int, budget: float
) -> None:
    regions = regions_of(np.kron(cells, np.ones((scale, scale), int)))
    result = compact_together(regions, HEIGHT, WIDTH, budget)
    assert_shared(regions, result, budget)
    for before, after in zip(regions, result, strict=True):
        for part, compacted in zip(before, after, strict=True):
            rasters = [geo.rle_of_parts((one,), HEIGHT, WIDTH) for one in (part, compacted)]
            assert geo.rle_iou(*rasters) >= budget
            assert len(part.holes) == len(compacted.holes)


@given(st.integers(0, 2**31), st.integers(2, 8))
@settings(max_examples=20, deadline=None)
def test_smooth_crowds_of_any_kind(seed: int, animals: int) -> None:
    labels = herd(seed, animals, 0.3)
    labels[np.random.default_rng(seed).random(labels.shape) < 0.002] = 0  # holes of one pixel
    regions = regions_of(labels)
    assert_shared(regions, compact_together(regions, HEIGHT, WIDTH), 0.99)
