from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from model import contrast
from model.contrast import MemoryBanks, RankRule

HERE = Path(__file__).parent
SHARED = HERE.parents[2] / "shared" / "golden" / "u2pl"
GENERATOR = torch.Generator().manual_seed(0)


def golden(name: str, folder: Path) -> dict[str, Any]:
    file = folder / f"{name}.npz"
    if not file.exists():
        pytest.skip(f"{name}.npz is missing (looked in {folder})")
    with np.load(file) as stored:
        return {key: stored[key] for key in stored.files}


@pytest.fixture(params=["ref_rules_c2", "ref_rules_c3", "ref_rules_c5", "ref_rules_c21"])
def reference(request: pytest.FixtureRequest) -> dict[str, Any]:
    here = request.param in ("ref_rules_c2", "ref_rules_c3")
    return golden(request.param, HERE / "golden" if here else SHARED)


def masks_of(reference: dict[str, Any], rule: RankRule) -> tuple[Tensor, Tensor]:
    """Anchors and negatives (C, B, h, w), labeled images first."""
    p_l, p_u = torch.from_numpy(reference["prob_l"]), torch.from_numpy(reference["prob_u"])
    label = torch.from_numpy(reference["label_l"]).long()
    nats = torch.from_numpy(reference["entropy_u"])
    gamma = float(reference["gamma"])
    pseudo = torch.where(nats <= gamma, p_u.argmax(1), 255)
    anchors = [contrast.anchor_masks(p, y, 0.3) for p, y in ((p_l, label), (p_u, pseudo))]
    negatives = [
        contrast.negatives_labeled(p_l, label, rule),
        contrast.negatives_unlabeled(p_u, nats > gamma, rule),
    ]
    return torch.cat(anchors, dim=1), torch.cat(negatives, dim=1)


@pytest.mark.parametrize("which", ["paper", "small"])
def test_rule_equals_brute_force(reference: dict[str, Any], which: str) -> None:
    classes = json.loads(str(reference["meta"]))["C"]
    rule = contrast.PAPER if which == "paper" else contrast.rule_for(classes)
    anchors, negatives = masks_of(reference, rule)
    np.testing.assert_array_equal(anchors.numpy(), reference["anchors"])
    np.testing.assert_array_equal(negatives.numpy(), reference[f"negatives_{which}"])
    teacher = torch.from_numpy(reference["rep_teacher"]).double()
    z_plus = contrast.positives(teacher, anchors)
    np.testing.assert_allclose(z_plus.numpy(), reference["z_plus"], atol=1e-6)

    student = contrast._rows(torch.from_numpy(reference["rep"]).double())
    rows = contrast._rows(teacher)
    valid = [c for c in range(classes) if anchors[c].any() and negatives[c].any()]
    assert len(valid) == int(reference[f"valid_{which}"])
    losses = [
        contrast.info_nce(
            student[anchors[c].flatten()], z_plus[c], rows[negatives[c].flatten()], 0.5
        )
        for c in valid
    ]
    mean = float(torch.stack(losses).mean()) if losses else 0.0
    assert mean == pytest.approx(float(reference[f"loss_{which}"]), abs=1e-5)


def random_case(classes: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 9, 9, generator=generator) * 3
    label = torch.randint(classes + 1, (2, 9, 9), generator=generator)
    unreliable = torch.rand(2, 9, 9, generator=generator) < 0.5
    return logits.softmax(1), torch.where(label == classes, 255, label), unreliable


@settings(max_examples=40, deadline=None)
@given(st.integers(6, 30), st.integers(0, 10_000))
def test_six_and_more_classes_follow_eq_14_and_15(classes: int, seed: int) -> None:
    p, label, unreliable = random_case(classes, seed)
    rule = contrast.rule_for(classes)
    negative_l = contrast.negatives_labeled(p, label, rule)
    negative_u = contrast.negatives_unlabeled(p, unreliable, rule)
    for c in range(classes):
        better = (p > p[:, c : c + 1]).sum(1)  # O_ij(c): random values have no ties
        eq_14 = (label != c) & (label != 255) & (better < 3)
        eq_15 = unreliable & (better >= 3) & (better < 20)
        assert torch.equal(negative_l[c], eq_14)
        assert torch.equal(negative_u[c], eq_15)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 5), st.integers(0, 10_000))
def test_few_classes_keep_the_probability_guarantee(classes: int, seed: int) -> None:
    p, _, unreliable = random_case(classes, seed)
    masks = contrast.negatives_unlabeled(p, unreliable, contrast.rule_for(classes))
    assert masks.any()
    for c in range(classes):
        assert (p[:, c][masks[c]] <= 0.25).all()
        assert unreliable[masks[c]].all()


def test_published_ranks_are_dead_for_two_classes() -> None:
    p, _, unreliable = random_case(2, 1)
    assert not contrast.negatives_unlabeled(p, unreliable, contrast.PAPER).any()


def test_floor_fills_a_rare_class_with_the_most_uncertain_pixels() -> None:
    p = torch.full((1, 2, 4, 4), 0.0)
    p[:, 1] = torch.linspace(0.76, 0.99, 16).view(4, 4)
    p[:, 0] = 1 - p[:, 1]
    nats, valid = torch.special.entr(p).sum(1), torch.ones(1, 4, 4, dtype=torch.bool)
    valid[0, 0, 0] = False
    masks = contrast.negatives_unlabeled(
        p, torch.zeros_like(valid), contrast.rule_for(2), nats, valid, floor=3
    )
    assert masks[0].flatten().nonzero().flatten().tolist() == [1, 2, 3]
    assert not masks[1].any()  # p(1) > 1/4 everywhere: a floor never breaks the guarantee


def test_ranks_break_ties_in_class_order() -> None:
    assert contrast.class_ranks(torch.full((1, 3, 1, 1), 1 / 3)).flatten().tolist() == [0, 1, 2]


def test_ignored_pixels_are_neither_anchor_nor_key() -> None:
    p, _, _ = random_case(3, 3)
    label = torch.full((2, 9, 9), 255)
    assert not contrast.anchor_masks(p, label, 0.0).any()
    assert not contrast.negatives_labeled(p, label, contrast.rule_for(3)).any()


def test_ring_keeps_the_newest_keys() -> None:
    banks = MemoryBanks([5], 2)
    vectors = F.normalize(torch.randn(12, 2, generator=GENERATOR), dim=1)
    banks.push(0, vectors[:3] * 7)
    torch.testing.assert_close(banks.keys(0), vectors[:3])
    banks.push(0, vectors[3:7])
    torch.testing.assert_close(banks.keys(0), vectors[2:7])
    banks.push(0, vectors)
    torch.testing.assert_close(banks.keys(0), vectors[7:])
    banks.push(0, vectors[:0])
    assert banks.counts == [5]


def test_restored_banks_continue_as_the_originals() -> None:
    banks, other = MemoryBanks([4, 4], 3), MemoryBanks([4, 4], 3)
    banks.push(0, torch.randn(6, 3, generator=GENERATOR))
    banks.push(1, torch.randn(2, 3, generator=GENERATOR))
    other.restore(banks.state())
    more = torch.randn(3, 3, generator=GENERATOR)
    for b in (banks, other):
        b.push(0, more)
        b.push(1, more)
    for c in range(2):
        torch.testing.assert_close(banks.keys(c), other.keys(c))
        draws = [b.draw(c, (5, 2), torch.Generator().manual_seed(1)) for b in (banks, other)]
        torch.testing.assert_close(draws[0], draws[1])


@pytest.mark.parametrize(
    ("sure", "unsure", "expected"),
    [(50, 50, (5, 5)), (50, 2, (8, 2)), (1, 50, (1, 9)), (3, 2, (3, 2))],
)
def test_quota_is_half_labeled_half_unlabeled(
    sure: int, unsure: int, expected: tuple[int, int]
) -> None:
    teacher = torch.ones(2, 2, 8, 8)
    teacher[1, 1] = -1  # vectors of the unlabeled image differ
    masks = torch.zeros(1, 2, 64, dtype=torch.bool)
    masks[0, 0, :sure], masks[0, 1, :unsure] = True, True
    banks = MemoryBanks([100], 2)
    pushed = contrast.enqueue(banks, teacher, masks.view(1, 2, 8, 8), 1, 10, GENERATOR)
    keys = banks.keys(0)
    assert pushed == len(keys) == sum(expected)
    assert (int((keys[:, 1] > 0).sum()), int((keys[:, 1] < 0).sum())) == expected


def _loss(student: Tensor, anchors: Tensor, banks: MemoryBanks) -> Tensor:
    return contrast.contrastive_loss(student, student, anchors, banks, 6, 8, 0.5, GENERATOR)


def test_loss_of_separated_classes_is_the_closed_form() -> None:
    """Anchors on their positive, all N negatives opposite: log(1 + N e^{-2/tau}), any draw."""
    student = torch.zeros(1, 2, 4, 4)
    student[:, 0] = 3.0
    banks = MemoryBanks([10, 10], 2)
    banks.push(0, torch.tensor([[-2.0, 0.0]]))
    anchors = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    anchors[0] = True
    expected = np.log1p(8 * np.exp(-4.0))
    assert float(_loss(student, anchors, banks)) == pytest.approx(expected, abs=1e-5)


def test_loss_pulls_anchors_and_touches_nothing_else() -> None:
    student = torch.randn(2, 4, 5, 5, generator=GENERATOR, requires_grad=True)
    banks = MemoryBanks([10, 10], 4)
    banks.push(1, torch.randn(5, 4, generator=GENERATOR))
    anchors = torch.zeros(2, 2, 5, 5, dtype=torch.bool)
    anchors[:, 0, :2] = True
    _loss(student, anchors, banks).backward()
    assert student.grad is not None
    assert student.grad[0, :, :2].abs().sum() > 0
    assert student.grad[1].abs().sum() == 0
    assert student.grad[0, :, 2:].abs().sum() == 0


@pytest.mark.parametrize("what", ["no anchor", "no key"])
def test_without_anchor_or_key_the_loss_is_zero_with_a_gradient(what: str) -> None:
    student = torch.randn(1, 3, 4, 4, requires_grad=True)
    banks = MemoryBanks([5, 5], 3)
    if what == "no anchor":
        banks.push(0, torch.randn(2, 3))
    anchors = torch.full((2, 1, 4, 4), what == "no key")
    loss = _loss(student, anchors, banks)
    loss.backward()
    assert loss.item() == 0.0
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_zero_vectors_stay_finite() -> None:
    student = torch.zeros(1, 3, 4, 4, requires_grad=True)
    banks = MemoryBanks([5], 3)
    banks.push(0, torch.zeros(2, 3))
    loss = _loss(student, torch.ones(1, 1, 4, 4, dtype=torch.bool), banks)
    loss.backward()
    assert torch.isfinite(loss)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()
