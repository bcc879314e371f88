"""What a model says about one image, whichever model it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_io.types import Instance
from model.regions import Doubts

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one version says about one image.

    Attributes:
        probability: (C, h, w) float32 softmax at stride 4 of the image, h = ceil(H/4); class 0 is
            the background, class c the predictor's ``categories[c - 1]``; calibrated.
        uncertainty: (h, w) uint8, 255 = entropy / ln C of 1; doubts about whose a cell is count.
        instances: animals in image pixels, with scores and the version's id.
        doubts: what made the uncertainty; None = not known.
    """

    probability: Floats
    uncertainty: NDArray[np.uint8]
    instances: tuple[Instance, ...]
    doubts: Doubts | None = None
