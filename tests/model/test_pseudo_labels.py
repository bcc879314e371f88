from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from model import pseudo_labels
from model.config import IGNORE

GOLDEN = Path(__file__).parent / "golden"


def _everywhere(probability: torch.Tensor) -> torch.Tensor:
    return torch.ones(probability[:, 0].shape, dtype=torch.bool)


@pytest.mark.parametrize("case", range(5))
def test_thresholds_labels_and_loss_of_two_classes(case: int) -> None:
    with np.load(GOLDEN / "unsup_c2.npz") as stored:
        golden = {key: torch.from_numpy(np.asarray(stored[key])) for key in stored.files[1:]}
    p = golden["pred_teacher"].softmax(1)
    target = golden["target"].long()
    alpha = 1 - float(golden["percents"][case]) / 100
    parts = pseudo_labels.partition(p, target != IGNORE, alpha, per_class=False)
    assert float(parts.gamma[0]) == pytest.approx(float(golden[f"p{case}_thresh"]), abs=1e-6)
    kept = parts.label != IGNORE
    expected = golden[f"p{case}_target_after"] != IGNORE
    assert int((kept != expected).sum()) <= 2  # pixels within float error of the threshold
    after = golden[f"p{case}_target_after"].long()
    mean_kept = pseudo_labels.pixel_loss(golden["predict"], after)
    weight = float(golden[f"p{case}_weight"])
    assert weight * float(mean_kept) == pytest.approx(float(golden[f"p{case}_loss"]), abs=1e-5)
    over_all = pseudo_labels.pixel_loss(golden["predict"], after, count=torch.tensor(after.numel()))
    assert float(over_all) == pytest.approx(float(mean_kept) / weight, rel=1e-5)


def test_alpha_ends_at_zero_and_never_leaves_its_range() -> None:
    values = [pseudo_labels.alpha_at(t, 0.2) for t in (-1, 0, 0.5, 1, 2)]
    assert values == pytest.approx([0.2, 0.2, 0.1, 0.0, 0.0])


def test_entropy_of_certain_and_even_predictions() -> None:
    p = torch.tensor([[1.0, 0.0], [0.5, 0.5]]).view(2, 2, 1, 1)
    assert pseudo_labels.entropy(p).flatten().tolist() == pytest.approx([0.0, np.log(2)])


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers(0, 10_000), st.booleans())
def test_entropy_and_most_probable_class(classes: int, seed: int, ties: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 7, 7, generator=generator) * 30
    p = ((logits / 30).round() if ties else logits).softmax(1)
    expected = torch.special.entr(p).sum(dim=1)
    torch.testing.assert_close(pseudo_labels.entropy(p), expected, atol=1e-5, rtol=0)
    best = pseudo_labels.most_probable(p)
    first = (p == p.amax(dim=1, keepdim=True)).int().argmax(dim=1)  # argmax promises no order
    assert torch.equal(best, first)


def test_mapped_changes_every_map_and_no_threshold() -> None:
    p = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).softmax(1)
    parts = pseudo_labels.partition(p, _everywhere(p), 0.2)
    turned = parts.mapped(lambda maps: maps.flip(0))
    for name in ("label", "unreliable", "entropy", "valid"):
        assert torch.equal(getattr(turned, name), getattr(parts, name).flip(0))
    assert torch.equal(turned.gamma, parts.gamma)


def test_a_thin_class_keeps_reliable_pixels() -> None:
    """10 % of the pixels, all more uncertain than the rest: one threshold would drop them all."""
    p = torch.empty(1, 2, 10, 10)
    p[:, 1] = torch.linspace(0.01, 0.05, 100).view(10, 10)
    p[0, 1, 9] = torch.linspace(0.6, 0.8, 10)
    p[:, 0] = 1 - p[:, 1]
    one = pseudo_labels.partition(p, _everywhere(p), 0.2, per_class=False)
    each = pseudo_labels.partition(p, _everywhere(p), 0.2)
    assert int((one.label == 1).sum()) == 0
    assert int((each.label == 1).sum()) == 8
    assert int((each.unreliable & (p.argmax(1) == 1)).sum()) == 2


def test_many_classes_share_one_threshold() -> None:
    torch.manual_seed(0)
    p = torch.randn(1, 6, 8, 8).softmax(1)
    gamma = pseudo_labels.partition(p, _everywhere(p), 0.2).gamma
    assert (gamma == gamma[0]).all()


@pytest.mark.parametrize("value", [0.5, 1.0])
@pytest.mark.parametrize("per_class", [True, False])
def test_equal_entropies_teach_nothing_and_stay_finite(value: float, per_class: bool) -> None:
    p = torch.stack([torch.full((1, 4, 4), value), torch.full((1, 4, 4), 1 - value)], dim=1)
    parts = pseudo_labels.partition(p, _everywhere(p), 0.2, per_class)
    assert (parts.label == IGNORE).all()
    assert not parts.unreliable.any()
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    loss = pseudo_labels.pixel_loss(logits, parts.label)
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert float(logits.grad.abs().sum()) == 0.0


@pytest.mark.parametrize("per_class", [True, False])
def test_no_valid_pixel_is_no_error(per_class: bool) -> None:
    p = torch.full((1, 2, 4, 4), 0.5)
    parts = pseudo_labels.partition(p, ~_everywhere(p), 0.2, per_class)
    assert (parts.label == IGNORE).all()
    assert not parts.unreliable.any()


def test_padding_moves_no_threshold_and_gets_no_label() -> None:
    torch.manual_seed(1)
    p = torch.randn(1, 3, 8, 8).softmax(1)
    valid = _everywhere(p)
    valid[:, :, 4:] = False
    inside = pseudo_labels.partition(p[..., :4], valid[..., :4], 0.2)
    whole = pseudo_labels.partition(p, valid, 0.2)
    assert torch.equal(inside.gamma, whole.gamma)
    assert torch.equal(inside.label, whole.label[..., :4])
    assert (whole.label[..., 4:] == IGNORE).all()


def test_confidence_drops_labels() -> None:
    p = torch.tensor([[0.97, 0.03], [0.9, 0.1]]).view(2, 2, 1, 1)
    label = pseudo_labels.confident(torch.zeros(2, 1, 1, dtype=torch.long), p, 0.95)
    assert label.flatten().tolist() == [0, IGNORE]


def test_pixel_loss_is_cross_entropy_over_labeled_pixels() -> None:
    torch.manual_seed(2)
    logits, label = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 4, 4))
    label[0, 0] = IGNORE
    expected = F.cross_entropy(logits, label, ignore_index=IGNORE)
    torch.testing.assert_close(pseudo_labels.pixel_loss(logits, label), expected)


def test_soft_loss_of_certain_targets_is_the_hard_one() -> None:
    torch.manual_seed(2)
    logits, label = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 4, 4))
    p = F.one_hot(label, 3).permute(0, 3, 1, 2).float()
    label[0, 0] = IGNORE
    for count in (None, torch.tensor(100)):
        soft = pseudo_labels.soft_pixel_loss(logits, p, label, count)
        torch.testing.assert_close(soft, pseudo_labels.pixel_loss(logits, label, count))


def test_soft_loss_pulls_at_no_pixel_where_both_agree() -> None:
    torch.manual_seed(3)
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    p = logits.detach().softmax(dim=1)
    label = torch.zeros(2, 4, 4, dtype=torch.long)
    pseudo_labels.soft_pixel_loss(logits, p, label).backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-7


def test_soft_loss_of_nothing_is_a_finite_zero() -> None:
    logits = torch.full((1, 2, 2, 2), 200.0, requires_grad=True)
    label = torch.full((1, 2, 2), IGNORE)
    loss = pseudo_labels.soft_pixel_loss(logits, logits.detach().softmax(1), label)
    loss.backward()
    assert float(loss) == 0.0
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
