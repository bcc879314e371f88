"""The tables of `benchmarks.clicks`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.click_objects import SETS, WRONG

MOST, GOALS = 20, (0.85, 0.90, 0.95)
Found = dict[str, dict[str, Any]]  # of an engine, start and robot: the record of each set


def clicks_to(ious: Sequence[float], goal: float) -> int:
    """After how many clicks the IoU was `goal`; `MOST` where it never was."""
    return next((k for k, value in enumerate(ious) if value >= goal), MOST)


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Markdown: clicks, all sets together and each one's NoC@90; the same of objects whose truth is
    the animal; stray clicks; seconds."""
    groups: dict[tuple[str, str, str], Found] = {}
    for row in rows:
        place = (row["start"], row["robot"], row["engine"])
        groups.setdefault(place, {})[row["set"]] = row
    heads = [*(f"NoC@{100 * goal:.0f}" for goal in GOALS), "failures@90", *SETS]
    _print(groups, heads, _counts)
    print("\nWhere the truth is the animal:")
    sound = {place: kept for place, found in groups.items() if (kept := _sound(found))}
    _print(sound, heads, _counts)
    heads = ["mean change", "5 % lose more than", *SETS]
    _print(groups, heads, lambda found: None if _has(found, "seconds") else _changes(found))
    heads = ["seconds", "p90", *SETS]
    _print(groups, heads, lambda found: _seconds(found) if _has(found, "seconds") else None)
    states = {row["engine"]: row["model"] for row in rows}
    print("\nmodel code: " + ", ".join(f"{engine} {state}" for engine, state in states.items()))


def _print(
    groups: dict[tuple[str, str, str], Found],
    heads: Sequence[str],
    cells: Callable[[Found], list[str] | None],
) -> None:
    print("\n| engine | start | robot | objects | " + " | ".join(heads) + " |")
    print("|---" * (4 + len(heads)) + "|")
    for (start, clicker, engine), found in sorted(groups.items()):
        if (told := cells(found)) is not None:
            count = sum(one["objects"] for one in found.values())
            print("| " + " | ".join([engine, start, clicker, str(count), *told]) + " |")


def _sound(found: Found) -> Found:
    """Of each set with such objects what was found on those whose truth is the animal."""
    kept: Found = {}
    for name, row in found.items():
        places = [k for k in range(row["objects"]) if k not in WRONG.get(name, ())]
        if places:
            known = [key for key in ("ious", "seconds") if key in row]
            lists: dict[str, Any] = {key: [row[key][k] for k in places] for key in known}
            kept[name] = {**row, **lists, "objects": len(places)}
    return kept


def _has(found: Found, *fields: str) -> bool:
    return all(field in one for one in found.values() for field in fields)


def _counts(found: Found) -> list[str] | None:
    if not _has(found, "seconds", "ious"):
        return None
    every = [ious for one in found.values() for ious in one["ious"]]
    cells = [f"{np.mean([clicks_to(ious, goal) for ious in every]):.2f}" for goal in GOALS]
    failed = sum(max(ious) < 0.90 for ious in every)
    return [*cells, str(failed), *(_mean_of(found, name) for name in SETS)]


def _changes(found: Found) -> list[str]:
    each = {name: [b - a for a, b in one["ious"]] for name, one in found.items()}
    every = np.concatenate(list(each.values()))
    by_set = [f"{np.mean(each[name]):+.4f}" if name in each else "–" for name in SETS]
    return [f"{every.mean():+.4f}", f"{max(0.0, -np.quantile(every, 0.05)):.4f}", *by_set]


def _seconds(found: Found) -> list[str]:
    every = np.concatenate([one["seconds"] for one in found.values()])
    by_set = [f"{np.mean(found[name]['seconds']):.1f}" if name in found else "–" for name in SETS]
    return [f"{every.mean():.1f}", f"{np.quantile(every, 0.9):.1f}", *by_set]


def _mean_of(found: Found, name: str) -> str:
    if name not in found:
        return "–"
    return f"{np.mean([clicks_to(one, 0.90) for one in found[name]['ious']]):.2f}"
