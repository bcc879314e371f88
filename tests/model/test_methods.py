"""One step of each method: which losses come out, what they move, and what they leave alone."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from model import methods
from model.augment import CutMix
from model.config import IGNORE, TrainConfig
from model.dataset import LabeledBatch, UnlabeledBatch
from model.methods import Learner
from model.training_setup import create_learner

CONFIG = TrainConfig(
    crop=64,
    decoder_channels=8,
    representation_channels=4,
    bank=40,
    quota=20,
    norm="batch",
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
    expected += CONFIG.lambda_c * losses.contrastive + CONFIG.lambda_i * losses.instances
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


def test_the_contrast_may_look_at_some_labeled_crops_alone(
    labeled: LabeledBatch, unlabeled: UnlabeledBatch
) -> None:
    config = dataclasses.replace(CONFIG, norm="group", contrast_share=0.25)
    learner = create_learner(config, 1, torch.device("cpu"))
    shapes = []
    learner.student.representation.register_forward_hook(lambda _, x, y: shapes.append(len(y)))
    losses = methods.u2pl(learner, labeled, unlabeled, rng())
    losses.total.backward()
    assert shapes == [1, 2]  # one labeled, both unlabeled
    assert losses.contrastive > 0


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


def quarter_taught() -> methods.Lesson:
    """A sure teacher, of whom a quarter of the pixels may learn."""
    label = torch.full((1, 64, 64), IGNORE)
    label[:, :16] = 1
    p = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1).expand(1, 2, 64, 64)
    return methods.Lesson(label, p, torch.ones(1, 64, 64, dtype=torch.bool))


@pytest.mark.parametrize("soft", [False, True])
def test_the_unsupervised_loss_is_a_mean_over_all_valid_pixels(
    learner: Learner, soft: bool
) -> None:
    """A quarter of the pixels has a pseudo-label, so even logits give a quarter of ln 2."""
    learner.config = dataclasses.replace(CONFIG, soft_targets=soft)
    losses = methods.StepLosses(torch.zeros(()), 0.0)
    lesson = quarter_taught()
    methods._with_unsupervised(learner, losses, torch.zeros(1, 2, 16, 16), lesson, CutMix(()))
    assert losses.unsupervised == pytest.approx(math.log(2) / 4, rel=1e-5)
    assert losses.reliable == pytest.approx(0.25)


def test_normalizing_by_kept_pixels_is_a_setting(learner: Learner) -> None:
    learner.config = dataclasses.replace(CONFIG, normalize_kept=True)
    losses = methods.StepLosses(torch.zeros(()), 0.0)
    lesson = quarter_taught()
    methods._with_unsupervised(learner, losses, torch.zeros(1, 2, 16, 16), lesson, CutMix(()))
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


def test_the_average_never_reaches_back_over_more_than_its_span() -> None:
    assert methods.ema_decay(150, 0.99, length=200, span=0.1) == pytest.approx(0.95)
    assert methods.ema_decay(9_000, 0.99, length=10_000, span=0.1) == pytest.approx(0.99)
    assert methods.ema_decay(3, 0.99, length=200, span=0.1) == pytest.approx(0.75)
    assert methods.ema_decay(3, 0.99, length=5, span=0.1) == 0.0  # the student itself


def test_a_flipped_opinion_does_not_know_left_from_right(
    learner: Learner, unlabeled: UnlabeledBatch
) -> None:
    seen = methods.ask(learner.teacher, unlabeled.weak, flip=True)
    mirrored = methods.ask(learner.teacher, unlabeled.weak.flip(-1), flip=True)
    torch.testing.assert_close(seen.probability, mirrored.probability.flip(-1))
    alone = methods.ask(learner.teacher, unlabeled.weak)
    assert not torch.allclose(alone.probability, seen.probability, atol=1e-5)
    assert torch.equal(alone.representation, seen.representation)


@pytest.mark.parametrize("name", ["cutmix", "u2pl"])
def test_soft_targets_leave_a_student_that_agrees_alone(
    name: str, learner: Learner, labeled: LabeledBatch, unlabeled: UnlabeledBatch
) -> None:
    """Hard labels go on pulling until every pixel is sure; the teacher's doubts do not."""
    pull = {}
    for soft in (False, True):
        settings = {"soft_targets": soft, "teacher_flip": False, "contrastive": False}
        learner.config = dataclasses.replace(CONFIG, **settings)
        weak = UnlabeledBatch(unlabeled.weak, unlabeled.weak, unlabeled.valid)
        for module in learner.student.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        nothing = LabeledBatch(labeled.image, torch.full_like(labeled.label, IGNORE))
        learner.student.zero_grad()
        start = {key: value.clone() for key, value in learner.student.state_dict().items()}
        learner.teacher.load_state_dict(start)
        losses = methods.STEPS[name](learner, nothing, weak, np.random.default_rng(3))
        losses.total.backward()
        learner.student.load_state_dict(start)
        gradients = [p.grad.norm() for p in learner.student.parameters() if p.grad is not None]
        pull[soft] = float(torch.stack(gradients).norm())
    assert pull[True] < 0.2 * pull[False]
