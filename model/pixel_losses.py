"""The supervised loss over pixels: cross entropy, hard pixels only, and an auxiliary head.

U2PL trains VOC with plain cross entropy and Cityscapes with OHEM and an auxiliary loss on the third
stage of the encoder.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from model import pseudo_labels
from model.config import IGNORE, TrainConfig
from model.distributed import gathered, total
from model.network import Outputs


def supervised_loss(outputs: Outputs, label: Tensor, config: TrainConfig) -> Tensor:
    """L_s of labeled crops (Eq. 2), with what the settings add to it; a scalar.

    Args:
        label: (B, H, W) int64, 255 = ignored; the maps are scaled up to it.
    """
    loss = _loss(outputs.logits, label, config)
    if outputs.auxiliary is not None:
        loss = loss + config.auxiliary * _loss(outputs.auxiliary, label, config)
    return loss


def _loss(maps: Tensor, label: Tensor, config: TrainConfig) -> Tensor:
    logits = upsample(maps, label)
    if config.ohem:
        label = hard_pixels(logits, label, config.ohem, config.ohem_kept)
    return pseudo_labels.pixel_loss(logits, label)


def upsample(maps: Tensor, like: Tensor) -> Tensor:
    """Maps (B, K, h, w) -> float32 at the size of (B, H, W) labels."""
    size = like.shape[-2:]
    return F.interpolate(maps.float(), size=size, mode="bilinear", align_corners=False)


@torch.no_grad()
def hard_pixels(logits: Tensor, label: Tensor, threshold: float, least: int) -> Tensor:
    """Online hard example mining: labels with 255 where the network is already right.

    A pixel stays when its class has at most `threshold` probability. If these are fewer than
    `least`, the threshold rises to the `least`-th smallest probability; with fewer labeled pixels
    than `least` all of them stay. Of several processes each passes its own crops; what counts are
    the pixels of all.

    Args:
        logits: (B, C, H, W) float32.
        label: (B, H, W) int64, 255 = ignored.

    Returns:
        (B, H, W) int64.
    """
    valid = label != IGNORE
    if int(total(valid.sum())) < least:
        return label
    known = torch.where(valid, label, 0)
    p = logits.softmax(dim=1).gather(1, known[:, None])[:, 0]
    if least:
        known_p = gathered(p)[gathered(valid)]
        threshold = max(threshold, float(known_p.kthvalue(least).values))
    return torch.where(valid & (p <= threshold), label, IGNORE)
