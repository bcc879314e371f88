from __future__ import annotations

import pytest
import torch
from torch import nn

from model.config import NetworkConfig
from model.network import SegmentationNetwork

SMALL = NetworkConfig(classes=2, decoder_channels=16, low_channels=8, representation_channels=4)


@pytest.fixture(scope="module")
def network() -> SegmentationNetwork:
    torch.manual_seed(0)
    return SegmentationNetwork(SMALL)


def _statistics(network: nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in network.state_dict().items() if "running_" in k}


def _moved(network: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    after = network.state_dict()
    return {key for key, value in before.items() if not torch.equal(value, after[key])}


@pytest.mark.parametrize(("height", "width"), [(64, 96), (128, 64)])
def test_outputs_have_stride_4(network: SegmentationNetwork, height: int, width: int) -> None:
    network.eval()
    with torch.no_grad():
        image = torch.randn(2, 3, height, width)
        logits, z = network.forward_both(image)
        assert torch.allclose(network(image), logits)
    assert logits.shape == (2, 2, height // 4, width // 4)
    assert z.shape == (2, 4, height // 4, width // 4)


def test_training_moves_statistics_of_the_heads_only(network: SegmentationNetwork) -> None:
    network.train()
    before = _statistics(network)
    network.forward_both(torch.randn(2, 3, 64, 64))
    moved = _moved(network, before)
    assert moved
    assert not any(key.startswith("encoder.") for key in moved)


def test_fixed_statistics_never_move_and_training_resumes(network: SegmentationNetwork) -> None:
    network.train_with_fixed_statistics()
    before = _statistics(network)
    network.forward_both(torch.randn(2, 3, 64, 64))
    assert network.training
    assert not _moved(network, before)
    network.train()
    network(torch.randn(2, 3, 64, 64))
    assert _moved(network, before)


def test_parameter_groups_are_a_partition(network: SegmentationNetwork) -> None:
    encoder, others = network.parameter_groups()
    assert len(encoder) + len(others) == len(list(network.parameters()))
    assert not {id(p) for p in encoder} & {id(p) for p in others}


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050"])
def test_other_timm_backbones_fit(name: str) -> None:
    config = NetworkConfig(classes=3, backbone=name, decoder_channels=8, low_channels=8)
    with torch.no_grad():
        logits = SegmentationNetwork(config).eval()(torch.randn(1, 3, 64, 64))
    assert logits.shape == (1, 3, 16, 16)
