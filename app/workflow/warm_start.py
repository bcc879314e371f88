"""Which weights the next training begins with."""

from __future__ import annotations

from collections.abc import Iterator

from app import settings
from data_io.store import Store
from model.config import MASK_RCNN


def start_of(store: Store, method: str) -> str:
    """``warm`` or ``scratch``: what the settings say about the next training's first weights.

    Every `scratch_every`-th training of a line of versions starts from scratch, or the bias of its
    first images would stay for ever.
    """
    chosen, version = settings.load(store.project), store.promoted()
    if chosen.retrain_start != "warm" or version is None or method == MASK_RCNN:
        return "scratch"
    warm = sum(1 for _ in _warm_line(store, version.id))
    return "scratch" if warm + 1 >= chosen.scratch_every else "warm"


def _warm_line(store: Store, newest: str) -> Iterator[str]:
    """Ids of the version and of those before it, back to one that started from scratch."""
    versions = {version.id: version for version in store.versions()}
    found = versions.get(newest)
    while found is not None and found.config.get("start") == "warm":
        yield found.id
        found = versions.get(found.parent or "")
