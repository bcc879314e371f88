"""Anchors, positives, negatives, memory banks and the contrastive loss   (U2PL, Eq. 4, 9-16).

Convention: C classes, B images, h x w pixels at stride 4, D channels. Masks are (C, B, h, w) bool,
probabilities are the teacher's softmax (B, C, h, w), representations are (B, D, h, w). Selection
costs memory only for what is selected: indices are drawn first, vectors gathered afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from model.config import IGNORE

MANY_CLASSES = 20  # from here on the paper's rule needs no companion
KEY_FLOOR = 64  # unlabeled keys a class and step, as far as p(c) <= p_max allows


@dataclass(frozen=True)
class RankRule:
    """Which ranks make a pixel a negative of a class."""

    low: int  # r_l of unlabeled pixels
    high: int  # r_h
    low_labeled: int  # r_l of labeled pixels
    p_max: float  # largest probability of the class a negative may have


PAPER = RankRule(low=3, high=20, low_labeled=3, p_max=1.0)


def rule_for(classes: int) -> RankRule:
    """The paper's rule shrunk to few classes, equal to it from 6 classes on.

    Being ranked fourth or later implies p(c) <= 1/4. That guarantee stays when there are too few
    classes for the ranks; with the published ranks 3..20 two or three classes have no negative.
    """
    half = classes // 2
    return RankRule(
        low=min(3, max(1, half)),
        high=min(20, classes),
        low_labeled=min(3, max(2, half)),
        p_max=0.25,
    )


def class_ranks(probability: Tensor) -> Tensor:
    """O_ij(c): 0 for the most probable class; ties in class order. (B, C, h, w) int64."""
    order = probability.argsort(dim=1, descending=True, stable=True)
    return order.argsort(dim=1)


def anchor_masks(probability: Tensor, label: Tensor, delta_p: float) -> Tensor:
    """Pixels labeled c (truth or reliable pseudo-label) with p(c) > delta_p (Eq. 9-11)."""
    return _one_hot(label, probability.shape[1]) & (probability > delta_p).transpose(0, 1)


def negatives_labeled(probability: Tensor, label: Tensor, rule: RankRule) -> Tensor:
    """Labeled pixels of another class that the teacher nearly takes for c (Eq. 14)."""
    near = (class_ranks(probability) < rule.low_labeled).transpose(0, 1)
    return near & ~_one_hot(label, probability.shape[1]) & (label != IGNORE)


def negatives_unlabeled(
    probability: Tensor,
    unreliable: Tensor,
    rule: RankRule,
    entropy: Tensor | None = None,
    valid: Tensor | None = None,
    floor: int = 0,
) -> Tensor:
    """Unreliable pixels that are surely not c (Eq. 15).

    Args:
        unreliable: (B, h, w) bool, H > gamma_t.
        entropy, valid, floor: a class with fewer than `floor` pixels also gets the valid ones of
            highest entropy that pass the same rank and p_max; without it the background of two
            classes meets next to no unlabeled key.
    """
    ranks = class_ranks(probability)
    unlikely = (ranks >= rule.low) & (ranks < rule.high) & (probability <= rule.p_max)
    masks = unlikely.transpose(0, 1) & unreliable
    if floor and entropy is not None and valid is not None:
        for c in range(masks.shape[0]):
            if int(masks[c].sum()) < floor:
                masks[c] = _top_entropy(unlikely[:, c] & valid, entropy, floor)
    return masks


def _top_entropy(allowed: Tensor, entropy: Tensor, count: int) -> Tensor:
    chosen = torch.zeros_like(allowed)
    count = min(count, int(allowed.sum()))
    if count:
        score = torch.where(allowed, entropy, -torch.inf).flatten()
        chosen.view(-1)[score.topk(count).indices] = True
    return chosen


def _one_hot(label: Tensor, classes: int) -> Tensor:
    """(B, h, w) -> (C, B, h, w) bool, nowhere set for 255."""
    return label.unsqueeze(0) == torch.arange(classes, device=label.device).view(-1, 1, 1, 1)


def positives(teacher: Tensor, anchors: Tensor) -> Tensor:
    """z_c^+: mean teacher vector over A_c, (C, D); zeros for a class without anchor (Eq. 12)."""
    weights = anchors.flatten(1).to(teacher.dtype)
    return weights @ _rows(teacher) / weights.sum(dim=1, keepdim=True).clamp(min=1)


def info_nce(anchors: Tensor, positive: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Mean over anchors of -log e^{<z,z+>/tau} / (e^{<z,z+>/tau} + sum_j e^{<z,z-_j>/tau}) (Eq. 4).

    Args:
        anchors: (M, D) with gradient. positive: (D,). negatives: (N, D) shared, or (M, N, D).
    """
    z = F.normalize(anchors, dim=1)
    near = z @ F.normalize(positive, dim=0)  # (M,)
    far = F.normalize(negatives, dim=-1)
    far = z @ far.T if far.dim() == 2 else torch.einsum("md,mnd->mn", z, far)  # (M, N)
    scores = torch.cat([near.unsqueeze(1), far], dim=1) / temperature
    return (scores.logsumexp(dim=1) - scores[:, 0]).mean()


class MemoryBanks:
    """Q_c: one ring of unit vectors a class; the newest keys overwrite the oldest (Eq. 16)."""

    def __init__(
        self, capacities: Sequence[int], channels: int, device: torch.device | str = "cpu"
    ) -> None:
        self.rings = [torch.zeros(n, channels, device=device) for n in capacities]
        self.counts = [0] * len(self.rings)  # filled rows
        self.heads = [0] * len(self.rings)  # next row to write

    def push(self, c: int, keys: Tensor) -> None:
        """Store (n, D) keys; of more than the ring holds, the last ones."""
        ring = self.rings[c]
        keys = F.normalize(keys.detach().to(ring), dim=1)[-len(ring) :]
        rows = (self.heads[c] + torch.arange(len(keys), device=ring.device)) % len(ring)
        ring[rows] = keys
        self.heads[c] = (self.heads[c] + len(keys)) % len(ring)
        self.counts[c] = min(len(ring), self.counts[c] + len(keys))

    def keys(self, c: int) -> Tensor:
        """All stored keys of a class (n, D), oldest first."""
        ring, head = self.rings[c], self.heads[c]
        if self.counts[c] < len(ring):
            return ring[: self.counts[c]]
        return torch.cat([ring[head:], ring[:head]])

    def draw(self, c: int, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Keys drawn with replacement, shape + (D,)."""
        rows = torch.randint(self.counts[c], shape, generator=generator)
        return self.rings[c][rows.to(self.rings[c].device)]

    def state(self) -> dict[str, Any]:
        """What a checkpoint stores: the filled rows of each ring, where they lie."""
        filled = zip(self.rings, self.counts, strict=True)
        return {"keys": [r[:n].cpu().clone() for r, n in filled], "heads": list(self.heads)}

    def restore(self, state: dict[str, Any]) -> None:
        """Inverse of `state`; later pushes and draws behave as if nothing had happened."""
        for c, keys in enumerate(state["keys"]):
            self.rings[c][: len(keys)] = keys.to(self.rings[c])
            self.counts[c], self.heads[c] = len(keys), int(state["heads"][c])


def capacities(classes: int, size: int) -> list[int]:
    """Rows of each ring; with many classes the background gets 5/3 of them, as published."""
    background = size * 5 // 3 if classes >= MANY_CLASSES else size
    return [background] + [size] * (classes - 1)


def enqueue(
    banks: MemoryBanks,
    teacher: Tensor,
    masks: Tensor,
    labeled: int,
    quota: int,
    generator: torch.Generator,
) -> int:
    """Push this step's keys N_c; returns how many.

    With few classes every labeled pixel of another class qualifies and would replace the ring at
    each step, so at most `quota` keys a class go in, half of them labeled, half unlabeled.

    Args:
        masks: (C, B, h, w), the first `labeled` images labeled.
        quota: keys a class; 0 = all.
    """
    rows = _rows(teacher)
    border = labeled * masks.shape[2] * masks.shape[3]
    pushed = 0
    for c, mask in enumerate(masks.flatten(1)):
        sure, unsure = mask[:border].nonzero()[:, 0], mask[border:].nonzero()[:, 0] + border
        if quota:
            half = quota // 2
            sure = _subset(sure, max(half, quota - len(unsure)), generator)
            unsure = _subset(unsure, quota - min(len(sure), half), generator)
        chosen = torch.cat([sure, unsure])
        banks.push(c, rows[chosen])
        pushed += len(chosen)
    return pushed


def contrastive_loss(
    student: Tensor,
    teacher: Tensor,
    anchors: Tensor,
    banks: MemoryBanks,
    count: int,
    negatives: int,
    temperature: float,
    generator: torch.Generator,
) -> Tensor:
    """L_c with sampled anchors and negatives, averaged over the classes that take part (Eq. 4).

    A class takes part if it has an anchor in this step and a key in its bank; 0 without any.

    Args:
        student, teacher: (B, D, h, w); gradients flow into `student` only.
        anchors: (C, B, h, w). count: M. negatives: N.
    """
    flat = anchors.flatten(1)
    drawn = {
        c: candidates[torch.randint(len(candidates), (count,), generator=generator)]
        for c, candidates in ((c, mask.nonzero()[:, 0].cpu()) for c, mask in enumerate(flat))
        if len(candidates) and banks.counts[c]
    }
    if not drawn:
        return student.sum() * 0.0
    targets = positives(teacher.detach().float(), anchors)
    index = torch.cat(list(drawn.values())).to(student.device)
    gathered = _rows(student)[index].float().view(len(drawn), count, -1)
    losses = [
        info_nce(z, targets[c], banks.draw(c, (count, negatives), generator), temperature)
        for z, c in zip(gathered, drawn, strict=True)
    ]
    return torch.stack(losses).mean()


def _rows(maps: Tensor) -> Tensor:
    """(B, D, h, w) -> (B * h * w, D); no copy for channels_last maps."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _subset(index: Tensor, count: int, generator: torch.Generator) -> Tensor:
    if len(index) <= count:
        return index
    return index[torch.randperm(len(index), generator=generator)[:count].to(index.device)]
