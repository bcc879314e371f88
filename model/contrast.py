"""Anchors, positives, negatives and the contrastive loss   (U2PL, Eq. 4, 9-16).

Convention: C classes, B images, h x w pixels at stride 4, D channels. Masks are (C, B, h, w) bool,
probabilities are the teacher's softmax (B, C, h, w), representations are (B, D, h, w). Selection
costs memory only for what is selected: indices are drawn first, vectors gathered afterwards. Maps
in channels_last, as the network makes them, are read in place; others are copied once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from model.banks import MemoryBanks
from model.config import IGNORE
from model.distributed import JointPixels, gathered, own_part, size, total

FEW_CLASSES = 6  # below, ranks alone no longer imply an improbable class
P_MAX = 0.25  # what being ranked fourth or later implies for p(c)
_CHUNK = 1 << 24  # floats of negatives gathered at a time


@dataclass(frozen=True)
class RankRule:
    """Which ranks make a pixel a negative of a class."""

    low: int  # r_l of unlabeled pixels
    high: int  # r_h
    low_labeled: int  # r_l of labeled pixels
    p_max: float  # largest probability of the class that a negative may have


PAPER = RankRule(low=3, high=20, low_labeled=3, p_max=1.0)


def rule_for(classes: int, low: int = 0, high: int = 0, p_max: float = P_MAX) -> RankRule:
    """The paper's rule shrunk to few classes, equal to it from 6 classes on.

    Being ranked fourth or later implies p(c) <= 1/4. That guarantee stays when there are too few
    classes for the ranks; with the published ranks 3..20 two or three classes have no negative.

    Args:
        low, high: r_l of Eq. 14 and 15 and r_h instead of the ranks of the rule; 0 = the rule's.
        p_max: bound with fewer than 6 classes; with more it would only meet rounding errors.
    """
    half = classes // 2
    return RankRule(
        low=low or min(3, max(1, half)),
        high=high or min(20, classes),
        low_labeled=low or min(3, max(2, half)),
        p_max=p_max if classes < FEW_CLASSES else 1.0,
    )


def class_ranks(probability: Tensor) -> Tensor:
    """O_ij(c): 0 for the most probable class; ties in class order. (B, C, h, w) uint8.

    Every pair of classes is compared once: the less probable one, or the later of equals, moves
    back by a rank. For the classes in question that is faster than two sorts, and an eighth of
    their memory.
    """
    p = probability.transpose(0, 1).contiguous()
    ranks = torch.zeros(p.shape, dtype=torch.uint8, device=p.device)
    for c in range(1, len(p)):
        ahead = (p[:c] >= p[c]).view(torch.uint8)
        for k in range(c):
            ranks[c] += ahead[k]
        ranks[:c] += 1 - ahead
    return ranks.transpose(0, 1)


def anchor_masks(probability: Tensor, label: Tensor, delta_p: float) -> Tensor:
    """Pixels labeled c (truth or reliable pseudo-label) with p(c) > delta_p (Eq. 9-11)."""
    return one_hot(label, probability.shape[1]) & (probability > delta_p).transpose(0, 1)


def negatives_labeled(probability: Tensor, label: Tensor, rule: RankRule) -> Tensor:
    """Labeled pixels of another class that the teacher nearly takes for c (Eq. 14)."""
    near = (class_ranks(probability) < rule.low_labeled).transpose(0, 1)
    return near & ~one_hot(label, probability.shape[1]) & (label != IGNORE)


def negatives_unlabeled(
    probability: Tensor, among: Tensor, rule: RankRule, limits: Tensor | None = None
) -> Tensor:
    """Pixels that are surely not c (Eq. 15).

    Args:
        among: (B, h, w) bool, the unreliable pixels H > gamma_t in the paper.
        limits: (C,) bounds on p(c) that replace p_max, see `calibrated_limits`.
    """
    ranks = class_ranks(probability)
    improbable = probability <= (rule.p_max if limits is None else limits.view(-1, 1, 1))
    return ((ranks >= rule.low) & (ranks < rule.high) & improbable).transpose(0, 1) & among


def calibrated_limits(
    probability: Tensor, label: Tensor, uncertain: Tensor, p_max: float, wrong: float
) -> Tensor:
    """For each class the largest d <= p_max up to which labeled pixels are rarely c, (C,).

    Args:
        uncertain: (B, h, w) bool, labeled pixels with H > gamma_t.
        wrong: largest share of pixels of class c among the uncertain ones with p(c) <= d, counted
            with one more of class c and one more of another.

    Returns:
        d; -1, which no pixel passes, for a class without such a d.
    """
    use = uncertain & (label != IGNORE)
    truth = label[use]
    limits = [
        _limit(probability[:, c][use], truth == c, p_max, wrong)
        for c in range(probability.shape[1])
    ]
    return torch.stack(limits)


def _limit(p: Tensor, is_class: Tensor, p_max: float, wrong: float) -> Tensor:
    below = p <= p_max
    p, order = p[below].sort()
    seen = torch.arange(1, len(p) + 1, device=p.device)
    # Laplace's rule of succession: a handful of right pixels is no evidence.
    share = (is_class[below][order].cumsum(0) + 1) / (seen + 2)
    last_of_equals = torch.ones_like(p, dtype=torch.bool)
    last_of_equals[:-1] = p[:-1] < p[1:]
    fitting = p[last_of_equals & (share <= wrong)]
    return fitting[-1] if len(fitting) else p.new_full((), -1.0)


def with_floor(masks: Tensor, allowed: Tensor, entropy: Tensor, floor: int) -> Tensor:
    """Negatives, with the most uncertain allowed pixels added to classes that have few.

    With two classes the background meets next to no unlabeled key, and fewer as alpha_t falls.

    Args:
        masks, allowed: (C, B, h, w) bool. entropy: (B, h, w).
        floor: pixels of the joint batch a class gets, as far as it has allowed ones.
    """
    masks = masks.clone()
    more = allowed & ~masks
    have, there = (total(found.flatten(1).sum(dim=1)).tolist() for found in (masks, more))
    for c in range(len(masks)):
        count = min(floor - have[c], there[c])
        if count > 0:
            score = gathered(torch.where(more[c], entropy, -torch.inf))
            chosen = torch.zeros(score.numel(), dtype=torch.bool, device=score.device)
            chosen[score.flatten().topk(count).indices] = True
            masks[c] |= own_part(chosen.view(score.shape))
    return masks


def one_hot(label: Tensor, classes: int) -> Tensor:
    """(B, h, w) -> (C, B, h, w) bool, nowhere set for 255."""
    return label.unsqueeze(0) == torch.arange(classes, device=label.device).view(-1, 1, 1, 1)


def positives(teacher: Tensor, anchors: Tensor) -> Tensor:
    """z_c^+: mean teacher vector over A_c, (C, D); zeros for a class without anchor (Eq. 12).

    Of several processes each one passes its own maps and gets the mean over all.
    """
    weights = anchors.flatten(2).to(teacher.dtype)
    maps = teacher.flatten(2)
    sums = torch.stack([weights[:, b] @ maps[b].T for b in range(len(maps))]).sum(dim=0)
    return total(sums) / total(weights.sum(dim=(1, 2))).clamp(min=1).unsqueeze(1)


class _NegativeLogSum(torch.autograd.Function):
    """log sum_j e^{<z_i, q_ij>/tau} with the gradient taken while the q_ij are at hand.

    autograd would keep all M * N * D gathered floats of every class for the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, ring: Tensor, rows: Tensor, temperature: float) -> Tensor:
        look = _one_by_one if z.device.type == "cpu" else _in_chunks
        sums, slopes = look(z, ring, rows, temperature)
        ctx.save_for_backward(slopes)
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        (slopes,) = ctx.saved_tensors
        return grad.unsqueeze(1) * slopes, None, None, None


def _one_by_one(z: Tensor, ring: Tensor, rows: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(M,) log-sums and their (M, D) gradients; the vectors of one anchor stay in the CPU's cache.

    Twice as fast there as batched products over all anchors, which stream them from memory.
    """
    scores, slopes = z.new_empty(rows.shape), torch.empty_like(z)
    q = z.new_empty(rows.shape[1], z.shape[1])
    for i, row in enumerate(rows):
        torch.index_select(ring, 0, row, out=q)
        torch.mv(q, z[i], out=scores[i])
        torch.mv(q.T, scores[i].div_(temperature).softmax(dim=0), out=slopes[i])
    return scores.logsumexp(dim=1), slopes / temperature


def _in_chunks(z: Tensor, ring: Tensor, rows: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """As `_one_by_one` with few large products, for devices where each call costs."""
    sums, slopes = z.new_empty(len(z)), torch.empty_like(z)
    step = max(1, _CHUNK // (rows.shape[1] * z.shape[1]))
    for i in range(0, len(z), step):
        part = slice(i, i + step)
        q = ring.index_select(0, rows[part].flatten()).view(*rows[part].shape, -1)
        scores = torch.bmm(q, z[part].unsqueeze(2)).squeeze(2) / temperature
        sums[part] = scores.logsumexp(dim=1)
        slopes[part] = torch.bmm(scores.softmax(dim=1).unsqueeze(1), q).squeeze(1)
    return sums, slopes / temperature


def info_nce(
    anchors: Tensor,
    positive: Tensor,
    ring: Tensor,
    rows: Tensor,
    temperature: float,
    count: int | None = None,
) -> Tensor:
    """Mean over anchors of -log e^{<z,z+>/tau} / (e^{<z,z+>/tau} + sum_j e^{<z,z-_j>/tau}) (Eq. 4).

    Args:
        anchors: (M, D) with gradient. positive: (D,). ring: (R, D) unit vectors.
        rows: (M, N) int64, the negatives of each anchor in `ring`.
        count: what the sum is divided by, the anchors of all processes; None = M.
    """
    z = F.normalize(anchors, dim=1)
    near = z @ F.normalize(positive, dim=0) / temperature  # (M,)
    far = _NegativeLogSum.apply(z, ring, rows, temperature)  # (M,)
    return (torch.logaddexp(near, far) - near).sum() / (len(z) if count is None else count)


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
    each step, so at most `quota` keys a class go in. Labeled ones get half of it even when
    unlabeled ones leave theirs empty: they are what the supervised loss already teaches.

    Args:
        masks: (C, B, h, w), the first `labeled` images labeled.
        quota: keys a class and joint batch; 0 = all. Every process stores the same keys.
    """
    pixels = JointPixels(labeled, masks.shape[2] * masks.shape[3])
    border = labeled * size() * pixels.area
    half = quota // 2 if labeled < masks.shape[1] else quota
    chosen = []
    for mask in pixels.masks(masks).flatten(1):
        sure, unsure = mask[:border].nonzero()[:, 0], mask[border:].nonzero()[:, 0] + border
        if quota:
            sure = _subset(sure, half, generator)
            unsure = _subset(unsure, quota - len(sure), generator)
        chosen.append(torch.cat([sure, unsure]))
    _push_each(banks, teacher, chosen, pixels)
    return sum(map(len, chosen))


def _push_each(
    banks: MemoryBanks, teacher: Tensor, chosen: Sequence[Tensor], pixels: JointPixels
) -> None:
    """Push pixels of each class; one pixel is often a key of many, but is gathered once."""
    joint = len(teacher) * size() * pixels.area
    used = torch.zeros(joint, dtype=torch.bool, device=teacher.device)
    for index in chosen:
        used[index] = True
    row_of = used.cumsum(0) - 1
    rows = pixels.rows(_rows(teacher.detach()), used.nonzero()[:, 0])
    keys = F.normalize(rows.float(), dim=1)
    for c, index in enumerate(chosen):
        banks.push_rows(c, keys, row_of[index])


def contrastive_loss(
    student: Tensor,
    teacher: Tensor,
    anchors: Tensor,
    banks: MemoryBanks,
    count: int,
    negatives: int,
    temperature: float,
    generator: torch.Generator,
    labeled: int = 0,
) -> Tensor:
    """L_c with sampled anchors and negatives, averaged over the classes that take part (Eq. 4).

    A class takes part if it has an anchor in this step and a key in its bank; 0 without any.

    Args:
        student, teacher: (B, D, h, w); gradients flow into `student` only.
        anchors: (C, B, h, w). count: M. negatives: N.
        labeled: the first of the B images; they come first in the joint batch, too.

    Returns:
        A scalar; of several processes each one gets the share of its own anchors.
    """
    pixels = JointPixels(labeled, anchors.shape[2] * anchors.shape[3])
    flat = pixels.masks(anchors).flatten(1)
    drawn = {
        c: candidates[torch.randint(len(candidates), (count,), generator=generator)]
        for c, candidates in ((c, mask.nonzero()[:, 0].cpu()) for c, mask in enumerate(flat))
        if len(candidates) and banks.counts[c]
    }
    if not drawn:
        return student.sum() * 0.0
    targets = positives(teacher.detach().float(), anchors)
    index = torch.cat(list(drawn.values())).to(student.device)
    mine, places = pixels.here(index)
    shares = mine.view(len(drawn), count)  # which anchors of each class lie in this process
    vectors = _rows(student).index_select(0, places).float().split(shares.sum(dim=1).tolist())
    losses = []
    for z, c, here in zip(vectors, drawn, shares, strict=True):
        rows = banks.draw(c, (count, negatives), generator)[here]
        losses.append(info_nce(z, targets[c], banks.rings[c], rows, temperature, count))
    return torch.stack(losses).mean()


def _rows(maps: Tensor) -> Tensor:
    """(B, D, h, w) -> (B * h * w, D); no copy for channels_last maps."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _subset(index: Tensor, count: int, generator: torch.Generator) -> Tensor:
    if len(index) <= count:
        return index
    return index[torch.randperm(len(index), generator=generator)[:count].to(index.device)]
