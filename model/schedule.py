"""How many steps fit into the time, and the learning rate at each of them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from model.config import MASK_RCNN, TrainConfig

SUPERVISED, SEMI = "supervised", "semi"
LABELED_ONLY = ("supervised", MASK_RCNN)  # methods without a second phase
MEASURED = 6  # steps that are timed before a phase's length is fixed
DISCARDED = 2  # of them; they decode images and warm caches
LEAST = MEASURED  # a phase is never shorter
MISFIT = 1.1  # a phase that would end this much later or earlier gets another length
SETTLED = 2 / 3  # of a phase; afterwards it is never lengthened, so the rates can reach zero
MOST_FIRST = 0.85  # share of the time that waiting for unlabeled images may reach
FINISH_SECONDS = 8.0  # export and writing, on a slow machine


def poly(share: float, power: float) -> float:
    """Factor on the learning rate after a `share` in [0, 1] of the job: (1 - share) ** power."""
    return max(0.0, 1.0 - share) ** power


def share(phase: int, count: int, step: int, length: int, first_share: float) -> float:
    """Share of the job's time, in [0, 1], that is over at `step` (from 0) of a phase.

    One schedule spans both phases: rates that start anew undo what the first phase learned.

    Args:
        phase: its index among `count` phases.
        length: steps of the phase, 0 = not known yet, which counts as its beginning.
    """
    begin, end = (0.0, 1.0) if count == 1 else ((0.0, first_share), (first_share, 1.0))[phase]
    return begin + (end - begin) * (min(step / length, 1.0) if length else 0.0)


def first_share(config: TrainConfig, step_seconds: float, usable: float) -> float:
    """Share of the `usable` seconds that the supervised phase gets.

    It is `first_share`, and more where fewer than `first_steps` steps would fit into that: a
    teacher that has hardly learned the labels yet spoils more than unlabeled images give.
    """
    wanted = config.first_steps * step_seconds / max(usable, 1e-6)
    return max(config.first_share, min(wanted, MOST_FIRST))


def phases(config: TrainConfig, unlabeled: bool) -> tuple[str, ...]:
    """The supervised phase, and the semi-supervised one where method and images allow it."""
    semi = config.method not in LABELED_ONLY and unlabeled and config.steps != 1
    return (SUPERVISED, SEMI) if semi else (SUPERVISED,)


def fixed_lengths(config: TrainConfig, names: Sequence[str]) -> list[int]:
    """Steps of each phase; 0 = unknown until step times are measured."""
    if config.steps == 0:
        return [0] * len(names)
    if len(names) == 1:
        return [config.steps]
    first = min(max(1, round(config.steps * config.first_share)), config.steps - 1)
    return [first, config.steps - first]


def semi_cost(config: TrainConfig) -> float:
    """About how many supervised steps one semi-supervised step takes.

    Counted in passes over a crop, backward worth two: the student learns labeled and unlabeled
    crops (3 each), the teacher looks at unlabeled ones (1, 2 with their mirror images) and where it
    has to at labeled ones (1), against 3 for each labeled crop.
    """
    looks = 1.0 if config.norm == "batch" else config.contrast_share * (config.method == "u2pl")
    labeled = (3 + looks) * config.batch
    unlabeled = (5 if config.teacher_flip else 4) * config.batch_unlabeled
    return (labeled + unlabeled) / (3 * config.batch)


@dataclass
class Clock:
    """The time budget of a job in seconds, across interruptions.

    Attributes:
        budget: wall time of everything.
        validation: what judging one phase takes; measured as soon as there is something to measure.
        comparison: what comparing the two phases takes, in judgings; 0 = they are not compared.
    """

    budget: float
    validation: float = 0.0
    comparison: float = 0.0

    def phase_end(self, index: int, count: int, first_share: float) -> float:
        """Seconds since the start of the job at which phase `index` of `count` must end."""
        usable = self.usable(count)
        if index == count - 1:
            return usable + (count - 1) * self.validation
        return usable * first_share

    def usable(self, count: int) -> float:
        """Seconds for the steps of `count` phases."""
        finish = FINISH_SECONDS + 0.02 * self.budget
        judging = (count + self.comparison) * self.validation
        return max(0.0, self.budget - finish - judging)

    def rest(self, judgings: int) -> float:
        """Seconds of everything but steps while so many phases are still to be judged."""
        return (judgings + self.comparison) * self.validation + FINISH_SECONDS


def length(step_seconds: Sequence[float], done: int, left: float) -> int:
    """Steps of a phase of which `done` are done and `left` seconds remain."""
    usual = statistics.median(step_seconds)
    return max(LEAST, done, done + int(left / max(usual, 1e-6)))


def misfits(done: int, length: int, needed: float, left: float) -> bool:
    """Whether a phase needs another length: `needed` seconds of work meet `left` seconds."""
    if needed > MISFIT * max(left, 1.0):
        return True
    return needed * MISFIT < left and done < SETTLED * length
