"""Catchments, and animals told apart by shape."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.separation import hills, separate


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
