"""Readings: what each answer of a person cost and bought, written along with its revision."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from data_io.store import codec, schema
from data_io.store.database import Database
from data_io.store.records import NewReading, Reading

_table, _revisions = schema.readings, schema.revisions
_COUNTS = (
    "kept",
    "changed",
    "added",
    "deleted",
    "pixels_both",
    "pixels_either",
    "pixels_wrong",
    "pixels_caught",
    "audits",
    "audits_wrong",
)


def add_reading(connection: Connection, image: str, number: int, reading: NewReading) -> None:
    """Store the reading of a revision inside the transaction that adds it.

    A "reopen" marks what it takes back: the region's own answer, else the acceptance of the image.
    """
    row = {name: getattr(reading, name) for name in ("kind", "region", "seconds", "version")}
    row |= {name: getattr(reading, name) for name in _COUNTS}
    row["bins"] = codec.to_json([list(one) for one in reading.bins], f"image {image}")
    connection.execute(insert(_table).values(image=image, number=number, **row))
    if reading.kind == "reopen":
        _take_back(connection, image, number, reading.region)


def _take_back(connection: Connection, image: str, number: int, region: str | None) -> None:
    marks = update(_table).where(_table.c.image == image, _table.c.taken_back.is_(None))
    marks = marks.values(taken_back=number)
    own = _table.c.kind.in_(("region", "audit")), _table.c.region == region
    if region is not None and connection.execute(marks.where(*own)).rowcount:
        return
    connection.execute(marks.where(_table.c.kind == "image"))


def _reading(row: Row[Any]) -> Reading:
    return Reading(
        image=row.image,
        number=row.number,
        author=row.author,
        time=codec.time_of_text(row.time),
        taken_back=row.taken_back,
        kind=row.kind,
        region=row.region,
        seconds=row.seconds,
        version=row.version,
        bins=tuple((int(n), float(told), int(wrong)) for n, told, wrong in codec.of_json(row.bins)),
        **{name: getattr(row, name) for name in _COUNTS},
    )


class Readings(Database):
    """What the answers cost and bought; `save_revision` adds a reading, nothing deletes one."""

    def readings(self, image: str | None = None) -> list[Reading]:
        """All readings, or those of one image, in the order in which they were made."""
        same = (_table.c.image == _revisions.c.image) & (_table.c.number == _revisions.c.number)
        query = select(_table, _revisions.c.author, _revisions.c.time).join(_revisions, same)
        if image is not None:
            query = query.where(_table.c.image == image)
        query = query.order_by(_revisions.c.time, _table.c.image, _table.c.number)
        with self._read() as connection:
            return [_reading(row) for row in connection.execute(query)]

    def readings_mark(self) -> tuple[int, int]:
        """How many readings there are, and how many were taken back: it changes with them."""
        query = select(func.count(), func.count(_table.c.taken_back))
        with self._read() as connection:
            made, taken = connection.execute(query).one()
        return int(made), int(taken)
