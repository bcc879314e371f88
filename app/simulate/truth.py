"""The hidden truth of a simulation: labeled images that the simulated project sees without labels.

The part `test` is never in that project; models are judged on it, against the truth itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from data_io.errors import DataError
from data_io.geometry import Rle, area_of_rle, rle_of_parts
from data_io.splits import Shares, SplitImage, draw
from data_io.store import Store
from data_io.types import ImageRecord

TEST_SHARE = 0.4  # of a project's verified images, where the project has no test images
FEWEST_GROUPS = 4  # with fewer, the test images are a block of time
BLOCK = 4  # images of one group and part that follow each other are one cluster


@dataclass(frozen=True, eq=False)
class HiddenImage:
    """One image and what is on it.

    Attributes:
        path: absolute. sha256, width, height, group: as in `ImageRecord`.
        cluster: images that are alike (a camera; a block of time in one flight) have the same.
        animals: (category name, raster) of each, rasters not empty.
    """

    path: str
    width: int
    height: int
    sha256: str
    group: str
    cluster: str
    animals: tuple[tuple[str, Rle], ...]

    @property
    def name(self) -> str:
        """What names the image in a run, whatever the machine: group and file name."""
        return f"{self.group}/{PurePath(self.path).name}"


@dataclass(frozen=True, eq=False)
class Hidden:
    """A pool to label and images to judge models with; `name` says which set it is."""

    name: str
    pool: tuple[HiddenImage, ...]
    test: tuple[HiddenImage, ...]

    def __post_init__(self) -> None:
        for part, images in (("pool", self.pool), ("test", self.test)):
            if not any(image.animals for image in images):
                why = f"no image of its {part} shows an animal"
                raise DataError(self.name, why, "label and verify more images")

    @property
    def categories(self) -> tuple[str, ...]:
        """Names, in alphabetical order."""
        return tuple(sorted({name for image in self.pool for name, _ in image.animals}))


def of_project(store: Store) -> Hidden:
    """The images of a project that are verified whole; its test images are the test.

    A project without test images gets some here: whole groups, or the last part of each group
    where there are few. Its own database is not changed.

    Raises:
        DataError: fewer verified images than make a pool and a test.
    """
    states = store.image_states()
    records = [one for one in store.images() if states[one.id].verified == "whole"]
    parts = _parts(store, records)
    names = store.category_names()
    made: dict[str, list[HiddenImage]] = {"pool": [], "test": []}
    clusters = _clusters([one for one in records if one.id in parts], parts)
    for record in records:
        if record.id in parts:
            image = _hidden(store, record, clusters[record.id], names)
            made[parts[record.id]].append(image)
    return Hidden(store.project.name, tuple(made["pool"]), tuple(made["test"]))


def _parts(store: Store, records: Sequence[ImageRecord]) -> dict[str, str]:
    """Image id -> "pool" or "test"; images between two blocks of time have none."""
    names = {"train": "pool", "val": "pool", "test": "test"}
    if any(record.split == "test" for record in records):
        return {one.id: names[one.split or "train"] for one in records if one.split != "gap"}
    rows = [SplitImage(one.id, one.group, PurePath(one.path).name) for one in records]
    if len(rows) < 2:
        why = f"{len(rows)} of its images are verified whole"
        raise DataError(store.project.name, why, "label and verify at least ten")
    many = len({one.group for one in records}) >= FEWEST_GROUPS
    drawn = draw(rows, Shares(0.0, TEST_SHARE), "group" if many else "block")
    return {id: names[split] for id, split in drawn.splits.items() if split != "gap"}


def _clusters(records: Iterable[ImageRecord], parts: dict[str, str]) -> dict[str, str]:
    """Image id -> cluster: the group where there are many, else a block of time in it."""
    lines: dict[tuple[str, str], list[ImageRecord]] = {}
    for record in records:
        lines.setdefault((parts[record.id], record.group), []).append(record)
    made = {}
    for (part, group), line in lines.items():
        groups = sum(other == part for other, _ in lines)
        for place, record in enumerate(sorted(line, key=lambda one: one.path)):
            block = "" if groups >= FEWEST_GROUPS else f"/{place // BLOCK}"
            made[record.id] = f"{group}{block}"
    return made


def _hidden(store: Store, record: ImageRecord, cluster: str, names: dict[str, str]) -> HiddenImage:
    revision = store.revision(record.id)
    animals = (
        (names[one.category], rle_of_parts(one.parts, record.height, record.width))
        for one in (revision.instances if revision else ())
        if not one.iscrowd
    )
    return HiddenImage(
        path=record.path,
        width=record.width,
        height=record.height,
        sha256=record.sha256,
        group=record.group,
        cluster=cluster,
        animals=tuple((name, rle) for name, rle in animals if area_of_rle(rle)),
    )
