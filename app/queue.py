"""The order in which images are worth a person's time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

from app.workflow.documents import Status, status_of
from data_io.store import ImageState, Store
from data_io.types import ImageRecord
from model.acquisition import Candidate, Pick, rank


@dataclass(frozen=True)
class Item:
    """One place of the queue. `score` in [0, 1], None before the first proposal; `why` in words."""

    image: str
    name: str
    score: float | None
    why: str
    regions: int
    status: Status

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def ranked(store: Store, top: int | None = None) -> list[Item]:
    """The images that are not verified whole, best next one first.

    Args:
        store: the project.
        top: length of the queue, None = all.
    """
    records, states = _pool(store)
    return [
        Item(
            image=pick.image,
            name=PurePath(records[pick.image].path).name,
            score=pick.score,
            why=pick.why,
            regions=states[pick.image].open_regions,
            status=status_of(states[pick.image].revision, states[pick.image].verified),
        )
        for pick in _picks(records, states, top)
    ]


def next_image(store: Store, after: str | None = None, direction: int = 1) -> str | None:
    """The image after (1) or before (-1) `after` in the queue; None at its end.

    An image that has left the queue, for instance since it was just accepted, continues at the
    front: what is ahead was ranked knowing what it taught.
    """
    order = [pick.image for pick in _picks(*_pool(store))]
    if after not in order:
        return order[0] if order and direction > 0 else None
    place = order.index(after) + (1 if direction > 0 else -1)
    return order[place] if 0 <= place < len(order) else None


def _pool(store: Store) -> tuple[dict[str, ImageRecord], dict[str, ImageState]]:
    return {record.id: record for record in store.images()}, store.image_states()


def _picks(
    records: Mapping[str, ImageRecord], states: Mapping[str, ImageState], top: int | None = None
) -> tuple[Pick, ...]:
    """The queue's order alone: the canvas asks for it at every step to the next image."""
    places = _positions(records)
    candidates = [
        Candidate(
            image=record.id,
            group=record.group,
            score=states[record.id].score,
            position=places[record.id],
            reviewed=states[record.id].verified == "whole",
            regions=states[record.id].open_regions,
        )
        for record in records.values()
    ]
    return rank(candidates, top)


def _positions(records: Mapping[str, ImageRecord]) -> dict[str, int]:
    """Place of every image in its group's sequence, by path."""
    groups: dict[str, list[ImageRecord]] = defaultdict(list)
    for record in sorted(records.values(), key=lambda one: one.path):
        groups[record.group].append(record)
    return {one.id: place for group in groups.values() for place, one in enumerate(group)}
