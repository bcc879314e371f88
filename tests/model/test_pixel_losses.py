"""OHEM against recorded values of the published code, and what the settings add to L_s."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from model.config import IGNORE, TrainConfig
from model.network import Outputs
from model.pixel_losses import hard_pixels, supervised_loss
from model.pseudo_labels import pixel_loss

GOLDEN = Path(__file__).parent / "golden" / "ohem_c19.npz"
PLAIN = TrainConfig()


@pytest.mark.parametrize("case", ["k0", "k1", "k2"])
def test_ohem_equals_the_published_one(case: str) -> None:
    golden = np.load(GOLDEN)
    logits = torch.from_numpy(golden["pred"]).requires_grad_()
    label = torch.from_numpy(golden["target"]).long()
    threshold, least = float(golden[f"{case}_thresh"]), int(golden[f"{case}_min_kept"])
    loss = pixel_loss(logits, hard_pixels(logits.detach(), label, threshold, least))
    assert float(loss.detach()) == pytest.approx(float(golden[f"{case}_loss"]), abs=1e-5)
    loss.backward()
    assert logits.grad is not None
    taught = logits.grad.abs().sum(dim=1) > 0
    np.testing.assert_array_equal(taught.numpy(), golden[f"{case}_nonzero_grad_pixels"] > 0)


def certain(p: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """One row of pixels labeled 0, to which the network gives these probabilities."""
    values = torch.tensor(p)
    logits = torch.stack([values.log(), (1 - values).log()])[None, :, None]
    return logits, torch.zeros(1, 1, len(p), dtype=torch.long)


def kept(logits: torch.Tensor, label: torch.Tensor, least: int) -> list[int]:
    found = hard_pixels(logits, label, 0.7, least)
    assert torch.equal(found[found != IGNORE], label[found != IGNORE])
    return torch.nonzero(found[0, 0] != IGNORE)[:, 0].tolist()


def test_hard_pixels_and_at_least_so_many_of_the_hardest() -> None:
    logits, label = certain([0.99, 0.1, 0.8, 0.6, 0.75])
    assert kept(logits, label, 0) == [1, 3]
    assert kept(logits, label, 2) == [1, 3]
    assert kept(logits, label, 4) == [1, 2, 3, 4]
    assert kept(logits, label, 100) == [0, 1, 2, 3, 4]


def test_ignored_pixels_are_neither_kept_nor_counted() -> None:
    logits, label = certain([0.99, 0.1, 0.8, 0.6, 0.75])
    label[0, 0, 1] = IGNORE
    assert kept(logits, label, 2) == [3, 4]
    assert kept(logits, label, 5) == [0, 2, 3, 4]
    assert hard_pixels(logits, torch.full_like(label, IGNORE), 0.7, 0).eq(IGNORE).all()


@pytest.fixture
def outputs() -> Outputs:
    generator = torch.Generator().manual_seed(0)
    return Outputs(
        torch.randn(2, 3, 4, 4, generator=generator), torch.randn(2, 3, 2, 2, generator=generator)
    )


@pytest.fixture
def label() -> torch.Tensor:
    label = torch.randint(0, 3, (2, 16, 16), generator=torch.Generator().manual_seed(1))
    label[0, :4] = IGNORE
    return label


def full(maps: torch.Tensor) -> torch.Tensor:
    return F.interpolate(maps, size=(16, 16), mode="bilinear", align_corners=False)


def test_by_default_it_is_plain_cross_entropy(outputs: Outputs, label: torch.Tensor) -> None:
    plain = F.cross_entropy(full(outputs.logits), label, ignore_index=IGNORE)
    loss = supervised_loss(Outputs(outputs.logits, None), label, PLAIN)
    torch.testing.assert_close(loss, plain)


def test_the_auxiliary_head_adds_its_share(outputs: Outputs, label: torch.Tensor) -> None:
    main, side = (supervised_loss(Outputs(maps, None), label, PLAIN) for maps in outputs[:2])
    config = dataclasses.replace(PLAIN, auxiliary=0.4)
    torch.testing.assert_close(supervised_loss(outputs, label, config), main + 0.4 * side)


def test_ohem_holds_for_both_heads(outputs: Outputs, label: torch.Tensor) -> None:
    config = dataclasses.replace(PLAIN, auxiliary=1.0, ohem=0.3, ohem_kept=10)
    expected = sum(
        pixel_loss(full(maps), hard_pixels(full(maps), label, 0.3, 10)) for maps in outputs[:2]
    )
    torch.testing.assert_close(supervised_loss(outputs, label, config), expected)
    assert supervised_loss(outputs, label, config) > supervised_loss(
        outputs, label, dataclasses.replace(PLAIN, auxiliary=1.0)
    )
