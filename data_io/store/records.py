"""Records that only the project database speaks: a picture to register, an image's state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

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
