"""Sentences of the Insight page, with their figures."""

from __future__ import annotations

from datetime import date

import pytest

from app.intervals import Estimate
from app.meter import NAMES, Chart, Forecast, Insight, Stop
from app.pages import insight_view

CURVE = ("minutes", "value", "low", "high", "count")
RATE = Estimate(1.5, 0.9, 2.1)
EACH = Estimate(40.0, 30.0, 60.0)


def insight(**more: object) -> Insight:
    charts = {name: Chart(name, CURVE, (), 2, 5) for name in NAMES}
    values = {
        "minutes": 0.0, "answers": 0, "animals": 0, "images": 9, "verified": 0,
        "charts": charts, "error": None, "forecast": None, "stop": None, **more,
    }  # fmt: skip
    return Insight(**values)  # type: ignore[arg-type]


def test_an_empty_page_says_what_is_missing() -> None:
    shown = insight_view.page(insight())
    assert "Too early to say when to stop." in shown
    assert shown.count("2 of 5 so far.") == 6
    assert "Still needs 3 accepted images." in shown
    assert "<svg" not in shown
    assert "api/insight" not in shown


@pytest.mark.parametrize(
    ("rate", "advice"),
    [
        (RATE, "Go on"),
        (Estimate(0.1, 0.0, 0.3), "You may stop soon"),
        (Estimate(0.05, 0.0, 0.15), "You can stop"),
    ],
)
def test_when_to_stop(rate: Estimate, advice: str) -> None:
    told = insight_view.stop_words(Stop(30, 12, 8.0, rate, 20.4), 63)
    assert told.startswith(advice)
    assert "30 answers took 8.0 min and corrected 12 animals" in told
    assert f"{rate.value:.2f} a minute (95 % interval {rate.low:.2f} to {rate.high:.2f})" in told
    assert "About 20 wrong animals may be left in 63 images." in told
    few = insight_view.stop_words(Stop(30, 12, 8.0, rate, 0.3), 1)
    assert "Less than one wrong animal may be left in 1 image." in few
    assert "left in" not in insight_view.stop_words(Stop(30, 12, 8.0, rate, None), 63)


def test_the_forecast_in_words() -> None:
    told = insight_view.forecast_words(Forecast(90, 60, EACH, 20.0, date(2026, 3, 4)))
    assert told == (
        "90 images left at 40 s an image (95 % interval 30 to 60): 1 h 0 min of review"
        " (45 min to 1 h 30 min). 90 % of the images are done in 40 min; at 20 min a day, as of"
        " late, on 2026-03-04."
    )
    assert insight_view.forecast_words(Forecast(9, 0, EACH, 20.0, None)).endswith(
        "90 % of the images are done."
    )
    assert insight_view.forecast_words(Forecast(9, 6, EACH, 0.0, None)).endswith("in 4 min.")
    assert (
        insight_view.forecast_words(Forecast(0, 0, EACH, 1.0, None)) == "All images are verified."
    )


def test_a_chart_comes_with_words_and_downloads() -> None:
    charts = dict(insight().charts)
    charts["iou"] = Chart("iou", CURVE, ((2.0, 0.9, 0.8, 0.95, 20.0),), 20, 5)
    shown = insight_view.page(insight(charts=charts, answers=20, minutes=2.0))
    says = "IoU 90.0 % (95 % interval 80.0 % to 95.0 %) over the newest 20 answers with a proposal."
    assert f"<figcaption>{says}</figcaption>" in shown
    assert f'aria-label="How good the proposals are. {says}"' in shown
    for file in ("iou.csv", "iou.png", "readings.csv"):
        assert f'href="api/insight/{file}" download' in shown
    assert "seconds.csv" not in shown


def test_every_chart_has_a_sentence() -> None:
    row = (2.0, 0.5, 0.4, 0.6, 12.0)
    charts = {name: Chart(name, CURVE, (row,), 12, 5) for name in NAMES}
    forecast = Forecast(9, 6, EACH, 0.0, None)
    found = insight(charts=charts, error=0.02, forecast=forecast)
    told = {name: insight_view.chart_words(charts[name], found) for name in NAMES}
    assert told["seconds"].startswith("0.5 s an animal over the newest 12 answers")
    assert told["errors"].startswith("50.0 % (95 % interval 40.0 % to 60.0 %) of 12 random regions")
    assert "lay inside flagged regions, over the newest 12 images" in told["caught"]
    assert "off by 2.0 % on average" in told["calibration"]
    assert told["forecast"] == insight_view.forecast_words(forecast)
