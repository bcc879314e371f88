"""Records that only the project database speaks: a picture to register, an image's state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data_io.types import Instance, Parts

VerifiedState = Literal["none", "partial", "whole"]
ReadingKind = Literal["save", "region", "audit", "image", "reopen"]
Bin = tuple[int, float, int]  # pixels, the sum of their told error chances, wrong ones


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
    `proposal_version`, `score` and `proposed`, its category ids between blanks, belong to the
    current proposal. `cluster` is the kind of picture it is, `foreground` the chance that animals
    are visible; both come with its embedding.
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
    proposed: str = ""
    cluster: int | None = None
    foreground: float | None = None


@dataclass(frozen=True, eq=False)
class EmbeddingTable:
    """Embeddings in the order of their images' numbers.

    `vectors` is (n, d) float32; `clusters` holds (n,) numbers, None where none was assigned yet;
    `source` names what made them, "" where there are none.
    """

    images: tuple[str, ...]
    vectors: NDArray[np.float32]
    clusters: tuple[int | None, ...]
    source: str


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


@dataclass(frozen=True, kw_only=True)
class NewReading:
    """What an answer cost and bought. The pre-label is the proposal on the screen.

    Everything but the seconds concerns the area that the answer made verified; all of it is 0 for
    "save" and "reopen", which verify nothing.

    Attributes:
        kind: an answered "region", a random one ("audit"), the whole "image", "reopen" for an
            answer taken back, or "save".
        region: id of the region answered or opened again; None for an image.
        seconds: the person's active time on the image since its last reading, None if unknown.
        version: the model version of the pre-label, None without one.
        kept, changed, added, deleted: animals against the pre-label; an animal counts with the
            first answer that reaches it.
        pixels_both, pixels_either: animal pixels of the pre-label and of the label: in both, in
            either.
        pixels_wrong: pixels the pre-label had in another category than the label.
        pixels_caught: those of them inside a region that the queue had flagged.
        audits, audits_wrong: random regions that became verified, and those of them in which the
            person changed something.
        bins: for each of ten bins of the error chance that the uncertainty map told, from 0 to one
            half: pixels, the sum of their chances, and how many were wrong; () without a map.
    """

    kind: ReadingKind
    region: str | None = None
    seconds: float | None = None
    version: str | None = None
    kept: int = 0
    changed: int = 0
    added: int = 0
    deleted: int = 0
    pixels_both: int = 0
    pixels_either: int = 0
    pixels_wrong: int = 0
    pixels_caught: int = 0
    audits: int = 0
    audits_wrong: int = 0
    bins: tuple[Bin, ...] = ()

    @property
    def animals(self) -> int:
        """Animals of the label."""
        return self.kept + self.changed + self.added


@dataclass(frozen=True, kw_only=True)
class Reading(NewReading):
    """A stored reading, of revision `number` of an image; author and UTC time are the revision's.

    `taken_back` is the number of the revision that took the answer back, None while it stands.
    """

    image: str
    number: int
    author: str
    time: datetime
    taken_back: int | None = None
