"""Plots are drawn where matplotlib is installed, and missed nowhere else."""

from __future__ import annotations

import sys

import pytest

from app.simulate.plots import draw

FIGURES = {"curves": [[[60.0, 0.0], [600.0, 0.7]]], "seconds": (5.0, 4.0, 6.5)}
SUMMARY = {"set": "world", "clocks": {"x1": {"arms": {"A4": FIGURES, "A9": FIGURES}}}}


def test_curves_and_seconds_are_drawn(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    files = draw(SUMMARY, tmp_path / "report")
    assert [file.name for file in files] == ["report.curves.png", "report.seconds.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


def test_without_matplotlib_nothing_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert draw(SUMMARY, tmp_path / "report") == []
    assert list(tmp_path.iterdir()) == []
