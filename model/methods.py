"""One training step of each method: what is computed from a batch, and which losses come out.

A step computes losses; `train.py` owns the optimizer. All methods share the supervised part; the
others differ in what they do with unlabeled crops, which are ADDED to the labeled ones:

    mean_teacher  pseudo-labels of the teacher on the weak view teach the strong view
    cutmix        the same on crops mixed with their neighbors
    u2pl          the same for reliable pixels, unreliable ones become negatives of the classes they
                  surely are not
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model import contrast, pseudo_labels
from model.augment import CutMix
from model.config import IGNORE, TrainConfig
from model.contrast import MemoryBanks
from model.dataset import LabeledBatch, UnlabeledBatch
from model.network import STRIDE, SegmentationNetwork


@dataclass
class Learner:
    """What a step works on: both networks, the memory banks and the random numbers."""

    student: SegmentationNetwork
    teacher: SegmentationNetwork
    banks: MemoryBanks
    config: TrainConfig
    generator: torch.Generator  # of anchors, keys and negatives
    progress: float = 0.0  # t / T of the second phase

    @property
    def classes(self) -> int:
        """C."""
        return self.student.config.classes


@dataclass
class StepLosses:
    """Losses of one step; `total` carries the gradient (Eq. 1)."""

    total: Tensor
    supervised: float
    unsupervised: float = 0.0
    contrastive: float = 0.0
    reliable: float = 0.0  # share of the valid unlabeled pixels that taught


Step = Callable[[Learner, LabeledBatch, UnlabeledBatch, np.random.Generator], StepLosses]


@dataclass(frozen=True)
class Opinion:
    """The teacher's answer to images, at stride 4: p (B, C, h, w) and z (B, D, h, w)."""

    probability: Tensor
    representation: Tensor


def supervised(learner: Learner, labeled: LabeledBatch) -> StepLosses:
    """L_s alone (Eq. 2)."""
    learner.student.train()
    loss = pseudo_labels.pixel_loss(
        _upsample(learner.student(labeled.image), labeled.label), labeled.label
    )
    return StepLosses(loss, float(loss.detach()))


def mean_teacher(
    learner: Learner, labeled: LabeledBatch, unlabeled: UnlabeledBatch, rng: np.random.Generator
) -> StepLosses:
    """L_s + lambda_u L_u on strong views of whole crops."""
    return _consistency(learner, labeled, unlabeled, CutMix(()))


def cutmix(
    learner: Learner, labeled: LabeledBatch, unlabeled: UnlabeledBatch, rng: np.random.Generator
) -> StepLosses:
    """L_s + lambda_u L_u on mixed crops."""
    return _consistency(learner, labeled, unlabeled, _mix(unlabeled, rng))


def _consistency(
    learner: Learner, labeled: LabeledBatch, unlabeled: UnlabeledBatch, mix: CutMix
) -> StepLosses:
    losses = supervised(learner, labeled)
    measure(learner.teacher, labeled.image)
    opinion = ask(learner.teacher, unlabeled.weak)
    p = _upsample(opinion.probability, unlabeled.valid)
    target = torch.where(unlabeled.valid, p.argmax(dim=1), IGNORE)
    target = mix.apply(pseudo_labels.confident(target, p, learner.config.confidence))
    learner.student.train_with_fixed_statistics()
    logits = learner.student(mix.apply(unlabeled.strong))
    return _with_unsupervised(learner, losses, logits, target, mix.apply(unlabeled.valid))


def u2pl(
    learner: Learner, labeled: LabeledBatch, unlabeled: UnlabeledBatch, rng: np.random.Generator
) -> StepLosses:
    """L_s + lambda_u L_u + lambda_c L_c (Eq. 1).

    The teacher sees un-mixed weak views, once, in eval mode; its answers are mixed like the pixels.
    Labeled crops alone move the batch statistics of both networks (docs/decisions/0009).
    """
    config, mix = learner.config, _mix(unlabeled, rng)
    alpha = pseudo_labels.alpha_at(learner.progress, config.alpha_0)
    sure, unsure = measure(learner.teacher, labeled.image), ask(learner.teacher, unlabeled.weak)

    learner.student.train()
    logits, z_l = learner.student.forward_both(labeled.image)
    loss = pseudo_labels.pixel_loss(_upsample(logits, labeled.label), labeled.label)
    losses = StepLosses(loss, float(loss.detach()))

    p = _upsample(unsure.probability, unlabeled.valid)
    parts = pseudo_labels.partition(p, unlabeled.valid, alpha)
    target = mix.apply(pseudo_labels.confident(parts.label, p, config.confidence))
    learner.student.train_with_fixed_statistics()
    logits, z_u = learner.student.forward_both(mix.apply(unlabeled.strong))
    losses = _with_unsupervised(learner, losses, logits, target, mix.apply(unlabeled.valid))

    mixed = Opinion(mix.apply(unsure.probability, STRIDE), mix.apply(unsure.representation, STRIDE))
    small = pseudo_labels.partition(unsure.probability, _at_stride(unlabeled.valid), alpha)
    pseudo, doubtful, nats, valid = (
        mix.apply(maps, STRIDE)
        for maps in (small.label, small.unreliable, small.entropy, _at_stride(unlabeled.valid))
    )
    anchors, keys = _select(
        learner, sure, _at_stride(labeled.label), mixed, pseudo, doubtful, nats, valid
    )
    teacher = torch.cat([sure.representation, mixed.representation])
    l_c = _contrast(learner, torch.cat([z_l, z_u]), teacher, anchors, keys, len(labeled.image))
    losses.total = losses.total + config.lambda_c * l_c
    losses.contrastive = float(l_c.detach())
    return losses


STEPS: dict[str, Step] = {"mean_teacher": mean_teacher, "cutmix": cutmix, "u2pl": u2pl}


@torch.no_grad()
def ask(teacher: SegmentationNetwork, images: Tensor) -> Opinion:
    """p and z of the teacher in eval mode, float32."""
    teacher.eval()
    return _opinion(teacher, images)


@torch.no_grad()
def measure(teacher: SegmentationNetwork, images: Tensor) -> Opinion:
    """As `ask` of labeled crops, with their batch statistics, which move the teacher's own."""
    teacher.eval_with_moving_statistics()
    return _opinion(teacher, images)


def _opinion(teacher: SegmentationNetwork, images: Tensor) -> Opinion:
    logits, z = teacher.forward_both(images)
    return Opinion(logits.float().softmax(dim=1), z.float())


@torch.no_grad()
def move_teacher(teacher: torch.nn.Module, student: torch.nn.Module, decay: float) -> None:
    """theta_t <- m theta_t + (1 - m) theta_s; buffers stay, `measure` keeps them.

    Batch statistics averaged over steps belong to none of the networks they were measured in.
    """
    for ours, theirs in zip(teacher.parameters(), student.parameters(), strict=True):
        ours.lerp_(theirs, 1.0 - decay)


def ema_decay(step: int, final: float) -> float:
    """m of the step-th update (from 0): min(1 - 1/(step + 1), final), a plain mean at first."""
    return min(1.0 - 1.0 / (step + 1), final)


def _with_unsupervised(
    learner: Learner, losses: StepLosses, logits: Tensor, target: Tensor, valid: Tensor
) -> StepLosses:
    """Add lambda_u L_u, the mean over ALL valid pixels (Eq. 3; see `pixel_loss`)."""
    count = valid.sum()
    l_u = pseudo_labels.pixel_loss(_upsample(logits, target), target, count)
    losses.total = losses.total + learner.config.lambda_u * l_u
    losses.unsupervised = float(l_u.detach())
    losses.reliable = float((target != IGNORE).sum() / count.clamp(min=1))
    return losses


def _select(
    learner: Learner,
    sure: Opinion,
    label: Tensor,
    unsure: Opinion,
    pseudo: Tensor,
    doubtful: Tensor,
    nats: Tensor,
    valid: Tensor,
) -> tuple[Tensor, Tensor]:
    """A_c and n(c) as (C, B, h, w) masks, labeled images first (Eq. 9-15)."""
    delta_p, rule = learner.config.delta_p, contrast.rule_for(learner.classes)
    floor = contrast.KEY_FLOOR if learner.classes < contrast.MANY_CLASSES else 0
    anchors = [
        contrast.anchor_masks(sure.probability, label, delta_p),
        contrast.anchor_masks(unsure.probability, pseudo, delta_p),
    ]
    keys = [
        contrast.negatives_labeled(sure.probability, label, rule),
        contrast.negatives_unlabeled(unsure.probability, doubtful, rule, nats, valid, floor),
    ]
    return torch.cat(anchors, dim=1), torch.cat(keys, dim=1)


def _contrast(
    learner: Learner, student: Tensor, teacher: Tensor, anchors: Tensor, keys: Tensor, labeled: int
) -> Tensor:
    """Store this step's keys, then L_c against the banks (Eq. 4, 16)."""
    config = learner.config
    quota = config.quota if learner.classes < contrast.MANY_CLASSES else 0
    contrast.enqueue(learner.banks, teacher, keys, labeled, quota, learner.generator)
    return contrast.contrastive_loss(
        student,
        teacher,
        anchors,
        learner.banks,
        config.anchors,
        config.negatives,
        config.temperature,
        learner.generator,
    )


def _mix(unlabeled: UnlabeledBatch, rng: np.random.Generator) -> CutMix:
    return CutMix.draw(len(unlabeled.weak), unlabeled.weak.shape[-1], rng)


def _upsample(maps: Tensor, like: Tensor) -> Tensor:
    """Stride-4 maps (B, K, h, w) -> float32 at the size of (B, H, W) labels."""
    size = like.shape[-2:]
    return F.interpolate(maps.float(), size=size, mode="bilinear", align_corners=False)


def _at_stride(labels: Tensor) -> Tensor:
    """(B, H, W) -> (B, H/4, W/4): the pixel next to the center of each cell."""
    return labels[:, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
