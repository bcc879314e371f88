"""The meter on records made by hand: every figure worked out beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest

from app.meter import Prequential, insight, prequential
from data_io.store import ImageState, Reading

START = datetime(2026, 3, 1, 8, tzinfo=timezone.utc)
NOW = START + timedelta(days=1, hours=4)


@dataclass
class Records:
    """A store that holds readings and states alone."""

    made: list[Reading] = field(default_factory=list)
    states: dict[str, ImageState] = field(default_factory=dict)

    def readings(self) -> list[Reading]:
        return self.made

    def image_states(self) -> dict[str, ImageState]:
        return self.states

    def image(self, name: str, verified: str = "whole", excluded: bool = False) -> None:
        state = (name, len(self.states), name, "g", None, excluded, 1, 0, verified, None, None, 0)
        self.states[name] = ImageState(*state)  # type: ignore[arg-type]

    def add(self, image: str, kind: str = "image", **more: Any) -> None:
        number = sum(one.image == image for one in self.made) + 1
        time = START + timedelta(minutes=len(self.made))
        values = {"kind": kind, "seconds": 60.0, "version": "v1", **more}
        self.made.append(Reading(image=image, number=number, author="me", time=time, **values))


@pytest.fixture
def five() -> Records:
    """Five images of a minute and two animals each, IoU .8, a tenth left; five more images."""
    records = Records()
    for number in range(5):
        name = f"done-{number}"
        records.image(name)
        records.add(
            name,
            kept=1,
            changed=1,
            pixels_both=80,
            pixels_either=100,
            pixels_wrong=20,
            pixels_caught=15,
            audits=2,
            audits_wrong=int(number == 0),
            bins=((1000, 10.0, 5), (0, 0.0, 0), (100, 20.0, 25)),
        )
    for number in range(5):
        records.image(f"left-{number}", "partial")
    records.image("out", "none", excluded=True)
    return records


def look(records: Records) -> Any:
    return insight(records, NOW)  # type: ignore[arg-type]


def test_without_records_every_chart_says_what_it_needs() -> None:
    found = look(Records())
    assert (found.minutes, found.answers, found.forecast, found.stop) == (0, 0, None, None)
    assert [(chart.rows, chart.have) for chart in found.charts.values()] == [((), 0)] * 6
    assert {name: chart.need for name, chart in found.charts.items()} == {
        "iou": 5,
        "seconds": 5,
        "errors": 10,
        "caught": 5,
        "calibration": 5,
        "forecast": 5,
    }


def test_one_record_short_is_no_figure_yet(five: Records) -> None:
    five.made.pop()
    found = look(five)
    assert all(chart.rows == () for chart in found.charts.values())
    assert (found.charts["iou"].have, found.charts["errors"].have) == (4, 8)
    assert (found.forecast, found.stop, found.error) == (None, None, None)


def test_the_head_counts_what_stands(five: Records) -> None:
    found = look(five)
    assert (found.minutes, found.answers, found.animals) == (5.0, 5, 10)
    assert (found.images, found.verified) == (10, 5)


def test_iou_and_seconds_over_minutes(five: Records) -> None:
    charts = look(five).charts
    assert charts["iou"].rows == ((5.0, 0.8, 0.8, 0.8, 5.0),)
    assert charts["seconds"].rows == ((5.0, 30.0, 30.0, 30.0, 5.0),)
    five.add("left-0", "region", seconds=30.0, pixels_both=0, pixels_either=100, added=2)
    iou, seconds = (look(five).charts[name].rows[-1] for name in ("iou", "seconds"))
    assert iou[:2] == (5.5, pytest.approx(400 / 600))
    assert iou[2] < 400 / 600 < iou[3]
    assert seconds[:2] == (5.5, pytest.approx(330 / 12))


def test_time_of_saves_and_of_answers_taken_back_belongs_to_the_next_answer(five: Records) -> None:
    five.add("left-0", "save", seconds=20.0, version=None)
    five.add("left-0", "image", seconds=30.0, added=9, pixels_either=7, taken_back=3)
    five.add("left-0", "reopen", seconds=10.0, version=None)
    assert look(five).charts["seconds"].rows[-1][:2] == (5.0, 30.0)
    five.add("left-0", "image", seconds=60.0, added=2)
    found = look(five)
    assert (found.answers, found.minutes) == (6, 7.0)
    assert found.charts["seconds"].rows[-1][:2] == (7.0, pytest.approx(420 / 12))


def test_unknown_time_costs_no_animal(five: Records) -> None:
    five.add("left-0", "image", seconds=None, added=100)
    assert look(five).charts["seconds"].rows[-1][:2] == (5.0, 30.0)


def test_the_error_rate_is_a_share_of_random_regions(five: Records) -> None:
    chart = look(five).charts["errors"]
    assert (chart.have, len(chart.rows)) == (10, 1)
    minutes, share, low, high, count = chart.rows[0]
    assert (minutes, share, count) == (5.0, 0.1, 10.0)
    assert (low, high) == (pytest.approx(0.01788, abs=1e-5), pytest.approx(0.40415, abs=1e-5))


def test_errors_caught_count_on_whole_images_alone(five: Records) -> None:
    assert look(five).charts["caught"].rows == ((5.0, 0.75, 0.75, 0.75, 5.0),)
    five.add("left-0", "region", pixels_wrong=1000, pixels_caught=1000)  # all of it, by its nature
    assert look(five).charts["caught"].rows == ((5.0, 0.75, 0.75, 0.75, 5.0),)


def test_calibration_adds_the_bins_up(five: Records) -> None:
    found = look(five)
    assert found.charts["calibration"].rows == (
        (0.01, 0.005, 0.005, 0.005, 5000.0),
        (0.2, 0.25, 0.25, 0.25, 500.0),
    )
    assert found.error == pytest.approx((5 * 5 + 5 * 5) / 5500)


def test_the_forecast_goes_on_at_the_present_pace(five: Records) -> None:
    found = look(five)
    forecast = found.forecast
    assert (forecast.left, forecast.goal, forecast.seconds.value) == (5, 4, 60.0)
    assert forecast.daily == 2.5  # five minutes over two days
    assert forecast.day == date(2026, 3, 4)  # four minutes are 1.6 days
    rows = found.charts["forecast"].rows
    assert rows[:5] == tuple((n, float(n), float(n), float(n), 0.0) for n in range(1, 6))
    assert rows[5:] == tuple((n, float(n), float(n), float(n), 1.0) for n in (5, 9, 10))


def test_once_the_goal_is_reached_no_day_is_named(five: Records) -> None:
    for name in list(five.states)[5:10]:
        five.image(name)
    forecast = look(five).forecast
    assert (forecast.left, forecast.goal, forecast.day) == (0, 0, None)


def test_when_to_stop_weighs_errors_against_minutes(five: Records) -> None:
    stop = look(five).stop
    assert (stop.answers, stop.animals, stop.minutes, stop.left) == (5, 5, 5.0, 5.0)
    assert (stop.rate.value, stop.advice) == (1.0, "go on")
    for number in range(30):
        five.add(f"left-{number % 5}", "region", kept=1)
    assert look(five).stop.advice == "stop"
    five.add("left-0", "region", added=3)
    stop = look(five).stop
    assert stop.rate.value == pytest.approx(0.1)
    assert (stop.rate.high > 0.2, stop.advice) == (True, "soon")


def test_pre_labels_are_scored_on_whole_images_and_once(five: Records) -> None:
    five.image("pieces")
    five.add("pieces", "region", pixels_both=1, pixels_either=2)
    five.add("pieces", pixels_both=5, pixels_either=6)
    five.image("empty")
    five.add("empty")
    five.image("scratch")
    five.add("scratch", version=None)
    five.image("learned")
    five.add("learned", pixels_both=1, pixels_either=9, taken_back=2)
    five.add("learned", "reopen", version=None)
    five.add("learned", version="v2", pixels_both=9, pixels_either=9)
    five.image("opened", "partial")
    five.add("opened", pixels_both=9, pixels_either=9)
    assert prequential(five) == [  # type: ignore[arg-type]
        *(Prequential(f"done-{number}", "v1", 0.8) for number in range(5)),
        Prequential("pieces", "v1", 0.75),
        Prequential("empty", "v1", 1.0),
    ]
