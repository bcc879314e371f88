"""Revisions: append-only, numbered from 1, written under optimistic concurrency."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, Row, func, insert, select

from data_io.errors import ConflictError, DataError
from data_io.geometry import area_of_rle, full_image, rle_of_parts, validate_parts
from data_io.store import codec, schema
from data_io.store.categories import category_rows, merged_map, require_categories
from data_io.store.contents import set_contents
from data_io.store.database import Database
from data_io.store.images import image_rows, require_image
from data_io.store.numbering import check_instances, number_instances
from data_io.store.proposals import set_region_state
from data_io.store.readings import add_reading
from data_io.store.records import FirstRevision, NewReading, VerifiedState
from data_io.types import Category, ImageRecord, Instance, Parts, RegionState, Revision

_table = schema.revisions
_CHUNK = 250  # images of an import that are saved in one transaction
_RECENT = 8  # revisions that stay decoded: an edit starts from what the last one stored


def verified_state(verified: Parts, width: int, height: int) -> VerifiedState:
    """Whether an area covers nothing, a part or every pixel of the image."""
    if not verified:
        return "none"
    if _is_frame(verified, width, height):
        return "whole"
    area = area_of_rle(rle_of_parts(verified, height, width))
    if area == 0:
        return "none"
    return "whole" if area == width * height else "partial"


def _is_frame(area: Parts, width: int, height: int) -> bool:
    """Whether an area is drawn as the image's own frame, as `full_image` draws it."""
    (frame,) = full_image(height, width)
    return len(area) == 1 and not area[0].holes and np.array_equal(area[0].outer, frame.outer)


def _encoded(record: ImageRecord, instances: Sequence[Instance], verified: Parts) -> dict[str, Any]:
    """The checked columns of a revision that need work; done before the lock is taken."""
    what = f"image {record.id}"
    check_instances(instances, what)
    if verified:
        validate_parts(verified, file=what, index="verified area")
    return {
        "image": record.id,
        "instance_count": len(instances),
        "verified_state": verified_state(verified, record.width, record.height),
        "verified": codec.parts_to_blob(verified, what),
        "instances": codec.instances_to_blob(instances, what),
    }


def _newest(connection: Connection, image: str) -> int:
    query = select(func.max(_table.c.number)).where(_table.c.image == image)
    return connection.execute(query).scalar() or 0


def _revision(row: Row[Any], merged: dict[str, str]) -> Revision:
    return Revision(
        image=row.image,
        number=row.number,
        parent=row.parent,
        author=row.author,
        time=codec.time_of_text(row.time),
        instances=codec.instances_of_blob(row.instances, merged),
        verified=codec.parts_of_blob(row.verified),
        rejected=tuple(codec.of_json(row.rejected)),
        proposal=row.proposal,
    )


def _saved(
    row: dict[str, Any], instances: Sequence[Instance], verified: Parts, rejected: Sequence[str]
) -> Revision:
    """The revision of a row that was just written, without reading it back."""
    plain = {name: row[name] for name in ("image", "number", "parent", "author", "proposal")}
    return Revision(
        **plain,
        time=codec.time_of_text(row["time"]),
        instances=tuple(instances),
        verified=tuple(verified),
        rejected=tuple(rejected),
    )


def _as_read(instance: Instance, merged: dict[str, str], what: str) -> Instance:
    """The instance as it would be read back."""
    category = merged.get(instance.category, instance.category)
    free = {"attributes": instance.attributes, "extras": instance.extras}
    plain = {name: codec.of_json(codec.to_json(dict(v), what)) for name, v in free.items() if v}
    if category == instance.category and not plain:
        return instance
    return replace(instance, category=category, **plain)


def _latest(connection: Connection) -> dict[str, Revision]:
    newest = (
        select(_table.c.image, func.max(_table.c.number).label("number"))
        .group_by(_table.c.image)
        .subquery()
    )
    query = select(_table).join(
        newest, (newest.c.image == _table.c.image) & (newest.c.number == _table.c.number)
    )
    merged = merged_map(connection)
    return {row.image: _revision(row, merged) for row in connection.execute(query)}


def _check_newest(connection: Connection, image: str, base: int) -> None:
    current = _newest(connection, image)
    if current != base:
        raise ConflictError(image, base, current)


def _insert(
    connection: Connection, row: dict[str, Any], image: str, instances: Sequence[Instance]
) -> None:
    """Add a revision's row and what is counted by instance."""
    connection.execute(insert(_table).values(row))
    set_contents(connection, "revision", {image: instances})
    number_instances(connection, (one.id for one in instances))


class _Recent:
    """The last revisions read or written, decoded. They never change, but for merged categories."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], tuple[dict[str, str], Revision]] = OrderedDict()
        self._turn = threading.Lock()

    def find(self, image: str, number: int, merged: dict[str, str]) -> Revision | None:
        with self._turn:
            known, revision = self._kept.get((image, number), (None, None))
        return revision if known == merged else None

    def keep(self, revision: Revision, merged: dict[str, str]) -> Revision:
        key = (revision.image, revision.number)
        with self._turn:
            self._kept[key] = (merged, revision)
            self._kept.move_to_end(key)
            if len(self._kept) > _RECENT:
                self._kept.popitem(last=False)
        return revision


class Revisions(Database):
    """The states of every image's instances; a save adds one, nothing is ever overwritten."""

    def __init__(self, project: Path, engine: Engine) -> None:
        super().__init__(project, engine)
        self._recent = _Recent()

    def save_revision(
        self,
        image: str,
        base: int,
        instances: Sequence[Instance],
        verified: Parts,
        author: str,
        rejected: Sequence[str] = (),
        proposal: str | None = None,
        answer: tuple[str, RegionState] | None = None,
        reading: NewReading | None = None,
    ) -> Revision:
        """Add revision `base` + 1 in one transaction; when this returns it is on the disk.

        Args:
            image: id of the image.
            base: the revision number the edit started from, 0 for none.
            instances: all instances of the image, in stacking order (later on top).
            verified: the area a person vouches for; () for nothing.
            author: who saves.
            rejected: ids of proposed instances the person deleted.
            proposal: the model version whose proposal was on the screen.
            answer: (region id, new state) to answer a review region in the same transaction.
            reading: what this cost the person and bought; stored in the same transaction.

        Raises:
            ConflictError: `base` is not the newest revision; nothing was changed.
            DataError: an unknown image, category or region, or geometry that cannot be stored.
            StoreError: the database could not write; nothing was changed.
        """
        with self._read() as connection:
            record = require_image(connection, self.project, image)
        what = f"image {image}"
        row = {
            **_encoded(record, instances, verified),
            "number": base + 1,
            "parent": base or None,
            "author": author,
            "proposal": proposal,
            "rejected": codec.to_json(list(rejected), what),
        }
        # Checked and encoded above, so that the lock is held for the writing alone.
        with self._write() as connection:
            _check_newest(connection, image, base)
            require_categories(connection, {one.category for one in instances}, what)
            row["time"] = codec.time_to_text(codec.now())
            _insert(connection, row, image, instances)
            if answer is not None:
                set_region_state(connection, answer[0], answer[1], image=image)
            if reading is not None:
                add_reading(connection, image, base + 1, reading)
            merged = merged_map(connection)
        read = [_as_read(one, merged, what) for one in instances]
        return self._recent.keep(_saved(row, read, verified, rejected), merged)

    def save_first_revisions(self, batch: Sequence[FirstRevision], author: str) -> None:
        """Add revision 1 of many images; a crash keeps whole chunks of them.

        Raises:
            ConflictError: an image has a revision already; its chunk was not saved.
            DataError: as `save_revision`.
            StoreError: the database could not write.
        """
        with self._read() as connection:
            records = {one.id: one for one in image_rows(connection, self.project)}
        for start in range(0, len(batch), _CHUNK):
            chunk = batch[start : start + _CHUNK]
            rows = []
            for one in chunk:
                if one.image not in records:
                    raise DataError(f"image {one.image}", "is not in this project", "reload it")
                rows.append(_encoded(records[one.image], one.instances, one.verified))
            self._insert_first(chunk, rows, author)

    def _insert_first(
        self, chunk: Sequence[FirstRevision], rows: list[dict[str, Any]], author: str
    ) -> None:
        with self._write() as connection:
            used = {one.category for first in chunk for one in first.instances}
            require_categories(connection, used, "import")
            time = codec.time_to_text(codec.now())
            saved = select(_table.c.image, func.max(_table.c.number)).group_by(_table.c.image)
            there = saved.where(_table.c.image.in_([first.image for first in chunk]))
            for image, current in connection.execute(there):
                raise ConflictError(image, 0, current)
            same = {"number": 1, "parent": None, "author": author, "proposal": None}
            same |= {"rejected": "[]", "time": time}
            connection.execute(insert(_table), [row | same for row in rows])
            set_contents(connection, "revision", {one.image: one.instances for one in chunk})
            number_instances(connection, (one.id for f in chunk for one in f.instances))

    def revision(self, image: str, number: int | None = None) -> Revision | None:
        """Revision `number` of an image, the newest for None; None when there is no such one."""
        with self._read() as connection:
            wanted = _newest(connection, image) if number is None else number
            merged = merged_map(connection)
            found = self._recent.find(image, wanted, merged)
            if found is not None:
                return found
            query = select(_table).where(_table.c.image == image, _table.c.number == wanted)
            row = connection.execute(query).one_or_none()
        return None if row is None else self._recent.keep(_revision(row, merged), merged)

    def revision_numbers(self, image: str) -> list[int]:
        """Numbers of an image's revisions, ascending."""
        query = select(_table.c.number).where(_table.c.image == image).order_by(_table.c.number)
        with self._read() as connection:
            return list(connection.execute(query).scalars())

    def latest_revisions(self) -> dict[str, Revision]:
        """Image id -> newest revision, for the images that have one (excluded ones too)."""
        with self._read() as connection:
            return _latest(connection)

    def training_view(self) -> tuple[list[Category], list[ImageRecord], dict[str, Revision]]:
        """Categories, all images and newest revisions as of one moment, for a snapshot."""
        with self._read() as connection:
            return (
                category_rows(connection),
                image_rows(connection, self.project),
                _latest(connection),
            )
