"""Flooding: catchments, animals told apart by shape, and markers that spread."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.separation import flood, hills, separate


def test_hills_follow_the_steepest_ascent() -> None:
    height = np.array([[1, 3, 2, 1, 2, 5, 4]], np.float32)
    labels = hills(height, height > 0)
    assert labels[0, 0] == labels[0, 1] == labels[0, 2]
    assert labels[0, 4] == labels[0, 5] == labels[0, 6]
    assert labels[0, 1] != labels[0, 5]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 40), st.integers(3, 40))
def test_every_inside_cell_belongs_to_one_connected_animal(seed: int, h: int, w: int) -> None:
    rng = np.random.default_rng(seed)
    belief = cv2.GaussianBlur(rng.random((h, w)).astype(np.float32), (0, 0), 1.5)
    inside = belief > np.median(belief)
    labels = separate(belief, inside)
    np.testing.assert_array_equal(labels > 0, inside)
    for k in range(1, int(labels.max(initial=0)) + 1):
        assert cv2.connectedComponents((labels == k).astype(np.uint8), connectivity=8)[0] == 2


def test_a_flood_stops_where_the_way_is_worst() -> None:
    height = np.array([[5, 5, 5, 1, 5, 5, 5, 5]], np.float32)
    markers = np.zeros(height.shape, np.int32)
    markers[0, 0], markers[0, 7] = 1, 2
    labels = flood(height, height > 0, markers)
    assert labels[0, :3].tolist() == [1, 1, 1]
    assert labels[0, 4:].tolist() == [2, 2, 2, 2]


def test_markers_keep_their_cells_and_never_join() -> None:
    height = np.ones((6, 6), np.float32)
    markers = np.zeros((6, 6), np.int32)
    markers[2, 2], markers[2, 3], markers[5, 5] = 1, 2, 1  # touching, and one number twice
    labels = flood(height, height > 0, markers)
    assert (labels[2, 2], labels[2, 3], labels[5, 5]) == (1, 2, 1)
    assert set(np.unique(labels)) == {1, 2}


def test_what_no_marker_reaches_stays_open() -> None:
    inside = np.zeros((5, 9), np.bool_)
    inside[:, :3] = inside[:, 6:] = True
    markers = np.zeros(inside.shape, np.int32)
    markers[2, 1] = 4
    labels = flood(np.ones(inside.shape, np.float32), inside, markers)
    assert (labels[:, :3] == 4).all()
    assert not labels[:, 3:].any()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 30), st.integers(3, 30))
def test_every_cell_connected_to_a_marker_gets_a_number(seed: int, h: int, w: int) -> None:
    rng = np.random.default_rng(seed)
    inside = rng.random((h, w)) < 0.7
    markers = np.where(inside & (rng.random((h, w)) < 0.05), rng.integers(1, 5, (h, w)), 0)
    labels = flood(rng.random((h, w)).astype(np.float32), inside, markers.astype(np.int32))
    _, pieces = cv2.connectedComponents(inside.astype(np.uint8), connectivity=8)
    reached = np.isin(pieces, np.unique(pieces[markers > 0])) & inside
    np.testing.assert_array_equal(labels > 0, reached)
    assert (labels[markers > 0] == markers[markers > 0]).all()
