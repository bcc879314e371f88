"""Mask R-CNN (arXiv 1703.06870) on a Swin Transformer (arXiv 2103.14030) with a feature pyramid.

The backbone is timm's and takes images of any size; pyramid, proposals and heads are torchvision's.
Images come normalized and at the size they are looked at, masks go out as the heads made them.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from data_io.errors import DataError
from model.config import MASK_RCNN, TrainConfig

CHANNELS = 256  # of the pyramid and the heads
SWIN: dict[str, Any] = {}  # sizes that replace those of the timm model
# Pixels of the anchors on each level: the smallest are what the settings leave of small animals.
ANCHORS = ((24,), (48,), (96,), (192,), (384,))
MOST = 200  # detections of one look; a herd has more than torchvision's 100
POOLED = 7  # cells a side that the box head sees of a region


@dataclass(frozen=True)
class MaskRcnnConfig:
    """Everything needed to rebuild the network around its weights."""

    classes: int  # C: background and categories
    backbone: str  # a Swin of timm
    channels: int = CHANNELS  # of the pyramid and the heads
    swin: Mapping[str, Any] = field(default_factory=dict)  # sizes other than the named backbone's

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; `kind` tells this network from the others."""
        return {"kind": MASK_RCNN, **dataclasses.asdict(self)}

    @staticmethod
    def of_dict(values: Mapping[str, Any]) -> MaskRcnnConfig:
        """Inverse of `as_dict`."""
        return MaskRcnnConfig(**{key: value for key, value in values.items() if key != "kind"})


def network_config(config: TrainConfig, categories: int) -> MaskRcnnConfig:
    """The network of the settings for so many categories.

    Raises:
        DataError: there is no category.
    """
    if categories < 1:
        raise DataError("training", "the snapshot has no category", "label at least one animal")
    return MaskRcnnConfig(1 + categories, config.backbone, CHANNELS, dict(SWIN))


class SwinPyramid(nn.Module):
    """Image (B, 3, H, W) -> maps (B, `out_channels`, h, w) at strides 4, 8, 16, 32 and 64."""

    def __init__(self, config: MaskRcnnConfig, pretrained: bool) -> None:
        super().__init__()
        self.body: Any = timm.create_model(
            config.backbone,
            features_only=True,
            pretrained=pretrained,
            strict_img_size=False,
            always_partition=True,  # windows and shifts in the last stage, too, whatever the size
            **config.swin,
        )
        widths = self.body.feature_info.channels()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths)
        self.pyramid = FeaturePyramidNetwork(widths, config.channels, LastLevelMaxPool())
        self.out_channels = config.channels

    def forward(self, image: Tensor) -> OrderedDict[str, Tensor]:
        """Keys "0" to "3" and "pool", the finest map first."""
        maps = [norm(m) for norm, m in zip(self.norms, self.body(image), strict=True)]  # NHWC
        named = ((str(k), m.permute(0, 3, 1, 2).contiguous()) for k, m in enumerate(maps))
        found: OrderedDict[str, Tensor] = self.pyramid(OrderedDict(named))
        return found


class _AsItIs(GeneralizedRCNNTransform):
    """Neither normalizes nor scales; pads a batch to multiples of 32 with the mean color."""

    def normalize(self, image: Tensor) -> Tensor:
        return image

    def resize(self, image: Tensor, target: Any = None) -> tuple[Tensor, Any]:
        return image, target

    def postprocess(self, result: Any, shapes: Any, originals: Any) -> Any:
        return result  # masks stay (n, 1, 28, 28), whole images of them would fill the memory


class MaskRcnn(MaskRCNN):
    """torchvision's Mask R-CNN around a `SwinPyramid`.

    In train mode a call takes normalized images (3, H, W) float32 with their targets (see
    `model.maskrcnn.data`) and gives named losses. In eval mode it takes images alone and gives for
    each one boxes (n, 4) as x0, y0, x1, y1 in its pixels, labels (n,) int64 from 1, scores (n,) in
    [0, 1] and masks (n, 1, 28, 28) in [0, 1] that fill their boxes.
    """

    def __init__(self, config: MaskRcnnConfig, pretrained: bool = False) -> None:
        width, classes = config.channels, config.classes
        super().__init__(
            SwinPyramid(config, pretrained),
            rpn_anchor_generator=AnchorGenerator(ANCHORS, ((0.5, 1.0, 2.0),) * len(ANCHORS)),
            box_head=TwoMLPHead(width * POOLED**2, 4 * width),
            box_predictor=FastRCNNPredictor(4 * width, classes),
            box_detections_per_img=MOST,
            mask_head=MaskRCNNHeads(width, (width,) * 4, 1),
            mask_predictor=MaskRCNNPredictor(width, width, classes),
        )
        self.transform = _AsItIs(0, 0, [0.0] * 3, [1.0] * 3)
        self.config = config

    def parameter_groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """The Swin's parameters, and all others."""
        encoder = list(self.backbone.body.parameters())
        known = {id(parameter) for parameter in encoder}
        return encoder, [p for p in self.parameters() if id(p) not in known]


def create_network(config: MaskRcnnConfig, seed: int, pretrained: bool) -> tuple[MaskRcnn, str]:
    """The network in train mode, and a sentence where it lacks its published weights, else "".

    Whoever has a GPU and no way out of a network should not be refused: random weights only need
    more steps.
    """
    why = ""
    if pretrained:
        try:
            torch.manual_seed(seed)
            return MaskRcnn(config, pretrained=True), ""
        except Exception as error:  # a download fails in many ways
            first = (str(error).splitlines() or ["no reason told"])[0].split(". ")[0].rstrip(".")
            why = (
                f"the published weights of {config.backbone} cannot be had"
                f" ({type(error).__name__}: {first}), so training starts from random ones, which"
                " need many more steps; go online once and start a new job."
            )
    torch.manual_seed(seed)
    return MaskRcnn(config), why
