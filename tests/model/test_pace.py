"""Lengths that fit into the time, and the remaining time in both phases."""

from __future__ import annotations

import pytest
import torch

from model import pace, schedule
from model.config import ClockKind, TrainConfig
from model.pace import Pace
from model.training_state import Progress

CPU = torch.device("cpu")


def fixed(step: int = 0, phase: int = 0, batch_unlabeled: int = 2) -> Pace:
    """A job of 20 + 20 steps."""
    config = TrainConfig(steps=40, batch=4, batch_unlabeled=batch_unlabeled)
    progress = Progress(phase=phase, step=step, lengths=[20, 20])
    return Pace(config, progress, 0.0, CPU)


def timed(monkeypatch: pytest.MonkeyPatch, elapsed: float, minutes: float = 10.0) -> Pace:
    """A job of two phases, in which `elapsed` seconds are over."""
    found = Pace(TrainConfig(minutes=minutes), Progress(lengths=[0, 0]), 0.0, CPU)
    monkeypatch.setattr(found, "elapsed", lambda: elapsed)
    return found


@pytest.mark.parametrize(("clock", "elapsed"), [("wall", 50.0), ("processor", 7.0)])
def test_the_clock_of_the_settings_counts(
    monkeypatch: pytest.MonkeyPatch, clock: ClockKind, elapsed: float
) -> None:
    found = Pace(TrainConfig(clock=clock), Progress(seconds=0.0), 0.0, CPU)
    monkeypatch.setattr(pace, "STARTED", 100.0)
    monkeypatch.setattr(pace.time, "monotonic", lambda: 150.0)
    monkeypatch.setattr(pace.time, "process_time", lambda: 7.0)
    assert found.elapsed() == elapsed


def test_nothing_is_said_before_a_step_was_timed() -> None:
    assert fixed().eta() is None


def test_in_the_first_phase_the_second_one_counts_with_its_dearer_steps() -> None:
    clock = fixed(step=5)
    clock.recent = [1.0, 1.0, 9.0]  # the median counts
    # 15 more supervised steps, then 20 that also ask the teacher and learn unlabeled crops:
    # 3 * (4 + 2) passes of the student, 2 + 2 * 2 of the teacher instead of 3 * 4
    assert clock.eta() == pytest.approx(15 + 20 * 2.0 + schedule.FINISH_SECONDS)


def test_in_the_second_phase_its_own_steps_count() -> None:
    clock = fixed(step=5, phase=1)
    clock.recent = [2.0]
    assert clock.eta() == pytest.approx(15 * 2.0 + schedule.FINISH_SECONDS)


def test_judging_counts_once_it_is_known() -> None:
    clock = fixed(step=20, phase=1)
    clock.recent = [2.0]
    clock.clock.validation, clock.clock.comparison = 6.0, 0.5
    assert clock.eta() == pytest.approx(1.5 * 6.0 + schedule.FINISH_SECONDS)
    clock.progress.phase, clock.progress.step = 2, 0
    assert clock.eta() == pytest.approx(0.5 * 6.0 + schedule.FINISH_SECONDS)


@pytest.mark.parametrize(("elapsed", "left"), [(0.0, 600.0), (450.0, 150.0), (700.0, 0.0)])
def test_of_a_job_in_minutes_the_rest_is_left(
    monkeypatch: pytest.MonkeyPatch, elapsed: float, left: float
) -> None:
    assert timed(monkeypatch, elapsed).eta() == left


def test_the_length_is_fixed_once_and_without_the_first_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = timed(monkeypatch, elapsed=0.0)
    seconds = [60.0] * schedule.DISCARDED + [1.0] * (schedule.MEASURED - schedule.DISCARDED)
    news = []
    for k, second in enumerate(seconds):
        clock.progress.step = k + 1
        news.append(clock.count(second))
    assert news == [False] * (len(seconds) - 1) + [True]
    end = clock.clock.phase_end(0, 2, clock.first_share)
    assert clock.progress.lengths == [len(seconds) + int(end), 0]
    assert not clock.count(1.0)


def test_a_slower_machine_gets_fewer_steps_and_an_even_one_as_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = timed(monkeypatch, elapsed=0.0)
    end = clock.clock.phase_end(0, 2, clock.first_share)
    clock.progress.lengths[0] = int(end)
    clock.recent = [1.0] * pace.RECENT
    assert not clock.refit()
    clock.recent = [2.0] * pace.RECENT
    assert clock.refit()
    assert clock.progress.lengths[0] == int(end / 2)


def test_a_job_of_fixed_steps_is_never_refitted() -> None:
    clock = fixed(step=5)
    clock.recent = [1000.0]
    assert not clock.refit()
    assert clock.progress.lengths == [20, 20]


def test_the_phase_is_over_at_its_length_and_never_while_that_is_unknown() -> None:
    clock = fixed(step=19)
    assert not clock.phase_is_over()
    clock.progress.step = 20
    assert clock.phase_is_over()
    clock.progress.lengths[0] = 0
    assert not clock.phase_is_over()
