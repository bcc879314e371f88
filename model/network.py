"""DeepLabv3+: encoder h, segmentation head f, representation head g   (U2PL, section 3.1).

Convention: images are (B, 3, H, W) float32, normalized, H and W multiples of 32; every output is at
stride 4, (B, channels, H/4, W/4).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.backbone import create_encoder
from model.config import NetworkConfig

STRIDE = 4  # of the logits and representations
MULTIPLE = 32  # image sides must be multiples of it


class SegmentationNetwork(nn.Module):
    """h, f and g in one module; `forward` gives logits, `forward_both` also representations."""

    def __init__(self, config: NetworkConfig, pretrained: bool = False) -> None:
        super().__init__()
        self.config = config
        self.encoder = create_encoder(config.backbone, config.output_stride, pretrained)
        encoder: Any = self.encoder
        channels, strides = encoder.feature_info.channels(), encoder.feature_info.reduction()
        self.low_index = max((i for i, s in enumerate(strides) if s <= STRIDE), default=0)
        self.low_stride = strides[self.low_index]
        width = config.decoder_channels
        self.aspp = Aspp(channels[-1], width, config.aspp_rates)
        self.low = _conv_bn(channels[self.low_index], config.low_channels, kernel=1)
        self.fuse = _separable(width + config.low_channels, width)
        self.segmentation = _head(width, config.classes)
        self.representation = _head(width, config.representation_channels)

    def features(self, image: Tensor) -> Tensor:
        """What both heads read: (B, decoder_channels, H/4, W/4)."""
        maps = self.encoder(image)
        if str(getattr(self.encoder, "output_fmt", "NCHW")).upper().endswith("NHWC"):
            maps = [m.permute(0, 3, 1, 2) for m in maps]
        low = self.low(maps[self.low_index])
        size = (image.shape[-2] // STRIDE, image.shape[-1] // STRIDE)
        deep = F.interpolate(self.aspp(maps[-1]), size=size, mode="bilinear", align_corners=False)
        if self.low_stride != STRIDE:
            low = F.interpolate(low, size=size, mode="bilinear", align_corners=False)
        return self.fuse(torch.cat([deep, low], dim=1))

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> logits (B, C, H/4, W/4)."""
        return self.segmentation(self.features(image))

    def forward_both(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, C, H/4, W/4) and representations z (B, D, H/4, W/4), not normalized."""
        features = self.features(image)
        return self.segmentation(features), self.representation(features)

    def train(self, mode: bool = True) -> SegmentationNetwork:
        """As usual, but the encoder's batch statistics stay those of its published weights.

        Small batches of crops from a handful of images are a poor estimate of them.
        """
        super().train(mode)
        _freeze_statistics(self.encoder)
        return self

    def train_with_fixed_statistics(self) -> None:
        """Training mode in which no batch statistics move, those of the heads neither.

        For crops that must not shape them: unlabeled and mixed ones.
        """
        self.train()
        _freeze_statistics(self)

    def eval_with_moving_statistics(self) -> None:
        """Eval mode, without dropout, in which the batch statistics of the heads follow the crops.

        How an averaged network gets statistics of its own: averaged ones belong to no network.
        """
        self.eval()
        for child in self.modules():
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                child.train()
        _freeze_statistics(self.encoder)

    def parameter_groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Encoder's parameters, and all others."""
        encoder = list(self.encoder.parameters())
        known = {id(parameter) for parameter in encoder}
        return encoder, [p for p in self.parameters() if id(p) not in known]


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling with separable dilated convolutions."""

    def __init__(self, inputs: int, width: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.point = _conv_bn(inputs, width, kernel=1)
        self.dilated = nn.ModuleList(_separable(inputs, width, rate) for rate in rates)
        # No batch norm on the pooled vector: a batch holds only a few of them.
        self.pooled = nn.Sequential(nn.Conv2d(inputs, width, 1), nn.ReLU(inplace=True))
        self.project = _conv_bn(width * (2 + len(rates)), width, kernel=1)
        self.dropout = nn.Dropout(0.1)

    def forward(self, deep: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, width, h, w)."""
        pooled = self.pooled(deep.mean(dim=(2, 3), keepdim=True)).expand(
            -1, -1, deep.shape[2], deep.shape[3]
        )
        branches = [self.point(deep), *(branch(deep) for branch in self.dilated), pooled]
        return self.dropout(self.project(torch.cat(branches, dim=1)))


def _conv_bn(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _separable(inputs: int, outputs: int, rate: int = 1) -> nn.Sequential:
    depthwise = nn.Conv2d(inputs, inputs, 3, padding=rate, dilation=rate, groups=inputs, bias=False)
    return nn.Sequential(depthwise, nn.BatchNorm2d(inputs), *_conv_bn(inputs, outputs, kernel=1))


def _head(width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_separable(width, width), nn.Dropout(0.1), nn.Conv2d(width, outputs, 1))


def _freeze_statistics(module: nn.Module) -> None:
    for child in module.modules():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            child.eval()
