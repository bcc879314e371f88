"""Which images teach the instant model, and which proposals are its own."""

from __future__ import annotations

from collections.abc import Mapping

from data_io.snapshot import SET_ASIDE
from data_io.store import ImageState

PREFIX = "instant-"  # of the version ids
APART = (*SET_ASIDE, "val")  # splits that never teach
MOST = 400  # images: more would say little more, and take a megabyte and a look at each


def is_instant(version: str | None) -> bool:
    """Whether a proposal's version is the instant model's."""
    return version is not None and version.startswith(PREFIX)


def teachers(states: Mapping[str, ImageState]) -> list[ImageState]:
    """The images that the instant model learns from: those with a revision that says something.

    Of more than `MOST` those with the lowest ids, which are random and stay so.
    """
    telling = [
        one
        for one in states.values()
        if not one.excluded
        and one.split not in APART
        and one.revision
        and (one.instances or one.verified != "none")
    ]
    return telling if len(telling) <= MOST else sorted(telling, key=lambda one: one.id)[:MOST]
