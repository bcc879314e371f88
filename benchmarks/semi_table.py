"""The table of the study `semi_supervised`: means, ranges, and paired intervals over frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
Rows = Sequence[dict[str, Any]]


def print_table(rows: Rows) -> None:
    """One Markdown line a set, time, choice of settings and method."""
    print("| set | minutes | method | seeds | steps | test | pool | test gain | pool gain |")
    print("|---" * 9 + "|")
    groups: dict[tuple[str, float, str], dict[str, list[dict[str, Any]]]] = {}
    for row in rows:
        place = (row["set"], row["minutes"], str(row["settings"] or ""))
        groups.setdefault(place, {}).setdefault(row["method"], []).append(row)
    for (name, minutes, settings), methods in sorted(groups.items()):
        for method, mine in methods.items():
            gains = [_gain(methods.get("supervised", []), mine, on) for on in ("test", "pool")]
            cells = [
                name,
                f"{minutes:g}",
                f"{method} {settings}".strip(),
                str(len(mine)),
                f"{np.mean([row['steps'] for row in mine]):.0f}",
                *(_spread([figure(row, on) for row in mine]) for on in ("test", "pool")),
                *("" if method == "supervised" else gain for gain in gains),
            ]
            print("| " + " | ".join(cells) + " |")


def figure(row: dict[str, Any], on: str) -> float:
    """IoU of the animals, or mean IoU where a set has many classes."""
    return float(row[on]["miou" if _many(row) else "iou"])


def difference(first: Rows, second: Rows, on: str) -> tuple[float, float, float] | None:
    """Gain of `second` over `first` and its 95 % interval; None without common seeds.

    Both methods are scored on the same resampled frames; the gain is averaged over the seeds.
    """
    pairs = [(a, b) for a in first for b in second if a["seed"] == b["seed"]]
    if not pairs:
        return None
    gains = np.mean([_resampled(b, on) - _resampled(a, on) for a, b in pairs], axis=0)
    mean = float(np.mean([figure(b, on) - figure(a, on) for a, b in pairs]))
    low, high = np.percentile(gains, [2.5, 97.5])
    return mean, float(low), float(high)


def _resampled(row: dict[str, Any], on: str) -> NDArray[np.float64]:
    """The figure on `DRAWS` samples of the frames, drawn alike for every row of a seed."""
    frames = np.array(row[on]["frames"], np.float64)  # (frames, 3, classes)
    rng = np.random.default_rng(row["seed"])
    chosen = rng.integers(len(frames), size=(DRAWS, len(frames)))
    weights = np.zeros((DRAWS, len(frames)))
    np.add.at(weights, (np.arange(DRAWS)[:, None], chosen), 1)
    sums = np.tensordot(weights, frames, axes=1)  # (DRAWS, 3, classes)
    hits, truth, predicted = sums[:, 0], sums[:, 1], sums[:, 2]
    unions = truth + predicted - hits
    if not _many(row):
        return np.asarray(hits[:, 1] / np.maximum(unions[:, 1], 1))
    seen = truth > 0
    ious = np.where(seen, hits / np.maximum(unions, 1), 0)
    return np.asarray(ious.sum(axis=1) / np.maximum(seen.sum(axis=1), 1))


def _many(row: dict[str, Any]) -> bool:
    return len(row["test"]["frames"][0][0]) > 2


def _gain(first: Rows, second: Rows, on: str) -> str:
    found = difference(first, second, on)
    if found is None:
        return ""
    mean, low, high = (100 * value for value in found)
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def _spread(values: Sequence[float]) -> str:
    mean = sum(values) / len(values)
    return f"{mean:.3f} ({min(values):.3f}-{max(values):.3f})"
