"""What the instance head loses: nothing where it is right, nothing where nobody knows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from model.augment import CutMix
from model.config import IGNORE
from model.instance_losses import (
    CORES,
    AnimalLabels,
    AnimalOpinion,
    labeled_loss,
    unlabeled_loss,
)
from model.network import Animals
from model.targets import animal_targets

UNMIXED = CutMix(())


def labels() -> AnimalLabels:
    """Two touching animals in one crop of 64 x 96, sizes 40 and 20 pixels."""
    ids = np.zeros((64, 96), np.uint16)
    ids[10:50, 10:50], ids[10:30, 50:70] = 1, 2
    return AnimalLabels(*(torch.from_numpy(part)[None] for part in animal_targets(ids)))


def said(truth: AnimalLabels | AnimalOpinion) -> Animals:
    """A head that is right; its shares are within .001 of 0 and 1 at most."""
    center, contact, core = (
        torch.logit(part.clamp(1e-3, 1 - 1e-3)).clone()
        for part in (truth.center, truth.contact, truth.core)
    )
    return Animals(center, truth.offset.clone(), contact, core)


def everywhere(truth: AnimalLabels) -> torch.Tensor:
    return torch.ones_like(truth.size, dtype=torch.bool)


def classes(truth: AnimalLabels) -> torch.Tensor:
    """Labels of ground that is verified everywhere."""
    return (truth.size > 0).long()


def least(truth: AnimalLabels) -> float:
    """What a head that is right loses: the entropy of cores between 0 and 1."""
    own = truth.core.clamp(1e-3, 1 - 1e-3)
    return CORES * float(F.binary_cross_entropy(own, truth.core))


def test_a_head_that_is_right_loses_next_to_nothing() -> None:
    truth = labels()
    assert float(labeled_loss(said(truth), truth, classes(truth))) < 0.01 + least(truth)
    still = Animals(*(torch.zeros_like(part) for part in said(truth)))
    assert labeled_loss(still, truth, classes(truth)) > 1


def test_an_offset_counts_relative_to_its_animal() -> None:
    truth = labels()
    lost = []
    for size in (40.0, 20.0):
        found = said(truth)
        found.offset[:, 0] += torch.where((truth.size - size).abs() < 1, size / 2, 0.0)
        off = float(labeled_loss(found, truth, classes(truth))) - least(truth)
        lost.append(off / float((truth.size == truth.size[truth.size > 0].max()).sum()))
    cells = [int((truth.size > 30).sum()), int(((truth.size > 0) & (truth.size < 30)).sum())]
    assert lost[0] / lost[1] == pytest.approx(cells[0] / cells[1], rel=0.1)


def test_unverified_ground_teaches_nothing() -> None:
    truth = labels()
    found = Animals(*(part.clone().requires_grad_() for part in said(truth)))
    label = classes(truth)
    label[:, :, 12:] = IGNORE
    labeled_loss(found, truth, label).backward()
    for part in found:
        assert part.grad is not None
        assert not part.grad[..., 12:].any()
    nowhere = labeled_loss(said(truth), truth, torch.full_like(label, IGNORE))
    assert float(nowhere) == 0.0


def opinion(truth: AnimalLabels) -> AnimalOpinion:
    return AnimalOpinion(truth.center, truth.offset, truth.contact, truth.core)


def test_a_student_that_agrees_with_its_teacher_loses_next_to_nothing() -> None:
    truth = labels()
    animal = (truth.size > 0).float()
    args = (opinion(truth), animal, everywhere(truth), 30.0)
    assert float(unlabeled_loss(said(truth), *args, UNMIXED)) < 0.01 + least(truth)
    off = said(truth)
    off.offset[:] += 15.0
    assert unlabeled_loss(off, *args, UNMIXED) > 0.9  # half a unit along both axes


def test_a_student_that_agrees_with_a_doubtful_teacher_stays_where_it_is() -> None:
    """Else teacher and student, who follow each other, would drift until nothing is in doubt."""
    truth = labels()
    known = everywhere(truth)
    doubt = AnimalOpinion(*(torch.full_like(part, 0.2) for part in opinion(truth)))
    found = Animals(*(part.clone().requires_grad_() for part in said(doubt)))
    unlabeled_loss(found, doubt, (truth.size > 0).float(), known, 30.0, UNMIXED).backward()
    for part in (found.center, found.contact, found.core):
        assert part.grad is not None
        assert float(part.grad.abs().max()) < 1e-7


def test_votes_that_land_on_no_hill_do_not_teach() -> None:
    truth = labels()
    animal, known = (truth.size > 0).float(), everywhere(truth)
    found = said(truth)
    found.offset[:] += 15.0
    lost = opinion(truth)._replace(center=torch.zeros_like(truth.center))
    found = found._replace(center=torch.full_like(found.center, -20.0))
    lost_on_votes = float(unlabeled_loss(found, lost, animal, known, 30.0, UNMIXED))
    assert lost_on_votes < 0.01 + least(truth)


def test_votes_into_another_crop_do_not_teach() -> None:
    """A box with the second crop lies over the first one's middle: its rim has lost its animal."""
    ids = np.zeros((64, 64), np.uint16)
    ids[8:56, 8:56] = 1
    one = [torch.from_numpy(part) for part in animal_targets(ids)]
    truth = AnimalLabels(*(torch.stack([part, torch.zeros_like(part)]) for part in one))
    mix = CutMix(((24, 24, 40, 40), (0, 0, 0, 0)))
    animal = (truth.size > 0).float()
    found = said(truth)
    for part in found:
        part.requires_grad_()
    wrong = opinion(truth)._replace(offset=truth.offset + 0.4)  # so that votes have a gradient
    unlabeled_loss(found, wrong, animal, everywhere(truth), 30.0, mix).backward()
    assert found.offset.grad is not None
    assert not found.offset.grad.any()  # the only hill is covered
    found.offset.grad = None
    unlabeled_loss(found, wrong, animal, everywhere(truth), 30.0, UNMIXED).backward()
    assert found.offset.grad is not None
    assert found.offset.grad[0].any()


def test_without_valid_ground_the_loss_is_a_finite_zero() -> None:
    truth = labels()
    found = said(truth)
    found.offset.requires_grad_()
    nowhere = torch.zeros_like(everywhere(truth))
    animal = (truth.size > 0).float()
    loss = unlabeled_loss(found, opinion(truth), animal, nowhere, 30.0, UNMIXED)
    loss.backward()
    assert float(loss.detach()) == 0.0


def test_a_mirrored_answer_is_turned_back() -> None:
    ids = np.zeros((64, 96), np.uint16)
    ids[12:52, 12:52], ids[12:32, 52:72] = 1, 2  # whole cells
    plain, turned = (
        AnimalOpinion(*(torch.from_numpy(part)[None] for k, part in enumerate(found) if k != 2))
        for found in (animal_targets(ids), animal_targets(np.ascontiguousarray(ids[:, ::-1])))
    )
    for mean, part in zip(plain.with_mirrored(turned), plain, strict=True):
        torch.testing.assert_close(mean, part, atol=0.01, rtol=0)  # hills end at 3 sigma
