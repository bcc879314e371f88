"""What a training starts from, all of it from the settings and the seed."""

from __future__ import annotations

import pytest
import torch

from model.backbone import encoder_stride
from model.config import TrainConfig
from model.network import SegmentationNetwork
from model.training_setup import create_learner

SMALL = {"decoder_channels": 8, "representation_channels": 4, "bank": 8, "pretrained": False}
RIGID = "ghostnet_050"  # a family without dilation: its deepest map has stride 32, always


def student(**settings: object) -> SegmentationNetwork:
    config = TrainConfig(**{**SMALL, **settings})  # type: ignore[arg-type]
    return create_learner(config, 1, torch.device("cpu")).student


@pytest.mark.parametrize(
    ("backbone", "rates"), [("tf_efficientnet_lite0", (4, 8, 12)), (RIGID, (2, 4, 6))]
)
def test_rates_follow_from_the_map_the_backbone_really_gives(
    backbone: str, rates: tuple[int, ...]
) -> None:
    network = student(backbone=backbone, crop=512)
    assert network.config.aspp_rates == rates
    with torch.no_grad():
        deepest = network.encoder(torch.zeros(1, 3, 128, 128))[-1]
    assert deepest.shape[-1] == 128 // encoder_stride(backbone, 16)


def test_rates_of_the_settings_are_taken_as_they_are() -> None:
    assert student(backbone=RIGID, crop=512, aspp=(1, 2, 3)).config.aspp_rates == (1, 2, 3)


def test_the_seed_decides_the_weights() -> None:
    one, same, other = (student(crop=64, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)
