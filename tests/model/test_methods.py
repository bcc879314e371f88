"""One step of each method: which losses come out, what they move, and what they leave alone."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from model import methods
from model.config import IGNORE, TrainConfig
from model.dataset import LabeledBatch, UnlabeledBatch
from model.methods import Learner
from model.training_setup import create_learner

CONFIG = TrainConfig(
    crop=64, decoder_channels=8, representation_channels=4, bank=40, quota=20, confidence=0.0
)


@pytest.fixture
def learner() -> Learner:
    return create_learner(CONFIG, 1, torch.device("cpu"))


@pytest.fixture
def labeled() -> LabeledBatch:
    generator = torch.Generator().manual_seed(1)
    label = torch.zeros(2, 64, 64, dtype=torch.long)
    label[:, :32], label[:, 60:] = 1, IGNORE
    return LabeledBatch(torch.randn(2, 3, 64, 64, generator=generator), label)


@pytest.fixture
def unlabeled() -> UnlabeledBatch:
    generator = torch.Generator().manual_seed(2)
    weak = torch.randn(2, 3, 64, 64, generator=generator)
    return UnlabeledBatch(weak, weak * 0.9, torch.ones(2, 64, 64, dtype=torch.bool))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in network.state_dict().items()}


def statistics(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state(network).items() if "running" in key}


def weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.detach().clone() for key, value in network.named_parameters()}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, b[key]) for key, value in a.items())


@pytest.mark.parametrize("name", sorted(methods.STEPS))
def test_a_step_gives_losses_and_leaves_the_weights_to_the_optimizer(
    name: str, learner: Learner, labeled: LabeledBatch, unlabeled: UnlabeledBatch
) -> None:
    before, teacher = weights(learner.student), weights(learner.teacher)
    losses = methods.STEPS[name](learner, labeled, unlabeled, rng())
    losses.total.backward()
    expected = losses.supervised + CONFIG.lambda_u * losses.unsupervised
    expected += CONFIG.lambda_c * losses.contrastive
    assert losses.total.item() == pytest.approx(expected, rel=1e-4)
    assert losses.unsupervised > 0
    assert 0 < losses.reliable <= 1
    assert equal(weights(learner.student), before)
    assert equal(weights(learner.teacher), teacher)
    gradients = [p.grad for p in learner.student.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert all(p.grad is None for p in learner.teacher.parameters())


@pytest.mark.parametrize("name", sorted(methods.STEPS))
def test_labeled_crops_alone_move_the_batch_statistics(
    name: str, learner: Learner, labeled: LabeledBatch, unlabeled: UnlabeledBatch
) -> None:
    other = UnlabeledBatch(unlabeled.weak + 3, unlabeled.strong * 5, unlabeled.valid)
    start = [state(network) for network in (learner.student, learner.teacher)]
    found = []
    for batch in (unlabeled, other):
        learner.student.load_state_dict(start[0])
        learner.teacher.load_state_dict(start[1])
        torch.manual_seed(5)  # dropout comes before some of the statistics
        methods.STEPS[name](learner, labeled, batch, rng())
        found.append([statistics(network) for network in (learner.student, learner.teacher)])
    for k in (0, 1):
        assert equal(found[0][k], found[1][k])
        assert not equal(found[0][k], start[k])


def test_the_representation_head_learns_in_u2pl_alone(
    learner: Learner, labeled: LabeledBatch, unlabeled: UnlabeledBatch
) -> None:
    head = list(learner.student.representation.parameters())
    methods.cutmix(learner, labeled, unlabeled, rng()).total.backward()
    assert all(p.grad is None for p in head)
    assert learner.banks.counts == [0, 0]
    losses = methods.u2pl(learner, labeled, unlabeled, rng())
    losses.total.backward()
    assert losses.contrastive > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in head[-2:])
    assert all(0 < count <= CONFIG.quota for count in learner.banks.counts)


@pytest.mark.parametrize("name", sorted(methods.STEPS))
def test_without_a_valid_unlabeled_pixel_the_labeled_ones_still_teach(
    name: str, learner: Learner, labeled: LabeledBatch, unlabeled: UnlabeledBatch
) -> None:
    nowhere = UnlabeledBatch(unlabeled.weak, unlabeled.strong, torch.zeros_like(unlabeled.valid))
    losses = methods.STEPS[name](learner, labeled, nowhere, rng())
    losses.total.backward()
    assert losses.supervised > 0
    assert (losses.unsupervised, losses.reliable) == (0.0, 0.0)
    assert torch.isfinite(losses.total)


def test_wholly_ignored_labels_give_a_finite_zero(learner: Learner, labeled: LabeledBatch) -> None:
    ignored = LabeledBatch(labeled.image, torch.full_like(labeled.label, IGNORE))
    losses = methods.supervised(learner, ignored)
    losses.total.backward()
    assert losses.supervised == 0.0


def test_the_unsupervised_loss_is_a_mean_over_all_valid_pixels(learner: Learner) -> None:
    """A quarter of the pixels has a pseudo-label, so even logits give a quarter of ln 2."""
    target = torch.full((1, 64, 64), IGNORE)
    target[:, :16] = 1
    losses = methods.StepLosses(torch.zeros(()), 0.0)
    valid = torch.ones(1, 64, 64, dtype=torch.bool)
    methods._with_unsupervised(learner, losses, torch.zeros(1, 2, 16, 16), target, valid)
    assert losses.unsupervised == pytest.approx(math.log(2) / 4, rel=1e-5)
    assert losses.reliable == pytest.approx(0.25)


def test_normalizing_by_kept_pixels_is_a_setting(learner: Learner) -> None:
    target = torch.full((1, 64, 64), IGNORE)
    target[:, :16] = 1
    learner.config = dataclasses.replace(CONFIG, normalize_kept=True)
    losses = methods.StepLosses(torch.zeros(()), 0.0)
    valid = torch.ones(1, 64, 64, dtype=torch.bool)
    methods._with_unsupervised(learner, losses, torch.zeros(1, 2, 16, 16), target, valid)
    assert losses.unsupervised == pytest.approx(math.log(2), rel=1e-5)
    assert losses.reliable == pytest.approx(0.25)


def test_without_contrast_no_key_is_kept_and_the_head_does_not_learn(
    learner: Learner, labeled: LabeledBatch, unlabeled: UnlabeledBatch
) -> None:
    learner.config = dataclasses.replace(CONFIG, contrastive=False)
    losses = methods.u2pl(learner, labeled, unlabeled, rng())
    losses.total.backward()
    assert losses.contrastive == 0.0
    assert losses.unsupervised > 0
    assert learner.banks.counts == [0, 0]
    assert all(p.grad is None for p in learner.student.representation.parameters())


def test_the_unreliable_share_falls_only_with_dpa(
    learner: Learner, labeled: LabeledBatch, unlabeled: UnlabeledBatch
) -> None:
    reliable = {}
    for dpa, progress in ((True, 0.0), (True, 1.0), (False, 0.0), (False, 1.0)):
        learner.config, learner.progress = dataclasses.replace(CONFIG, dpa=dpa), progress
        torch.manual_seed(0)
        losses = methods.u2pl(learner, labeled, unlabeled, rng())
        reliable[dpa, progress] = losses.reliable
    assert reliable[True, 0.0] == pytest.approx(0.8, abs=0.02)
    assert reliable[True, 1.0] > 0.95
    assert reliable[False, 1.0] == pytest.approx(0.8, abs=0.02)


def test_rare_keys_are_filled_up_from_the_first_partition(
    learner: Learner, labeled: LabeledBatch, unlabeled: UnlabeledBatch
) -> None:
    """At the end of the phase nothing is unreliable; with a floor alpha_0 still gives keys."""
    learner.progress, most = 1.0, {}
    for floor in (0, 12):
        learner.config = dataclasses.replace(
            CONFIG, quota=40, key_floor=floor, p_max=1.0, alpha_0=0.5
        )
        learner.banks.clear()
        methods.u2pl(learner, labeled, unlabeled, rng())
        most[floor] = max(learner.banks.counts)
    assert most[0] == 20  # the labeled half
    assert 20 < most[12] <= 32


def test_the_published_step_gives_its_three_losses(
    learner: Learner, labeled: LabeledBatch, unlabeled: UnlabeledBatch
) -> None:
    learner.config = dataclasses.replace(
        CONFIG, compat="official", rank_low=1, anchors=8, negatives=4
    )
    found = [methods.u2pl(learner, labeled, unlabeled, rng()) for _ in range(2)]
    found[-1].total.backward()
    last = found[-1]
    expected = last.supervised + CONFIG.lambda_u * last.unsupervised
    assert last.total.item() == pytest.approx(
        expected + CONFIG.lambda_c * last.contrastive, rel=1e-4
    )
    assert last.unsupervised > 0
    assert 0.7 < last.reliable < 0.9  # 80 percent, ties apart
    assert all(
        torch.isfinite(p.grad).all() for p in learner.student.parameters() if p.grad is not None
    )
    assert all(p.grad is None for p in learner.teacher.parameters())


def test_the_teacher_answers_in_eval_mode_with_probabilities(learner: Learner) -> None:
    learner.teacher.train()
    image = torch.randn(2, 3, 64, 64)
    first, second = methods.ask(learner.teacher, image), methods.ask(learner.teacher, image)
    assert torch.equal(first.probability, second.probability)  # no dropout
    torch.testing.assert_close(first.probability.sum(dim=1), torch.ones(2, 16, 16))
    assert first.representation.shape == (2, 4, 16, 16)


def test_the_teacher_measures_its_own_statistics_without_dropout(learner: Learner) -> None:
    image = torch.randn(2, 3, 64, 64)
    before = statistics(learner.teacher)
    first, second = methods.measure(learner.teacher, image), methods.measure(learner.teacher, image)
    assert torch.equal(first.probability, second.probability)
    after = statistics(learner.teacher)
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert moved
    assert not any(key.startswith("encoder.") for key in moved)


def test_the_teacher_follows_weights_and_keeps_its_statistics() -> None:
    teacher, student = torch.nn.BatchNorm2d(2), torch.nn.BatchNorm2d(2)
    with torch.no_grad():
        student.weight.fill_(3.0)
    student.running_mean = torch.full((2,), 2.0)
    methods.move_teacher(teacher, student, 0.75)
    moved = teacher.state_dict()
    assert moved["weight"].tolist() == pytest.approx([1.5, 1.5])
    assert moved["running_mean"].tolist() == [0.0, 0.0]


def test_the_first_update_copies_and_later_ones_average() -> None:
    decays = [methods.ema_decay(step, 0.99) for step in (0, 1, 3, 10_000)]
    assert decays == pytest.approx([0.0, 0.5, 0.75, 0.99])
