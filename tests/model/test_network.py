from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from model.config import NetworkConfig
from model.network import SegmentationNetwork, decode_logits

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


FULL = NetworkConfig(
    classes=3,
    backbone="resnet10t",
    output_stride=8,
    decoder="full",
    decoder_channels=8,
    low_channels=4,
    representation_channels=5,
    auxiliary=True,
    encoder_statistics=True,
)


@pytest.fixture(scope="module")
def full() -> SegmentationNetwork:
    torch.manual_seed(0)
    return SegmentationNetwork(FULL)


def test_the_full_decoder_has_no_separable_convolution(
    full: SegmentationNetwork, network: SegmentationNetwork
) -> None:
    def grouped(net: SegmentationNetwork) -> list[str]:
        parts = {name: m for name, m in net.named_modules() if not name.startswith("encoder")}
        return [n for n, m in parts.items() if isinstance(m, nn.Conv2d) and m.groups > 1]

    assert grouped(network)
    assert not grouped(full)
    assert full.eval()(torch.randn(1, 3, 64, 96)).shape == (1, 3, 16, 24)
    assert full.features(torch.randn(1, 3, 64, 96)).shape == (1, 8 + 4, 16, 24)
    for head in (full.segmentation, full.representation):
        kinds = [type(m) for m in head.modules()]
        assert (kinds.count(nn.Conv2d), kinds.count(nn.Dropout2d)) == (3, 2)


def test_outputs_are_those_of_every_head(full: SegmentationNetwork) -> None:
    full.eval()
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        outputs, z = full.outputs_both(image)
        logits, same_z = full.forward_both(image)
        torch.testing.assert_close(full.outputs(image).auxiliary, outputs.auxiliary)
    assert torch.equal(outputs.logits, logits)
    assert torch.equal(z, same_z)
    assert z.shape == (2, 5, 16, 24)
    assert outputs.auxiliary is not None
    assert outputs.auxiliary.shape == (2, 3, 8, 12)  # the third stage, at output stride 8


def test_without_an_auxiliary_head_there_is_no_such_output(network: SegmentationNetwork) -> None:
    assert network.outputs(torch.randn(2, 3, 64, 64)).auxiliary is None
    assert not any("auxiliary" in name for name in network.state_dict())


def test_the_auxiliary_loss_reaches_the_encoder_below_its_last_stage() -> None:
    network = SegmentationNetwork(FULL)
    outputs = network.outputs(torch.randn(2, 3, 64, 64))
    assert outputs.auxiliary is not None
    outputs.auxiliary.sum().backward()
    taught = {n for n, p in network.encoder.named_parameters() if p.grad is not None}
    assert any(name.startswith("layer3") for name in taught)
    assert not any(name.startswith("layer4") for name in taught)


def test_statistics_of_the_encoder_move_where_the_settings_say_so(
    full: SegmentationNetwork,
) -> None:
    for start, moves in (
        (full.train, True),
        (full.eval_with_moving_statistics, True),
        (full.train_with_fixed_statistics, False),
    ):
        start()
        before = _statistics(full)
        full.outputs_both(torch.randn(2, 3, 64, 64))
        encoder = {key for key in _moved(full, before) if key.startswith("encoder.")}
        assert bool(encoder) == moves


def test_calling_a_network_with_a_contact_band_gives_one_category() -> None:
    config = NetworkConfig(classes=3, encoding="contact_band", decoder_channels=8, low_channels=8)
    assert config.categories == 1
    network = SegmentationNetwork(config).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        decoded, encoded = network(image), network.outputs(image).logits
    assert (decoded.shape[1], encoded.shape[1]) == (2, 3)
    p = encoded.softmax(dim=1)
    torch.testing.assert_close(decoded.softmax(dim=1)[:, 1], p[:, 1] + p[:, 2])


def test_with_group_norm_no_crop_changes_the_answer_to_another() -> None:
    torch.manual_seed(0)
    network = SegmentationNetwork(dataclasses.replace(SMALL, norm="group"))
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    crops = torch.randn(3, 3, 64, 64)
    network.train()
    before = _statistics(network)
    together = network.forward_both(crops)
    assert not network.has_statistics
    assert not _moved(network, before)
    network.eval()
    alone = [network.forward_both(crops[k : k + 1]) for k in range(3)]
    for joint, single in zip(together, zip(*alone, strict=True), strict=True):
        assert torch.allclose(joint, torch.cat(single), atol=1e-5)


def test_decoded_logits_give_the_sum_of_body_and_band() -> None:
    logits = 5 * torch.randn(2, 3, 4, 5)
    p, decoded = logits.softmax(dim=1), decode_logits(logits).softmax(dim=1)
    torch.testing.assert_close(decoded[:, 0], p[:, 0])
    torch.testing.assert_close(decoded[:, 1], p[:, 1] + p[:, 2])
