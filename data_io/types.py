"""The records every room speaks in: frozen dataclasses, numpy inside, ids are strings.

Convention: pixel coordinates are (x, y) float64 with the origin at the top-left CORNER of the image
after EXIF rotation, so pixel (0, 0) spans [0, 1] x [0, 1]. A ring is an (N, 2) float64 array with
N >= 3, whose first vertex is not repeated at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.float64]
Box = tuple[float, float, float, float]  # x, y, width, height in pixels

Source = Literal["human", "model", "edited"]
Split = Literal["train", "val", "test", "gap"]  # gap: between two blocks of time, unused
RegionState = Literal["open", "accepted", "fixed", "skipped"]
JobKind = Literal["train", "propose", "import"]
JobState = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
VersionState = Literal["aside", "promoted", "retired"]


@dataclass(frozen=True, eq=False)
class Part:
    """One connected piece of a region: an outer ring and the rings of its holes."""

    outer: Ring
    holes: tuple[Ring, ...] = ()


Parts = tuple[Part, ...]


@dataclass(frozen=True)
class Category:
    """A class the user labels. `color` is ``#rrggbb``; `coco_id` >= 1 and never changes.

    `extras` holds unknown COCO keys (keypoint names, supercategory) for the way out.
    """

    id: str
    name: str
    color: str
    coco_id: int
    extras: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class ImageRecord:
    """One picture. `path` is absolute; width and height are pixels after EXIF rotation.

    `coco_id` >= 1 is the id the image has in every COCO export; `extras` as in `Category`.
    """

    id: str
    path: str
    width: int
    height: int
    sha256: str
    group: str
    split: Split | None = None
    excluded: bool = False
    coco_id: int = 0
    extras: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, eq=False)
class Instance:
    """One animal: a category id and a region (several parts allowed), stacked in drawing order.

    `score` is the model's belief in [0, 1], None for what a person drew. `version` is the model
    version it came from. `extras` holds unknown COCO keys so that they survive a round trip.
    """

    id: str
    category: str
    parts: Parts
    source: Source = "human"
    version: str | None = None
    score: float | None = None
    iscrowd: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Revision:
    """One immutable, numbered state of an image's instances; numbers start at 1.

    `verified` is the area a person vouches for, empty ground included; () = nothing, the image's
    full box = the whole image. `rejected` are ids of proposed instances the person deleted.
    `proposal` is the model version whose proposal was on the screen.
    """

    image: str
    number: int
    parent: int | None
    author: str
    time: datetime
    instances: tuple[Instance, ...]
    verified: Parts = ()
    rejected: tuple[str, ...] = ()
    proposal: str | None = None


@dataclass(frozen=True, eq=False)
class Proposal:
    """What one model version predicts for one image; never a revision until accepted.

    `uncertainty` is the path (relative to the project) of the uncertainty map, an 8-bit grey PNG at
    stride 4 where 255 means entropy / ln C = 1. `score` in [0, 1]: higher = look sooner.
    """

    image: str
    version: str
    instances: tuple[Instance, ...]
    uncertainty: str
    score: float


@dataclass(frozen=True, eq=False)
class ReviewRegion:
    """A connected unreliable area, the unit of review. `score` in [0, 1], `reason` for people.

    `weight` is how many places of the image a random check stands for, None for other kinds.
    """

    id: str
    image: str
    version: str
    kind: str
    parts: Parts
    box: Box
    score: float
    reason: str
    state: RegionState = "open"
    weight: float | None = None


@dataclass(frozen=True)
class ModelVersion:
    """Weights + config + categories + snapshot hash + metrics; promoted, or kept aside."""

    id: str
    parent: str | None
    job: str
    weights_sha256: str
    config: Mapping[str, Any]
    categories: tuple[str, ...]
    snapshot: str
    metrics: Mapping[str, Any]
    state: VersionState
    created: datetime


@dataclass(frozen=True)
class Job:
    """One background run with durable state; `progress` and `result` are plain JSON objects."""

    id: str
    kind: JobKind
    state: JobState
    config: Mapping[str, Any]
    created: datetime
    updated: datetime
    pid: int | None = None
    pid_started: float | None = None
    progress: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
