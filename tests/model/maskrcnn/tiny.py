"""Sizes of a network for tests, and detections made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from model.maskrcnn.detections import Detections

CHANNELS = 8
SWIN: dict[str, Any] = {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}
JOB: dict[str, Any] = {"method": "maskrcnn", "pretrained": False, "steps": 3}

Animal = tuple[tuple[float, float, float, float], float, int]  # box, score, class


def detections(*animals: Animal, masks: Sequence[np.ndarray] | None = None) -> Detections:
    """Animals that fill their boxes, unless there are masks (28, 28)."""
    full = [np.ones((28, 28), np.float32) for _ in animals] if masks is None else masks
    return Detections(
        np.array([box for box, _, _ in animals], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in animals], np.float32),
        np.array([index for _, _, index in animals], np.int64),
        np.array(full, np.float32).reshape(-1, 28, 28),
    )
