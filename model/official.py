"""The published code's losses, faults included; `compat="official"` trains with them.

They differ from the paper's (docs/decisions/0003 and the notes below) and exist to be compared with
it: tests hold them against numbers that were computed from the published code, commit ab3d2be of
https://github.com/Haochen-Wang409/U2PL. Written anew from a description of what that code does.

Convention as in `contrast`, but maps of classes are (B, C, h, w).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from model.augment import CutMix
from model.banks import MemoryBanks
from model.config import IGNORE, TrainConfig
from model.contrast import class_ranks
from model.pixel_losses import upsample

_EPSILON = 1e-10  # inside the logarithm of the entropy

Sampler = Callable[[int, int], Tensor]  # (end, count) -> count indices in [0, end)
Integers = Callable[[int, int], int]  # (start, end) -> an integer in [start, end)


@dataclass(frozen=True)
class Rule:
    """Settings of the published contrastive loss; M and N are swapped against the paper."""

    low_rank: int = 3
    high_rank: int = 20
    delta_p: float = 0.3
    temperature: float = 0.5
    anchors: int = 256  # M
    negatives: int = 50  # N

    @staticmethod
    def of(config: TrainConfig) -> Rule:
        """The settings' numbers; ranks that are left open are the published ones."""
        return Rule(
            config.rank_low or 3,
            config.rank_high or 20,
            config.delta_p,
            config.temperature,
            config.anchors,
            config.negatives,
        )


@dataclass(frozen=True)
class JointBatch:
    """What both networks say about labeled and, after them, unlabeled images, at stride 4."""

    logits: Tensor  # student, (B, C, h, w)
    representation: Tensor  # student, (B, D, h, w)
    teacher_logits: Tensor
    teacher_representation: Tensor
    label_l: Tensor  # (B_l, H, W)
    label_u: Tensor  # (B_u, H, W), pseudo-labels


def losses(
    batch: JointBatch, alpha: float, banks: MemoryBanks, rule: Rule, sample: Sampler
) -> tuple[Tensor, Tensor, float]:
    """L_u, L_c and the share of pixels that taught in a step; alpha in percent."""
    labeled, classes = len(batch.label_l), batch.logits.shape[1]
    large = upsample(batch.teacher_logits[labeled:], batch.label_u).softmax(dim=1)
    kept = kept_labels(batch.label_u, large, 100.0 - alpha)
    l_u = unsupervised_loss(upsample(batch.logits[labeled:], kept), kept)
    height, width = batch.representation.shape[-2:]
    low, high = entropy_masks(large, batch.label_l, batch.label_u, alpha, (height, width))
    hot = torch.cat([one_hot(label, classes) for label in (batch.label_l, batch.label_u)])
    l_c, _ = contrastive_loss(
        batch.representation,
        batch.teacher_representation,
        batch.teacher_logits.float().softmax(dim=1),
        shrink(hot, (height, width)),
        low,
        high,
        labeled,
        banks,
        rule,
        sample,
    )
    share = (kept != IGNORE).sum() / (batch.label_u != IGNORE).sum().clamp(min=1)
    return l_u, l_c, float(share)


def alpha_percent(progress: float, alpha_0: float = 0.2) -> float:
    """alpha_t in percent: 20 falling to 0, a step an epoch."""
    return 100.0 * alpha_0 * (1.0 - progress)


def entropy(probability: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H, W) nats, with the published guard against log 0."""
    return -(probability * (probability + _EPSILON).log()).sum(dim=1)


def percentile(values: Tensor, percent: float) -> Tensor:
    """Linearly interpolated; +inf without values, where the published code stops with an error."""
    if values.numel() == 0:
        return values.new_full((), torch.inf)
    ordered = values.flatten().sort().values
    place = percent / 100.0 * (len(ordered) - 1)
    low = min(int(place), len(ordered) - 1)
    high = min(low + 1, len(ordered) - 1)
    between = ordered[low].double().lerp(ordered[high].double(), place - low)
    return between.to(values.dtype)


def kept_labels(target: Tensor, probability: Tensor, percent: float) -> Tensor:
    """`target` (B, H, W) with 255 where the entropy reaches its percentile.

    Even at 100 percent the most uncertain pixels go.
    """
    nats = entropy(probability)
    return target.masked_fill(nats >= percentile(nats[target != IGNORE], percent), IGNORE)


def unsupervised_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross entropy of the kept pixels, times all pixels over kept pixels.

    That divides by the kept pixels twice, where Eq. 3 with Eq. 8 does once. With nothing kept 0,
    where the published code gives NaN.

    Args:
        logits: the student's (B, C, H, W). target: what `kept_labels` leaves.
    """
    kept = int((target != IGNORE).sum())
    if kept == 0:
        return logits.sum() * 0.0
    total = F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="sum")
    return total * (target.numel() / kept**2)


def one_hot(label: Tensor, classes: int) -> Tensor:
    """(B, H, W) -> (B, C, H, W) bool as published: right for a batch of one only.

    The labels of every image land in the first one, 255 as class 0; all other images get none.
    """
    known = label.masked_fill(label == IGNORE, 0).unsqueeze(1)
    each = known == torch.arange(classes, device=label.device).view(1, -1, 1, 1)
    hot = torch.zeros_like(each)
    hot[0] = each.any(dim=0) & (label[0] != IGNORE)
    return hot


def entropy_masks(
    probability: Tensor, label_l: Tensor, label_u: Tensor, alpha: float, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Low and high entropy masks (B, h, w) bool, labeled images first, all of their pixels in both.

    The LOWEST alpha_t percent may become anchors, where the paper takes all reliable pixels.

    Args:
        probability: the teacher's of the unlabeled images, (B_u, C, H, W).
        label_l, label_u: (B, H, W). alpha: in percent.
        size: h and w, taken from H and W by nearest neighbor.
    """
    nats, valid = entropy(probability), label_u != IGNORE
    low = valid & (nats <= percentile(nats[valid], alpha))
    high = valid & (nats >= percentile(nats[valid], 100.0 - alpha))
    known = label_l != IGNORE
    both = torch.cat([torch.cat([known, part]).unsqueeze(1) for part in (low, high)], dim=1)
    small = shrink(both, size)
    return small[:, 0], small[:, 1]


def shrink(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest neighbor of (B, K, H, W) bool masks."""
    return F.interpolate(masks.float(), size=size, mode="nearest") > 0


def contrastive_loss(
    student: Tensor,
    teacher: Tensor,
    probability: Tensor,
    hot: Tensor,
    low: Tensor,
    high: Tensor,
    labeled: int,
    banks: MemoryBanks,
    rule: Rule,
    sample: Sampler,
) -> tuple[Tensor, list[int]]:
    """The published L_c and how many keys each class got; keys go into `banks` first.

    Faults kept: positives ignore delta_p; negatives must be labeled c, which leaves none of the
    labeled ones; anchors and positives are counted over all classes, banks over those that are
    present, so that after a missing one they no longer belong together; one class alone gives 0.

    Args:
        student, teacher: (B, D, h, w). probability: the teacher's (B, C, h, w).
        hot: labels and pseudo-labels (B, C, h, w) bool. low, high: see `entropy_masks`.
        labeled: number of labeled images, which come first.
        sample: called for each class, first for anchors, then for their negatives in row order.
    """
    rows, teacher_rows = _rows(student), _rows(teacher.detach())
    sure = (hot & low.unsqueeze(1)).transpose(0, 1).flatten(1)
    likely = (probability > rule.delta_p).transpose(0, 1).flatten(1)
    negative = _negatives(probability, hot, high, labeled, rule)
    for c, mask in enumerate(negative):
        banks.push(c, teacher_rows[mask])
    pushed = negative.sum(dim=1).tolist()
    present = [c for c, mask in enumerate(sure) if mask.any()]
    if len(present) <= 1:
        return student.sum() * 0.0, pushed
    total = student.sum() * 0.0
    for i, c in enumerate(present):
        candidates, bank = rows[sure[i] & likely[i]], banks.keys(c)
        if len(candidates) and len(bank):
            positive = teacher_rows[sure[i]].mean(dim=0)
            total = total + _class_loss(candidates, positive, bank, rule, sample)
    return total / len(present), pushed


def _negatives(probability: Tensor, hot: Tensor, high: Tensor, labeled: int, rule: Rule) -> Tensor:
    """(C, B * h * w) bool."""
    ranks = class_ranks(probability)
    ranked = (ranks >= rule.low_rank) & (ranks < rule.high_rank)
    ranked[:labeled] = (ranks[:labeled] < rule.low_rank) & ~hot[:labeled]
    below_one = probability < 1.0  # delta_n, a threshold that binds nothing
    return (hot & high.unsqueeze(1) & ranked & below_one).transpose(0, 1).flatten(1)


def _class_loss(
    candidates: Tensor, positive: Tensor, bank: Tensor, rule: Rule, sample: Sampler
) -> Tensor:
    z = F.normalize(candidates[sample(len(candidates), rule.anchors)], dim=1)
    drawn = bank[sample(len(bank), rule.anchors * rule.negatives)]
    far = torch.einsum("md,mnd->mn", z, drawn.view(rule.anchors, rule.negatives, -1))
    near = z @ F.normalize(positive, dim=0)
    scores = torch.cat([near.unsqueeze(1), far], dim=1) / rule.temperature
    return (scores.logsumexp(dim=1) - scores[:, 0]).mean()


def _rows(maps: Tensor) -> Tensor:
    """(B, D, h, w) -> (B * h * w, D): images, then rows, then columns."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


def capacities(classes: int, size: int) -> list[int]:
    """Keys each bank holds: 50000 of the background for 30000 of any other class."""
    return [size * 5 // 3] + [size] * (classes - 1)


def draw_cutmix(batch: int, height: int, width: int, integers: Integers) -> CutMix:
    """A box of half the area in every crop; the caller tosses one coin for the whole batch."""
    boxes = []
    for _ in range(batch):
        w = integers(width // 2 + 1, width)
        h = round(height * width / 2 / w)
        x, y = integers(0, width - w + 1), integers(0, height - h + 1)
        boxes.append((x, y, x + w, y + h))
    return CutMix(tuple(boxes))
