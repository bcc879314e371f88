"""Model versions: at most one is promoted, and the database itself enforces that."""

from __future__ import annotations

from typing import Any, get_args

from sqlalchemy import Connection, Row, insert, select, update

from data_io.errors import DataError
from data_io.store import codec, schema
from data_io.store.database import Database
from data_io.types import ModelVersion, VersionState

_table = schema.model_versions


def _version(row: Row[Any]) -> ModelVersion:
    return ModelVersion(
        id=row.id,
        parent=row.parent,
        job=row.job,
        weights_sha256=row.weights_sha256,
        config=codec.of_json(row.config),
        categories=tuple(codec.of_json(row.categories)),
        snapshot=row.snapshot,
        metrics=codec.of_json(row.metrics),
        state=row.state,
        created=codec.time_of_text(row.created),
    )


def _row(version: ModelVersion) -> dict[str, Any]:
    what = f"version {version.id}"
    return {
        "id": version.id,
        "parent": version.parent,
        "job": version.job,
        "state": version.state,
        "created": codec.time_to_text(version.created),
        "snapshot": version.snapshot,
        "weights_sha256": version.weights_sha256,
        "categories": codec.to_json(list(version.categories), what),
        "config": codec.to_json(version.config, what),
        "metrics": codec.to_json(version.metrics, what),
    }


def _get(connection: Connection, id: str) -> ModelVersion:
    row = connection.execute(select(_table).where(_table.c.id == id)).one_or_none()
    if row is None:
        remedy = "list the versions to find its id"
        raise DataError(f"version {id}", "is not in this project", remedy)
    return _version(row)


def _retire(connection: Connection) -> None:
    connection.execute(update(_table).where(_table.c.state == "promoted").values(state="retired"))


class Versions(Database):
    """The versions trained in this project."""

    def add_version(self, version: ModelVersion) -> ModelVersion:
        """Register a version; one that arrives promoted retires the one before it.

        Raises:
            DataError: an id that is taken, an unknown state, or values that are no plain JSON.
        """
        if version.state not in get_args(VersionState):
            why = f"there is no state {version.state!r}"
            raise DataError(f"version {version.id}", why, "use aside, promoted or retired")
        row = _row(version)
        with self._write() as connection:
            taken = select(_table.c.id).where(_table.c.id == version.id)
            if connection.execute(taken).one_or_none() is not None:
                why = "is registered already"
                raise DataError(f"version {version.id}", why, "give the new one its own id")
            if version.state == "promoted":
                _retire(connection)
            connection.execute(insert(_table).values(row))
            return _get(connection, version.id)

    def version(self, id: str) -> ModelVersion:
        """One version.

        Raises:
            DataError: there is none of this id.
        """
        with self._read() as connection:
            return _get(connection, id)

    def versions(self) -> list[ModelVersion]:
        """Versions, newest first."""
        with self._read() as connection:
            rows = connection.execute(select(_table).order_by(_table.c.number.desc()))
            return [_version(row) for row in rows]

    def promote(self, id: str) -> ModelVersion:
        """Make a version the one that proposes; the one before it is retired, not deleted.

        Raises:
            DataError: there is none of this id.
        """
        with self._write() as connection:
            _get(connection, id)
            _retire(connection)
            connection.execute(update(_table).where(_table.c.id == id).values(state="promoted"))
            return _get(connection, id)

    def promoted(self) -> ModelVersion | None:
        """The promoted version, None before the first promotion."""
        with self._read() as connection:
            query = select(_table).where(_table.c.state == "promoted")
            row = connection.execute(query).one_or_none()
            return None if row is None else _version(row)
