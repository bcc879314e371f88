"""One training step of each method: what is computed from a batch, and which losses come out.

A step computes losses; `train.py` owns the optimizer. All methods share the supervised part; the
others differ in what they do with unlabeled crops, which are ADDED to the labeled ones:

    mean_teacher  pseudo-labels of the teacher on the weak view teach the strong view
    cutmix        the same on crops mixed with their neighbors
    u2pl          the same for reliable pixels, unreliable ones become negatives of the classes they
                  surely are not
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from model import distributed, instance_losses, official, pseudo_labels
from model.augment import CutMix
from model.banks import MemoryBanks
from model.config import IGNORE, TrainConfig
from model.dataset import LabeledBatch, UnlabeledBatch
from model.instance_losses import AnimalOpinion
from model.network import STRIDE, Outputs, SegmentationNetwork
from model.pixel_losses import supervised_loss, upsample
from model.pseudo_labels import Partition
from model.selection import contrastive_term, select, wants_floor


@dataclass
class Learner:
    """What a step works on: both networks, the memory banks and the random numbers."""

    student: SegmentationNetwork
    teacher: SegmentationNetwork
    banks: MemoryBanks
    config: TrainConfig
    generator: torch.Generator  # of anchors, keys and negatives
    progress: float = 0.0  # t / T of the second phase

    @property
    def classes(self) -> int:
        """C."""
        return self.student.config.classes

    def sample(self, end: int, count: int) -> Tensor:
        """`count` integers in [0, end)."""
        return torch.randint(end, (count,), generator=self.generator).to(self.banks.rings[0].device)

    @property
    def partition_progress(self) -> float:
        """t / T that the unreliable share follows; 0 throughout without DPA (Eq. 7)."""
        return self.progress if self.config.dpa else 0.0


@dataclass
class StepLosses:
    """Losses of one step; `total` carries the gradient (Eq. 1)."""

    total: Tensor
    supervised: float
    unsupervised: float = 0.0
    contrastive: float = 0.0
    instances: float = 0.0  # of the instance head, labeled and unlabeled crops
    reliable: float = 0.0  # share of the valid unlabeled pixels: H < gamma, or those that taught

    def joint(self) -> StepLosses:
        """What all processes together lose: the sum of their shares, without gradient."""
        if distributed.size() == 1:
            return self
        names = [field.name for field in dataclasses.fields(self)]
        shares = torch.stack([torch.as_tensor(getattr(self, n)).to(self.total) for n in names])
        total, *others = distributed.total(shares)
        return StepLosses(total, *(float(other) for other in others))


Step = Callable[[Learner, LabeledBatch, UnlabeledBatch, np.random.Generator], StepLosses]


@dataclass(frozen=True)
class Opinion:
    """The teacher's answer to images, at stride 4: p (B, C, h, w) and z (B, D, h, w)."""

    probability: Tensor
    representation: Tensor
    animals: AnimalOpinion | None = None  # where there is an instance head

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Opinion:
        """The same with p and z changed, e.g. mixed like the pixels."""
        probability, representation = (change(m) for m in (self.probability, self.representation))
        return dataclasses.replace(self, probability=probability, representation=representation)


class Lesson(NamedTuple):
    """What the teacher knows about unlabeled crops, not mixed yet; all at full size."""

    label: Tensor  # (B, H, W) int64, 255 where it teaches nothing
    probability: Tensor  # (B, C, H, W)
    valid: Tensor  # (B, H, W) bool, False on padding


def supervised(learner: Learner, labeled: LabeledBatch) -> StepLosses:
    """L_s alone (Eq. 2)."""
    learner.student.train()
    return _labeled(learner, learner.student.outputs(labeled.image), labeled)


def _labeled(learner: Learner, outputs: Outputs, labeled: LabeledBatch) -> StepLosses:
    """L_s, and what the instance head loses on labels."""
    own = supervised_loss(outputs, labeled.label, learner.config)
    losses = StepLosses(own, float(own.detach()))
    if outputs.animals is not None and labeled.animals is not None:
        label = _at_stride(labeled.label)
        loss = instance_losses.labeled_loss(outputs.animals, labeled.animals, label)
        _add_instances(learner, losses, loss)
    return losses


def _add_instances(learner: Learner, losses: StepLosses, loss: Tensor) -> None:
    losses.total = losses.total + learner.config.lambda_i * loss
    losses.instances += float(loss.detach())


def mean_teacher(
    learner: Learner, labeled: LabeledBatch, unlabeled: UnlabeledBatch, rng: np.random.Generator
) -> StepLosses:
    """L_s + lambda_u L_u on strong views of whole crops."""
    return _consistency(learner, labeled, unlabeled, CutMix(()))


def cutmix(
    learner: Learner, labeled: LabeledBatch, unlabeled: UnlabeledBatch, rng: np.random.Generator
) -> StepLosses:
    """L_s + lambda_u L_u on mixed crops."""
    return _consistency(learner, labeled, unlabeled, _mix(unlabeled, rng))


def _consistency(
    learner: Learner, labeled: LabeledBatch, unlabeled: UnlabeledBatch, mix: CutMix
) -> StepLosses:
    losses = supervised(learner, labeled)
    if learner.teacher.has_statistics:
        measure(learner.teacher, labeled.image)
    opinion = ask(learner.teacher, unlabeled.weak, learner.config.teacher_flip)
    p = upsample(opinion.probability, unlabeled.valid)
    lesson = Lesson(_everywhere(p, unlabeled.valid), p, unlabeled.valid)
    learner.student.train_with_fixed_statistics()
    outputs = learner.student.outputs(mix.apply(unlabeled.strong))
    losses = _with_unsupervised(learner, losses, outputs.logits, lesson, mix)
    return _with_animals(learner, losses, outputs, opinion, unlabeled.valid, mix)


def _everywhere(p: Tensor, valid: Tensor) -> Tensor:
    """Pseudo-labels of all valid pixels, 255 elsewhere."""
    return torch.where(valid, pseudo_labels.most_probable(p), IGNORE)


def u2pl(
    learner: Learner, labeled: LabeledBatch, unlabeled: UnlabeledBatch, rng: np.random.Generator
) -> StepLosses:
    """L_s + lambda_u L_u + lambda_c L_c (Eq. 1).

    The teacher sees un-mixed weak views, once, in eval mode; its answers are mixed like the pixels.
    Labeled crops alone move the batch statistics of both networks (docs/decisions/0009).
    """
    if learner.config.compat == "official":
        return _published(learner, labeled, unlabeled, rng)
    config, mix = learner.config, _mix(unlabeled, rng)
    alpha = pseudo_labels.alpha_at(learner.partition_progress, config.alpha_0)
    seen = _contrasted(learner, len(labeled.image))
    sure = measure(learner.teacher, labeled.image[:seen])
    unsure = ask(learner.teacher, unlabeled.weak, config.teacher_flip)

    learner.student.train()
    outputs, z_l = learner.student.outputs_both(labeled.image, seen)
    losses = _labeled(learner, outputs, labeled)

    learner.student.train_with_fixed_statistics()
    outputs, z_u = learner.student.outputs_both(mix.apply(unlabeled.strong))
    lesson = _reliable(learner, unsure, unlabeled.valid, alpha)
    losses = _with_unsupervised(learner, losses, outputs.logits, lesson, mix)
    losses = _with_animals(learner, losses, outputs, unsure, unlabeled.valid, mix)

    if config.contrastive:
        mixed = unsure.mapped(lambda maps: mix.apply(maps, STRIDE))
        parts, first = _partitions(learner, unsure.probability, unlabeled.valid, alpha, mix)
        losses.reliable = _share(parts.label != IGNORE, parts.valid)
        label = _at_stride(labeled.label[:seen])
        masks = select(config, sure.probability, label, mixed.probability, parts, first)
        student = torch.cat([z_l, z_u])
        teacher = torch.cat([sure.representation, mixed.representation])
        _with_contrast(learner, losses, student, teacher, masks, seen)
    return losses


def _contrasted(learner: Learner, labeled: int) -> int:
    """How many of the labeled crops L_c looks at: the first ones of this process."""
    if learner.teacher.has_statistics:  # the teacher measures them on all crops
        return labeled
    return max(1, round(learner.config.contrast_share * labeled))


def _reliable(learner: Learner, opinion: Opinion, valid: Tensor, alpha: float) -> Lesson:
    """Hard labels where the teacher is reliable; probabilities everywhere.

    A hard label of an unreliable pixel would be noise (Eq. 6), its probability is its own doubt.
    """
    p = upsample(opinion.probability, valid)
    if learner.config.soft_targets:
        return Lesson(_everywhere(p, valid), p, valid)
    return Lesson(pseudo_labels.partition(p, valid, alpha).label, p, valid)


def _partitions(
    learner: Learner, probability: Tensor, valid: Tensor, alpha: float, mix: CutMix
) -> tuple[Partition, Partition | None]:
    """Partitions at stride 4, mixed: at alpha_t, and at alpha_0 where rare keys are filled up."""
    wanted = [alpha]
    if wants_floor(learner.config, learner.classes):
        wanted.append(learner.config.alpha_0)
    found = [
        pseudo_labels.partition(probability, _at_stride(valid), share).mapped(
            lambda maps: mix.apply(maps, STRIDE)
        )
        for share in wanted
    ]
    return found[0], found[1] if len(found) > 1 else None


def _published(
    learner: Learner, labeled: LabeledBatch, unlabeled: UnlabeledBatch, rng: np.random.Generator
) -> StepLosses:
    """The published code's step, to be compared with `u2pl`; crops, network and L_s stay ours.

    Pseudo-labels are the teacher's in eval mode on whole crops, entropies and representations those
    of another answer: in training mode, on labeled and mixed crops together.
    """
    config, student, teacher = learner.config, learner.student, learner.teacher
    p = upsample(ask(teacher, unlabeled.weak).probability, unlabeled.valid)
    batch, _, height, width = unlabeled.weak.shape
    mixed = rng.random() < 0.5
    mix = official.draw_cutmix(batch, height, width, rng.integers) if mixed else CutMix(())
    target = mix.apply(torch.where(unlabeled.valid, pseudo_labels.most_probable(p), IGNORE))
    images = torch.cat([labeled.image, mix.apply(unlabeled.strong)])

    student.train()
    outputs, z = student.outputs_both(images)
    sure, side = slice(len(labeled.image)), outputs.auxiliary
    first = Outputs(outputs.logits[sure], None if side is None else side[sure])
    loss = supervised_loss(first, labeled.label, config)
    teacher.train()
    with torch.no_grad():
        logits, z_teacher = teacher.forward_both(images)

    joint = official.JointBatch(outputs.logits, z, logits, z_teacher, labeled.label, target)
    alpha = official.alpha_percent(learner.partition_progress, config.alpha_0)
    rule = official.Rule.of(config)
    l_u, l_c, reliable = official.losses(joint, alpha, learner.banks, rule, learner.sample)
    total = loss + config.lambda_u * l_u + config.lambda_c * l_c
    supervised_l, unsupervised_l, contrast_l = (float(part.detach()) for part in (loss, l_u, l_c))
    return StepLosses(total, supervised_l, unsupervised_l, contrast_l, reliable=reliable)


STEPS: dict[str, Step] = {"mean_teacher": mean_teacher, "cutmix": cutmix, "u2pl": u2pl}


@torch.no_grad()
def ask(teacher: SegmentationNetwork, images: Tensor, flip: bool = False) -> Opinion:
    """p and z of the teacher in eval mode, float32.

    Args:
        flip: p is the mean over the images and their mirror images; z is that of the images.
    """
    teacher.eval()
    opinion = _opinion(teacher, images)
    if not flip:
        return opinion
    mirrored = _opinion(teacher, images.flip(-1))
    animals = opinion.animals
    if animals is not None and mirrored.animals is not None:
        animals = animals.with_mirrored(mirrored.animals)
    mean = (opinion.probability + mirrored.probability.flip(-1)) / 2
    return Opinion(mean, opinion.representation, animals)


@torch.no_grad()
def measure(teacher: SegmentationNetwork, images: Tensor) -> Opinion:
    """As `ask` of labeled crops, with their batch statistics, which move the teacher's own."""
    teacher.eval_with_moving_statistics()
    return _opinion(teacher, images)


def _opinion(teacher: SegmentationNetwork, images: Tensor) -> Opinion:
    outputs, z = teacher.outputs_both(images)
    animals = None if outputs.animals is None else AnimalOpinion.of(outputs.animals)
    return Opinion(outputs.logits.float().softmax(dim=1), z.float(), animals)


@torch.no_grad()
def move_teacher(teacher: torch.nn.Module, student: torch.nn.Module, decay: float) -> None:
    """theta_t <- m theta_t + (1 - m) theta_s; buffers stay, `measure` keeps them.

    Batch statistics averaged over steps belong to none of the networks they were measured in.
    """
    average = get_ema_multi_avg_fn(decay)  # all tensors at once
    average(list(teacher.parameters()), list(student.parameters()), None)


def ema_decay(step: int, final: float, length: int = 0, span: float = 1.0) -> float:
    """m of the step-th update (from 0): min(1 - 1/(step + 1), final), a plain mean at first.

    Args:
        length: steps of the phase, 0 = not known yet.
        span: share of them that the average reaches back at most. An average over half of a short
            phase is still that of the high learning rates when the phase ends.
    """
    decay = min(1.0 - 1.0 / (step + 1), final)
    return min(decay, 1.0 - 1.0 / max(span * length, 1.0)) if length else decay


def _with_unsupervised(
    learner: Learner, losses: StepLosses, logits: Tensor, lesson: Lesson, mix: CutMix
) -> StepLosses:
    """Add lambda_u L_u, by default the mean over ALL valid pixels (Eq. 3; see `pixel_loss`)."""
    config, p = learner.config, lesson.probability
    label = mix.apply(pseudo_labels.confident(lesson.label, p, config.confidence))
    count = mix.apply(lesson.valid).sum()  # of this process, as what is divided by it
    divisor = None if config.normalize_kept else count
    full = upsample(logits, label)
    l_u = (
        pseudo_labels.soft_pixel_loss(full, mix.apply(p), label, divisor)
        if config.soft_targets
        else pseudo_labels.pixel_loss(full, label, divisor)
    )
    losses.total = losses.total + config.lambda_u * l_u
    losses.unsupervised = float(l_u.detach())
    losses.reliable = _share(label != IGNORE, lesson.valid)
    return losses


def _with_animals(
    learner: Learner,
    losses: StepLosses,
    outputs: Outputs,
    opinion: Opinion,
    valid: Tensor,
    mix: CutMix,
) -> StepLosses:
    """Add what the instance head loses on mixed unlabeled crops beside the teacher."""
    if outputs.animals is None or opinion.animals is None:
        return losses
    animal = 1.0 - opinion.probability[:, 0]
    unit = learner.student.config.animal_size
    ground = _at_stride(valid)
    loss = instance_losses.unlabeled_loss(
        outputs.animals, opinion.animals, animal, ground, unit, mix
    )
    _add_instances(learner, losses, learner.config.lambda_u * loss)
    return losses


def _share(part: Tensor, whole: Tensor) -> float:
    """This process's pixels of `part` over all processes' pixels of `whole`."""
    return float(part.sum() / distributed.total(whole.sum()).clamp(min=1))


def _with_contrast(
    learner: Learner,
    losses: StepLosses,
    student: Tensor,
    teacher: Tensor,
    masks: tuple[Tensor, Tensor],
    labeled: int,
) -> None:
    """Add lambda_c L_c; `masks` are anchors and keys of `select`."""
    with torch.autocast(student.device.type, enabled=False):  # products of vectors in float32
        l_c = contrastive_term(
            learner.config, learner.banks, learner.generator, student, teacher, *masks, labeled
        )
    losses.total = losses.total + learner.config.lambda_c * l_c
    losses.contrastive = float(l_c.detach())


def _mix(unlabeled: UnlabeledBatch, rng: np.random.Generator) -> CutMix:
    """This process's boxes for the joint batch."""
    batch, crop = len(unlabeled.weak) * distributed.size(), unlabeled.weak.shape[-1]
    return CutMix(tuple(distributed.own(CutMix.draw(batch, crop, rng).boxes)))


def _at_stride(labels: Tensor) -> Tensor:
    """(B, H, W) -> (B, H/4, W/4): the pixel next to the center of each cell."""
    return labels[:, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
