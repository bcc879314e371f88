"""What the instance head loses: on labels, and beside the teacher on unlabeled crops.

After Panoptic-DeepLab (arXiv 1911.10194): squared error of the heat-map, absolute error of the
offsets; here relative to each animal, so that a calf far away counts as much as a cow in front.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from model.augment import CutMix
from model.config import IGNORE
from model.distributed import own, size, total
from model.network import STRIDE, Animals

HEAT = 100.0  # weight of the heat-map's squared error, most of which is 0
CORES = 2.0  # weight of the core map
RARE = 5.0  # how much more a labeled contact counts than a labeled cell without
LANDS = 0.3  # height of the teacher's hill that a vote must land on to teach
NEAR = 2  # cells around its landing in which a vote looks for a hill


class AnimalLabels(NamedTuple):
    """`model.targets.AnimalTargets` of a batch, as tensors."""

    center: Tensor  # (B, h, w)
    offset: Tensor  # (B, 2, h, w) pixels
    size: Tensor  # (B, h, w) pixels
    contact: Tensor  # (B, h, w)
    core: Tensor  # (B, h, w)


def labeled_loss(found: Animals, truth: AnimalLabels, label: Tensor) -> Tensor:
    """Loss on labeled crops, a scalar.

    Args:
        label: (B, h, w) int64 classes, 255 where nobody vouches.
    """
    known = label != IGNORE
    whole = truth.size > 0
    gap = (found.offset - truth.offset).abs().sum(dim=1) / truth.size.clamp(min=1.0)
    heat = (found.center.float().sigmoid() - truth.center) ** 2
    touching = _entropy(found.contact, truth.contact, RARE)
    deep = _entropy(found.core, truth.core)
    inside = whole & known
    return (
        HEAT * _mean(heat, known)
        + _mean(gap, inside)
        + _mean(touching, inside)
        + CORES * _mean(deep, known & (whole | (label == 0)))
    )


class AnimalOpinion(NamedTuple):
    """The teacher's answer to unlabeled crops."""

    center: Tensor  # (B, h, w) in [0, 1]
    offset: Tensor  # (B, 2, h, w) pixels
    contact: Tensor  # (B, h, w) in [0, 1]
    core: Tensor  # (B, h, w) in [0, 1]

    @staticmethod
    def of(found: Animals) -> AnimalOpinion:
        """Probabilities of the head's logits."""
        center, offset, contact, core = (part.float() for part in found)
        return AnimalOpinion(center.sigmoid(), offset, contact.sigmoid(), core.sigmoid())

    def with_mirrored(self, other: AnimalOpinion) -> AnimalOpinion:
        """The mean with the answer to the mirror images, turned back."""
        center, offset, contact, core = (part.flip(-1) for part in other)
        back = offset.new_tensor([-1.0, 1.0]).view(2, 1, 1)
        return AnimalOpinion(
            (self.center + center) / 2,
            (self.offset + offset * back) / 2,
            (self.contact + contact) / 2,
            (self.core + core) / 2,
        )


def unlabeled_loss(
    found: Animals, teacher: AnimalOpinion, animal: Tensor, valid: Tensor, unit: float, mix: CutMix
) -> Tensor:
    """Loss on mixed unlabeled crops, a scalar.

    A vote teaches where the teacher sees an animal, lands on a hill, and shows the crop that it
    lands in: CutMix may have put another one there.

    Args:
        found: the student's answer to mixed crops.
        teacher: the teacher's answer to them before they were mixed.
        animal: (B, h, w) the teacher's probability of any animal, not mixed.
        valid: (B, h, w) bool, not mixed.
        unit: pixels that a vote may be off by to count as wrong as a missed hill.
    """
    lands = valid & (animal >= 0.5) & (_landing(teacher) >= LANDS)
    center, contact, core = (
        mix.apply(m, STRIDE) for m in (teacher.center, teacher.contact, teacher.core)
    )
    offset, valid, lands, animal = (
        mix.apply(m, STRIDE) for m in (teacher.offset, valid, lands, animal)
    )
    lands = lands & _stays(offset, mix)
    gap = (found.offset - offset).abs().sum(dim=1) / unit
    heat = (found.center.float().sigmoid() - center) ** 2
    # The teacher's contacts count more already: counting them more again would raise them with
    # every step that the teacher follows, until animals fall into pieces.
    touching, deep = _entropy(found.contact, contact), _entropy(found.core, core)
    inside = valid & (animal >= 0.5)
    return (
        HEAT * _mean(heat, valid)
        + _mean(gap, lands)
        + _mean(touching, inside)
        + CORES * _mean(deep, valid)
    )


def _entropy(logits: Tensor, share: Tensor, more: float = 1.0) -> Tensor:
    """Cross-entropy beside shares in [0, 1]; `more` is how much more 1 counts than 0; (B, h, w)."""
    weight = torch.full_like(share, more)
    return F.binary_cross_entropy_with_logits(
        logits.float(), share, reduction="none", pos_weight=weight
    )


def _landing(teacher: AnimalOpinion) -> Tensor:
    """(B, h, w): the highest hill within `NEAR` cells of where each cell's vote lands."""
    highest = F.max_pool2d(teacher.center[:, None], 2 * NEAR + 1, stride=1, padding=NEAR)[:, 0]
    return _at_landing(highest, teacher.offset)


def _stays(offset: Tensor, mix: CutMix) -> Tensor:
    """(B, h, w) bool: the vote lands where its own crop shows, inside of the map."""
    batch, _, h, w = offset.shape
    numbers = own(range(1, batch * size() + 1))  # of the joint batch
    crop = torch.tensor(numbers, device=offset.device).view(-1, 1, 1).expand(-1, h, w)
    shown = mix.apply(crop.float(), STRIDE)
    return _at_landing(shown, offset) == shown


def _at_landing(maps: Tensor, offset: Tensor) -> Tensor:
    """(B, h, w) values of (B, h, w) maps at the cells that votes land on; 0 outside."""
    _, h, w = maps.shape
    y, x = torch.meshgrid(
        torch.arange(h, device=maps.device), torch.arange(w, device=maps.device), indexing="ij"
    )
    column = x + (offset[:, 0] / STRIDE).round().long()
    row = y + (offset[:, 1] / STRIDE).round().long()
    inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
    flat = (row.clamp(0, h - 1) * w + column.clamp(0, w - 1)).flatten(1)
    found = maps.flatten(1).gather(1, flat).view_as(maps)
    return torch.where(inside, found, torch.zeros_like(found))


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Share of the mean over chosen cells of all processes; 0 with a gradient of 0 for none."""
    summed = torch.where(where, values, torch.zeros_like(values)).sum()
    return summed / total(where.sum()).clamp(min=1)
