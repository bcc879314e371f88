"""What a training starts from, all of it from the settings and the seed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from data_io.errors import DataError
from model import memory
from model.backbone import encoder_stride
from model.config import TrainConfig
from model.network import SegmentationNetwork
from model.training_setup import choose_device, create_learner, create_optimizer, network_config

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


def test_the_settings_of_the_network_reach_it() -> None:
    config = TrainConfig(
        decoder="full", low_channels=7, auxiliary=0.4, encoder_statistics=True, pretrained=False
    )
    network = network_config(config, 3)
    assert (network.classes, network.categories) == (4, 3)
    assert (network.decoder, network.low_channels) == ("full", 7)
    assert (network.auxiliary, network.encoder_statistics) == (True, True)
    assert not network_config(TrainConfig(), 1).auxiliary


def test_the_contact_band_makes_three_classes_of_one_category() -> None:
    network = network_config(TrainConfig(encoding="contact_band"), 1)
    assert (network.classes, network.categories) == (3, 1)


@pytest.mark.parametrize(
    ("settings", "categories", "words"),
    [
        ({}, 0, "(C = 1)"),
        ({"encoding": "contact_band"}, 2, "and there are 2"),
        ({"backbone": "resnet_of_cows"}, 1, "timm knows no backbone"),
        ({"crop": 65536, "max_side": 65536}, 1, "GB of memory"),
        ({"crop": 1024, "batch": 100000}, 1, "choose a smaller crop or batch"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(
    settings: dict[str, Any], categories: int, words: str
) -> None:
    with pytest.raises(DataError) as caught:
        create_learner(TrainConfig(**settings), categories, torch.device("cpu"))
    sentence = str(caught.value)
    assert words in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


def test_needed_memory_grows_with_crops_and_is_a_lower_bound() -> None:
    """Against the tensors a real forward pass keeps for its gradient."""
    config = TrainConfig(**SMALL, crop=128, batch=2, method="supervised")  # type: ignore[arg-type]
    network = network_config(config, 1)
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    student = SegmentationNetwork(network).train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        alive = student.outputs_both(torch.zeros(2, 3, 128, 128))
    del alive
    needed = memory.needed_bytes(config, network)
    weights = sum(p.nbytes for p in student.parameters())
    assert needed == pytest.approx(sum(kept.values()) + 4 * weights, rel=0.1)
    more = TrainConfig(**SMALL, crop=256, batch=2, method="supervised")  # type: ignore[arg-type]
    grown = (memory.needed_bytes(more, network) - 5 * weights) / (needed - 5 * weights)
    assert grown == pytest.approx(4)


def test_sgd_and_adamw_have_a_rate_for_the_encoder_and_one_for_the_rest() -> None:
    for name, kind in (("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)):
        config = TrainConfig(**SMALL, optimizer=name, lr_encoder=1.0, lr_heads=10.0, momentum=0.8)  # type: ignore[arg-type]
        optimizer = create_optimizer(student(crop=64), config)
        assert isinstance(optimizer, kind)
        assert [group["lr"] for group in optimizer.param_groups] == [1.0, 10.0]
        assert optimizer.param_groups[0].get("momentum", 0.8) == 0.8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_training_takes_its_share_of_the_gpu_alone() -> None:
    device = choose_device(TrainConfig(device="cuda", gpu_share=0.25))
    try:
        whole = torch.cuda.get_device_properties(device).total_memory
        with pytest.raises(torch.cuda.OutOfMemoryError):
            torch.empty(int(0.3 * whole), dtype=torch.uint8, device=device)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_the_share_of_the_gpu_limits_what_is_refused_before_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    properties = type("Properties", (), {"total_memory": 1000})()
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    assert memory.device_bytes(torch.device("cuda"), 0.25) == 250
