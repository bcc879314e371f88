"""What the seconds of a run went into: where help would help most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.simulate.clock import Action, Clock, Kind
from app.simulate.session import actions_of

# In the order of a table; "failed" are the seconds charged for animals delivered too badly.
PURPOSES = ("look", "glance", "accept", "repair", "outline", "failed")
_PURPOSE: Mapping[Kind, str] = {
    "open": "look",
    "scan": "look",
    "glance": "glance",
    "accept": "accept",
    "outline": "outline",
}


def spending(
    images: Sequence[Mapping[str, Any]], failed: float, clock: Clock
) -> dict[str, float] | None:
    """Seconds an animal by purpose, None where there is no animal.

    Args:
        images: rows of finished images, see `score.image_row`.
        failed: seconds charged for animals that were delivered too badly, all together.
    """
    animals = [animal for image in images for animal in image["animals"]]
    if not animals:
        return None
    spent = dict.fromkeys(PURPOSES, 0.0) | {"failed": failed}
    for rows in (*(one["actions"] for one in animals), *(image["other"] for image in images)):
        actions = actions_of(rows)
        drawn = any(action.kind == "outline" for action in actions)
        for action in actions:
            spent[_purpose(action, drawn)] += clock.seconds([action])
    return {purpose: seconds / len(animals) for purpose, seconds in spent.items()}


def _purpose(action: Action, drawn: bool) -> str:
    """What an action was for; `drawn`: its animal was drawn anew in the end."""
    if action.kind == "think" and drawn:
        return "outline"
    return _PURPOSE.get(action.kind, "repair")
