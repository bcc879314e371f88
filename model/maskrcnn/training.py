"""Training a Mask R-CNN version: one phase over the labeled images of a snapshot.

Everything else of a job - files, exit codes, log, time, resuming - is `TrainingLoop`'s.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data_io.atomic import recover_folder
from data_io.snapshot import SnapshotImage
from model import loader, validation
from model.checkpoint import version_meta, write_version
from model.config import TrainConfig
from model.maskrcnn import proposals
from model.maskrcnn.data import AnimalBatch, AnimalCrops
from model.maskrcnn.detections import detect, looking
from model.maskrcnn.network import MaskRcnn, MaskRcnnConfig, create_network, network_config
from model.memory import device_bytes, kept_bytes, refuse_beyond
from model.methods import StepLosses
from model.optimization import Optimization
from model.training_loop import NotFiniteError, TrainingLoop
from model.training_state import (
    StopRequest,
    copy_weights,
    random_states,
    read_state,
    set_random_states,
    write_state,
)

PROBE = 224  # side of the crop whose memory is counted: windows of 7 cells fit into it
COPIES = 4  # of the weights: the network, its gradient, two of the optimizer


class MaskRcnnTraining(TrainingLoop):
    """A job that learns to find animals one by one."""

    def __init__(self, job: Path, stop: StopRequest) -> None:
        super().__init__(job, stop)
        config = network_config(self.config, len(self.snapshot.categories))
        check_memory(self.config, config, self.device)
        # A job that goes on has its weights and downloads none.
        fresh = not recover_folder(job / "checkpoint")
        network, lacking = create_network(
            config, self.config.seed, self.config.pretrained and fresh
        )
        self.network = network.to(self.device)
        self.optimization = Optimization(self.network, self.config, self.device)
        self.animals = AnimalCrops(self.crops)
        self._begin()
        if lacking:
            self.log.say(lacking, **self._place())

    def _step(self, batch: AnimalBatch) -> StepLosses:
        """Learn a batch: the sum of what proposals, boxes, classes and masks lose."""
        self.optimization.set_rates(self._rate_factor())
        self.network.train()
        with self.optimization.autocast():
            losses = self.network(list(batch.image), list(batch.targets))
        total = torch.stack([loss.float() for loss in losses.values()]).sum()
        told = float(total.detach())
        if not math.isfinite(told):
            raise NotFiniteError
        self.optimization.step(total)
        return StepLosses(total, told)

    def _batches(self) -> Generator[tuple[AnimalBatch], None, None]:
        config = self.config
        made = loader.ahead(
            self.animals.batch, self.progress.total_step, config.prefetch, config.workers
        )
        with closing(made):
            for batch in made:
                yield (_moved(batch, self.device),)

    def _phase_message(self) -> str:
        return f"Mask R-CNN learns from {len(self.images.labeled)} labeled images"

    def _measure(self, images: Sequence[SnapshotImage]) -> dict[str, Any]:
        crops, classes = self.crops, self.network.config.classes
        look = looking(self.network.eval(), crops.mean, crops.std)

        def classify(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
            height, width = pixels.shape[:2]
            usual = crops.scaling.usual(width, height)
            found = detect(look, pixels, usual, 1.0, crops.scaling.max_side)
            maps = proposals.probability(found, height, width, classes - 1)
            return validation.most_probable(maps, height, width)

        return validation.measure(classify, classes, images, crops.frames, self.stop.check)

    def finish(self) -> None:
        """Write the version and the result."""
        metrics, why = self._metrics(0), "kept the only phase of a Mask R-CNN"
        self.log.say(why, **self._place())
        meta = version_meta(
            self.network.config.as_dict(),
            (self.crops.mean, self.crops.std),
            self.config,
            [category.id for category in self.snapshot.categories],
            metrics,
            **self._origin(0),
        )
        write_version(self.job / "version", copy_weights(self.network), meta)
        self._end(0, metrics, why)

    def save(self) -> None:
        """Replace the checkpoint."""
        self.progress.seconds = self.pace.elapsed()
        stored = {
            "network": self.network.state_dict(),
            **self.optimization.state(),
            **random_states(self.device),
        }
        write_state(self.job / "checkpoint", stored, self.progress, self._identity())

    def _restore(self, folder: Path) -> None:
        stored = read_state(folder)
        self.network.load_state_dict(stored["network"])
        self.optimization.restore(stored)
        set_random_states(stored, self.device)


def _moved(batch: AnimalBatch, device: torch.device) -> AnimalBatch:
    targets = ({name: part.to(device) for name, part in one.items()} for one in batch.targets)
    return AnimalBatch(batch.image.to(device), tuple(targets))


def check_memory(config: TrainConfig, network: MaskRcnnConfig, device: torch.device) -> None:
    """Refuse a training that cannot fit, see `model.memory`.

    Counted are the weights and what the backbone keeps of every crop; the heads come on top.

    Raises:
        DataError: it needs more than the device has.
    """
    weights, kept = kept_bytes(lambda: MaskRcnn(network), lambda net, x: net.backbone(x), PROBE)
    half = 1 if config.autocast == "off" else 2
    needed = COPIES * weights + config.batch * kept * (config.crop / PROBE) ** 2 / half
    refuse_beyond(
        needed,
        device_bytes(device, config.gpu_share),
        f"{config.batch} crops of {config.crop} pixels",
    )
