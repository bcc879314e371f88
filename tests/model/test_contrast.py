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
from model.banks import MemoryBanks
from model.contrast import RankRule

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
    losses = []
    for c in valid:
        z, keys = student[anchors[c].flatten()], F.normalize(rows[negatives[c].flatten()], dim=1)
        every = torch.arange(len(keys)).expand(len(z), -1)
        losses.append(contrast.info_nce(z, z_plus[c], keys, every, 0.5))
    mean = float(torch.stack(losses).mean()) if losses else 0.0
    assert mean == pytest.approx(float(reference[f"loss_{which}"]), abs=1e-5)


def random_case(classes: int, seed: int, ties: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities, labels with 255 in them, and which pixels are unreliable."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 9, 9, generator=generator) * 3
    if ties:
        logits = (logits / 3).round() * 3
    label = torch.randint(classes + 1, (2, 9, 9), generator=generator)
    unreliable = torch.rand(2, 9, 9, generator=generator) < 0.5
    return logits.softmax(1), torch.where(label == classes, 255, label), unreliable


def brute_ranks(p: Tensor) -> Tensor:
    """O_ij(c) by two stable sorts: ties in class order."""
    return p.argsort(dim=1, descending=True, stable=True).argsort(dim=1)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers(0, 10_000), st.booleans())
def test_ranks_equal_two_sorts(classes: int, seed: int, ties: bool) -> None:
    p, _, _ = random_case(classes, seed, ties)
    for layout in (torch.contiguous_format, torch.channels_last):
        ranks = contrast.class_ranks(p.contiguous(memory_format=layout))
        assert torch.equal(ranks.long(), brute_ranks(p))


@settings(max_examples=40, deadline=None)
@given(st.integers(6, 30), st.integers(0, 10_000), st.booleans())
def test_six_and_more_classes_follow_eq_14_and_15(classes: int, seed: int, ties: bool) -> None:
    p, label, unreliable = random_case(classes, seed, ties)
    rule, order = contrast.rule_for(classes), brute_ranks(p)
    negative_l = contrast.negatives_labeled(p, label, rule)
    negative_u = contrast.negatives_unlabeled(p, unreliable, rule)
    for c in range(classes):
        eq_14 = (label != c) & (label != 255) & (order[:, c] < 3)
        eq_15 = unreliable & (order[:, c] >= 3) & (order[:, c] < 20)
        assert torch.equal(negative_l[c], eq_14)
        assert torch.equal(negative_u[c], eq_15)


def test_rounding_errors_drop_no_key_of_six_classes() -> None:
    """Rank 3 implies p <= 1/4 for exact numbers; a sum of 1 + 2^-23 must not cost a pixel."""
    p = torch.zeros(1, 6, 1, 1)
    p[0, :4] = 0.25 + 2.0**-25  # the next float
    masks = contrast.negatives_unlabeled(p, torch.ones(1, 1, 1).bool(), contrast.rule_for(6))
    assert masks.flatten().tolist() == [False, False, False, True, True, True]


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 5), st.integers(0, 10_000), st.booleans())
def test_few_classes_keep_the_probability_guarantee(classes: int, seed: int, ties: bool) -> None:
    p, _, unreliable = random_case(classes, seed, ties)
    masks = contrast.negatives_unlabeled(p, unreliable, contrast.rule_for(classes))
    assert masks.any()
    for c in range(classes):
        assert (p[:, c][masks[c]] <= 0.25).all()
        assert unreliable[masks[c]].all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_published_ranks_are_dead_for_two_classes(seed: int, ties: bool) -> None:
    p, _, unreliable = random_case(2, seed, ties)
    assert not contrast.negatives_unlabeled(p, unreliable, contrast.PAPER).any()


def test_thresholds_can_be_set() -> None:
    assert contrast.rule_for(21) == contrast.PAPER
    assert contrast.rule_for(21, low=1, high=10) == RankRule(1, 10, 1, 1.0)
    assert contrast.rule_for(2, p_max=1.0) == RankRule(1, 2, 2, 1.0)


def test_floor_adds_the_most_uncertain_allowed_pixels() -> None:
    nats = torch.arange(16.0).view(1, 4, 4)
    masks = torch.zeros(3, 1, 4, 4, dtype=torch.bool)
    masks[0, 0, 0, :2] = True  # pixels 0 and 1
    masks[1, 0, 1] = True  # 4 to 7, more than the floor
    allowed = torch.zeros_like(masks)
    allowed[:2, 0, 2] = True  # 8 to 11; the third class may have none
    floored = contrast.with_floor(masks, allowed, nats, 3)
    found = [mask.flatten().nonzero().flatten().tolist() for mask in floored]
    assert found == [[0, 1, 11], [4, 5, 6, 7], []]
    assert contrast.with_floor(masks, allowed, nats, 9)[0].sum() == 6  # all there are


def test_calibration_lowers_the_bound_until_keys_are_right() -> None:
    """Ten uncertain labeled pixels up to p(0) = .1 are no 0, the four above are."""
    p_0 = torch.cat([torch.arange(1, 11) / 100, torch.tensor([0.15, 0.2, 0.24, 0.4])])
    p = torch.stack([p_0, 1 - p_0]).view(1, 2, 1, 14)
    label = torch.ones(1, 1, 14, dtype=torch.long)
    label[..., 10:] = 0
    use = torch.ones(1, 1, 14, dtype=torch.bool)
    limits = contrast.calibrated_limits(p, label, use, 0.25, 0.1)  # counts 1 wrong of 12
    assert limits.tolist() == pytest.approx([0.10, -1.0])  # no pixel at all has p(1) <= 1/4
    loose = contrast.calibrated_limits(p, label, use, 0.25, 0.2)
    assert float(loose[0]) == pytest.approx(0.15)  # counts 2 wrong of 13
    strict = contrast.calibrated_limits(p, label, use, 0.25, 0.05)
    assert float(strict[0]) == -1.0  # ten right ones are too few for that
    masks = contrast.negatives_unlabeled(p, use, contrast.rule_for(2), limits)
    assert masks.flatten(1).sum(dim=1).tolist() == [10, 0]


def test_calibration_never_ends_within_equal_probabilities() -> None:
    p = torch.full((1, 2, 1, 30), 0.1)
    label = torch.ones(1, 1, 30, dtype=torch.long)
    label[..., -6:] = 0
    use = torch.ones(1, 1, 30, dtype=torch.bool)
    assert float(contrast.calibrated_limits(p, label, use, 0.25, 0.1)[0]) == -1.0
    assert float(contrast.calibrated_limits(p, label, use, 0.25, 0.3)[0]) == pytest.approx(0.1)
    assert float(contrast.calibrated_limits(p, label, ~use, 0.25, 0.3)[0]) == -1.0


def test_ranks_break_ties_in_class_order() -> None:
    assert contrast.class_ranks(torch.full((1, 3, 1, 1), 1 / 3)).flatten().tolist() == [0, 1, 2]


def test_ignored_pixels_are_neither_anchor_nor_key() -> None:
    p, _, _ = random_case(3, 3)
    label = torch.full((2, 9, 9), 255)
    assert not contrast.anchor_masks(p, label, 0.0).any()
    assert not contrast.negatives_labeled(p, label, contrast.rule_for(3)).any()


@pytest.mark.parametrize(
    ("sure", "unsure", "expected"),
    [(50, 50, (5, 5)), (50, 2, (5, 2)), (50, 0, (5, 0)), (1, 50, (1, 9)), (3, 2, (3, 2))],
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


def test_without_unlabeled_images_labeled_keys_take_the_whole_quota() -> None:
    banks = MemoryBanks([100], 2)
    masks = torch.ones(1, 2, 8, 8, dtype=torch.bool)
    assert contrast.enqueue(banks, torch.ones(2, 2, 8, 8), masks, 2, 10, GENERATOR) == 10


def test_without_quota_every_key_goes_in_labeled_first() -> None:
    teacher = F.normalize(torch.randn(2, 3, 4, 4, generator=GENERATOR), dim=1)
    masks = torch.rand(2, 2, 4, 4, generator=GENERATOR) < 0.5
    banks = MemoryBanks([100, 100], 3)
    contrast.enqueue(banks, teacher, masks, 1, 0, GENERATOR)
    for c in range(2):
        torch.testing.assert_close(banks.keys(c), teacher.permute(0, 2, 3, 1)[masks[c]])


def dense_info_nce(z: Tensor, positive: Tensor, ring: Tensor, rows: Tensor) -> Tensor:
    """Eq. 4 as it is written, tau = 1/2."""
    z, positive = F.normalize(z, dim=1), F.normalize(positive, dim=0)
    near = (z @ positive / 0.5).exp()
    far = (torch.einsum("md,mnd->mn", z, ring[rows]) / 0.5).exp().sum(dim=1)
    return -(near / (near + far)).log().mean()


@pytest.mark.parametrize("look", ["_one_by_one", "_in_chunks"])
def test_loss_and_gradient_equal_eq_4(look: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contrast, "_one_by_one", getattr(contrast, look))
    monkeypatch.setattr(contrast, "_CHUNK", 2 * 6 * 5)  # two anchors at a time
    z = torch.randn(5, 5, generator=GENERATOR, dtype=torch.float64, requires_grad=True)
    positive = torch.randn(5, generator=GENERATOR, dtype=torch.float64)
    ring = F.normalize(torch.randn(9, 5, generator=GENERATOR, dtype=torch.float64), dim=1)
    rows = torch.randint(9, (5, 6), generator=GENERATOR)
    ours = contrast.info_nce(z, positive, ring, rows, 0.5)
    expected = dense_info_nce(z, positive, ring, rows)
    torch.testing.assert_close(ours, expected)
    gradients = [torch.autograd.grad(3 * loss, z)[0] for loss in (ours, expected)]
    torch.testing.assert_close(*gradients)


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


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_memory_layout_changes_nothing(layout: torch.memory_format) -> None:
    student = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(1))
    anchors = torch.rand(2, 2, 5, 5, generator=torch.Generator().manual_seed(2)) < 0.5
    found = []
    for maps in (student, student.contiguous(memory_format=layout)):
        generator, banks = torch.Generator().manual_seed(3), MemoryBanks([30, 30], 4)
        contrast.enqueue(banks, maps, ~anchors, 1, 20, generator)
        z = maps.clone().requires_grad_()
        loss = contrast.contrastive_loss(z, maps, anchors, banks, 6, 8, 0.5, generator)
        found.append([loss.detach(), *torch.autograd.grad(loss, z), *map(banks.keys, range(2))])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
