"""What a person's actions cost: the keystroke-level model, frozen before the first run.

Operators (Card, Moran, Newell 1980): P point, B press or release a button, K press a key, M decide.
The scratch outline is fitted to 36.3 s an animal of 45 vertices, measured on goats in Labelme
(Zhang et al. 2023, 10.3390/ani13203250); opening and scanning an image are assumptions.

An `Action` holds what was done, not seconds, so another clock prices finished runs anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

Kind = Literal[
    "open",  # an image
    "scan",  # one animal of it, with the eyes
    "accept",  # or reject what is proposed for one animal
    "glance",  # at a highlight
    "think",  # before drawing, or before the vertices of an outline are changed
    "drag",  # a vertex
    "insert",  # a vertex, by a press on an edge and a drag
    "delete",  # a vertex
    "stroke",  # with the brush
    "draw",  # one centimeter of it; an image's long side is shown at `SHOWN_CM`
    "click",  # with the click tool, and the wait for its answer
    "outline",  # one vertex of an animal drawn from scratch
    "undo",
]
Spent = dict[str, float]  # kind -> how much of it, noise included

P, B, K, M = 1.10, 0.10, 0.20, 1.35
SHOWN_CM = 25.0
SPREAD = 0.3  # sigma of the lognormal noise of an action
SECONDS: Mapping[Kind, float] = {
    "open": 2.0,
    "scan": 1.0,
    "accept": M + K,
    "glance": M,
    "think": M,
    "drag": 2 * P + 2 * B,
    "insert": 3 * P + 4 * B,
    "delete": P + 2 * B + K,
    "stroke": M + P + 2 * B + 0.9,
    "draw": 0.16,
    "click": P + 2 * B + 0.12,  # the wait is the 95th percentile that is allowed
    "outline": 0.78,
    "undo": K,
}
HELP: tuple[Kind, ...] = (
    *("accept", "glance", "click", "drag", "insert", "delete"),
    *("stroke", "draw", "undo"),
)  # what only a person with proposals does


class Action(NamedTuple):
    """So much of one kind; `noise` is how much longer than usual this one took."""

    kind: Kind
    amount: float = 1.0
    noise: float = 1.0


@dataclass(frozen=True)
class Clock:
    """Prices of actions; `factors` multiply single kinds."""

    factors: Mapping[str, float] = field(default_factory=dict)

    def price(self, spent: Mapping[str, float]) -> float:
        """Seconds for so much of every kind."""
        return sum(
            SECONDS[kind] * self.factors.get(kind, 1.0) * spent[kind]
            for kind in SECONDS
            if kind in spent
        )

    def seconds(self, actions: Iterable[Action]) -> float:
        """Seconds of a sequence of actions."""
        return self.price(total(actions))


STANDARD = Clock()
CLOCKS: Mapping[str, Clock] = {
    "x1": STANDARD,
    "x1/2": Clock(dict.fromkeys(SECONDS, 0.5)),
    "x2": Clock(dict.fromkeys(SECONDS, 2.0)),
    # All of it at once leaves shares as they are: what could turn them is help that costs more.
    "help x1/2": Clock(dict.fromkeys(HELP, 0.5)),
    "help x2": Clock(dict.fromkeys(HELP, 2.0)),
}


def total(actions: Iterable[Action]) -> Spent:
    """How much of every kind, noise included."""
    spent: Spent = {}
    for kind, amount, noise in actions:
        spent[kind] = spent.get(kind, 0.0) + amount * noise
    return spent


def between(actions: Iterable[Action], start: float, end: float) -> Spent:
    """What of a sequence happens from `start` to `end`, in seconds of the standard clock.

    An action on the border counts by its share on either side.
    """
    spent: Spent = {}
    begun = 0.0
    for kind, amount, noise in actions:
        seconds = SECONDS[kind] * amount * noise
        inside = min(end, begun + seconds) - max(start, begun)
        if inside > 0:
            spent[kind] = spent.get(kind, 0.0) + amount * noise * min(1.0, inside / seconds)
        begun += seconds
    return spent


def noisy(actions: Iterable[Action], rng: np.random.Generator) -> tuple[Action, ...]:
    """The actions as a person really does them: lognormal times whose mean is the clock's."""
    usual = list(actions)
    noise = rng.lognormal(-(SPREAD**2) / 2, SPREAD, len(usual))
    return tuple(
        action._replace(noise=round(float(factor), 4))
        for action, factor in zip(usual, noise, strict=True)
    )
