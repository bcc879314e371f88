"""Which categories an image holds, kept beside its geometry for the gallery's filter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from sqlalchemy import Connection, delete, insert

from data_io.store import schema
from data_io.types import Instance

_table = schema.contents
Holder = Literal["revision", "proposal"]


def set_contents(
    connection: Connection, source: Holder, instances: Mapping[str, Iterable[Instance]]
) -> None:
    """Replace what `source` says about images (id -> instances), inside a transaction."""
    for image in instances:
        where = (_table.c.image == image) & (_table.c.source == source)
        connection.execute(delete(_table).where(where))
    rows = [
        {"image": image, "source": source, "category": category}
        for image, held in instances.items()
        for category in sorted({one.category for one in held})
    ]
    if rows:
        connection.execute(insert(_table), rows)
