"""What a study says: curves, seconds an animal, shares saved, differences with their intervals.

Seconds are priced here from the recorded actions, so every figure exists for every clock without
another training. Intervals are 95 % of a paired bootstrap over clusters (cameras, or blocks of time
in one flight): every arm and seed meets the same resampled images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.simulate.annotator import Traits
from app.simulate.clock import CLOCKS, Action, Clock
from app.simulate.run import FIRST_ROUND, Record
from app.simulate.score import QUALITIES
from app.simulate.session import actions_of
from app.simulate.spending import PURPOSES, spending

Floats = NDArray[np.float64]
Interval = tuple[float, float, float]  # value, low, high

DRAWS = 1000
GOOD = 0.90  # delivered IoU; an animal below it is charged as if drawn from scratch as well
EQUAL = 0.005  # delivered IoUs that differ by no more are equal
PAIRS = (
    *(("A9", "A9g"), ("A9c", "A9"), ("A9c", "A4"), ("A9c", "A2"), ("A9c", "A3"), ("A9", "A4")),
    *(("A4", "A2"), ("A2", "A0"), ("A9", "A3"), ("A4", "A3")),
)


@dataclass(frozen=True, eq=False)
class Work:
    """The finished images of one run, one entry an image, priced by one clock."""

    names: tuple[str, ...]
    clusters: tuple[str, ...]
    animals: Floats
    active: Floats  # seconds, without opening and scanning
    whole: Floats  # seconds, all of it and failures drawn from scratch
    scratch: Floats  # seconds of drawing the same animals from scratch
    equal: Floats  # the same, only as well as the run delivered on average
    each: Floats  # active seconds of every animal, failures included
    delivered: Floats  # IoU with the target of every animal, then truth, boundary: (3, animals)


def summary(records: Sequence[Record]) -> dict[str, Any]:
    """All figures of one set's records, by clock.

    Returns:
        set, arms (names in order), and clocks: {name: {"arms": {arm: figures}, "pairs": {"A9-A4":
        {figure: interval}}}}, an interval being [value, low, high].
    """
    runs = _runs(records)
    arms = sorted({arm for arm, _ in runs if arm != "ceiling"})
    clocks = {name: _by_clock(runs, arms, clock) for name, clock in CLOCKS.items()}
    return {"set": records[0]["set"], "arms": arms, "clocks": clocks}


def table(answer: Mapping[str, Any], clock: str) -> list[str]:
    """Lines of Markdown: a row an arm, then one a pair; intervals in brackets."""
    told = answer["clocks"][clock]
    shown = ("naulc", "seconds", "active", "saved", "saved_equal")
    plain = ("p90", "delivered", "delivered_truth", "delivered_boundary", "overlooked")
    lines = [_line("arm", "seeds", "animals", *shown, *plain), _line(*["---"] * 13)]
    for name, row in told["arms"].items():
        cells = [_cell(row.get(figure)) for figure in (*shown, *plain)]
        lines.append(_line(name, row["seeds"], row["animals"], *cells))
    lines += ["", *_spent(told["arms"])]
    lines += ["", _line("pair", "naulc", "saved", "delivered", "equal"), _line(*["---"] * 5)]
    for name, row in told["pairs"].items():
        cells = [_cell(row.get(figure)) for figure in ("naulc", "saved", "delivered", "equal")]
        lines.append(_line(name, *cells))
    return lines


def _spent(arms: Mapping[str, Any]) -> list[str]:
    """Seconds an animal by purpose, a row an arm."""
    lines = [_line("seconds an animal", *PURPOSES), _line(*["---"] * (1 + len(PURPOSES)))]
    for name, row in arms.items():
        spent = row.get("spent") or {}
        lines.append(_line(name, *(_cell(spent.get(purpose)) for purpose in PURPOSES)))
    return lines


def _line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _cell(value: Any) -> str:
    if isinstance(value, Sequence):
        return f"{value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]"
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def _runs(records: Sequence[Record]) -> dict[tuple[str, int], list[Record]]:
    runs: dict[tuple[str, int], list[Record]] = {}
    for record in sorted(records, key=lambda one: int(one["round"])):
        runs.setdefault((record["arm"], record["seed"]), []).append(record)
    return runs


def _by_clock(
    runs: Mapping[tuple[str, int], list[Record]], arms: Sequence[str], clock: Clock
) -> dict[str, Any]:
    seeds = {arm: sorted(seed for name, seed in runs if name == arm) for arm in arms}
    areas = {
        (arm, s): _area(runs[arm, s], runs.get(("ceiling", s)), clock)
        for arm in arms
        for s in seeds[arm]
    }
    works = {(arm, s): work_of(runs[arm, s], clock) for arm in arms for s in seeds[arm]}
    figures = {
        arm: {
            "seeds": len(seeds[arm]),
            "naulc": _interval(_mean([areas[arm, s] for s in seeds[arm]])),
            "curves": [_told(runs[arm, s], clock) for s in seeds[arm]],
            **_figures([works[arm, s] for s in seeds[arm]]),
            "spent": _spending([runs[arm, s] for s in seeds[arm]], clock),
        }
        for arm in arms
    }
    pairs = {}
    for one, other in PAIRS:
        both = sorted({*seeds.get(one, ())} & {*seeds.get(other, ())})
        if both:
            common = [(works[one, s], works[other, s]) for s in both]
            difference = _mean([areas[one, s] - areas[other, s] for s in both])
            pairs[f"{one}-{other}"] = {"naulc": _interval(difference), **_saved(common)}
    return {"arms": figures, "pairs": pairs}


# --- the learning curve -------------------------------------------------------------------------


def naulc(times: Floats, values: Floats, full: float) -> Floats:
    """Mean over log seconds, from the first minute to `full`, of a curve that climbs in steps.

    Args:
        times: (k,) ascending; from times[i] on the model of round i is there, before it none.
        values: (..., k) what that model is worth.
        full: seconds, above a minute.
    """
    edges = np.log(np.clip([*times, full], FIRST_ROUND, full))
    share = np.diff(edges) / (np.log(full) - np.log(FIRST_ROUND))
    return np.asarray(values @ share)


def _area(run: Sequence[Record], ceiling: Sequence[Record] | None, clock: Clock) -> Floats:
    """(1 + DRAWS,) area under one run's curve, over the ceiling where there is one."""
    rows = next((one["test"] for one in reversed(run) if one["test"]), None)
    if rows is None:
        return np.zeros(1 + DRAWS)
    weights = _weights([row[0] for row in rows])
    values = np.stack([_iou(one["test"], weights) for one in run], axis=1)
    if ceiling and ceiling[0]["test"]:
        values = values / np.maximum(_iou(ceiling[0]["test"], weights), 1e-9)[:, None]
    return naulc(_times(run, clock), values, max(clock.price(run[0]["full"]), 2 * FIRST_ROUND))


def _iou(rows: Sequence[Sequence[Any]] | None, weights: Floats) -> Floats:
    """(draws,) IoU of all pixels of a test; 0 without a model."""
    if rows is None:
        return np.zeros(len(weights))
    both, either = (np.array([row[k] for row in rows], np.float64) for k in (1, 2))
    return np.asarray((weights @ both) / np.maximum(weights @ either, 1))


def _times(run: Sequence[Record], clock: Clock) -> Floats:
    return np.cumsum([clock.price(one["spent"]) for one in run])


def _told(run: Sequence[Record], clock: Clock) -> list[list[float]]:
    """[[human seconds, IoU], ...] at the end of every round."""
    one = np.ones((1, len(next((r["test"] for r in run if r["test"]), [0]))))
    return [
        [round(float(time), 1), round(float(_iou(record["test"], one)[0]), 4)]
        for time, record in zip(_times(run, clock), run, strict=True)
    ]


# --- seconds ------------------------------------------------------------------------------------


def work_of(run: Sequence[Record], clock: Clock) -> Work:
    """What the finished images of a run took."""
    images = [image for record in run for image in record["images"]]
    animals = [animal for image in images for animal in image["animals"]]
    goodness = [[one[key] for one in animals] for key in ("target", "truth", "boundary")]
    mean = float(np.mean(goodness[0])) if animals else 1.0
    usual, equal = (
        [_scratch(a, clock) for a in animals],
        [_scratch(a, clock, mean) for a in animals],
    )
    own = [clock.seconds(actions_of(animal["actions"])) for animal in animals]
    failed = [usual[k] if one["target"] < GOOD else 0.0 for k, one in enumerate(animals)]
    counts = [len(image["animals"]) for image in images]
    look, rest = np.array([_overhead(image, clock) for image in images]).reshape(-1, 2).T
    each = np.add(own, failed)
    active = _by_image(each, counts) + rest
    return Work(
        names=tuple(image["image"] for image in images),
        clusters=tuple(image["cluster"] for image in images),
        animals=np.array(counts, np.float64),
        active=active,
        whole=active + look,
        scratch=_by_image(usual, counts) + _look(counts, clock),
        equal=_by_image(equal, counts) + _look(counts, clock),
        each=each,
        delivered=np.array(goodness, np.float64),
    )


def _spending(runs: Sequence[Sequence[Record]], clock: Clock) -> dict[str, float] | None:
    """See `spending`, of all runs of an arm together."""
    images = [image for run in runs for record in run for image in record["images"]]
    bad = [one for image in images for one in image["animals"] if one["target"] < GOOD]
    return spending(images, sum(_scratch(one, clock) for one in bad), clock)


def _scratch(animal: Mapping[str, Any], clock: Clock, quality: float | None = None) -> float:
    """Seconds to draw an animal from scratch with so much IoU, the person's usual for None."""
    wanted = Traits().outline if quality is None else quality
    vertices = float(np.interp(wanted, QUALITIES, animal["vertices"]))
    return clock.seconds([Action("think"), Action("outline", vertices)])


def _overhead(image: Mapping[str, Any], clock: Clock) -> tuple[float, float]:
    """Seconds of opening and scanning, and of what else belongs to no animal."""
    actions = actions_of(image["other"])
    looks = [action for action in actions if action.kind in ("open", "scan")]
    seconds = clock.seconds(looks)
    return seconds, clock.seconds(actions) - seconds


def _look(counts: Sequence[int], clock: Clock) -> Floats:
    """Seconds of opening and scanning images with so many animals."""
    return np.array([clock.seconds([Action("open"), Action("scan", n)]) for n in counts])


def _by_image(values: Sequence[float] | Floats, counts: Sequence[int]) -> Floats:
    """Sums over the animals of each image."""
    ends = np.concatenate([[0.0], np.cumsum(values)])[np.cumsum([0, *counts])]
    return np.diff(ends)


def _figures(works: Sequence[Work]) -> dict[str, Any]:
    """Means over all finished images of all seeds."""
    animals = sum(float(work.animals.sum()) for work in works)
    if not animals:
        return {"animals": 0}
    each = np.concatenate([work.each for work in works])
    target, truth, edge = np.concatenate([work.delivered for work in works], axis=1)
    return {
        "animals": int(animals),
        "active": _ratio(works, "active", "animals"),
        "seconds": _ratio(works, "whole", "animals"),
        "p90": float(np.percentile(each, 90)),
        "delivered": float(target.mean()),
        "delivered_truth": float(truth.mean()),
        "delivered_boundary": float(edge.mean()),
        "good": float((target >= GOOD).mean()),
        "overlooked": float((target == 0).mean()),
        "saved": _share(_ratio(works, "whole", "scratch")),
        "saved_equal": _share(_ratio(works, "whole", "equal")),
    }


def _saved(pairs: Sequence[tuple[Work, Work]]) -> dict[str, Any]:
    """Share of the other's seconds that one saves on the images both have finished."""
    ours, theirs, gaps = [], [], []
    for one, other in pairs:
        at = {name: k for k, name in enumerate(other.names)}
        common = [(k, at[name]) for k, name in enumerate(one.names) if name in at]
        ours.append(_taken(one, [k for k, _ in common]))
        theirs.append(_taken(other, [k for _, k in common]))
        gaps += [one.delivered[0].mean() - other.delivered[0].mean()] if common else []
    if not gaps:
        return {}
    weights = [_weights(work.clusters) for work in ours]
    spent = sum((w @ a.whole for w, a in zip(weights, ours, strict=True)), np.zeros(1 + DRAWS))
    base = sum((w @ b.whole for w, b in zip(weights, theirs, strict=True)), np.zeros(1 + DRAWS))
    gap = float(np.mean(gaps))
    saved = _interval(1 - spent / np.maximum(base, 1e-9))
    return {"saved": saved, "delivered": gap, "equal": abs(gap) <= EQUAL}


def _taken(work: Work, places: Sequence[int]) -> Work:
    """A work with the images at these places only; figures of animals are left as they are."""
    at = np.array(places, np.int64)
    return Work(
        names=tuple(work.names[k] for k in places),
        clusters=tuple(work.clusters[k] for k in places),
        animals=work.animals[at],
        active=work.active[at],
        whole=work.whole[at],
        scratch=work.scratch[at],
        equal=work.equal[at],
        each=work.each,
        delivered=work.delivered,
    )


# --- intervals ----------------------------------------------------------------------------------


def _weights(clusters: Sequence[str]) -> Floats:
    """(1 + DRAWS, n): once each image, then how often a resampling of the clusters has it."""
    names = sorted(set(clusters))
    place = [names.index(cluster) for cluster in clusters]
    counts = np.random.default_rng(0).multinomial(len(names), [1 / len(names)] * len(names), DRAWS)
    return np.vstack([np.ones(len(place)), counts[:, place]]).astype(np.float64)


def _ratio(works: Sequence[Work], above: str, below: str) -> Interval:
    """Sum of one over the sum of the other, over all images of all seeds."""
    sums = np.zeros((2, 1 + DRAWS))
    for work in works:
        if len(work.names):
            weights = _weights(work.clusters)
            sums += [weights @ getattr(work, above), weights @ getattr(work, below)]
    return _interval(sums[0] / np.maximum(sums[1], 1e-9))


def _share(ratio: Interval) -> Interval:
    value, low, high = ratio
    return 1 - value, 1 - high, 1 - low


def _interval(draws: Floats) -> Interval:
    """The value, which comes first, and where 95 % of the draws lie."""
    low, high = np.percentile(draws[1:], (2.5, 97.5))
    return float(draws[0]), float(low), float(high)


def _mean(rows: Sequence[Floats]) -> Floats:
    return np.mean(rows, axis=0)
