"""How long steps take, how many of them fit into the time, and when the job will end."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import torch

from model import distributed, schedule
from model.config import TrainConfig
from model.schedule import Clock
from model.training_state import Progress

STARTED = time.monotonic() - time.process_time()  # loading the libraries counts as well
RECENT = 20  # steps behind the estimate of the remaining time


class Pace:
    """The clock of one job; lengths of phases that it sets go into `progress`.

    Processes that train together measure their own times and follow the leader's conclusions.

    Attributes:
        before: seconds the job ran before it was interrupted.
        recent: seconds of the last steps of this phase, waiting for batches included.
    """

    def __init__(
        self, config: TrainConfig, progress: Progress, comparison: float, device: torch.device
    ) -> None:
        self.config, self.progress, self.device = config, progress, device
        self.clock = Clock(config.minutes * 60.0, comparison=comparison)
        self.before = progress.seconds
        self.recent: list[float] = []

    def now(self) -> float:
        """Seconds since this process began, on the clock that the settings choose."""
        if self.config.clock == "processor":
            return time.process_time()
        return time.monotonic() - STARTED

    def elapsed(self) -> float:
        """Seconds this job has run, before an interruption and since."""
        return self.before + self.now()

    def count(self, seconds: float) -> bool:
        """Note a step's time; True when that was enough to fix the phase's length."""
        progress = self.progress
        self.recent = [*self.recent[1 - RECENT :], seconds]
        if progress.lengths[progress.phase]:
            return False
        progress.step_seconds.append(seconds)
        if len(progress.step_seconds) < schedule.MEASURED:
            return False
        measured = progress.step_seconds[schedule.DISCARDED :]
        if progress.phase == 0 and not self.config.steps:
            self._divide(statistics.median(measured))
        progress.lengths[progress.phase] = self._agreed_length(measured)
        return True

    @property
    def first_share(self) -> float:
        """Share of the supervised phase: the setting's, until steps have been timed."""
        return self.progress.first_share or self.config.first_share

    def _divide(self, step_seconds: float) -> None:
        usable = self.clock.usable(len(self.progress.lengths))
        share = schedule.first_share(self.config, step_seconds, usable)
        self.progress.first_share = distributed.agreed(share, self.device)

    def refit(self) -> bool:
        """Fit the rest of the phase into its time anew; True when the speed changed that much."""
        progress = self.progress
        length = progress.lengths[progress.phase]
        if self.config.steps or not length or self.phase_is_over():
            return False
        needed = (length - progress.step) * statistics.median(self.recent)
        misfit = schedule.misfits(progress.step, length, needed, self._phase_left())
        if not distributed.agreed(misfit, self.device):
            return False
        progress.lengths[progress.phase] = self._agreed_length(self.recent)
        return True

    def phase_is_over(self) -> bool:
        """Whether the phase has its length."""
        length = self.progress.lengths[self.progress.phase]
        return 0 < length <= self.progress.step

    def eta(self) -> float | None:
        """Seconds until the job ends; None before a step of this process has been timed.

        The steps of a phase that has not begun are taken to cost what `schedule.semi_cost` says.
        """
        if not self.config.steps:
            return max(0.0, self.clock.budget - self.elapsed())
        phase, lengths = self.progress.phase, self.progress.lengths
        rest = self.clock.rest(len(lengths) - phase)
        if phase == len(lengths):
            return rest
        if not self.recent:
            return None
        usual = statistics.median(self.recent)
        seconds = (lengths[phase] - self.progress.step) * usual + rest
        if phase + 1 < len(lengths):
            seconds += lengths[phase + 1] * usual * schedule.semi_cost(self.config)
        return seconds

    def _agreed_length(self, seconds: Sequence[float]) -> int:
        length = schedule.length(seconds, self.progress.step, self._phase_left())
        return int(distributed.agreed(length, self.device))

    def _phase_left(self) -> float:
        phase, count = self.progress.phase, len(self.progress.lengths)
        return self.clock.phase_end(phase, count, self.first_share) - self.elapsed()
