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

Method = Literal["supervised", "mean_teacher", "cutmix", "u2pl", "maskrcnn"]
METHODS: tuple[str, ...] = get_args(Method)
MASK_RCNN = "maskrcnn"  # finds animals one by one, see `model.maskrcnn`
PIXEL_METHODS = tuple(method for method in METHODS if method != MASK_RCNN)
Decoder = Literal["separable", "full"]
Norm = Literal["batch", "group"]
Encoding = Literal["classes", "contact_band"]
Optimizer = Literal["adamw", "sgd"]
Precision = Literal["off", "bf16", "fp16", "auto"]
Compat = Literal["paper", "official"]
Start = Literal["scratch", "warm"]
STARTS: tuple[str, ...] = get_args(Start)
ClockKind = Literal["wall", "processor"]
NegativesFrom = Literal["unreliable", "reliable", "all"]
IGNORE = 255  # label of pixels nobody vouches for: padding and unverified ground


@dataclass(frozen=True)
class NetworkConfig:
    """Everything needed to rebuild the network around its weights."""

    classes: int  # C: what the segmentation head tells apart, see `categories`
    backbone: str = "tf_efficientnet_lite0"  # any timm name
    output_stride: int = 16  # stride asked of the encoder; families without dilation keep theirs
    aspp_rates: tuple[int, ...] = (2, 4, 6)  # dilations, see `aspp_rates`
    decoder_channels: int = 96  # width of the decoder and of both heads
    low_channels: int = 32  # width of the stride-4 branch
    representation_channels: int = 64  # D
    decoder: Decoder = "separable"  # kind of the 3x3 convolutions after the encoder
    norm: Norm = "batch"  # after each of them
    auxiliary: bool = False  # a second segmentation head on the encoder's last map but one
    encoder_statistics: bool = False  # the encoder's batch statistics move in training, too
    encoding: Encoding = "classes"  # contact_band: background, body, band (model/targets.py)
    instances: bool = False  # a head that tells animals apart (model/targets.py)
    animal_size: float = 64.0  # unit of its offsets: pixels at training size

    @property
    def categories(self) -> int:
        """Categories the decoded answer has; the background is one class more."""
        return 1 if self.encoding == "contact_band" else self.classes - 1

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

    method: Method = "u2pl"  # which step runs in the second phase; maskrcnn is another network
    minutes: float = 5.0  # time for everything, export included; unused when steps > 0
    clock: ClockKind = "wall"  # processor: of all threads together, whatever else the machine does
    steps: int = 0  # > 0: exactly so many steps, the same on every run
    seed: int = 0  # of crops, views, banks and fresh weights
    device: str = "auto"  # auto, cpu, cuda, mps
    threads: int = 0  # of torch on the CPU; 0 leaves torch's choice
    backbone: str = "tf_efficientnet_lite0"  # any timm name
    pretrained: bool = True  # start the encoder from published weights
    start: Start = "scratch"  # warm: from the weights of the job's parent, see `warm_start`
    gpu_share: float = 1.0  # of a CUDA device's memory that this process may take
    output_stride: int = 16  # stride asked of the encoder; families without dilation keep theirs
    encoder_statistics: bool = False  # the encoder's batch statistics move; wants large batches
    decoder: Decoder = "separable"  # kind of its 3x3 convolutions; the paper's are full
    norm: Norm = "group"  # after each of them; group: no crop of a batch changes another's answer
    decoder_channels: int = 96  # width of the decoder
    low_channels: int = 32  # width of its stride-4 branch
    representation_channels: int = 64  # D of the representation head
    encoding: Encoding = "classes"  # contact_band: one category as background, body and band
    instances: bool = True  # a head that tells animals apart: cores, contacts, votes for a middle
    aspp: tuple[int, ...] = ()  # dilations; () derives them from crop and stride
    max_side: int = 1024  # images are scaled down to this long side, here and when predicting, but
    least_animal: float = 24.0  # less where animals, root of the area, had fewer pixels; 0 = never
    crop: int = 256  # side of the training crops, a multiple of 32
    batch: int = 4  # labeled crops a step
    batch_unlabeled: int = 2  # unlabeled crops ADDED to a step of the second phase
    autocast: Precision = "off"  # half precision; auto: what a CUDA device has, else off
    prefetch: int = 4  # batches made ahead of the one that is learned
    workers: int = 2  # threads that make them
    clip_norm: float = 0.0  # longest gradient; 0 switches it off
    optimizer: Optimizer = "adamw"  # sgd: with momentum
    lr_encoder: float = 3e-4  # at the start
    lr_heads: float = 2e-3  # at the start, decoder and heads
    momentum: float = 0.9  # of sgd
    weight_decay: float = 1e-4
    power: float = 0.9  # of the poly decay over both phases
    first_share: float = 0.5  # share of the steps (or time) that the supervised phase gets
    first_steps: int = 300  # steps it has at least where the job's length is a time, see `schedule`
    auxiliary: float = 0.0  # weight of the loss of a head on the encoder's last map but one
    ohem: float = 0.0  # labeled pixels whose class has more probability teach nothing; 0 = off
    ohem_kept: int = 100000  # labeled pixels a step that teach in any case
    animal_share: float = 0.67  # share of labeled crops placed on an animal
    labeled_jitter: bool = True  # mild color jitter of half of the labeled crops
    scale_low: float = 0.6  # zoom of the weak view: lowest
    scale_high: float = 1.7  # zoom of the weak view: highest
    jitter: float = 0.0  # strength of the strong view's color jitter; 1 = by up to a half
    grey: float = 0.0  # share of strong views without color
    blur: float = 0.0  # share of strong views that are blurred
    ema: float = 0.99  # largest m of the teacher, reached after a warm-up
    ema_span: float = 0.1  # share of the phase's steps that m reaches back at most
    teacher_flip: bool = True  # its answer is the mean over a view and its mirror image
    soft_targets: bool = True  # its probabilities teach; off: its most probable class
    alpha_0: float = 0.20  # unreliable share when the second phase starts   (Eq. 7)
    confidence: float = 0.0  # > 0: a teacher less sure than that teaches nothing
    lambda_u: float = 0.5  # weight of L_u
    lambda_c: float = 0.02  # weight of L_c
    lambda_i: float = 0.1  # weight of what the instance head loses
    anchors: int = 50  # M, a class and step
    negatives: int = 256  # N, an anchor
    temperature: float = 0.5  # tau
    delta_p: float = 0.3  # teacher probability an anchor needs
    bank: int = 30000  # keys a class; the background gets 50000 when C >= 20
    quota: int = 1024  # keys a class and step enqueued, half labeled, half unlabeled
    compat: Compat = "paper"  # official: the published code's losses, for comparison
    contrastive: bool = True  # L_c at all
    contrast_share: float = 0.5  # of a process's labeled crops that L_c looks at, one at least
    negatives_from: NegativesFrom = "unreliable"  # all: the high-entropy filter of the paper is off
    dpa: bool = True  # the unreliable share falls to 0; off: it stays alpha_0
    rank_low: int = 0  # r_l of both kinds of negatives; 0 leaves it to the number of classes
    rank_high: int = 0  # r_h; 0 leaves it to the number of classes
    p_max: float = 0.25  # largest p(c) of an unlabeled key of c, with fewer than 6 classes
    wrong_keys: float = 0.0  # > 0: lower p_max until labeled pixels show at most this wrong share
    key_floor: int = 64  # unlabeled keys a class and step at least, with fewer than 6 classes
    memory_bank: bool = True  # off: negatives of this step alone
    normalize_kept: bool = False  # L_u is the mean over reliable pixels (Eq. 8), not all valid ones
    cache_mb: int = 512  # memory for decoded images
    checkpoint_seconds: float = 20.0  # between two checkpoints

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**dataclasses.asdict(self), "aspp": list(self.aspp)}


# What both presets of the paper share; batches are those of ONE of its processes (4 and 8 of them).
_PAPER: dict[str, Any] = {
    "backbone": "resnet101s",
    "output_stride": 8,
    "encoder_statistics": True,
    "decoder": "full",
    "decoder_channels": 256,
    "low_channels": 256,
    "representation_channels": 256,
    "aspp": (12, 24, 36),
    "optimizer": "sgd",
    "least_animal": 0.0,
    "instances": False,
    "animal_share": 0.0,
    "labeled_jitter": False,
    "scale_low": 0.5,
    "scale_high": 2.0,
    "norm": "batch",
    "ema_span": 1.0,
    "teacher_flip": False,
    "soft_targets": False,
    "contrast_share": 1.0,
    "lambda_c": 0.1,
    "normalize_kept": True,
    "lambda_u": 1.0,
    "autocast": "auto",
    "cache_mb": 4096,
}

PRESETS: dict[str, dict[str, Any]] = {
    "cpu": {},
    "gpu": {
        "crop": 512,
        "batch": 8,
        "batch_unlabeled": 8,
        "decoder_channels": 128,
        "autocast": "auto",
        "cache_mb": 4096,
    },
    "paper_voc": {
        **_PAPER,
        "crop": 512,  # for 513, see docs/decisions/0012
        "max_side": 512,  # no image has more than 500 pixels a side
        "batch": 4,
        "batch_unlabeled": 4,
        "lr_encoder": 1e-3,
        "lr_heads": 1e-2,
        "weight_decay": 1e-4,
        "first_share": 1 / 80,  # one of 80 epochs
    },
    "paper_cityscapes": {
        **_PAPER,
        "crop": 768,  # for 769
        "max_side": 2048,
        "batch": 2,
        "batch_unlabeled": 2,
        "lr_encoder": 1e-2,
        "lr_heads": 1e-1,  # ten times as in the paper; the published code has one rate
        "weight_decay": 5e-4,
        "first_share": 1 / 200,  # one of 200 epochs
        "auxiliary": 0.4,
        "ohem": 0.7,
    },
}

# Defaults of a method where they differ; rates and decay are those of Swin's detectors
# (arXiv 2103.14030).
_OF_METHOD: dict[str, dict[str, Any]] = {
    MASK_RCNN: {
        "backbone": "swin_tiny_patch4_window7_224",
        "optimizer": "adamw",
        "lr_encoder": 1e-4,
        "lr_heads": 1e-4,
        "weight_decay": 0.05,
        "instances": False,  # it tells animals apart by itself
    }
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
    merged = {**PRESETS[preset], **_OF_METHOD.get(str(values.get("method")), {}), **values}
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
    _check_choices(config)
    _check_contrast(config)
    _check_method(config)
    if config.crop < 64 or config.crop % 32:
        raise _bad("crop", f"{config.crop} is no usable crop", "give a multiple of 32, at least 64")
    if config.crop > config.max_side:
        raise _bad(
            "crop",
            f"crops of {config.crop} are larger than images scaled to {config.max_side}",
            "choose a smaller crop or a larger max_side",
        )
    if not 0 < config.gpu_share <= 1:
        raise _bad("gpu_share", f"{config.gpu_share} is no share", "give a share in (0, 1]")
    if config.batch < 2:
        raise _bad("batch", "batch statistics need two crops", "give 2 or more")
    if not config.prefetch or not config.workers:
        name = "workers" if config.prefetch else "prefetch"
        raise _bad(name, "somebody must make the batches", "give 1 or more")
    if config.steps == 0 and config.minutes <= 0:
        raise _bad("minutes", "there is no time to train", "give minutes or steps above 0")


def _check_choices(config: TrainConfig) -> None:
    choices = {
        "decoder": Decoder,
        "norm": Norm,
        "encoding": Encoding,
        "optimizer": Optimizer,
        "start": Start,
        "autocast": Precision,
        "clock": ClockKind,
        "compat": Compat,
        "negatives_from": NegativesFrom,
    }
    for name, kind in choices.items():
        value, known = getattr(config, name), get_args(kind)
        if value not in known:
            raise _bad(name, f"there is no {name} {value!r}", f"use {' or '.join(known)}")


def _check_method(config: TrainConfig) -> None:
    if config.method not in METHODS:
        raise _bad("method", f"there is no method {config.method!r}", f"use {', '.join(METHODS)}")
    if config.method != MASK_RCNN:
        return
    if config.encoding != "classes":
        raise _bad("encoding", "Mask R-CNN tells animals apart without a band", "use classes")
    if config.instances:
        raise _bad("instances", "Mask R-CNN tells animals apart without this head", "use false")
    if config.start != "scratch":
        raise _bad("start", "Mask R-CNN starts from published weights", "use scratch")
    if config.compat != "paper":
        raise _bad("compat", "the published losses are U2PL's, not Mask R-CNN's", "use paper")
    if not config.backbone.startswith("swin_"):
        why = f"Mask R-CNN has a Swin backbone and {config.backbone} is none"
        raise _bad("backbone", why, f"use {_OF_METHOD[MASK_RCNN]['backbone']}")


def _check_contrast(config: TrainConfig) -> None:
    for name in ("alpha_0", "contrast_share", "p_max", "wrong_keys", "ohem"):
        if getattr(config, name) > 1:
            raise _bad(name, f"{getattr(config, name)} is no share", "give 0 to 1")
    for name in ("anchors", "negatives", "temperature", "bank"):
        if getattr(config, name) == 0:
            raise _bad(name, "there is no contrast without it", "give more than 0")
    if config.rank_high and config.rank_low >= config.rank_high:
        raise _bad("rank_low", "no rank lies between the two", "choose a larger rank_high")


def _bad(field: str, why: str, remedy: str) -> DataError:
    return DataError("training settings", why, remedy, field=field)
