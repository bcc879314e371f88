"""A Mask R-CNN version ready to predict, with the answers of any other version.

Route: scale as the version was trained -> network -> detections -> instances; the same detections
give class probabilities and from these the uncertainty. The network runs in torch everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data_io.errors import DataError
from model import uncertainty
from model.checkpoint import load_network
from model.grouping import InstanceMaps
from model.maskrcnn import proposals
from model.maskrcnn.detections import Detections, Look, detect, looking
from model.maskrcnn.network import MaskRcnn, MaskRcnnConfig
from model.prediction import Prediction
from model.predictor import REMEDY, Floats, Predictor, require_image


class MaskRcnnPredictor(Predictor):
    """See `Predictor`; `Predictor.load` gives one where a version holds a Mask R-CNN."""

    def __init__(self, look: Look, meta: Mapping[str, Any], version: str, device: str) -> None:
        super().__init__(_no_maps, meta, version, device)
        self._look_at = look

    @classmethod
    def opened(
        cls, folder: Path, meta: Mapping[str, Any], device: str, threads: int | None
    ) -> MaskRcnnPredictor:
        """Open a version folder whose ``version.json`` is `meta`.

        Args:
            device: cpu, cuda or mps.
            threads: of torch on the CPU, in the whole process; None leaves them.

        Raises:
            DataError: the weights are missing, changed, or do not fit.
        """
        network = load_network(folder, meta, lambda v: MaskRcnn(MaskRcnnConfig.of_dict(v)))
        classes = network.config.classes
        if classes != len(meta["categories"]) + 1:
            why = f"the network has {classes} classes for {len(meta['categories'])} categories"
            raise DataError(folder, why, REMEDY)
        if threads and device == "cpu":
            torch.set_num_threads(threads)
        look = looking(network.to(device), tuple(meta["mean"]), tuple(meta["std"]))
        return cls(look, meta, str(meta.get("id") or folder.name), device)

    def predict(self, image: NDArray[np.uint8]) -> Prediction:
        """Everything the version proposes for an image.

        Args:
            image: (H, W, 3) uint8 RGB of any size.
        """
        height, width = image.shape[:2]
        found = self.detections(image)
        probability = proposals.probability(found, height, width, len(self.categories))
        return Prediction(
            probability,
            uncertainty.uncertainty_map(probability),
            proposals.instances(found, height, width, self.categories, self.version),
        )

    def maps(self, image: NDArray[np.uint8]) -> tuple[Floats, InstanceMaps | None]:
        """The probability alone, see `Predictor.maps`: animals are told apart already."""
        found = self.detections(image)
        height, width = image.shape[:2]
        return proposals.probability(found, height, width, len(self.categories)), None

    def detections(self, image: NDArray[np.uint8]) -> Detections:
        """What is found in an image (H, W, 3) uint8 RGB, doubtful animals included.

        Raises:
            ValueError: this is no such image.
        """
        require_image(image)
        height, width = image.shape[:2]
        scaling = self.scaling
        wanted = scaling.wanted(width, height, scaling.small)
        return detect(self._look_at, image, scaling.usual(width, height), wanted, scaling.max_side)


def _no_maps(batch: Floats) -> list[Floats]:
    raise NotImplementedError("a Mask R-CNN gives detections, not maps")
