"""Charts of the meter as pictures and as tables, drawn by matplotlib on the server.

The page's SVG takes the ink of the text around it, so that one drawing is readable on light and on
dark ground; the two hues (Okabe and Ito 2008) differ for every kind of color vision and keep a
contrast of 3:1 on both grounds. Lines differ by their dashes, too.
"""

from __future__ import annotations

import csv
import io
import re
import threading
from collections.abc import Iterable, Sequence
from functools import lru_cache
from html import escape
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from app.meter import Chart, Name
from data_io.store import Reading

BLUE, ORANGE = "#0072b2", "#d55e00"
INK = "#1f2a24"  # replaced by the page's own ink in an SVG
SIZE = (6.4, 3.2)  # inches
DOTS = 160  # an inch, of a PNG
TITLES: dict[Name, str] = {
    "iou": "How good the proposals are",
    "seconds": "Seconds an animal",
    "errors": "Error rate in random regions",
    "caught": "Errors the queue caught",
    "calibration": "Can the uncertainty be believed?",
    "forecast": "Images verified, and how it goes on",
}
AXES: dict[Name, tuple[str, str]] = {
    "iou": ("minutes of review", "IoU of proposal and label"),
    "seconds": ("minutes of review", "seconds an animal"),
    "errors": ("minutes of review", "random regions with an error"),
    "caught": ("minutes of review", "wrong pixels inside flagged regions"),
    "calibration": ("error chance told by the map", "share that was wrong"),
    "forecast": ("minutes of review", "images verified"),
}
_SHARES = {"iou", "errors", "caught"}
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "svg.fonttype": "none",  # text stays text: it can be read aloud and takes the page's font
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_READING = (
    "image",
    "number",
    "author",
    "time",
    "kind",
    "region",
    "seconds",
    "version",
    "animals",
    "kept",
    "changed",
    "added",
    "deleted",
    "pixels_both",
    "pixels_either",
    "pixels_wrong",
    "pixels_caught",
    "audits",
    "audits_wrong",
    "taken_back",
)
_drawing = threading.Lock()  # matplotlib's settings are global


def chart_csv(chart: Chart) -> str:
    """The rows of a chart under their names; ten significant digits."""
    return _csv(chart.columns, ([f"{value:.10g}" for value in row] for row in chart.rows))


def readings_csv(readings: Iterable[Reading]) -> str:
    """Every reading as it was stored, one a line; unknown values are empty."""
    return _csv(_READING, ([_cell(getattr(one, name)) for name in _READING] for one in readings))


def chart_png(chart: Chart) -> bytes:
    """A picture of a chart that has rows, with its title, on white."""
    sink = io.BytesIO()
    with _drawing, rc_context(_STYLE):
        figure = _drawn(chart)
        figure.suptitle(TITLES[chart.name], fontsize=11)
        figure.savefig(sink, format="png", dpi=DOTS, facecolor="white")
    return sink.getvalue()


def chart_svg(chart: Chart, says: str) -> str:
    """An SVG element of a chart that has rows, for the page itself.

    Args:
        chart: what to draw.
        says: the same in words, for those who cannot see it; any text.
    """
    return f'<svg role="img" aria-label="{escape(says, quote=True)}" {_svg(chart)}'


@lru_cache(maxsize=32)  # an answer changes some charts, not all
def _svg(chart: Chart) -> str:
    """The SVG element from its first attribute on."""
    sink = io.StringIO()
    with _drawing, rc_context({**_STYLE, "svg.hashsalt": chart.name}):
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        _drawn(chart).savefig(sink, format="svg", transparent=True, metadata=metadata)
    drawn = sink.getvalue()
    drawn = drawn[drawn.index("<svg ") + 5 :].replace(INK, "currentColor")
    # Its style sheet would reach the whole page, and its ids would meet those of other charts.
    drawn = re.sub(r"<style.*?</style>", "", drawn, flags=re.DOTALL)
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>hm-{chart.name}-", drawn)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return sink.getvalue()


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _drawn(chart: Chart) -> Figure:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    across, up = AXES[chart.name]
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(axis="y", color=INK, alpha=0.15, linewidth=0.6)
    if chart.name == "calibration":
        _draw_calibration(axes, chart)
    elif chart.name == "forecast":
        _draw_forecast(axes, chart)
    else:
        _draw_curve(axes, chart)
    return figure


def _draw_curve(axes: Axes, chart: Chart) -> None:
    minutes, value, low, high, _ = zip(*chart.rows, strict=True)
    axes.fill_between(minutes, low, high, color=BLUE, alpha=0.22, linewidth=0)
    axes.plot(minutes, value, color=BLUE, linewidth=1.8)
    last = value[-1]
    axes.errorbar(
        minutes[-1:], [last], [[last - low[-1]], [high[-1] - last]], fmt="o", color=BLUE, capsize=3
    )
    axes.set_xlim(0, minutes[-1] * 1.04 or 1)
    axes.set_ylim(0, 1.02 if chart.name in _SHARES else max(high) * 1.1 or 1)
    if chart.name in _SHARES:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _draw_calibration(axes: Axes, chart: Chart) -> None:
    told, observed, low, high, _ = zip(*chart.rows, strict=True)
    top = max(0.5, *high) * 1.04
    below = [max(0.0, a - b) for a, b in zip(observed, low, strict=True)]
    above = [max(0.0, b - a) for a, b in zip(observed, high, strict=True)]
    axes.plot([0, 0.5], [0, 0.5], color=ORANGE, linestyle="--", linewidth=1.4, label="as told")
    style: dict[str, Any] = {"color": BLUE, "capsize": 3, "linewidth": 1.4, "label": "found"}
    axes.errorbar(told, observed, [below, above], fmt="o-", **style)
    axes.set_xlim(0, 0.52)
    axes.set_ylim(0, top)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(frameon=False, loc="upper left")


def _draw_forecast(axes: Axes, chart: Chart) -> None:
    past = [row for row in chart.rows if not row[4]]
    ahead = [row for row in chart.rows if row[4]]
    axes.plot([r[1] for r in past], [r[0] for r in past], color=BLUE, linewidth=1.8, label="so far")
    images, minutes, low, high = ([row[k] for row in ahead] for k in range(4))
    axes.fill_betweenx(images, low, high, color=ORANGE, alpha=0.22, linewidth=0)
    axes.plot(
        minutes, images, color=ORANGE, linestyle="--", linewidth=1.6, marker="o", label="forecast"
    )
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, loc="upper left")
