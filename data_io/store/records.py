"""Records that only the project database speaks: a picture to register, an image's state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from data_io.types import Instance, Parts

VerifiedState = Literal["none", "partial", "whole"]


@dataclass(frozen=True)
class NewImage:
    """A picture to register: `path` absolute or below the project; sizes after EXIF rotation."""

    path: str
    width: int
    height: int
    sha256: str
    group: str = ""
    extras: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, eq=False)
class FirstRevision:
    """What an import says about an image nobody has saved yet; see `Revisions.save_revision`."""

    image: str
    instances: Sequence[Instance]
    verified: Parts


@dataclass(frozen=True)
class ImageState:
    """Where one image stands; what the gallery and the queue show without loading any geometry.

    `revision` is the newest revision number, 0 for an image nobody has saved; `instances` counts
    the animals of that revision. `proposal_version` and `score` belong to the current proposal.
    """

    revision: int
    instances: int
    verified: VerifiedState
    proposal_version: str | None
    score: float | None
    open_regions: int
