"""Model versions side by side: figures, data and settings, with what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.pages.words import age, badge, empty, short, table, text
from data_io.types import Job, ModelVersion

MOST = 4  # more columns cannot be read
FIGURES = (("iou", "IoU"), ("miou", "mIoU"), ("val_iou", "validation IoU"))
ALWAYS = ("method", "start", "minutes", "steps", "seed")  # settings shown though they are the same
STATES = {"promoted": "in use", "retired": "used before", "aside": "kept aside"}


def comparison(versions: Sequence[ModelVersion], jobs: Sequence[Job] = ()) -> str:
    """A table with a column for each version, the oldest first; figures tell their difference."""
    if len(versions) < 2:
        left = "two versions" if not versions else "one more version"
        return empty("Versions side by side.", f"Choose {left} with Compare in the table above.")
    shown = sorted(versions, key=lambda one: one.created)[:MOST]
    made = {job.id: job for job in jobs}
    heads = ("", *(short(version.id) for version in shown))
    rows = [_state_row(shown), *_figure_rows(shown), *_data_rows(shown, made)]
    return table(heads, [*rows, *_setting_rows(shown)], "versions side by side", "hm-compare")


def toggled(chosen: Sequence[str], version: str) -> tuple[str, ...]:
    """The ids after a click on a version's Compare; the one chosen first makes room."""
    if version in chosen:
        return tuple(one for one in chosen if one != version)
    return (*chosen, version)[-MOST:]


def _state_row(shown: Sequence[ModelVersion]) -> tuple[str, ...]:
    words = (f"{STATES[one.state]}, {age(one.created)}" for one in shown)
    return ("State", *(text(word) for word in words))


def _figure_rows(shown: Sequence[ModelVersion]) -> list[tuple[str, ...]]:
    rows = []
    for key, name in FIGURES:
        values = [_number(version.metrics.get(key)) for version in shown]
        if any(value is not None for value in values):
            rows.append((text(name), *(_figure(value, values[0]) for value in values)))
    judged = [str(version.metrics.get("on") or "–") for version in shown]
    kept = [str(version.metrics.get("kept") or "–") for version in shown]
    return [*rows, _row("judged on", judged), _row("phase that was kept", kept)]


def _figure(value: float | None, first: float | None) -> str:
    """A share in percent and its difference from the oldest version's, in points."""
    if value is None:
        return "–"
    told = f"{100 * value:.1f} %"
    if first is None or value == first:
        return told
    return f"{told} ({100 * (value - first):+.1f})"


def _data_rows(shown: Sequence[ModelVersion], made: Mapping[str, Job]) -> list[tuple[str, ...]]:
    counts = [_labels(made.get(version.job)) for version in shown]
    return [
        _row("accepted images", [str(one.get("images", "–")) for one in counts]),
        _row("answered regions", [str(one.get("regions", "–")) for one in counts]),
        _row("categories", [str(len(version.categories)) for version in shown]),
        _row("snapshot", [short(version.snapshot) for version in shown]),
        _row("came after", [short(version.parent or "–") for version in shown]),
    ]


def _labels(job: Job | None) -> Mapping[str, Any]:
    told = job.config.get("labels") if job else None
    return told if isinstance(told, Mapping) else {}


def _setting_rows(shown: Sequence[ModelVersion]) -> list[tuple[str, ...]]:
    """The usual settings, then every other one that is not the same in all versions."""
    names = dict.fromkeys((*ALWAYS, *(name for one in shown for name in one.config)))
    rows = []
    for name in names:
        values = [str(version.config.get(name, "–")) for version in shown]
        if name in ALWAYS or len(set(values)) > 1:
            rows.append(_row(f"setting {name}", values))
    return rows


def _row(name: str, values: Sequence[str]) -> tuple[str, ...]:
    mark = f" {badge('differs')}" if len(set(values)) > 1 else ""
    return (text(name) + mark, *(text(value) for value in values))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return float(value)
