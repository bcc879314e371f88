"""Charts as pictures and tables: every one can be drawn, read aloud, and read back."""

from __future__ import annotations

import csv
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from app import plots
from app.meter import Chart, Name

CURVE = ("minutes", "value", "low", "high", "count")
ONE = ((2.0, 0.5, 0.25, 0.75, 5.0),)
CHARTS = [
    Chart("iou", CURVE, ONE, 5, 5),
    Chart("seconds", CURVE, (*ONE, (4.0, 1 / 3, 0.1, 40.0, 6.0)), 6, 5),
    Chart("errors", CURVE, ((0.0, 0.0, 0.0, 0.3, 10.0),), 10, 10),
    Chart("caught", CURVE, ONE, 5, 5),
    Chart(
        "calibration",
        ("told", "observed", "low", "high", "pixels"),
        ((0.1, 0.2, 0.1, 0.3, 9.0),),
        5,
        5,
    ),
    Chart(
        "forecast",
        ("images", "minutes", "low", "high", "forecast"),
        ((5.0, 1.0, 1.0, 1.0, 0.0), (5.0, 1.0, 1.0, 1.0, 1.0), (9.0, 3.0, 2.0, 4.0, 1.0)),
        5,
        5,
    ),
]
EACH = pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)


def numbers(told: str) -> list[list[float]]:
    _, *rows = csv.reader(io.StringIO(told))
    return [[float(cell) for cell in row] for row in rows]


@EACH
def test_a_table_holds_the_rows(chart: Chart) -> None:
    told = plots.chart_csv(chart)
    assert told.splitlines()[0] == ",".join(chart.columns)
    assert np.allclose(numbers(told), chart.rows, rtol=1e-9)


@EACH
def test_a_png_shows_something_on_white(chart: Chart) -> None:
    with Image.open(io.BytesIO(plots.chart_png(chart))) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert (pixels[0, 0] == 255).all()
    blue = np.array([0x00, 0x72, 0xB2])
    assert (np.abs(pixels.astype(int) - blue).sum(-1) < 30).sum() > 50


@EACH
def test_an_svg_can_stand_on_any_page(chart: Chart) -> None:
    told = plots.chart_svg(chart, 'IoU "<b>" & more')
    root = ElementTree.fromstring(told)
    assert root.get("aria-label") == 'IoU "<b>" & more'
    assert "currentColor" in told
    assert plots.INK not in told
    assert not re.search(r"<style|<script|<metadata|https?://(?!www\.w3\.org)", told)
    ids = [one.get("id") for one in root.iter() if one.get("id")]
    assert ids
    assert all(str(one).startswith(f"hm-{chart.name}-") for one in ids)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', told))
    assert used <= set(ids)


def test_every_chart_has_words() -> None:
    names: set[Name] = {chart.name for chart in CHARTS}
    assert set(plots.TITLES) == set(plots.AXES) == names


@pytest.mark.parametrize("ground", [(255, 255, 255), (11, 15, 25)])
@pytest.mark.parametrize("color", [plots.BLUE, plots.ORANGE])
def test_hues_are_seen_on_light_and_dark_ground(color: str, ground: tuple[int, ...]) -> None:
    """WCAG 2.1, 1.4.11: at least 3:1 for what a picture needs."""

    def luminance(rgb: tuple[int, ...]) -> float:
        share = np.array(rgb) / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    rgb = tuple(bytes.fromhex(color[1:]))
    dark, light = sorted([luminance(rgb), luminance(ground)])
    assert (light + 0.05) / (dark + 0.05) >= 3
