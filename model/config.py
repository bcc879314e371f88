"""Settings of a network and of its training; both are stored whole in every checkpoint.

`NetworkConfig` is what is needed to rebuild a network; `TrainConfig` is what a person or a job may
choose. One line per setting: its default and what it changes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from data_io.errors import DataError

Method = Literal["supervised", "mean_teacher", "cutmix", "u2pl"]
METHODS: tuple[str, ...] = get_args(Method)
IGNORE = 255  # label of pixels nobody vouches for: padding and unverified ground


@dataclass(frozen=True)
class NetworkConfig:
    """Everything needed to rebuild the network around its weights."""

    classes: int  # C: background plus the categories
    backbone: str = "tf_efficientnet_lite0"  # any timm name
    output_stride: int = 16  # stride asked of the encoder; families without dilation keep theirs
    aspp_rates: tuple[int, ...] = (2, 4, 6)  # dilations, see `aspp_rates`
    decoder_channels: int = 96  # width of the decoder and of both heads
    low_channels: int = 32  # width of the stride-4 branch
    representation_channels: int = 64  # D

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**dataclasses.asdict(self), "aspp_rates": list(self.aspp_rates)}

    @staticmethod
    def of_dict(values: Mapping[str, Any]) -> NetworkConfig:
        """Inverse of `as_dict`."""
        return NetworkConfig(**{**values, "aspp_rates": tuple(values["aspp_rates"])})


@dataclass(frozen=True)
class TrainConfig:
    """What one training job does; defaults are the CPU preset."""

    method: Method = "u2pl"  # which step runs in the second phase
    minutes: float = 5.0  # wall time of everything, export included; unused when steps > 0
    steps: int = 0  # > 0: exactly so many steps, the same on every run
    seed: int = 0  # of crops, views, banks and fresh weights
    device: str = "auto"  # auto, cpu, cuda, mps
    threads: int = 0  # of torch on the CPU; 0 leaves torch's choice
    backbone: str = "tf_efficientnet_lite0"  # any timm name
    pretrained: bool = True  # start the encoder from published weights
    output_stride: int = 16  # stride asked of the encoder; families without dilation keep theirs
    decoder_channels: int = 96  # width of the decoder
    representation_channels: int = 64  # D of the representation head
    aspp: tuple[int, ...] = ()  # dilations; () derives them from crop and stride
    max_side: int = 1024  # images are scaled down to this long side, here and when predicting
    crop: int = 256  # side of the training crops, a multiple of 32
    batch: int = 4  # labeled crops a step
    batch_unlabeled: int = 2  # unlabeled crops ADDED to a step of the second phase
    autocast: bool = False  # half precision where the device has it
    lr_encoder: float = 3e-4  # AdamW, first phase
    lr_heads: float = 2e-3  # AdamW, decoder and heads
    weight_decay: float = 1e-4
    power: float = 0.9  # of the poly decay over both phases
    first_share: float = 0.5  # share of the steps (or time) that the supervised phase gets
    animal_share: float = 0.67  # share of labeled crops placed on an animal
    scale_low: float = 0.6  # zoom of the weak view: lowest
    scale_high: float = 1.7  # zoom of the weak view: highest
    jitter: float = 0.0  # strength of the strong view's color jitter; 1 = by up to a half
    grey: float = 0.0  # share of strong views without color
    blur: float = 0.0  # share of strong views that are blurred
    ema: float = 0.99  # m of the teacher, reached after a warm-up
    alpha_0: float = 0.20  # unreliable share when the second phase starts   (Eq. 7)
    confidence: float = 0.95  # pseudo-labels below it teach nothing; 0 switches it off
    lambda_u: float = 0.5  # weight of L_u
    lambda_c: float = 0.1  # weight of L_c
    anchors: int = 50  # M, a class and step
    negatives: int = 256  # N, an anchor
    temperature: float = 0.5  # tau
    delta_p: float = 0.3  # teacher probability an anchor needs
    bank: int = 30000  # keys a class; the background gets 50000 when C >= 20
    quota: int = 1024  # keys a class and step enqueued, half labeled, half unlabeled
    cache_mb: int = 512  # memory for decoded images
    checkpoint_seconds: float = 20.0  # between two checkpoints

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**dataclasses.asdict(self), "aspp": list(self.aspp)}


PRESETS: dict[str, dict[str, Any]] = {
    "cpu": {},
    "gpu": {
        "crop": 512,
        "batch": 8,
        "batch_unlabeled": 8,
        "decoder_channels": 128,
        "autocast": True,
        "cache_mb": 4096,
    },
}


def aspp_rates(crop: int, output_stride: int) -> tuple[int, int, int]:
    """Dilations whose outer taps still lie inside the feature map of a training crop.

    A map of `crop / output_stride` cells gives the unit u = cells // 8 (at least 1) and the rates
    u, 2u, 3u: 2/4/6 for crops of 256-320 at stride 16. With 6/12/18 on so small a map the outer
    taps only ever see zero padding, stay untrained, and draw bands over larger images.
    """
    unit = max(1, crop // output_stride // 8)
    return unit, 2 * unit, 3 * unit


def train_config(overrides: Mapping[str, Any]) -> TrainConfig:
    """The CPU preset, or the one named by `preset`, with single settings replaced.

    Raises:
        DataError: unknown setting or preset, or a value outside its range.
    """
    values = dict(overrides)
    preset = values.pop("preset", "cpu")
    if preset not in PRESETS:
        raise _bad(
            "preset", f"there is no preset {preset!r}", f"choose one of {', '.join(PRESETS)}"
        )
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    for name in values:
        if name not in known:
            raise _bad(name, "there is no such training setting", "remove it or fix its spelling")
    merged = {**PRESETS[preset], **values}
    merged["aspp"] = tuple(merged.get("aspp", ()))
    config = TrainConfig(**merged)
    _check(config)
    return config


def _check(config: TrainConfig) -> None:
    for field in dataclasses.fields(TrainConfig):
        value, default = getattr(config, field.name), field.default
        if isinstance(default, bool) or not isinstance(default, (int, float)):
            fits = isinstance(value, type(default))
        else:
            number = int if isinstance(default, int) else (int, float)
            fits = isinstance(value, number) and not isinstance(value, bool) and value >= 0
        if not fits:
            kind = "a number >= 0" if isinstance(default, (int, float)) else "text"
            raise _bad(field.name, f"{value!r} does not fit", f"give {kind} like {default!r}")
    if config.method not in METHODS:
        raise _bad("method", f"there is no method {config.method!r}", f"use {', '.join(METHODS)}")
    if config.crop < 64 or config.crop % 32:
        raise _bad("crop", f"{config.crop} is no usable crop", "give a multiple of 32, at least 64")
    if config.crop > config.max_side:
        raise _bad(
            "crop",
            f"crops of {config.crop} are larger than images scaled to {config.max_side}",
            "choose a smaller crop or a larger max_side",
        )
    if config.batch < 2:
        raise _bad("batch", "batch statistics need two crops", "give 2 or more")
    if config.steps == 0 and config.minutes <= 0:
        raise _bad("minutes", "there is no time to train", "give minutes or steps above 0")


def _bad(field: str, why: str, remedy: str) -> DataError:
    return DataError("training settings", why, remedy, field=field)
