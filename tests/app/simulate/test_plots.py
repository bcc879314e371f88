"""The pictures of a study."""

from __future__ import annotations

from app.simulate.plots import draw

FIGURES = {"curves": [[[60.0, 0.0], [600.0, 0.7]]], "seconds": (5.0, 4.0, 6.5)}
SUMMARY = {"set": "world", "clocks": {"x1": {"arms": {"A4": FIGURES, "A9": FIGURES}}}}


def test_curves_and_seconds_are_drawn(tmp_path):
    files = draw(SUMMARY, tmp_path / "report")
    assert [file.name for file in files] == ["report.curves.png", "report.seconds.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
