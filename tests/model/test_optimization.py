"""An update: its rates, its clipping, its precision."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from data_io.errors import DataError
from model import contrast, methods, optimization, pseudo_labels
from model.config import TrainConfig
from model.dataset import LabeledBatch, UnlabeledBatch
from model.network import SegmentationNetwork
from model.optimization import Optimization, half_precision
from model.training_setup import create_learner

CPU = torch.device("cpu")
TINY: dict[str, Any] = {
    "crop": 64,
    "decoder_channels": 8,
    "representation_channels": 4,
    "pretrained": False,
}


def student(**settings: Any) -> tuple[SegmentationNetwork, Optimization]:
    config = TrainConfig(**{**TINY, **settings})
    network = create_learner(config, 1, CPU).student
    return network, Optimization(network, config, CPU)


def gradient_after(clip_norm: float) -> float:
    network, update = student(clip_norm=clip_norm)
    update.step(1000.0 * network(torch.randn(2, 3, 64, 64)).square().mean())
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    return float(torch.stack([gradient.norm() for gradient in gradients]).norm())


def test_gradients_are_clipped_to_their_norm() -> None:
    assert gradient_after(0.0) > 1.0
    assert gradient_after(0.1) == pytest.approx(0.1, rel=1e-3)


def test_rates_are_those_of_the_settings_times_a_factor() -> None:
    _, update = student(lr_encoder=0.5, lr_heads=0.25)
    update.set_rates(0.5)
    update.set_rates(0.1)
    assert [group["lr"] for group in update.optimizer.param_groups] == pytest.approx([0.05, 0.025])


def test_a_restored_optimizer_goes_on_and_keeps_the_rates_of_the_settings() -> None:
    network, update = student()
    image = torch.randn(2, 3, 64, 64)
    update.set_rates(0.5)
    update.step(network(image).square().mean())
    other, restored = student()
    other.load_state_dict(network.state_dict())
    restored.restore(copy.deepcopy(update.state()))  # as through a file
    for net, one in ((network, update), (other, restored)):
        torch.manual_seed(0)  # dropout
        one.set_rates(1.0)
        one.step(net(image).square().mean())
    theirs = other.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("setting", ["off", "auto"])
def test_a_cpu_calculates_in_float32_unless_asked(setting: str) -> None:
    assert half_precision(setting, CPU) is None


def test_a_cpu_with_the_instructions_takes_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    assert half_precision("bf16", CPU) is torch.bfloat16


@pytest.mark.parametrize("setting", ["bf16", "fp16"])
def test_a_device_without_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    with pytest.raises(DataError, match=f"autocast: this cpu .* in {setting}"):
        half_precision(setting, CPU)


@pytest.mark.parametrize(
    ("setting", "bfloat", "expected"),
    [
        ("auto", True, torch.bfloat16),
        ("auto", False, torch.float16),
        ("fp16", True, torch.float16),
        ("bf16", True, torch.bfloat16),
        ("off", True, None),
    ],
)
def test_what_a_cuda_device_takes(
    monkeypatch: pytest.MonkeyPatch, setting: str, bfloat: bool, expected: torch.dtype | None
) -> None:
    monkeypatch.setattr(optimization.torch.cuda, "is_bf16_supported", lambda: bfloat)
    assert half_precision(setting, torch.device("cuda")) is expected


def test_half_precision_ends_where_losses_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainConfig(**{**TINY, "bank": 40, "quota": 20, "confidence": 0.0, "delta_p": 0.0})
    learner = create_learner(config, 1, CPU)
    seen: dict[str, list[Any]] = {"network": [], "pixels": [], "vectors": []}
    nce, entropy = contrast.info_nce, pseudo_labels.F.cross_entropy

    def info_nce(z: Tensor, positive: Tensor, *rest: Any) -> Tensor:
        seen["vectors"].append((z.dtype, positive.dtype, torch.is_autocast_enabled("cpu")))
        return nce(z, positive, *rest)

    def cross_entropy(logits: Tensor, *rest: Any, **named: Any) -> Tensor:
        loss = entropy(logits, *rest, **named)
        seen["pixels"].append((logits.dtype, loss.dtype))
        return loss

    monkeypatch.setattr(contrast, "info_nce", info_nce)
    monkeypatch.setattr(pseudo_labels.F, "cross_entropy", cross_entropy)
    learner.student.segmentation.register_forward_hook(
        lambda module, inputs, output: seen["network"].append(output.dtype)
    )
    image, label = torch.randn(2, 3, 64, 64), torch.zeros(2, 64, 64, dtype=torch.long)
    label[:, :32] = 1
    unlabeled = UnlabeledBatch(image, image, torch.ones(2, 64, 64, dtype=torch.bool))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rng = np.random.default_rng(0)
        losses = methods.u2pl(learner, LabeledBatch(image, label), unlabeled, rng)
    assert set(seen["network"]) == {torch.bfloat16}
    assert set(seen["pixels"]) == {(torch.float32, torch.float32)}
    assert set(seen["vectors"]) == {(torch.float32, torch.float32, False)}
    assert losses.total.dtype == torch.float32
    losses.total.backward()
    assert all(p.grad is None or p.grad.dtype == p.dtype for p in learner.student.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_fp16_scales_its_gradients_and_stays_finite() -> None:
    config = TrainConfig(**TINY, autocast="fp16", clip_norm=1.0)
    device = torch.device("cuda")
    network = create_learner(config, 1, device).student
    update = Optimization(network, config, device)
    image = torch.randn(2, 3, 64, 64, device=device)
    for _ in range(3):
        with update.autocast():
            logits = network(image)
        update.step(logits.float().square().mean())
    assert update.scaler.get_scale() > 1.0
    assert all(torch.isfinite(p).all() for p in network.parameters())
