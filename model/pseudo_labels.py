"""Entropy, the reliable / unreliable partition and the unsupervised loss   (U2PL, Eq. 3, 5-8).

Convention: probabilities are the teacher's softmax, (B, C, h, w) float32; masks and label maps are
(B, h, w); label 255 teaches nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from model.config import IGNORE
from model.distributed import gathered, total

PER_CLASS_BELOW = 6  # classes; fewer use one entropy threshold a predicted class
_SORTABLE = 1 << 23  # torch.quantile refuses more than 2^24 values


@dataclass(frozen=True)
class Partition:
    """What a teacher's prediction may be used for."""

    label: Tensor  # (B, h, w) int64: pseudo-label where reliable, else 255
    unreliable: Tensor  # (B, h, w) bool: H > gamma_t
    entropy: Tensor  # (B, h, w) nats
    valid: Tensor  # (B, h, w) bool, False on padding
    gamma: Tensor  # (C,) thresholds, all equal unless taken per predicted class

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Partition:
        """The same with every map changed, e.g. mixed like the pixels."""
        maps = ("label", "unreliable", "entropy", "valid")
        return dataclasses.replace(self, **{name: change(getattr(self, name)) for name in maps})


def entropy(probability: Tensor) -> Tensor:
    """H = -sum_c p(c) log p(c) in nats, (B, C, h, w) -> (B, h, w); 0 log 0 = 0   (Eq. 5)."""
    nats = torch.zeros_like(probability[:, 0])
    for p in probability.unbind(dim=1):  # a class at a time: no temporary as large as the input
        nats -= p * p.clamp(min=torch.finfo(p.dtype).tiny).log()
    return nats


def most_probable(probability: Tensor) -> Tensor:
    """argmax over classes, the first of equals, (B, C, h, w) -> (B, h, w) int64.

    On the CPU comparing with the maximum is several times faster than `argmax` over planes.
    """
    classes, best = probability.shape[1], probability.amax(dim=1)
    from_last = torch.ones(best.shape, dtype=torch.uint8, device=best.device)  # C - class
    for c, p in enumerate(probability.unbind(dim=1)):
        torch.maximum(from_last, (p == best).view(torch.uint8).mul_(classes - c), out=from_last)
    return classes - from_last.long()


def alpha_at(progress: float, alpha_0: float) -> float:
    """Share of unreliable pixels, falling linearly to 0 over the phase (Eq. 7).

    Args:
        progress: t / T in [0, 1].
    """
    return alpha_0 * (1.0 - min(max(progress, 0.0), 1.0))


def partition(
    probability: Tensor, valid: Tensor, alpha: float, per_class: bool | None = None
) -> Partition:
    """Split pixels by entropy at its (1 - alpha) quantile over the joint batch (Eq. 6).

    With few classes one quantile over all pixels drops a thin class (it is always the uncertain
    one) entirely until alpha falls below its share; then the quantile is taken among the pixels of
    each predicted class. Pixels AT the threshold are neither reliable nor unreliable, so a
    teacher with one entropy everywhere teaches nothing instead of something undefined.

    Args:
        valid: (B, h, w) bool, False on padding.
        alpha: share of unreliable pixels, 0 to 1.
        per_class: None decides by the number of classes.
    """
    classes = probability.shape[1]
    label = most_probable(probability)
    nats = entropy(probability)
    if per_class is None:
        per_class = classes < PER_CLASS_BELOW
    every, known = gathered(nats), gathered(valid)
    if per_class:
        predicted = gathered(label)
        groups = [known & (predicted == c) for c in range(classes)]
        gamma = torch.stack([_quantile(every[group], 1.0 - alpha) for group in groups])
    else:
        gamma = _quantile(every[known], 1.0 - alpha).expand(classes)
    threshold = gamma[label]
    return Partition(
        label=torch.where(valid & (nats < threshold), label, IGNORE),
        unreliable=valid & (nats > threshold),
        entropy=nats,
        valid=valid,
        gamma=gamma,
    )


def _quantile(values: Tensor, share: float) -> Tensor:
    """Linearly interpolated quantile; +inf for no values, so that an empty group binds nothing."""
    if values.numel() == 0:
        return torch.full((), torch.inf, dtype=values.dtype, device=values.device)
    step = -(-values.numel() // _SORTABLE)
    return torch.quantile(values[::step], share)


def confident(label: Tensor, probability: Tensor, confidence: float) -> Tensor:
    """`label` (B, h, w) with 255 where the largest probability is below `confidence`."""
    return torch.where(probability.amax(dim=1) >= confidence, label, IGNORE)


def pixel_loss(logits: Tensor, label: Tensor, count: Tensor | None = None) -> Tensor:
    """Share of the cross entropy of (B, C, H, W) logits over labels (B, H, W) != 255 (Eq. 2, 3).

    Args:
        count: what the sum is divided by; None = the labeled pixels. The unsupervised loss passes
            ALL valid pixels: dividing by the kept ones (Eq. 8) gives the few confident pixels of
            an early teacher the weight of a whole crop.

    Returns:
        A scalar, 0 with a gradient of 0 when nothing is labeled. Of several processes each one gets
        its sum over the count of all.
    """
    summed = F.cross_entropy(logits, label, ignore_index=IGNORE, reduction="sum")
    if count is None:
        count = (label != IGNORE).sum()
    return summed / total(count).clamp(min=1)


def soft_pixel_loss(
    logits: Tensor, probability: Tensor, label: Tensor, count: Tensor | None = None
) -> Tensor:
    """`pixel_loss` whose targets are probabilities: -sum_c p(c) log q(c) where label != 255.

    A hard label says of a border pixel no more than of the middle of an animal; what the teacher
    is unsure of stays unsure here (docs/decisions/0025).

    Args:
        probability: (B, C, H, W), the teacher's.
        label: (B, H, W), which pixels teach; as `count` it means the same as in `pixel_loss`.
    """
    taught = label != IGNORE
    nats = -(probability * logits.log_softmax(dim=1)).sum(dim=1)
    if count is None:
        count = taught.sum()
    return torch.where(taught, nats, 0.0).sum() / total(count).clamp(min=1)
