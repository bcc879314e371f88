"""The published losses against numbers computed from the published code (golden/README.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from model import methods, official, pseudo_labels, schedule
from model.banks import MemoryBanks
from model.config import IGNORE

HERE = Path(__file__).parent / "golden"
SHARED = Path(__file__).parents[3] / "shared" / "golden" / "u2pl"


def golden(name: str) -> dict[str, Any]:
    """Committed, or beside the repository."""
    file = next((f / f"{name}.npz" for f in (HERE, SHARED) if (f / f"{name}.npz").exists()), None)
    if file is None:
        pytest.skip(f"{name}.npz is missing (looked in {HERE} and {SHARED})")
    with np.load(file) as stored:
        return {key: stored[key] for key in stored.files}


def tensor(values: Any, kind: torch.dtype = torch.float32) -> Tensor:
    return torch.from_numpy(np.asarray(values)).to(kind)


class Recorded:
    """Gives out the draws of the published run in their order."""

    def __init__(self, stored: dict[str, Any], prefix: str) -> None:
        self.ends = stored[f"{prefix}randint_high"].tolist()
        self.draws = [tensor(stored[f"{prefix}randint_{k}"], torch.int64) for k in range(self.size)]
        self.used = 0

    @property
    def size(self) -> int:
        return len(self.ends)

    def __call__(self, end: int, count: int) -> Tensor:
        assert end == self.ends[self.used]
        assert count == len(self.draws[self.used])
        self.used += 1
        return self.draws[self.used - 1]


def check_contrast(stored: dict[str, Any], prefix: str, banks: MemoryBanks, meta: Any) -> Tensor:
    """One published step: loss, gradient, keys and their order. Returns the gradient."""
    student = tensor(stored[f"{prefix}rep"]).requires_grad_()
    p_l, p_u = tensor(stored[f"{prefix}prob_l"]), tensor(stored[f"{prefix}prob_u"])
    hot = [tensor(stored[f"{prefix}label_{kind}_small"], torch.bool) for kind in "lu"]
    low, high = (tensor(stored[f"{prefix}{k}_mask_all"], torch.bool)[:, 0] for k in ("low", "high"))
    sampler = Recorded(stored, prefix)
    rule = official.Rule(
        meta["low_rank"],
        meta["high_rank"],
        meta["delta_p"],
        meta["tau"],
        meta["num_queries"],
        meta["num_negatives"],
    )
    loss, pushed = official.contrastive_loss(
        student,
        tensor(stored[f"{prefix}rep_teacher"]),
        torch.cat([p_l, p_u]),
        torch.cat(hot),
        low,
        high,
        len(p_l),
        banks,
        rule,
        sampler,
    )
    loss.backward()
    assert student.grad is not None
    assert sampler.used == sampler.size
    assert pushed == stored[f"{prefix}out_new_keys"].tolist()
    assert float(loss.detach()) == pytest.approx(float(stored[f"{prefix}out_loss"]), abs=1e-5)
    expected = stored[f"{prefix}out_grad_rep"]
    np.testing.assert_allclose(student.grad.numpy(), expected, atol=1e-6, rtol=0)
    for c in range(meta["C"]):
        after = F.normalize(tensor(stored[f"{prefix}out_bank_after_{c}"]), dim=1)
        assert torch.equal(banks.keys(c), after)
    return student.grad


def filled_banks(stored: dict[str, Any], prefix: str, meta: Any) -> MemoryBanks:
    sizes = (meta["queue_size"] * meta["C"])[: meta["C"]]
    banks = MemoryBanks(sizes, stored[f"{prefix}rep"].shape[1])
    for c in range(meta["C"]):
        banks.push(c, tensor(stored[f"{prefix}bank_before_{c}"]))
    return banks


SINGLE = [
    "contra_c2_lr3_empty",
    "contra_c2_lr3_prefilled",
    "contra_c2_lr1",
    "contra_c2_lr1_M50_N256",
    "contra_c2_single_class",
    "contra_c2_lr1_asis",
    "contra_c3_lr1",
    "contra_c21_all",
    "contra_c21_missing",
    "contra_c21_all_asis",
    "contra_sampling_free_c2",
    "contra_sampling_free_c21",
]


@pytest.mark.parametrize("name", SINGLE)
def test_contrastive_loss_gradient_and_keys(name: str) -> None:
    stored = golden(name)
    meta = json.loads(str(stored["meta"]))
    check_contrast(stored, "", filled_banks(stored, "", meta), meta)


def test_banks_overflow_over_three_steps() -> None:
    stored = golden("contra_c2_lr1_seq3")
    meta = json.loads(str(stored["meta"]))
    banks = filled_banks(stored, "s0_", meta)
    for step in range(meta["steps"]):
        check_contrast(stored, f"s{step}_", banks, meta)
    assert banks.counts == meta["queue_size"]


@pytest.mark.parametrize("classes", [2, 21])
def test_without_sampling_the_loss_is_the_closed_form(classes: int) -> None:
    """One vector a class: any draw gives it, so the sampler need not be the recorded one."""
    stored = golden(f"contra_sampling_free_c{classes}")
    meta = json.loads(str(stored["meta"]))
    student = tensor(stored["rep"]).requires_grad_()
    hot = torch.cat([tensor(stored[f"label_{k}_small"], torch.bool) for k in "lu"])
    generator = torch.Generator().manual_seed(3)
    loss, _ = official.contrastive_loss(
        student,
        tensor(stored["rep_teacher"]),
        torch.cat([tensor(stored["prob_l"]), tensor(stored["prob_u"])]),
        hot,
        tensor(stored["low_mask_all"], torch.bool)[:, 0],
        tensor(stored["high_mask_all"], torch.bool)[:, 0],
        2,
        filled_banks(stored, "", meta),
        official.Rule(meta["low_rank"], anchors=16, negatives=8),
        lambda end, count: torch.randint(end, (count,), generator=generator),
    )
    loss.backward()
    assert student.grad is not None
    assert float(loss.detach()) == pytest.approx(float(stored["closed_form"]), abs=1e-5)
    sums = torch.stack([(student.grad * hot[:, c : c + 1]).sum((0, 2, 3)) for c in range(classes)])
    expected = stored["out_grad_sum_per_class"]
    np.testing.assert_allclose(sums.numpy(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("case", range(5))
@pytest.mark.parametrize("classes", [2, 21])
def test_unsupervised_loss(classes: int, case: int) -> None:
    stored = golden(f"unsup_c{classes}")
    percent = float(stored["percents"][case])
    p, target = tensor(stored["pred_teacher"]).softmax(1), tensor(stored["target"], torch.int64)
    threshold = official.percentile(official.entropy(p)[target != IGNORE], percent)
    assert float(threshold) == pytest.approx(float(stored[f"p{case}_thresh"]), abs=1e-6)
    kept = official.kept_labels(target, p, percent)
    np.testing.assert_array_equal(kept.numpy(), stored[f"p{case}_target_after"])
    logits = tensor(stored["predict"]).requires_grad_()
    loss = official.unsupervised_loss(logits, kept)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(stored[f"p{case}_loss"]), abs=1e-5)
    if f"p{case}_grad_predict" in stored:
        assert logits.grad is not None
        expected = stored[f"p{case}_grad_predict"].astype(np.float32)
        np.testing.assert_allclose(logits.grad.numpy(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("epoch", [0, 1, 10, 40, 79])
@pytest.mark.parametrize("classes", [2, 21])
def test_masks(classes: int, epoch: int) -> None:
    stored = golden(f"masks_c{classes}")
    p = tensor(stored["pred_u_large_teacher"]).softmax(1)
    labels = [tensor(stored[name], torch.int64) for name in ("label_l", "label_u_aug")]
    np.testing.assert_allclose(official.entropy(p).numpy(), stored["entropy"], atol=1e-6)
    alpha = official.alpha_percent(epoch / 80)
    assert alpha == pytest.approx(float(stored[f"e{epoch}_alpha_t"]))
    assert 100 - alpha == pytest.approx(float(stored[f"e{epoch}_drop_percent"]))
    low, high = official.entropy_masks(p, *labels, alpha, (17, 17))
    np.testing.assert_array_equal(low.numpy(), stored[f"e{epoch}_low_mask_all"][:, 0] > 0)
    np.testing.assert_array_equal(high.numpy(), stored[f"e{epoch}_high_mask_all"][:, 0] > 0)


@pytest.mark.parametrize("classes", [2, 21])
@pytest.mark.parametrize("kind", ["label_l", "label_u"])
def test_broken_one_hot(classes: int, kind: str) -> None:
    stored = golden(f"masks_c{classes}")
    label = tensor(stored["label_l" if kind == "label_l" else "label_u_aug"], torch.int64)
    small = official.shrink(official.one_hot(label, classes), (17, 17))
    np.testing.assert_array_equal(small.numpy(), stored[f"{kind}_small_official"] > 0)
    alone = official.shrink(official.one_hot(label[1:], classes), (17, 17))
    np.testing.assert_array_equal(alone.numpy(), stored[f"{kind}_small_correct"][1:] > 0)


def test_cutmix_draws_and_pastes_as_published() -> None:
    stored = golden("cutmix")
    for seed in range(6):
        for side in (65, 513):
            integers = np.random.RandomState(seed).randint
            mix = official.draw_cutmix(1, side, side, integers)
            x0, y0, x1, y1 = mix.boxes[0]
            if side == 513:
                assert [y0, x0, y1, x1] == stored[f"rect513_seed{seed}"].tolist()
            else:
                mask = np.ones((65, 65), np.uint8)
                mask[y0:y1, x0:x1] = 0
                np.testing.assert_array_equal(mask, stored[f"mask65_seed{seed}"])
    mix = official.draw_cutmix(3, 33, 33, np.random.RandomState(42).randint)
    for name in ("img", "target", "logits"):
        mixed = mix.apply(torch.from_numpy(stored[name]))
        np.testing.assert_array_equal(mixed.numpy(), stored[f"cutmix_{name}"])


def test_schedules() -> None:
    stored = golden("schedules")
    np.testing.assert_allclose([1e-3 * schedule.poly(k / 20, 0.9) for k in range(20)], stored["lr"])
    decays = [methods.ema_decay(k, 0.99) for k in range(len(stored["ema"]))]
    np.testing.assert_allclose(decays, stored["ema"], atol=1e-12)
    progress = np.arange(80) / 80
    drops = [100 - official.alpha_percent(t) for t in progress]
    np.testing.assert_allclose(drops, stored["drop_percent"], atol=1e-9)
    for alpha in (official.alpha_percent, lambda t: 100 * pseudo_labels.alpha_at(t, 0.2)):
        np.testing.assert_allclose([alpha(t) for t in progress], stored["alpha_t"], atol=1e-9)


@pytest.mark.parametrize("value", [0.5, 1.0])
def test_equal_entropies_give_zero_where_the_published_code_gives_nan(value: float) -> None:
    p = torch.stack([torch.full((1, 4, 4), value), torch.full((1, 4, 4), 1 - value)], dim=1)
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    for target in (torch.zeros(1, 4, 4).long(), torch.full((1, 4, 4), IGNORE)):
        loss = official.unsupervised_loss(logits, official.kept_labels(target, p, 80.0))
        loss.backward()
        assert loss.item() == 0.0
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()
