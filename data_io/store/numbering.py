"""Instance ids: checked before they are stored, and numbered once for every COCO export."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select

from data_io.errors import DataError
from data_io.geometry import validate_parts
from data_io.store import schema
from data_io.store.database import Database
from data_io.types import Instance

_table = schema.annotation_numbers
_NUMBER = f"INSERT INTO {_table.name} (instance) VALUES (?) ON CONFLICT DO NOTHING"
_CHUNK = 500  # bound parameters a statement may carry; SQLite's oldest limit is 999


def number_instances(connection: Connection, ids: Iterable[str]) -> None:
    """Give every instance id that has none the next annotation number."""
    rows = [(id,) for id in dict.fromkeys(ids)]
    if rows:  # imports bring hundreds of thousands: straight to the driver
        connection.exec_driver_sql(_NUMBER, rows)


def check_instances(instances: Sequence[Instance], what: str) -> None:
    """Refuse what could not be drawn or exported later.

    Raises:
        DataError: an id that is empty or used twice, or a region without a valid ring.
    """
    seen: set[str] = set()
    for instance in instances:
        if not instance.id or instance.id in seen:
            why = "an id is used twice" if instance.id else "an id is empty"
            raise DataError(what, why, "give each animal its own id", index=instance.id)
        seen.add(instance.id)
        validate_parts(instance.parts, file=what, index=f"instance {instance.id}")


class Numbering(Database):
    """Stable annotation numbers."""

    def annotation_ids(self, instance_ids: Iterable[str]) -> dict[str, int]:
        """COCO annotation ids, >= 1, one for each instance id, never reused.

        Saving a revision allocates them, and asking here does. Proposing does not: most proposed
        instances are replaced by the next version, and a number is for ever.
        """
        wanted = list(dict.fromkeys(instance_ids))
        with self._read() as connection:
            found = _numbers(connection, wanted)
        if len(found) < len(wanted):
            with self._write() as connection:
                number_instances(connection, (id for id in wanted if id not in found))
                found = _numbers(connection, wanted)
        return found


def _numbers(connection: Connection, ids: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for start in range(0, len(ids), _CHUNK):
        query = select(_table).where(_table.c.instance.in_(ids[start : start + _CHUNK]))
        found.update({row.instance: row.number for row in connection.execute(query)})
    return {id: found[id] for id in ids if id in found}
