"""The Insight page's figures, charts and sentences as HTML; gradio-free so that tests read them."""

from __future__ import annotations

from app import plots
from app.intervals import Estimate
from app.meter import GOAL, NAMES, STOP, Chart, Forecast, Insight, Name, Stop
from app.pages.words import duration, empty, percent, plural, text

_NEEDS: dict[Name, tuple[str, str]] = {
    "iou": ("answer on images with proposals", "answers on images with proposals"),
    "seconds": ("answer", "answers"),
    "errors": ("answered random region", "answered random regions"),
    "caught": ("accepted image with corrections", "accepted images with corrections"),
    "calibration": ("accepted image with proposals", "accepted images with proposals"),
    "forecast": ("accepted image", "accepted images"),
}
_GOAL = f"{100 * GOAL:.0f} %"
_ADVICE = {
    "go on": "Go on: reviewing still finds enough.",
    "soon": "You may stop soon: reviewing finds little, but it may be chance.",
    "stop": "You can stop: reviewing finds next to nothing.",
}


def page(found: Insight) -> str:
    """The whole page."""
    charts = "".join(_chart(found.charts[name], found) for name in NAMES)
    link = _link("readings.csv", "All readings as CSV") if found.minutes or found.answers else ""
    return f'{_head(found)}{_stop(found)}<div class="hm-charts">{charts}</div><p>{link}</p>'


def _head(found: Insight) -> str:
    cells = (
        ("minutes of review", f"{found.minutes:.1f}"),
        ("answers", f"{found.answers:,}"),
        ("animals", f"{found.animals:,}"),
        ("images verified", f"{found.verified:,} of {found.images:,}"),
    )
    body = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in cells)
    return f'<dl class="hm-figures">{body}</dl>'


def _stop(found: Insight) -> str:
    """When to stop, and how long it takes."""
    sentences = [stop_words(found.stop, found.images - found.verified)] if found.stop else []
    sentences += [forecast_words(found.forecast)] if found.forecast else []
    if not sentences:
        return empty(
            "Too early to say when to stop.",
            "Accept five images that have proposals; the app measures the time they take.",
        )
    return "".join(f'<p class="hm-verdict">{text(sentence)}</p>' for sentence in sentences)


def stop_words(stop: Stop, left: int) -> str:
    """The stop rule with its figures."""
    rate = f"{stop.rate.value:.2f} a minute ({_interval(stop.rate, '.2f')})"
    told = (
        f"The newest {plural(stop.answers, 'answer')} took {stop.minutes:.1f} min and corrected"
        f" {plural(stop.animals, 'animal')}: {rate}; below {STOP:g} a minute review no longer pays."
    )
    if stop.left is not None and left:
        some = f"About {plural(round(stop.left), 'wrong animal')}"
        many = some if stop.left >= 1 else "Less than one wrong animal"
        told += f" {many} may be left in {plural(left, 'image')}."
    return f"{_ADVICE[stop.advice]} {told}"


def forecast_words(forecast: Forecast) -> str:
    """How long the rest takes, and when most of it is done."""
    if not forecast.left:
        return "All images are verified."
    each = f"{forecast.seconds.value:.0f} s an image ({_interval(forecast.seconds, '.0f')})"
    rest = forecast.seconds.times(forecast.left)
    span = f"{duration(rest.low)} to {duration(rest.high)}"
    told = (
        f"{plural(forecast.left, 'image')} left at {each}: {duration(rest.value)} of review"
        f" ({span})."
    )
    if not forecast.goal:
        return f"{told} {_GOAL} of the images are done."
    told += f" {_GOAL} of the images are done in"
    told += f" {duration(forecast.seconds.value * forecast.goal)}"
    if forecast.day is None:
        return f"{told}."
    daily = duration(60 * forecast.daily)
    return f"{told}; at {daily} a day, as of late, on {forecast.day.isoformat()}."


def chart_words(chart: Chart, found: Insight) -> str:
    """What a chart shows, in one sentence."""
    if chart.name == "calibration":
        return (
            f"Over {plural(chart.have, 'image')} the told error chance is off by"
            f" {percent(found.error)} on average (ECE); on the dashed line it is right."
        )
    if chart.name == "forecast":
        assert found.forecast is not None
        return forecast_words(found.forecast)
    _, value, low, high, count = chart.rows[-1]
    newest = Estimate(value, low, high)
    if chart.name == "seconds":
        return (
            f"{value:.1f} s an animal over the newest {plural(int(count), 'answer')}"
            f" ({_interval(newest, '.1f')})."
        )
    shown = f"{percent(value)} (95 % interval {percent(low)} to {percent(high)})"
    return {
        "iou": f"IoU {shown} over the newest {plural(int(count), 'answer')} with a proposal.",
        "errors": f"{shown} of {plural(int(count), 'random region')} had an error.",
        "caught": f"{shown} of the wrong pixels lay inside flagged regions, over the newest"
        f" {plural(int(count), 'image')} with corrections.",
    }[chart.name]


def _interval(found: Estimate, form: str) -> str:
    return f"95 % interval {found.low:{form}} to {found.high:{form}}"


def _chart(chart: Chart, found: Insight) -> str:
    title = f"<h3>{text(plots.TITLES[chart.name])}</h3>"
    if not chart.rows:
        return f'<section class="hm-chart">{title}{_missing(chart)}</section>'
    says = chart_words(chart, found)
    links = _link(f"{chart.name}.csv", "CSV") + _link(f"{chart.name}.png", "PNG")
    drawn = plots.chart_svg(chart, f"{plots.TITLES[chart.name]}. {says}")
    return (
        f'<section class="hm-chart" data-chart="{chart.name}">{title}<figure>{drawn}'
        f"<figcaption>{text(says)}</figcaption></figure><p>{links}</p></section>"
    )


def _missing(chart: Chart) -> str:
    one, many = _NEEDS[chart.name]
    if chart.have >= chart.need:
        return empty("Nothing to show yet.", "No animal was among what was answered so far.")
    short = plural(chart.need - chart.have, one, many)
    return empty(f"Still needs {short}.", f"{chart.have} of {chart.need} so far.")


def _link(file: str, caption: str) -> str:
    return f'<a class="hm-button" href="api/insight/{file}" download>{text(caption)}</a> '
