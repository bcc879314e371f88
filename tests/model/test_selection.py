"""Every component of the paper's Tables 4-7 is a setting that does what it says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model import contrast, pseudo_labels, selection
from model.banks import MemoryBanks
from model.config import IGNORE, TrainConfig
from model.pseudo_labels import Partition

LABELED, UNLABELED = slice(0, 2), slice(2, 4)


def case(classes: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """p_l, label, p_u."""
    generator = torch.Generator().manual_seed(seed)
    p = (torch.randn(4, classes, 12, 12, generator=generator) * 3).softmax(1)
    return p[:2], torch.randint(classes, (2, 12, 12), generator=generator), p[2:]


def split(p: Tensor, alpha: float, valid: Tensor | None = None) -> Partition:
    everywhere = torch.ones(p[:, 0].shape, dtype=torch.bool)
    return pseudo_labels.partition(p, everywhere if valid is None else valid, alpha)


def keys_of(classes: int, alpha: float = 0.2, **overrides: Any) -> tuple[Tensor, Tensor, Partition]:
    """Keys (C, 4, h, w), the teacher's p of the unlabeled images and their partition."""
    config = TrainConfig(**{"key_floor": 0, **overrides})
    p_l, label, p_u = case(classes)
    parts = split(p_u, alpha)
    first = split(p_u, config.alpha_0) if selection.wants_floor(config, classes) else None
    _, keys = selection.select(config, p_l, label, p_u, parts, first)
    return keys, p_u, parts


def test_negatives_come_from_unreliable_reliable_or_all_pixels() -> None:
    found = {}
    for source in ("unreliable", "reliable", "all"):
        keys, _, parts = keys_of(21, negatives_from=source)
        found[source] = keys[:, UNLABELED]
    assert found["unreliable"].any()
    assert not (found["unreliable"] & ~parts.unreliable).any()
    assert found["reliable"].any()
    assert not (found["reliable"] & (parts.label == IGNORE)).any()
    assert torch.equal(found["all"] & parts.unreliable, found["unreliable"])
    assert torch.equal(found["all"] & (parts.label != IGNORE), found["reliable"])


def test_padding_is_no_key_of_all_pixels() -> None:
    p_l, label, p_u = case(3)
    valid = torch.zeros(2, 12, 12, dtype=torch.bool)
    valid[:, :6] = True
    config = TrainConfig(negatives_from="all")
    _, keys = selection.select(config, p_l, label, p_u, split(p_u, 0.2, valid))
    assert keys[:, UNLABELED, :6].any()
    assert not keys[:, UNLABELED, 6:].any()


@pytest.mark.parametrize(("low", "high"), [(1, 5), (4, 21), (3, 20)])
def test_rank_thresholds(low: int, high: int) -> None:
    keys, p_u, parts = keys_of(21, rank_low=low, rank_high=high)
    order = contrast.class_ranks(p_u).transpose(0, 1)
    expected = (order >= low) & (order < high) & parts.unreliable
    assert torch.equal(keys[:, UNLABELED], expected)
    p_l, label, _ = case(21)
    near = contrast.class_ranks(p_l).transpose(0, 1) < low
    other = torch.stack([label != c for c in range(21)])
    assert torch.equal(keys[:, LABELED], near & other)


def test_probability_bound_of_few_classes() -> None:
    bound, p_u, _ = keys_of(2)
    free, _, _ = keys_of(2, p_max=1.0)
    assert (p_u.transpose(0, 1)[bound[:, UNLABELED]] <= 0.25).all()
    assert (p_u.transpose(0, 1)[free[:, UNLABELED]] > 0.25).any()


def test_calibration_tightens_the_bound() -> None:
    """Labels here are random, so half of the keys would be wrong: none may go in."""
    assert keys_of(3)[0][:, UNLABELED].any()
    assert not keys_of(3, wrong_keys=0.05)[0][:, UNLABELED].any()
    plain, calibrated = keys_of(21)[0], keys_of(21, wrong_keys=0.05)[0]
    assert torch.equal(plain, calibrated)  # many classes need no companion


def test_floor_adds_doubtful_pixels_of_alpha_0_and_no_reliable_one() -> None:
    alpha = 0.02
    plain, p_u, _ = keys_of(2, alpha, alpha_0=0.6)
    filled, _, _ = keys_of(2, alpha, alpha_0=0.6, key_floor=20)
    added = filled & ~plain
    assert torch.equal(filled & plain, plain)
    assert added[:, UNLABELED].any()
    assert not added[:, LABELED].any()
    first = split(p_u, 0.6)
    assert first.unreliable.expand(2, -1, -1, -1)[added[:, UNLABELED]].all()
    assert (first.label == IGNORE).expand(2, -1, -1, -1)[added[:, UNLABELED]].all()
    assert (p_u.transpose(0, 1)[added[:, UNLABELED]] <= 0.25).all()
    assert filled[:, UNLABELED].flatten(1).sum(dim=1).max() <= 20
    every, _, _ = keys_of(2, alpha, alpha_0=0.6, key_floor=10_000)
    doubtful = (p_u.transpose(0, 1) <= 0.25) & first.unreliable
    assert torch.equal(every[:, UNLABELED], doubtful)  # no reliable pixel, however few there are


@pytest.mark.parametrize(
    ("classes", "overrides", "wanted"),
    [
        (2, {}, True),
        (5, {}, True),
        (6, {}, False),
        (2, {"key_floor": 0}, False),
        (2, {"negatives_from": "all"}, False),
    ],
)
def test_where_rare_keys_are_filled_up(
    classes: int, overrides: dict[str, Any], wanted: bool
) -> None:
    assert selection.wants_floor(TrainConfig(**overrides), classes) is wanted


def test_without_memory_bank_only_keys_of_this_step_are_negatives() -> None:
    maps, keys = torch.randn(4, 8, 12, 12), keys_of(3)[0]
    for memory, expected in ((True, 2), (False, 1)):
        config = TrainConfig(memory_bank=memory, quota=20, anchors=4, negatives=4)
        banks, generator = MemoryBanks([100] * 3, 8), torch.Generator().manual_seed(0)
        for _ in range(2):
            selection.contrastive_term(config, banks, generator, maps, maps, keys, keys, 2)
        assert banks.counts == [20 * expected] * 3


def test_many_classes_have_no_quota() -> None:
    maps = torch.randn(4, 8, 12, 12)
    for classes, limit in ((19, 20), (20, 1000)):
        keys = keys_of(classes)[0]
        config = TrainConfig(quota=20, anchors=4, negatives=4)
        banks, generator = MemoryBanks([1000] * classes, 8), torch.Generator().manual_seed(0)
        selection.contrastive_term(config, banks, generator, maps, maps, keys, keys, 2)
        expected = keys.flatten(1).sum(dim=1).clamp(max=limit).tolist()
        assert max(banks.counts) == max(expected)


def teacher_case(kind: str, classes: int, batch: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    p = (torch.randn(2 * batch, classes, 6, 6, generator=generator) * 3).softmax(1)
    label = torch.randint(classes, (batch, 6, 6), generator=generator)
    if kind == "tied":
        p = torch.full_like(p, 1 / classes)
    elif kind == "certain":
        p = torch.zeros_like(p)
        p[:, 0] = 1.0
    elif kind == "one class":
        p, label = p.sort(dim=1, descending=True).values, torch.zeros_like(label)
    elif kind == "ignored":
        label = torch.full_like(label, IGNORE)
    return p[:batch], label, p[batch:]


KINDS = ["any", "tied", "certain", "one class", "ignored"]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.integers(2, 24),
    st.integers(1, 2),
    st.floats(0, 1),
    st.booleans(),
    st.integers(0, 10_000),
)
def test_losses_and_gradients_are_finite(
    kind: str, classes: int, batch: int, alpha: float, valid: bool, seed: int
) -> None:
    p_l, label, p_u = teacher_case(kind, classes, batch, seed)
    config = TrainConfig(anchors=3, negatives=4, quota=8, key_floor=4, wrong_keys=0.5 * (seed % 2))
    where = torch.full((batch, 6, 6), valid)
    parts = split(p_u, alpha, where)
    first = split(p_u, 0.2, where) if selection.wants_floor(config, classes) else None
    anchors, keys = selection.select(config, p_l, label, p_u, parts, first)
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(2 * batch, 4, 6, 6, generator=generator, requires_grad=True)
    logits = torch.randn(batch, classes, 6, 6, generator=generator, requires_grad=True)
    banks = MemoryBanks([10] * classes, 4)
    l_c = selection.contrastive_term(config, banks, generator, z, z.detach(), anchors, keys, batch)
    loss = pseudo_labels.pixel_loss(logits, parts.label, where.sum()) + l_c
    loss.backward()
    assert torch.isfinite(loss)
    for leaf in (z, logits):
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()
    if not valid:
        assert not keys[:, batch:].any()
        assert not anchors[:, batch:].any()
