"""Snapshots: the immutable folder a training job reads, named by the hash of its content.

A snapshot holds what the labels were at one moment: categories, images (by path and sha256, the
pixels stay where they are) and, for images with a verified area, their labels as rasters. Drafts
count as unlabeled; images that are excluded or set aside for testing are not in it at all.
Categories that no verified area shows are left out too: to a network each would be one more class
that nothing teaches.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_io.atomic import PARTIAL, disk_sentence, write_through
from data_io.errors import DataError, StoreError
from data_io.geometry import Rle, area_of_rle, rle_intersection, rle_of_parts
from data_io.types import Category, ImageRecord, Revision, Split

if TYPE_CHECKING:  # trainings read snapshots and have no use for the database
    from data_io.store import Store

CONTENT = "snapshot.json"
FORMAT = 1
MOST_CATEGORIES = 254  # a label is a byte: 0 is the background, 255 what nobody vouches for
VOID = 255  # class index of pixels that cannot be judged: in a verified area, yet without a label
ABANDONED_SECONDS = 3600.0
SET_ASIDE = ("test", "gap")  # splits that no training sees
Label = tuple[int, Rle]


@dataclass(frozen=True, eq=False)
class SnapshotImage:
    """One image of a snapshot.

    Attributes:
        path: absolute path of the picture when the snapshot was written.
        labels: (class index >= 1 or VOID, raster) in stacking order, later on top; () for
            unlabeled.
        verified: raster of the area a person vouches for, None for an unlabeled image. Pixels
            outside it say nothing, whatever `labels` holds there.
        whole: the verified area covers every pixel.
    """

    id: str
    path: str
    width: int
    height: int
    sha256: str
    group: str
    split: Split | None
    labels: tuple[Label, ...]
    verified: Rle | None
    whole: bool


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A snapshot on disk; class index i of a label is ``categories[i - 1]``, 0 is background."""

    id: str
    hash: str
    folder: Path
    images: tuple[SnapshotImage, ...]
    categories: tuple[Category, ...]


def write_snapshot(store: Store, folder: str | Path) -> Snapshot:
    """Write the project's present state to ``folder/<hash>``, or reuse the folder that has it.

    Args:
        store: the project.
        folder: where snapshots are kept, usually ``<project>/snapshots``.

    Raises:
        DataError: the picture of a labeled image is missing (a missing unlabeled one is left out),
            or more categories are in use than a label can tell apart.
        StoreError: the disk is full or cannot be written; no half snapshot is left behind.
    """
    categories, records, revisions = store.training_view()
    classes = {category.id: index for index, category in enumerate(categories, start=1)}
    images = _present(
        _image(record, revisions.get(record.id), classes)
        for record in records
        if not record.excluded and record.split not in SET_ASIDE
    )
    used = _used(images)
    if len(used) > MOST_CATEGORIES:
        why = f"{len(used)} categories are in use and a training learns {MOST_CATEGORIES} at most"
        raise DataError(store.project.name, why, "merge some of the categories")
    shown = [categories[index - 1] for index in used]
    return write_content(shown, _renumbered(images, used), folder)


def write_content(
    categories: Iterable[Category], images: Iterable[SnapshotImage], folder: str | Path
) -> Snapshot:
    """Write a snapshot of exactly these categories and images to ``folder/<hash>``.

    Args:
        categories: class index i of a label is the i-th one, from 1.

    Raises:
        StoreError: as `write_snapshot`.
    """
    document = {
        "format": FORMAT,
        "categories": [_category_row(category) for category in categories],
        "images": [_image_row(image) for image in images],
    }
    content = json.dumps(document, sort_keys=True, ensure_ascii=False).encode()
    target = Path(folder) / hashlib.sha256(content).hexdigest()
    if _holds(target, content):
        with contextlib.suppress(OSError):
            os.utime(target)  # no job names it yet, and old ones are tidied away
    else:
        try:
            _put(target, content)
        except OSError as error:
            raise StoreError(disk_sentence(target, error)) from error
    return read_snapshot(target)


def read_snapshot(folder: str | Path) -> Snapshot:
    """Load a snapshot and check that it is what its name says.

    Raises:
        DataError: no snapshot, one of a newer format, or one whose content was changed.
    """
    place = Path(folder)
    try:
        content = (place / CONTENT).read_bytes()
    except OSError as error:
        remedy = "start a new training, which writes a new one"
        raise DataError(place, "there is no snapshot here", remedy) from error
    if hashlib.sha256(content).hexdigest() != place.name:
        why = "the snapshot was changed after it was written"
        raise DataError(place, why, "start a new training, which writes a new one")
    document = json.loads(content)
    if document["format"] != FORMAT:
        raise DataError(place, f"has the snapshot format {document['format']}", "update Herdmark")
    return Snapshot(
        id=place.name[:16],
        hash=place.name,
        folder=place,
        images=tuple(_image_of_row(row) for row in document["images"]),
        categories=tuple(Category(**row) for row in document["categories"]),
    )


def _image(
    record: ImageRecord, revision: Revision | None, classes: dict[str, int]
) -> SnapshotImage:
    verified: Rle | None = None
    labels: tuple[Label, ...] = ()
    whole = False
    if revision is not None and revision.verified:
        area = rle_of_parts(revision.verified, record.height, record.width)
        pixels = area_of_rle(area)
        if pixels:
            verified, whole = area, pixels == record.width * record.height
            labels = _labels(record, revision, classes)
    return SnapshotImage(
        id=record.id,
        path=record.path,
        width=record.width,
        height=record.height,
        sha256=record.sha256,
        group=record.group,
        split=record.split,
        labels=labels,
        verified=verified,
        whole=whole,
    )


def _labels(record: ImageRecord, revision: Revision, classes: dict[str, int]) -> tuple[Label, ...]:
    """Instances that cover a pixel at all, in stacking order."""
    rasters = (
        (classes[instance.category], rle_of_parts(instance.parts, record.height, record.width))
        for instance in revision.instances
    )
    return tuple((index, raster) for index, raster in rasters if area_of_rle(raster))


def _used(images: Sequence[SnapshotImage]) -> list[int]:
    """Indices, in order, of the classes with a pixel inside a verified area."""
    return sorted(
        {
            index
            for image in images
            if image.verified is not None
            for index, raster in image.labels
            if image.whole or area_of_rle(rle_intersection([raster, image.verified]))
        }
    )


def _renumbered(images: Iterable[SnapshotImage], used: Sequence[int]) -> list[SnapshotImage]:
    """The images with the used classes numbered 1, 2, ...; labels of other classes go.

    Those lie outside every verified area, where a label says nothing.
    """
    numbers = {index: number for number, index in enumerate(used, start=1)}
    return [
        replace(
            image,
            labels=tuple((numbers[i], raster) for i, raster in image.labels if i in numbers),
        )
        for image in images
    ]


def _present(images: Iterable[SnapshotImage]) -> list[SnapshotImage]:
    """Images whose picture is there; a person's work on a missing one is not dropped in silence."""
    found = []
    for image in images:
        if os.path.isfile(image.path):
            found.append(image)
        elif image.verified is not None:
            remedy = "relink the moved folder or exclude the image"
            raise DataError(image.path, "the picture of a labeled image is missing", remedy)
    return found


def _rle_row(rle: Rle) -> dict[str, Any]:
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def _rle_of_row(row: dict[str, Any]) -> Rle:
    return {"size": row["size"], "counts": row["counts"].encode("ascii")}


def _category_row(category: Category) -> dict[str, Any]:
    names = ("id", "name", "color", "coco_id")  # what a training has a use for
    return {name: getattr(category, name) for name in names}


def _image_row(image: SnapshotImage) -> dict[str, Any]:
    verified = None if image.verified is None else _rle_row(image.verified)
    labels = [[index, _rle_row(raster)] for index, raster in image.labels]
    return {**vars(image), "labels": labels, "verified": verified}


def _image_of_row(row: dict[str, Any]) -> SnapshotImage:
    verified = None if row["verified"] is None else _rle_of_row(row["verified"])
    labels = tuple((index, _rle_of_row(raster)) for index, raster in row["labels"])
    return SnapshotImage(**{**row, "labels": labels, "verified": verified})


def _holds(target: Path, content: bytes) -> bool:
    try:
        return (target / CONTENT).read_bytes() == content
    except OSError:
        return False


def _sweep(folder: Path) -> None:
    """Remove what processes that died long ago were writing."""
    for partial in folder.glob(f"{PARTIAL}*"):
        with contextlib.suppress(OSError):
            if partial.stat().st_mtime < time.time() - ABANDONED_SECONDS:
                shutil.rmtree(partial, ignore_errors=True)


def _put(target: Path, content: bytes) -> None:
    """A whole folder or none: written beside the target, then renamed."""
    _sweep(target.parent)
    partial = target.parent / f"{PARTIAL}{uuid.uuid4().hex}"
    partial.mkdir(parents=True)
    try:
        write_through(partial / CONTENT, content)
        (partial / CONTENT).chmod(0o444)
        if target.exists():  # damaged, or it would have been reused: heal it in place
            os.replace(partial / CONTENT, target / CONTENT)
            return
        try:
            os.rename(partial, target)
        except OSError:
            if not _holds(target, content):  # another process may have written the same meanwhile
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
