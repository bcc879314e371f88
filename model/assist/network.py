"""The refiner: a picture, a mask and clicks -> a better mask of one animal.

The first five stages of the default backbone (stride 16 at most: an animal fills its crop, so more
context says little) with a decoder down to stride 2. Mask and clicks are added behind the stem, as
in RITM (Sofiiuk et al. 2021, arXiv:2102.06583, section 3.2), by a layer that starts at zero: before
any training the features are those that the backbone's weights give.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from model.backbone import create_encoder

BACKBONE = "tf_efficientnet_lite0"
MULTIPLE = 16  # sides of a crop are multiples of it
HINTS = 3  # mask, positive clicks, negative clicks
_STAGES = {0: 16, 1: 24, 2: 40, 4: 112}  # stage of the encoder -> its channels: strides 2 4 8 16
_WIDTH, _FINE, _GROUPS = 64, 32, 8


class Refiner(nn.Module):
    """(B, 6, H, W) -> logits (B, 1, H, W), H and W multiples of `MULTIPLE`.

    Channels: the normalized picture (RGB), the mask so far in [0, 1], and the discs of positive and
    of negative clicks. The encoder's batch statistics never move.
    """

    def __init__(self, pretrained: bool = True) -> None:
        super().__init__()
        encoder: Any = create_encoder(BACKBONE, 32, pretrained)
        self.stem = nn.Sequential(encoder.conv_stem, encoder.bn1)
        self.stages = nn.ModuleList(list(encoder.blocks)[: max(_STAGES) + 1])
        self.hints = nn.Sequential(
            nn.Conv2d(HINTS, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 1, bias=False)
        )
        nn.init.zeros_(self.hints[-1].weight)  # type: ignore[arg-type]
        fine, *coarse = _STAGES.values()
        self.across = nn.ModuleList(nn.Conv2d(channels, _WIDTH, 1) for channels in coarse)
        self.middle = nn.Sequential(_mixed(_WIDTH, _WIDTH), _mixed(_WIDTH, _WIDTH))
        self.fine = nn.Conv2d(fine, _FINE, 1)
        self.narrow = nn.Conv2d(_WIDTH, _FINE, 1)
        self.last = nn.Sequential(_mixed(_FINE, _FINE), nn.Conv2d(_FINE, 1, 1))

    def train(self, mode: bool = True) -> Refiner:
        """As usual, but for the encoder's batch statistics."""
        super().train(mode)
        self.stem.eval()
        self.stages.eval()
        return self

    def forward(self, crop: Tensor) -> Tensor:
        """See the class."""
        picture, hints = crop.split([3, HINTS], dim=1)
        seen = self._seen(self.stem(picture) + self.hints(hints))
        fine, *coarse = seen
        total: Tensor | None = None
        for level, across in zip(reversed(coarse), reversed(self.across), strict=True):
            mapped = across(level)
            total = mapped if total is None else mapped + _enlarged(total, mapped)
        assert total is not None
        merged = self.fine(fine) + _enlarged(self.narrow(self.middle(total)), fine)
        return functional.interpolate(
            self.last(merged), scale_factor=2.0, mode="bilinear", align_corners=False
        )

    def _seen(self, maps: Tensor) -> list[Tensor]:
        found = []
        for number, stage in enumerate(self.stages):
            maps = stage(maps)
            if number in _STAGES:
                found.append(maps)
        return found


def _mixed(channels: int, width: int) -> nn.Sequential:
    """A separable convolution, its norm and its activation."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.Conv2d(channels, width, 1, bias=False),
        nn.GroupNorm(_GROUPS, width),
        nn.ReLU(),
    )


def _enlarged(maps: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(
        maps, size=tuple(like.shape[-2:]), mode="bilinear", align_corners=False
    )


def parameters_of(network: Refiner, encoder: float, rest: float) -> list[dict[str, Any]]:
    """Groups for an optimizer: the encoder learns with another rate than the rest."""
    slow = [*network.stem.parameters(), *network.stages.parameters()]
    known = {id(one) for one in slow}
    quick = [one for one in network.parameters() if id(one) not in known]
    return [{"params": slow, "lr": encoder}, {"params": quick, "lr": rest}]
