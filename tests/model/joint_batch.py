"""Run by `test_distributed` in one process and, through torchrun, in two: the same joint batches.

``torchrun ... tests/model/joint_batch.py OUT`` writes what the leader knows after each case.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model import distributed, methods
from model.config import IGNORE, TrainConfig
from model.dataset import LabeledBatch, UnlabeledBatch
from model.instance_losses import AnimalLabels
from model.network import SegmentationNetwork
from model.optimization import Optimization
from model.targets import animal_targets
from model.training_setup import create_learner

NAMES = ("total", "supervised", "unsupervised", "contrastive", "instances", "reliable")
CPU = torch.device("cpu")
CROPS, SIDE, STEPS = 4, 64, 2
TINY = TrainConfig(
    crop=SIDE,
    batch=CROPS,
    batch_unlabeled=CROPS,
    decoder_channels=8,
    representation_channels=4,
    pretrained=False,
    bank=300,
    quota=100,
    confidence=0.0,
    optimizer="sgd",  # Adam would turn a rounding error of a tiny gradient into a whole step
    lr_encoder=1e-3,
    lr_heads=1e-2,
)
# name -> categories, method, settings
CASES: dict[str, tuple[int, str, dict[str, Any]]] = {
    "supervised": (1, "supervised", {"auxiliary": 0.4, "ohem": 0.3, "ohem_kept": 5000}),
    "mean_teacher": (1, "mean_teacher", {}),
    "cutmix": (1, "cutmix", {"normalize_kept": True}),
    "u2pl": (1, "u2pl", {"key_floor": 500}),
    "u2pl, calibrated": (2, "u2pl", {"wrong_keys": 0.4, "clip_norm": 0.1}),
    "u2pl, instances": (1, "u2pl", {"instances": True, "lambda_i": 1.0}),
    "u2pl, many classes": (20, "u2pl", {"delta_p": 0.04}),
}


def batches(classes: int, step: int) -> tuple[LabeledBatch, UnlabeledBatch]:
    """This process's share of a joint batch whose crops have very unequal counts of pixels."""
    generator = torch.Generator().manual_seed(100 + step)
    label = torch.randint(classes, (CROPS, SIDE // 8, SIDE // 8), generator=generator)
    label = label.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
    valid = torch.ones(CROPS, SIDE, SIDE, dtype=torch.bool)
    for k in range(CROPS):
        label[k, : 15 * k] = IGNORE
        valid[k, :, : 12 * k] = False
    image, weak = torch.randn(2, CROPS, 3, SIDE, SIDE, generator=generator).unbind()
    image[:, 0] += label * 0.3
    own = distributed.own_part
    targets = [
        animal_targets((np.arange(SIDE * SIDE) // 500).reshape(SIDE, SIDE).astype(np.uint16))
    ]
    parts = [torch.from_numpy(np.stack(part * CROPS)) for part in zip(*targets, strict=True)]
    labeled = LabeledBatch(own(image), own(label), AnimalLabels(*map(own, parts)))
    return labeled, UnlabeledBatch(own(weak), own(weak * 0.8), own(valid))


def decide(network: SegmentationNetwork) -> None:
    """Dropout off, since it draws by shape, and opinions too strong for rounding to turn them."""
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout | torch.nn.Dropout2d):
            module.p = 0.0
        if isinstance(module, torch.nn.Conv2d) and module.out_channels == network.config.classes:
            with torch.no_grad():
                module.weight *= 30.0


def outcome(categories: int, method: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Losses of each step, the first joint gradient, and the state after the last step."""
    config = TrainConfig(**{**TINY.as_dict(), "aspp": (), **settings})
    learner = create_learner(config, categories, CPU)
    for network in (learner.student, learner.teacher):
        decide(network)
    distributed.join(learner.student, learner.teacher, seed=config.seed)
    optimization = Optimization(learner.student, config, CPU)
    found: dict[str, Any] = {"losses": []}
    for step in range(STEPS):
        labeled, unlabeled = batches(categories + 1, step)
        if method == "supervised":
            losses = methods.supervised(learner, labeled)
        else:
            rng = np.random.default_rng(step)
            losses = methods.STEPS[method](learner, labeled, unlabeled, rng)
        told = losses.joint()
        found["losses"].append(
            [float(torch.as_tensor(getattr(told, name)).detach()) for name in NAMES]
        )
        optimization.step(losses.total)
        if step == 0:
            parameters = learner.student.named_parameters()
            found["gradient"] = {n: p.grad.clone() for n, p in parameters if p.grad is not None}
        methods.move_teacher(learner.teacher, learner.student, 0.5)
    found["banks"] = learner.banks.state()
    found["student"] = learner.student.state_dict()
    found["teacher"] = learner.teacher.state_dict()
    return found


def main(out: Path) -> None:
    """All cases; the leader writes them."""
    torch.set_num_threads(1)
    distributed.start(CPU)
    with distributed.ended():
        found = {name: outcome(*case) for name, case in CASES.items()}
        if distributed.leads():
            torch.save(found, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
