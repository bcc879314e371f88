"""What the phases of a training are judged on, and with what outcome."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data_io.errors import DataError
from data_io.images import read
from data_io.snapshot import SnapshotImage
from model import agreement, distributed, glances, validation
from model.agreement import Agreement
from model.calibrate import Calibration, calibration, samples
from model.dataset import Crops, label_map
from model.instances import STRIDE
from model.network import SegmentationNetwork
from model.predictor import Predictor
from model.training_state import Cancelled

MOST_CALIBRATING = 12  # validation images that a temperature is fitted to
JUDGED_WITHOUT_VALIDATION = 6  # labeled images that show whether a network is degenerate


class Judging:
    """Measures networks on validation images, or on labeled and unlabeled ones without any.

    Attributes:
        judged: images that each phase is measured on.
        looked: validation images that a running phase is looked at with.
        compared: unlabeled images on which two phases are compared, where nothing else can.
        calibrating: validation images that the temperature of a version is fitted to.
    """

    def __init__(self, crops: Crops, phases: int, stop: Callable[[], None]) -> None:
        self.crops, self.stop = crops, stop
        images = crops.images
        self.judged: list[SnapshotImage] = (
            validation.spread(images.validation, validation.MOST_IMAGES)
            if images.validation
            else validation.spread(images.labeled, JUDGED_WITHOUT_VALIDATION)
        )
        self.looked = validation.spread(images.validation, glances.LOOKED)
        self.compared: list[SnapshotImage] = []
        self.calibrating = validation.spread(images.validation, MOST_CALIBRATING)
        if not images.validation and phases > 1:
            self.compared = validation.spread(images.unlabeled, agreement.COMPARED)

    @property
    def words(self) -> str:
        """What the judged images are."""
        return "validation" if self.crops.images.validation else "labeled"

    @property
    def comparison(self) -> float:
        """What comparing two phases and calibrating costs, in measurements of one phase."""
        # By two networks each; by the predictor, which glances at the mirror image, too.
        looks = 2 * len(self.compared) + 1.25 * len(self.calibrating)
        return looks / max(len(self.judged), 1)

    def measure(
        self, network: SegmentationNetwork, images: Sequence[SnapshotImage], device: torch.device
    ) -> dict[str, Any]:
        """The leader's figures of a phase on images; other processes wait, and get none.

        Raises:
            Cancelled: in every process, when the leader was asked to stop meanwhile.
        """
        found: dict[str, Any] = {}
        stopped = False
        if distributed.leads():
            crops = self.crops
            try:
                found = validation.judge(
                    network, images, crops.frames, crops.mean, crops.std, self.stop
                )
            except Cancelled:
                stopped = True
        if distributed.any_of(stopped, device):
            raise Cancelled
        return found

    def choose(
        self,
        judged: list[dict[str, Any]],
        last: SegmentationNetwork,
        first: dict[str, Tensor] | None,
    ) -> tuple[int, str, Agreement | None]:
        """Index of the phase to keep, why, and how the phases agree where that was looked at.

        Args:
            judged: figures of each phase.
            last: network of the last phase. first: weights of the one before it.
        """
        kept, why = validation.choose_phase(judged, bool(self.crops.images.validation))
        if not self.compared or first is None:
            return kept, why, None
        found = self._compare(last, first)
        objection = agreement.objection(found) if kept else None
        return (0, objection, found) if objection else (kept, why, found)

    def calibrate(self, network: SegmentationNetwork, device: torch.device) -> Calibration:
        """How sure a version with this network should be, by the validation images.

        The network's predictor answers, so what is calibrated is what people will see.
        """
        crops, found = self.crops, []
        meta = {
            "categories": ["" for _ in range(network.config.categories)],
            "max_side": crops.scaling.max_side,
            "least_animal": crops.scaling.least,
            "small_animal": crops.scaling.small,
            "mean": crops.mean,
            "std": crops.std,
        }
        predictor = Predictor.of_network(network, meta, device.type)
        for record in self.calibrating:
            self.stop()
            said, _ = predictor.maps(read(Path(record.path)))
            labels = label_map(record)
            if said.shape[1:] != (-(-labels.shape[0] // STRIDE), -(-labels.shape[1] // STRIDE)):
                raise DataError(record.path, "the image changed its size", "import it again")
            found.append(samples(said, labels))
        return calibration(found)

    def _compare(self, last: SegmentationNetwork, first: dict[str, Tensor]) -> Agreement:
        before = copy.deepcopy(last)
        before.load_state_dict(first)
        crops = self.crops
        return agreement.of_networks(
            before,
            last,
            self.compared,
            self.judged,
            crops.frames,
            crops.mean,
            crops.std,
            self.stop,
        )
