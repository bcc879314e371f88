from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model import methods, schedule
from model.config import TrainConfig
from model.schedule import SEMI, SUPERVISED, Clock

SHARED = Path(__file__).parents[3] / "shared" / "golden" / "u2pl"


def test_poly_and_ema_follow_the_published_schedules() -> None:
    file = SHARED / "schedules.npz"
    if not file.exists():
        pytest.skip(f"schedules.npz is missing (looked in {SHARED})")
    with np.load(file) as stored:
        rates, decays = stored["lr"], stored["ema"]
    np.testing.assert_allclose([1e-3 * schedule.poly(k / 20, 0.9) for k in range(20)], rates)
    ours = [methods.ema_decay(k, 0.99) for k in range(len(decays))]
    np.testing.assert_allclose(ours, decays, atol=1e-12)


def test_one_schedule_spans_both_phases() -> None:
    first = [schedule.share(0, 2, step, 10, 0.4) for step in range(10)]
    second = [schedule.share(1, 2, step, 6, 0.4) for step in range(7)]
    assert first == pytest.approx([0.04 * step for step in range(10)])
    assert second == pytest.approx([0.4 + 0.1 * step for step in range(7)])
    assert schedule.share(1, 2, 3, 0, 0.4) == 0.4  # length not known yet
    assert schedule.share(0, 1, 5, 10, 0.4) == 0.5


def test_poly_starts_at_one_and_never_goes_below_zero() -> None:
    values = [schedule.poly(k / 4, 0.9) for k in range(6)]
    assert values[0] == 1.0
    assert values == sorted(values, reverse=True)
    assert values[4:] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("method", "unlabeled", "steps", "expected"),
    [
        ("u2pl", True, 0, (SUPERVISED, SEMI)),
        ("u2pl", False, 0, (SUPERVISED,)),
        ("supervised", True, 0, (SUPERVISED,)),
        ("cutmix", True, 1, (SUPERVISED,)),
        ("maskrcnn", True, 0, (SUPERVISED,)),
    ],
)
def test_phases(method: str, unlabeled: bool, steps: int, expected: tuple[str, ...]) -> None:
    config = TrainConfig(method=method, steps=steps)  # type: ignore[arg-type]
    assert schedule.phases(config, unlabeled) == expected


@pytest.mark.parametrize("steps", [2, 3, 10, 101])
def test_fixed_lengths_add_up_and_leave_no_phase_out(steps: int) -> None:
    lengths = schedule.fixed_lengths(TrainConfig(steps=steps), (SUPERVISED, SEMI))
    assert sum(lengths) == steps
    assert min(lengths) >= 1


def test_phases_and_their_ends_fit_into_the_budget() -> None:
    clock = Clock(budget=180.0, validation=5.0)
    first, last = (clock.phase_end(index, 2, 0.6) for index in range(2))
    assert 0 < first < last
    assert last + clock.validation + schedule.FINISH_SECONDS < clock.budget
    assert clock.phase_end(0, 1, 0.6) > first


def test_no_time_still_gives_the_least_number_of_steps() -> None:
    assert Clock(budget=1.0).phase_end(0, 2, 0.6) == 0.0
    assert schedule.length([1.0], 0, -5.0) == schedule.LEAST


def test_length_uses_the_median_and_counts_what_is_done() -> None:
    assert schedule.length([0.5, 0.5, 30.0], done=10, left=20.0) == 50


@pytest.mark.parametrize(
    ("done", "needed", "left", "expected"),
    [
        (10, 100.0, 100.0, False),
        (10, 120.0, 100.0, True),
        (10, 80.0, 100.0, True),
        (80, 80.0, 100.0, False),
        (80, 120.0, 100.0, True),
        (99, 0.5, -3.0, False),
    ],
)
def test_misfits(done: int, needed: float, left: float, expected: bool) -> None:
    assert schedule.misfits(done, 100, needed, left) is expected


def test_short_jobs_learn_the_labels_first() -> None:
    config = TrainConfig(first_share=0.5, first_steps=300)
    assert schedule.first_share(config, step_seconds=0.5, usable=800.0) == 0.5  # 800 steps fit
    assert schedule.first_share(config, step_seconds=0.5, usable=200.0) == 0.75
    assert schedule.first_share(config, step_seconds=1.0, usable=170.0) == schedule.MOST_FIRST
    assert schedule.first_share(config, step_seconds=1.0, usable=0.0) == schedule.MOST_FIRST
    late = TrainConfig(first_share=0.9, first_steps=300)
    assert schedule.first_share(late, step_seconds=1.0, usable=170.0) == 0.9
