"""Which pixels of a step are anchors and which become keys, as the settings say   (U2PL, Eq. 9-16).

The components of the paper's Tables 4-7 are switched here: negatives from unreliable, reliable or
all pixels, rank thresholds, memory bank. Convention as in `contrast`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model import contrast, distributed, pseudo_labels
from model.banks import MANY_CLASSES, MemoryBanks
from model.config import IGNORE, TrainConfig
from model.contrast import RankRule
from model.pseudo_labels import Partition


def wants_floor(config: TrainConfig, classes: int) -> bool:
    """Whether rare keys are filled up, for which `select` needs the partition of alpha_0."""
    few = classes < contrast.FEW_CLASSES
    return few and config.key_floor > 0 and config.negatives_from == "unreliable"


def select(
    config: TrainConfig,
    p_l: Tensor,
    label: Tensor,
    p_u: Tensor,
    parts: Partition,
    first: Partition | None = None,
) -> tuple[Tensor, Tensor]:
    """A_c and n(c) as (C, B, h, w) masks, labeled images first (Eq. 9-15).

    Args:
        p_l, p_u: the teacher's probabilities of labeled and unlabeled images, (B, C, h, w).
        label: (B_l, h, w), 255 where nobody vouches.
        parts: partition of the unlabeled images at alpha_t.
        first: theirs at alpha_0, see `wants_floor`.
    """
    classes = p_l.shape[1]
    rule = contrast.rule_for(classes, config.rank_low, config.rank_high, config.p_max)
    anchors = [
        contrast.anchor_masks(p, known, config.delta_p)
        for p, known in ((p_l, label), (p_u, parts.label))
    ]
    limits = _limits(config, rule, p_l, label, parts.gamma)
    keys_u = contrast.negatives_unlabeled(p_u, _among(config, parts), rule, limits)
    if first is not None:
        allowed = contrast.negatives_unlabeled(p_u, first.unreliable, rule, limits)
        keys_u = contrast.with_floor(keys_u, allowed, parts.entropy, config.key_floor)
    keys_l = contrast.negatives_labeled(p_l, label, rule)
    return torch.cat(anchors, dim=1), torch.cat([keys_l, keys_u], dim=1)


def _among(config: TrainConfig, parts: Partition) -> Tensor:
    """Unlabeled pixels that may be keys (Table 3; all = without high-entropy filter)."""
    if config.negatives_from == "unreliable":
        return parts.unreliable
    return parts.valid if config.negatives_from == "all" else parts.label != IGNORE


def _limits(
    config: TrainConfig, rule: RankRule, p_l: Tensor, label: Tensor, gamma: Tensor
) -> Tensor | None:
    """Bounds on p(c) that this step's labeled pixels support; None = those of the rule."""
    if not config.wrong_keys or p_l.shape[1] >= MANY_CLASSES:
        return None
    uncertain = pseudo_labels.entropy(p_l) > gamma[pseudo_labels.most_probable(p_l)]
    p_max = min(rule.p_max, contrast.P_MAX)
    p_l, label, uncertain = map(distributed.gathered, (p_l, label, uncertain))
    return contrast.calibrated_limits(p_l, label, uncertain, p_max, config.wrong_keys)


def contrastive_term(
    config: TrainConfig,
    banks: MemoryBanks,
    generator: torch.Generator,
    student: Tensor,
    teacher: Tensor,
    anchors: Tensor,
    keys: Tensor,
    labeled: int,
) -> Tensor:
    """Store this step's keys, then L_c against the banks (Eq. 4, 16).

    Args:
        student, teacher: (B, D, h, w), the first `labeled` images labeled.
    """
    if not config.memory_bank:
        banks.clear()
    quota = config.quota if len(keys) < MANY_CLASSES else 0
    contrast.enqueue(banks, teacher, keys, labeled, quota, generator)
    return contrast.contrastive_loss(
        student,
        teacher,
        anchors,
        banks,
        config.anchors,
        config.negatives,
        config.temperature,
        generator,
        labeled,
    )
