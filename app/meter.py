"""The meter: what the minutes of people bought, computed from the readings of their answers.

Every figure comes from readings that stand (no answer taken back) and has a 95 % interval. A chart
with too little evidence has no rows, and tells how much there is and how much it needs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

import numpy as np

from app.intervals import Estimate, Floats, ratio, resampled, running, wilson
from data_io.store import ImageState, Reading, Store

Name = Literal["iou", "seconds", "errors", "caught", "calibration", "forecast"]
NAMES: tuple[Name, ...] = ("iou", "seconds", "errors", "caught", "calibration", "forecast")
WINDOW = 20  # answers or images a running mean looks back
RECENT = 30  # newest images or answers that stand for the present pace
LEAST = 5  # answers or images from which a figure is shown
LEAST_AUDITS = 10  # random regions from which an error rate is shown
CALIBRATED = 500  # newest images whose maps are judged: older ones came from older versions
PLACES = 200  # most points of a curve
GOAL = 0.9  # share of the images the forecast names a day for
STOP = 0.2  # wrong animals found a minute below which review no longer pays
DAYS = 14  # of the present working pace
_CURVE = ("minutes", "value", "low", "high", "count")
_ANSWERS = ("region", "audit", "image")


@dataclass(frozen=True)
class Prequential:
    """IoU of one image's pre-label, made before anybody had labeled it, with its label."""

    image: str
    version: str
    iou: float


@dataclass(frozen=True)
class Answer:
    """An answer that stands.

    `minutes`: active minutes of people in the whole project up to and with it. `seconds`: those
    spent on its image since the answer before, None where a browser did not tell.
    """

    reading: Reading
    minutes: float
    seconds: float | None


@dataclass(frozen=True)
class Finished:
    """An image that is verified whole: all answers on it, and what they cost (None: unknown)."""

    image: str
    minutes: float
    seconds: float | None
    readings: tuple[Reading, ...]


@dataclass(frozen=True)
class Chart:
    """The rows of one plot, all numbers; none while `have` is less than `need`."""

    name: Name
    columns: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    have: int
    need: int


@dataclass(frozen=True)
class Forecast:
    """What is left. `seconds` for one image; `goal` images are still missing to `GOAL`.

    `day` is the day the goal is reached at `daily` active minutes a day, the present pace.
    """

    left: int
    goal: int
    seconds: Estimate
    daily: float
    day: date | None


@dataclass(frozen=True)
class Stop:
    """What the newest answers found: wrong animals a minute, and how many may be left."""

    answers: int
    animals: int
    minutes: float
    rate: Estimate
    left: float | None

    @property
    def advice(self) -> Literal["go on", "soon", "stop"]:
        """Stop once even the upper end of the interval lies below `STOP`."""
        if self.rate.high < STOP:
            return "stop"
        return "soon" if self.rate.value < STOP else "go on"


@dataclass(frozen=True)
class Insight:
    """Everything the Insight page shows. `error` is the calibration error (ECE), if known."""

    minutes: float
    answers: int
    animals: int
    images: int
    verified: int
    charts: Mapping[Name, Chart]
    error: float | None
    forecast: Forecast | None
    stop: Stop | None


def prequential(store: Store) -> list[Prequential]:
    """Pre-labels against labels, over images verified whole, in the order of their acceptance.

    Left out are images of which another version's pre-label was answered too, an answer taken back
    included: that version may have learned from the label it is judged by. Where neither pre-label
    nor label has an animal the IoU is 1.
    """
    readings = store.readings()
    versions = defaultdict(set)
    for one in readings:
        if one.kind in _ANSWERS:
            versions[one.image].add(one.version)
    found = []
    for done in _finished(readings, _answers(readings), store.image_states()):
        version, *others = versions[done.image]
        if version is None or others:
            continue
        both = sum(one.pixels_both for one in done.readings)
        either = sum(one.pixels_either for one in done.readings)
        found.append(Prequential(done.image, version, both / either if either else 1.0))
    return found


def insight(store: Store, now: datetime) -> Insight:
    """Compute the page; `now` is the aware time from which the forecast counts."""
    readings, states = store.readings(), store.image_states()
    present = [one for one in states.values() if not one.excluded]
    verified = sum(one.verified == "whole" for one in present)
    answers = _answers(readings)
    done = _finished(readings, answers, states)
    minutes = sum(one.seconds or 0.0 for one in readings) / 60
    left = len(present) - verified
    forecast = _forecast(readings, done, left, len(present), now)
    calibration, error = _calibration(done)
    charts = (
        _iou(answers),
        _seconds(answers),
        _errors(answers),
        _caught(done),
        calibration,
        _progress(done, forecast, minutes, verified),
    )
    return Insight(
        minutes=minutes,
        answers=len(answers),
        animals=sum(one.reading.animals for one in answers),
        images=len(present),
        verified=verified,
        charts={chart.name: chart for chart in charts},
        error=error,
        forecast=forecast,
        stop=_stop(answers, done, left),
    )


def _answers(readings: Sequence[Reading]) -> list[Answer]:
    """The answers that stand; time of saves and of answers taken back goes to the next one."""
    found: list[Answer] = []
    waiting: dict[str, float | None] = {}
    minutes = 0.0
    for one in readings:
        minutes += (one.seconds or 0.0) / 60
        before = waiting.pop(one.image, 0.0)
        spent = None if before is None or one.seconds is None else before + one.seconds
        if one.kind in _ANSWERS and one.taken_back is None:
            found.append(Answer(one, minutes, spent))
        else:
            waiting[one.image] = spent
    return found


def _finished(
    readings: Sequence[Reading], answers: Sequence[Answer], states: Mapping[str, ImageState]
) -> list[Finished]:
    """Images that were accepted and are whole still, in the order of their acceptance."""
    spent: dict[str, list[float | None]] = defaultdict(list)
    for reading in readings:
        spent[reading.image].append(reading.seconds)
    standing, accepted = defaultdict(list), {}
    for one in answers:
        standing[one.reading.image].append(one.reading)
        if one.reading.kind == "image":
            accepted[one.reading.image] = one.minutes
    return [
        Finished(image, minutes, _total(spent[image]), tuple(standing[image]))
        for image, minutes in sorted(accepted.items(), key=lambda pair: pair[1])
        if image in states and states[image].verified == "whole"
    ]


def _total(seconds: Iterable[float | None]) -> float | None:
    known = list(seconds)
    return None if None in known else sum(value for value in known if value is not None)


def _floats(values: Iterable[float]) -> Floats:
    return np.array(list(values), np.float64)


def _curve(
    name: Name, minutes: Sequence[float], above: Floats, below: Floats, need: int = LEAST
) -> Chart:
    """A running mean over minutes; `count` is how many pairs it rests on."""
    rows = [
        (minutes[place], found.value, found.low, found.high, float(min(place + 1, WINDOW)))
        for place, found in running(above, below, WINDOW, need, PLACES)
    ]
    return Chart(name, _CURVE, tuple(rows), len(minutes), need)


def _iou(answers: Sequence[Answer]) -> Chart:
    told = [one for one in answers if one.reading.pixels_either]
    return _curve(
        "iou",
        [one.minutes for one in told],
        _floats(one.reading.pixels_both for one in told),
        _floats(one.reading.pixels_either for one in told),
    )


def _seconds(answers: Sequence[Answer]) -> Chart:
    timed = [one for one in answers if one.seconds is not None]
    return _curve(
        "seconds",
        [one.minutes for one in timed],
        _floats(one.seconds or 0.0 for one in timed),
        _floats(one.reading.animals for one in timed),
    )


def _errors(answers: Sequence[Answer]) -> Chart:
    """Share of random regions in which something was changed, over all there were so far."""
    rows, seen, wrong = [], 0, 0
    for one in answers:
        seen, wrong = seen + one.reading.audits, wrong + one.reading.audits_wrong
        if one.reading.audits and seen >= LEAST_AUDITS:
            share = wilson(wrong, seen)
            rows.append((one.minutes, share.value, share.low, share.high, float(seen)))
    return Chart("errors", _CURVE, tuple(rows), seen, LEAST_AUDITS)


def _caught(done: Sequence[Finished]) -> Chart:
    """Share of the wrong pixels that lay inside flagged regions, over images verified whole."""
    pairs = [
        (one.minutes, sum(r.pixels_caught for r in one.readings), wrong)
        for one in done
        for wrong in [sum(r.pixels_wrong for r in one.readings)]
        if wrong
    ]
    minutes = [minute for minute, _, _ in pairs]
    return _curve(
        "caught",
        minutes,
        _floats(caught for _, caught, _ in pairs),
        _floats(wrong for _, _, wrong in pairs),
    )


def _calibration(done: Sequence[Finished]) -> tuple[Chart, float | None]:
    """Error chance the maps told against the share that was wrong, and the ECE in between."""
    told = [one for one in done if any(reading.bins for reading in one.readings)][-CALIBRATED:]
    columns = ("told", "observed", "low", "high", "pixels")
    if len(told) < LEAST:
        return Chart("calibration", columns, (), len(told), LEAST), None
    # (images, bins, 3): pixels, sum of their chances, wrong ones
    sums = np.array(
        [np.sum([r.bins for r in one.readings if r.bins], axis=0) for one in told], np.float64
    )
    pixels, chances, wrong = sums.sum(0).T
    drawn = resampled(sums.reshape(len(told), -1)).reshape(-1, *sums.shape[1:])
    rows = []
    for place in np.flatnonzero(pixels):
        some = drawn[drawn[:, place, 0] > 0, place]
        low, high = np.percentile(some[:, 2] / some[:, 0], (2.5, 97.5))
        n = pixels[place]
        values = chances[place] / n, wrong[place] / n, low, high, n
        rows.append(tuple(float(value) for value in values))
    error = float(np.abs(chances - wrong).sum() / pixels.sum())
    return Chart("calibration", columns, tuple(rows), len(told), LEAST), error


def _forecast(
    readings: Sequence[Reading], done: Sequence[Finished], left: int, images: int, now: datetime
) -> Forecast | None:
    timed = [one.seconds for one in done if one.seconds is not None][-RECENT:]
    if len(timed) < LEAST:
        return None
    seconds = ratio(_floats(timed), np.ones(len(timed)))
    goal = max(0, math.ceil(GOAL * images) - (images - left))
    daily = _daily_minutes(readings, now)
    day = None
    if goal and daily:
        days = goal * seconds.value / 60 / daily
        day = now.date() + timedelta(days=math.ceil(days)) if days < 10_000 else None
    return Forecast(left, goal, seconds, daily, day)


def _daily_minutes(readings: Sequence[Reading], now: datetime) -> float:
    """Active minutes a day, over the newest `DAYS` days from the first on which people worked."""
    begin = now - timedelta(days=DAYS)
    recent = [one for one in readings if begin < one.time <= now and one.seconds]
    if not recent:
        return 0.0
    days = (now.date() - recent[0].time.astimezone(now.tzinfo).date()).days + 1
    return sum(one.seconds or 0.0 for one in recent) / 60 / days


def _progress(
    done: Sequence[Finished], forecast: Forecast | None, minutes: float, verified: int
) -> Chart:
    """Images verified over minutes, so far and on at the present pace."""
    columns = ("images", "minutes", "low", "high", "forecast")
    have = sum(one.seconds is not None for one in done)
    if forecast is None:
        return Chart("forecast", columns, (), have, LEAST)
    first = verified - len(done)
    rows = [
        (float(first + place), one.minutes, one.minutes, one.minutes, 0.0)
        for place, one in enumerate(done, 1)
    ]
    for more in sorted({0, forecast.goal, forecast.left}):
        ahead = forecast.seconds.times(more / 60)
        row = (verified + more, *(minutes + m for m in (ahead.value, ahead.low, ahead.high)), 1)
        rows.append(tuple(float(value) for value in row))  # type: ignore[arg-type]
    return Chart("forecast", columns, tuple(rows), have, LEAST)


def _wrong_animals(one: Reading) -> int:
    return one.changed + one.added + one.deleted


def _stop(answers: Sequence[Answer], done: Sequence[Finished], left: int) -> Stop | None:
    """Wrong animals a minute in the newest answers that had a pre-label and a known time."""
    timed = (one for one in answers if one.reading.version and one.seconds is not None)
    recent = list(timed)[-RECENT:]
    wrong = _floats(_wrong_animals(one.reading) for one in recent)
    spent = _floats((one.seconds or 0.0) / 60 for one in recent)
    if len(recent) < LEAST or not spent.sum():
        return None
    told = [one for one in done if all(r.version for r in one.readings)][-RECENT:]
    each = sum(_wrong_animals(r) for one in told for r in one.readings) / max(1, len(told))
    return Stop(
        answers=len(recent),
        animals=int(wrong.sum()),
        minutes=float(spent.sum()),
        rate=ratio(wrong, spent),
        left=each * left if told else None,
    )
