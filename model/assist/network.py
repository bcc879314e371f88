"""The refiner: a picture, a mask and clicks -> a better mask of one animal.

The picture goes through the stages of the default backbone, which never learn: what they know of
photos is what carries a network over that has seen procedural scenes alone. Mask and clicks
meet its maps in the decoder, at every stride, twice: as they are, and as likeness (Wang et al.
2019, PANet, arXiv:1908.06391, section 3.3): the cosine between each place and the mean of the maps
under the mask, under the positive and under the negative clicks. So a click says "what looks like
this" of coats and grounds that nobody has trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.backbone import create_encoder

BACKBONE = "tf_efficientnet_lite0"
HINTS = 3  # mask, positive clicks, negative clicks
ENCODER = "encoder."  # how the names of its weights begin
_STAGES = (6, 4, 2, 1, 0)  # of the encoder, coarse to fine
_STRIDES = (32, 16, 8, 4, 2)
_CHANNELS = (320, 112, 40, 24, 16)  # theirs
_WIDTHS = (96, 96, 96, 64, 32)  # of the decoder
_BLOCKS = (2, 3, 2, 2, 1)
_FIRST, _GROUPS = 16, 8
_TINY = 1e-4


class Refiner(nn.Module):
    """(B, 6, H, W) -> logits (B, 1, H, W), H and W multiples of `crops.MULTIPLE`.

    Channels: the normalized picture (RGB), the mask so far in [0, 1], and the discs of positive and
    of negative clicks.

    Attributes:
        shallow: the deepest level has not joined yet, see `model.assist.recipe`.

    Raises:
        DataError: the backbone's weights are not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shallow = False
        self.encoder = _Encoder()
        levels = zip(_STRIDES, _CHANNELS, _WIDTHS, _BLOCKS, strict=True)
        self.levels = nn.ModuleList(_Level(*level) for level in levels)
        narrow = [nn.Conv2d(wide, width, 1) for wide, width in pairwise(_WIDTHS)]
        nn.init.zeros_(narrow[0].weight)  # so that the deepest level can join later
        nn.init.zeros_(narrow[0].bias)  # type: ignore[arg-type]
        self.narrow = nn.ModuleList(narrow)
        self.last = nn.Conv2d(_WIDTHS[-1], 1, 1)

    def train(self, mode: bool = True) -> Refiner:
        """As usual, but for the encoder."""
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, crop: Tensor) -> Tensor:
        """See the class."""
        picture, hints = crop.split([3, HINTS], dim=1)
        return self.answer(self.encoder(picture), hints)

    def answer(self, levels: Sequence[Tensor], hints: Tensor) -> Tensor:
        """Logits (B, 1, H, W), of the encoder's maps and of hints (B, 3, H, W)."""
        maps = None
        for number, seen in enumerate(levels):
            if number == 0 and self.shallow:
                continue
            coarser = None if maps is None else _doubled(self.narrow[number - 1](maps))
            maps = self.levels[number](seen, hints, coarser)
        return _doubled(self.last(maps))

    def learned(self) -> dict[str, Tensor]:
        """The weights that training moves: all but the encoder's."""
        state = self.state_dict()
        return {name: value for name, value in state.items() if not name.startswith(ENCODER)}


class _Encoder(nn.Module):
    """(B, 3, H, W) -> its maps of `_STAGES`."""

    def __init__(self) -> None:
        super().__init__()
        encoder: Any = create_encoder(BACKBONE, 32, pretrained=True)
        self.stem = nn.Sequential(encoder.conv_stem, encoder.bn1)
        self.stages = nn.ModuleList(list(encoder.blocks)[: max(_STAGES) + 1])
        self.requires_grad_(False)

    def forward(self, picture: Tensor) -> list[Tensor]:
        maps, found = self.stem(picture), []
        for stage in self.stages:
            maps = stage(maps)
            found.append(maps)
        return [found[number] for number in _STAGES]


class _Level(nn.Module):
    """One stride of the decoder."""

    def __init__(self, stride: int, channels: int, width: int, blocks: int) -> None:
        super().__init__()
        self.stride = stride
        self.across = nn.Sequential(nn.Conv2d(channels, width, 1), nn.GroupNorm(_GROUPS, width))
        self.told = nn.Sequential(
            nn.Conv2d(2 * HINTS, _FIRST, 3, padding=1), nn.ReLU(), nn.Conv2d(_FIRST, width, 1)
        )
        self.blocks = nn.Sequential(*(_Mixed(width) for _ in range(blocks)))

    def forward(self, seen: Tensor, hints: Tensor, coarser: Tensor | None) -> Tensor:
        here = functional.avg_pool2d(hints, self.stride)
        maps = self.across(seen) + self.told(torch.cat([here, likeness(seen, here)], 1))
        return self.blocks(functional.relu(maps if coarser is None else maps + coarser))


class _Mixed(nn.Module):
    """A separable convolution that adds to what it is given."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 5, padding=2, groups=width, bias=False),
            nn.Conv2d(width, width, 1, bias=False),
            nn.GroupNorm(_GROUPS, width),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return functional.relu(maps + self.body(maps))


def likeness(seen: Tensor, hints: Tensor) -> Tensor:
    """How much each place looks like what lies under each hint.

    Args:
        seen: (B, C, h, w) maps. hints: (B, K, h, w) in [0, 1].

    Returns:
        (B, K, h, w), cosines in [-1, 1]; 0 for a hint that says nothing.
    """
    flat, weights = seen.flatten(2), hints.flatten(2)
    flat = flat - flat.mean(2, keepdim=True)
    means = weights @ flat.transpose(1, 2) / (weights.sum(2, keepdim=True) + _TINY)
    means = means / (means.square().sum(2, keepdim=True) + _TINY).sqrt()
    unit = flat / (flat.square().sum(1, keepdim=True) + _TINY).sqrt()
    return (means @ unit).view(*hints.shape)


def _doubled(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)
