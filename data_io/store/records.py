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


@dataclass(frozen=True, slots=True)
class ImageState:
    """One image and where it stands, without any geometry; there may be 100,000 of them.

    `number` is the image's COCO id, `path` as stored. `revision` is the newest revision number, 0
    for an image nobody has saved; `instances` counts the animals of that revision.
    `proposal_version` and `score` belong to the current proposal.
    """

    id: str
    number: int
    path: str
    group: str
    split: str | None
    excluded: bool
    revision: int
    instances: int
    verified: VerifiedState
    proposal_version: str | None
    score: float | None
    open_regions: int


@dataclass(frozen=True)
class GalleryFilter:
    """What the gallery keeps; None (or no text) keeps all.

    `status` is unlabeled, draft, partial or verified; `category` an id; `split` a split or "none";
    `score` the lowest score of a proposal; `text` a part of the path or group, in any case.
    """

    status: str | None = None
    group: str | None = None
    category: str | None = None
    split: str | None = None
    score: float | None = None
    text: str = ""


@dataclass(frozen=True)
class GalleryRow:
    """One image of the gallery; `path` as stored, the counts and states as in `ImageState`."""

    id: str
    path: str
    group: str
    split: str | None
    revision: int
    instances: int
    verified: VerifiedState
    score: float | None
    open_regions: int
