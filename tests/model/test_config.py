from __future__ import annotations

import json

import pytest

from data_io.errors import DataError
from model.config import PRESETS, NetworkConfig, TrainConfig, aspp_rates, train_config


@pytest.mark.parametrize(
    ("crop", "stride", "rates"),
    [(256, 16, (2, 4, 6)), (320, 16, (2, 4, 6)), (64, 16, (1, 2, 3)), (512, 8, (8, 16, 24))],
)
def test_aspp_rates(crop: int, stride: int, rates: tuple[int, ...]) -> None:
    assert aspp_rates(crop, stride) == rates


@pytest.mark.parametrize("crop", range(64, 1025, 32))
def test_outer_taps_stay_inside_the_map(crop: int) -> None:
    assert max(aspp_rates(crop, 16)) < crop // 16


def test_defaults_and_presets_are_valid() -> None:
    assert train_config({}) == TrainConfig()
    for preset in PRESETS:
        assert train_config({"preset": preset}).crop == PRESETS[preset].get("crop", 256)


@pytest.mark.parametrize("preset", PRESETS)
def test_mask_rcnn_has_defaults_of_its_own_in_every_preset(preset: str) -> None:
    config = train_config({"method": "maskrcnn", "preset": preset})
    assert config.backbone == "swin_tiny_patch4_window7_224"
    assert (config.optimizer, config.lr_heads, config.weight_decay) == ("adamw", 1e-4, 0.05)
    assert config.crop == train_config({"preset": preset}).crop
    own = train_config({"method": "maskrcnn", "lr_heads": 0.5})
    assert (own.lr_heads, own.lr_encoder) == (0.5, 1e-4)
    assert train_config(json.loads(json.dumps(config.as_dict()))) == config


def test_dict_round_trip_through_json() -> None:
    config = TrainConfig(aspp=(1, 2, 3), method="cutmix")
    assert train_config(json.loads(json.dumps(config.as_dict()))) == config
    network = NetworkConfig(classes=4, aspp_rates=(1, 2, 3), decoder="full", auxiliary=True)
    assert NetworkConfig.of_dict(json.loads(json.dumps(network.as_dict()))) == network


@pytest.mark.parametrize(
    "overrides",
    [
        {"method": "maskrcnn", "backbone": "resnet50"},
        {"method": "maskrcnn", "instances": True},
        {"method": "maskrcnn", "encoding": "contact_band"},
        {"method": "maskrcnn", "compat": "official"},
        {"crop": 100},
        {"crop": 2048},
        {"crop": "256"},
        {"crop": True},
        {"method": "magic"},
        {"colour": 1},
        {"preset": "tpu"},
        {"minutes": 0},
        {"batch": 1},
        {"lr_heads": -1.0},
        {"decoder": "wide"},
        {"encoding": "pixels"},
        {"optimizer": "adam"},
        {"ohem": 1.5},
    ],
)
def test_bad_settings_are_one_sentence(overrides: dict[str, object]) -> None:
    with pytest.raises(DataError, match=r"^training settings.*\.$"):
        train_config(overrides)
