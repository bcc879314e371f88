"""DeepLabv3+: encoder h, segmentation head f, representation head g   (U2PL, section 3.1).

Convention: images are (B, 3, H, W) float32, normalized, H and W multiples of 32; every output is at
stride 4, (B, channels, H/4, W/4).

Training reads `outputs`, `outputs_both` and `forward_both`, in the encoding of the labels (see
`model.targets`). Calling the network gives decoded logits: the background, then each category.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.backbone import create_encoder
from model.config import Decoder, NetworkConfig
from model.targets import BODY

STRIDE = 4  # of the logits and representations
MULTIPLE = 32  # image sides must be multiples of it
GROUPS = 8  # of a group norm
MakeNorm = Callable[[int], nn.Module]


class Animals(NamedTuple):
    """What the instance head says, at stride 4; see `model.targets.AnimalTargets`."""

    center: Tensor  # (B, H/4, W/4) logits of the heat-map
    offset: Tensor  # (B, 2, H/4, W/4) pixels
    contact: Tensor  # (B, H/4, W/4) logits
    core: Tensor  # (B, H/4, W/4) logits

    @staticmethod
    def of_channels(raw: Tensor, size: float) -> Animals:
        """(B, 5, h, w) of the head, offsets in units of `size` pixels."""
        return Animals(raw[:, 0], raw[:, 1:3] * size, raw[:, 3], raw[:, 4])


class Outputs(NamedTuple):
    """What labels teach, in their encoding."""

    logits: Tensor  # (B, C, H/4, W/4)
    auxiliary: Tensor | None = None  # logits (B, C, h, w) of the auxiliary head, own stride
    animals: Animals | None = None


class SegmentationNetwork(nn.Module):
    """h, f and g in one module."""

    def __init__(self, config: NetworkConfig, pretrained: bool = False) -> None:
        super().__init__()
        self.config = config
        self.encoder = create_encoder(config.backbone, config.output_stride, pretrained)
        encoder: Any = self.encoder
        channels, strides = encoder.feature_info.channels(), encoder.feature_info.reduction()
        self.low_index = max((i for i, s in enumerate(strides) if s <= STRIDE), default=0)
        self.low_stride = strides[self.low_index]
        width, full = config.decoder_channels, config.decoder == "full"
        both = width + config.low_channels
        norm: MakeNorm = nn.BatchNorm2d if config.norm == "batch" else group_norm
        self.aspp = Aspp(channels[-1], width, config.aspp_rates, norm, config.decoder)
        self.low = _conv(channels[self.low_index], config.low_channels, 1, norm)
        self.fuse = nn.Identity() if full else _separable(both, width, norm)
        head = _full_head if full else _head
        inputs = both if full else width
        self.segmentation = head(inputs, width, config.classes, norm)
        self.representation = head(inputs, width, config.representation_channels, norm)
        if config.instances:
            self.animals = _animal_head(inputs, width, norm)
        if config.auxiliary:
            self.auxiliary = _auxiliary_head(channels[-2], width, config.classes, norm)

    def features(self, image: Tensor) -> Tensor:
        """What both heads read, (B, K, H/4, W/4).

        K is `decoder_channels`, and `low_channels` more with the full decoder.
        """
        return self._fused(image, self._maps(image))

    def _maps(self, image: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.encoder(image)
        if str(getattr(self.encoder, "output_fmt", "NCHW")).upper().endswith("NHWC"):
            return [m.permute(0, 3, 1, 2) for m in maps]
        return maps

    def _fused(self, image: Tensor, maps: list[Tensor]) -> Tensor:
        low = self.low(maps[self.low_index])
        size = (image.shape[-2] // STRIDE, image.shape[-1] // STRIDE)
        deep = F.interpolate(self.aspp(maps[-1]), size=size, mode="bilinear", align_corners=False)
        if self.low_stride != STRIDE:
            low = F.interpolate(low, size=size, mode="bilinear", align_corners=False)
        return self.fuse(torch.cat([deep, low], dim=1))

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> decoded logits (B, 1 + categories, H/4, W/4)."""
        return self._decoded(self.segmentation(self.features(image)))

    def _decoded(self, logits: Tensor) -> Tensor:
        return decode_logits(logits) if self.config.encoding == "contact_band" else logits

    def proposal(self, image: Tensor) -> tuple[Tensor, ...]:
        """What a proposal is made of: decoded logits, and of the instance head (B, 5, H/4, W/4).

        Its channels are center, x, y, contact and core: offsets in pixels, the others in [0, 1].
        """
        outputs = self.outputs(image)
        logits = self._decoded(outputs.logits)
        if outputs.animals is None:
            return (logits,)
        center, offset, contact, core = outputs.animals
        shares = torch.stack([contact, core], dim=1).sigmoid()
        parts = [center.sigmoid()[:, None], offset, shares]
        return logits, torch.cat(parts, dim=1)

    def outputs(self, image: Tensor) -> Outputs:
        """Logits of every segmentation head for (B, 3, H, W) images."""
        maps = self._maps(image)
        return self._outputs(maps, self._fused(image, maps))

    def outputs_both(self, image: Tensor, represented: int | None = None) -> tuple[Outputs, Tensor]:
        """As `outputs`, with representations z (n, D, H/4, W/4), not normalized.

        Args:
            represented: n, how many of the images get representations; None = all.
        """
        maps = self._maps(image)
        features = self._fused(image, maps)
        return self._outputs(maps, features), self.representation(features[:represented])

    def _outputs(self, maps: list[Tensor], features: Tensor) -> Outputs:
        config = self.config
        auxiliary = self.auxiliary(maps[-2]) if config.auxiliary else None
        animals = None
        if config.instances:
            animals = Animals.of_channels(self.animals(features), config.animal_size)
        return Outputs(self.segmentation(features), auxiliary, animals)

    def forward_both(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, C, H/4, W/4) and representations z (B, D, H/4, W/4), not normalized."""
        features = self.features(image)
        return self.segmentation(features), self.representation(features)

    def train(self, mode: bool = True) -> SegmentationNetwork:
        """As usual, but the encoder's batch statistics stay those of its published weights.

        Small batches of crops from a handful of images are a poor estimate of them; settings for
        large batches let them move.
        """
        super().train(mode)
        self._keep_encoder_statistics()
        return self

    def _keep_encoder_statistics(self) -> None:
        if not self.config.encoder_statistics:
            _freeze_statistics(self.encoder)

    def train_with_fixed_statistics(self) -> None:
        """Training mode in which no batch statistics move, those of the heads neither.

        For crops that must not shape them: unlabeled and mixed ones.
        """
        self.train()
        _freeze_statistics(self)

    @property
    def has_statistics(self) -> bool:
        """Whether batch statistics move in training."""
        return self.config.norm == "batch" or self.config.encoder_statistics

    def eval_with_moving_statistics(self) -> None:
        """Eval mode, without dropout, in which the batch statistics follow the crops as in `train`.

        How an averaged network gets statistics of its own: averaged ones belong to no network.
        """
        self.eval()
        for child in self.modules():
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                child.train()
        self._keep_encoder_statistics()

    def parameter_groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Encoder's parameters, and all others."""
        encoder = list(self.encoder.parameters())
        known = {id(parameter) for parameter in encoder}
        return encoder, [p for p in self.parameters() if id(p) not in known]


def decode_logits(logits: Tensor) -> Tensor:
    """(B, 3, h, w) -> (B, 2, h, w) whose softmax is p(background), p(body) + p(band)."""
    return torch.cat([logits[:, :1], logits[:, BODY:].logsumexp(dim=1, keepdim=True)], dim=1)


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling.

    The full decoder's is that of U2PL's code (3x3 projection, whole channels dropped), the pooled
    branch excepted; the separable one's has fewer weights.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        rates: tuple[int, ...],
        norm: MakeNorm,
        decoder: Decoder = "separable",
    ) -> None:
        super().__init__()
        full = decoder == "full"
        dilated = _conv_3x3 if full else _separable
        self.point = _conv(inputs, width, 1, norm)
        self.dilated = nn.ModuleList(dilated(inputs, width, norm, rate) for rate in rates)
        # No norm on the pooled vector: a batch holds only a few of them.
        self.pooled = nn.Sequential(nn.Conv2d(inputs, width, 1), nn.ReLU(inplace=True))
        self.project = _conv(width * (2 + len(rates)), width, 3 if full else 1, norm)
        self.dropout = nn.Dropout2d(0.1) if full else nn.Dropout(0.1)

    def forward(self, deep: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, width, h, w)."""
        pooled = self.pooled(deep.mean(dim=(2, 3), keepdim=True)).expand(
            -1, -1, deep.shape[2], deep.shape[3]
        )
        branches = [self.point(deep), *(branch(deep) for branch in self.dilated), pooled]
        return self.dropout(self.project(torch.cat(branches, dim=1)))


def group_norm(channels: int) -> nn.Module:
    """Norm over groups of channels of one image, which no other crop of the batch changes."""
    return nn.GroupNorm(math.gcd(GROUPS, channels), channels)


def _conv(inputs: int, outputs: int, kernel: int, norm: MakeNorm) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, norm(outputs), nn.ReLU(inplace=True))


def _separable(inputs: int, outputs: int, norm: MakeNorm, rate: int = 1) -> nn.Sequential:
    depthwise = nn.Conv2d(inputs, inputs, 3, padding=rate, dilation=rate, groups=inputs, bias=False)
    return nn.Sequential(depthwise, norm(inputs), *_conv(inputs, outputs, 1, norm))


def _conv_3x3(inputs: int, outputs: int, norm: MakeNorm, rate: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, padding=rate, dilation=rate, bias=False)
    return nn.Sequential(conv, norm(outputs), nn.ReLU(inplace=True))


def _head(inputs: int, width: int, outputs: int, norm: MakeNorm) -> nn.Sequential:
    fused = _separable(inputs, width, norm)
    return nn.Sequential(fused, nn.Dropout(0.1), nn.Conv2d(width, outputs, 1))


def _full_head(inputs: int, width: int, outputs: int, norm: MakeNorm) -> nn.Sequential:
    return nn.Sequential(
        *(_conv_3x3(inputs, width, norm), nn.Dropout2d(0.1)),
        *(_conv_3x3(width, width, norm), nn.Dropout2d(0.1)),
        nn.Conv2d(width, outputs, 1),
    )


def _animal_head(inputs: int, width: int, norm: MakeNorm) -> nn.Sequential:
    """Channels center, x, y, contact, core; at first there are hardly any hills and contacts."""
    last = nn.Conv2d(width, 5, 1)
    with torch.no_grad():
        for channel in (0, 3):
            nn.init.constant_(last.bias[channel : channel + 1], -math.log(99.0))  # type: ignore[index]
    return nn.Sequential(_separable(inputs, width, norm), last)


def _auxiliary_head(inputs: int, width: int, outputs: int, norm: MakeNorm) -> nn.Sequential:
    return nn.Sequential(
        *(_conv_3x3(inputs, width, norm), nn.Dropout2d(0.1)), nn.Conv2d(width, outputs, 1)
    )


def _freeze_statistics(module: nn.Module) -> None:
    for child in module.modules():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            child.eval()
