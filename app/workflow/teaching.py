"""Which images teach the instant model, and which proposals are its own."""

from __future__ import annotations

from collections.abc import Mapping

from data_io.snapshot import SET_ASIDE
from data_io.store import ImageState

PREFIX = "instant-"  # of the version ids
APART = (*SET_ASIDE, "val")  # splits that never teach


def is_instant(version: str | None) -> bool:
    """Whether a proposal's version is the instant model's."""
    return version is not None and version.startswith(PREFIX)


def teachers(states: Mapping[str, ImageState]) -> list[ImageState]:
    """The images that the instant model learns from: those with a revision that says something."""
    return [
        one
        for one in states.values()
        if not one.excluded
        and one.split not in APART
        and one.revision
        and (one.instances or one.verified != "none")
    ]
