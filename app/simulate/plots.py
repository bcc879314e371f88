"""Pictures of a study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

CURVES, SECONDS = "curves.png", "seconds.png"


def draw(summary: Mapping[str, Any], stem: Path) -> list[Path]:
    """Write the learning curves and the seconds an animal of `report.summary`.

    Args:
        stem: path without ending; the files are called ``STEM.curves.png`` and so on.

    Returns:
        What was written.
    """
    arms = summary["clocks"]["x1"]["arms"]
    curves, seconds = Figure(figsize=(6, 4)), Figure(figsize=(6, 4))
    _curves(curves.add_subplot(), arms)
    _bars(seconds.add_subplot(), arms)
    made = []
    for figure, ending in ((curves, CURVES), (seconds, SECONDS)):
        file = stem.with_name(f"{stem.name}.{ending}")
        figure.suptitle(str(summary["set"]))
        figure.savefig(file, dpi=150)
        made.append(file)
    return made


def _curves(axes: Any, arms: Mapping[str, Any]) -> None:
    """IoU on the test images over human minutes, a thin line a seed."""
    for number, (name, figures) in enumerate(arms.items()):
        for place, curve in enumerate(figures["curves"]):
            minutes, values = [row[0] / 60 for row in curve], [row[1] for row in curve]
            label = None if place else name
            axes.step(minutes, values, where="post", color=f"C{number}", label=label, alpha=0.7)
    axes.set_xscale("log")
    axes.set_xlabel("human minutes")
    axes.set_ylabel("IoU on test images")
    axes.legend()


def _bars(axes: Any, arms: Mapping[str, Any]) -> None:
    """All-in seconds an animal, with the interval."""
    shown = {name: row["seconds"] for name, row in arms.items() if "seconds" in row}
    values = [value for value, _, _ in shown.values()]
    errors = [
        [value - low for value, low, _ in shown.values()],
        [high - value for value, _, high in shown.values()],
    ]
    axes.bar(list(shown), values, yerr=errors, capsize=4)
    axes.set_ylabel("human seconds an animal")
