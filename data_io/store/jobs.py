"""Jobs: background runs whose state outlives the processes that run them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from sqlalchemy import Connection, Row, insert, select, update

from data_io.errors import DataError
from data_io.store import codec, schema
from data_io.store.database import Database
from data_io.types import Job, JobKind, JobState

_table = schema.jobs


def _job(row: Row[Any]) -> Job:
    return Job(
        id=row.id,
        kind=row.kind,
        state=row.state,
        config=codec.of_json(row.config),
        created=codec.time_of_text(row.created),
        updated=codec.time_of_text(row.updated),
        pid=row.pid,
        pid_started=row.pid_started,
        progress=codec.of_json(row.progress),
        result=codec.of_json(row.result),
        error=row.error,
    )


def _get(connection: Connection, id: str) -> Job:
    row = connection.execute(select(_table).where(_table.c.id == id)).one_or_none()
    if row is None:
        raise DataError(f"job {id}", "is not in this project", "list the jobs to find its id")
    return _job(row)


class Jobs(Database):
    """Durable job rows; folders and processes are the application's business."""

    def create_job(self, kind: JobKind, config: Mapping[str, Any]) -> Job:
        """Queue a job.

        Raises:
            DataError: an unknown kind, or a config that is no plain JSON.
        """
        if kind not in get_args(JobKind):
            remedy = f"use one of {', '.join(get_args(JobKind))}"
            raise DataError("job", f"there is no kind {kind!r}", remedy, field="kind")
        moment = codec.time_to_text(codec.now())
        row = {
            "id": codec.new_id(),
            "kind": kind,
            "state": "queued",
            "created": moment,
            "updated": moment,
            "error": "",
            "config": codec.to_json(config, "job config"),
            "progress": "{}",
            "result": "{}",
        }
        with self._write() as connection:
            connection.execute(insert(_table).values(row))
            return _get(connection, str(row["id"]))

    def job(self, id: str) -> Job:
        """One job.

        Raises:
            DataError: there is none of this id.
        """
        with self._read() as connection:
            return _get(connection, id)

    def jobs(self, kind: JobKind | None = None) -> list[Job]:
        """Jobs, newest first; `kind` keeps one kind only."""
        query = select(_table).order_by(_table.c.number.desc())
        if kind is not None:
            query = query.where(_table.c.kind == kind)
        with self._read() as connection:
            return [_job(row) for row in connection.execute(query)]

    def newest_job(self, kind: JobKind) -> Job | None:
        """The job of that kind that was created last, None before the first."""
        query = select(_table).where(_table.c.kind == kind).order_by(_table.c.number.desc())
        with self._read() as connection:
            row = connection.execute(query.limit(1)).one_or_none()
        return None if row is None else _job(row)

    def update_job(
        self,
        id: str,
        *,
        state: JobState | None = None,
        pid: int | None = None,
        pid_started: float | None = None,
        progress: Mapping[str, Any] | None = None,
        result: Mapping[str, Any] | None = None,
        error: str | None = None,
    ) -> Job:
        """Change what is given and leave the rest; None means unchanged.

        Raises:
            DataError: an unknown job or state, or values that are no plain JSON.
        """
        if state is not None and state not in get_args(JobState):
            raise DataError(f"job {id}", f"there is no state {state!r}", "use a known state")
        values: dict[str, Any] = {
            "state": state,
            "pid": pid,
            "pid_started": pid_started,
            "progress": None if progress is None else codec.to_json(progress, f"job {id}"),
            "result": None if result is None else codec.to_json(result, f"job {id}"),
            "error": error,
        }
        given = {name: value for name, value in values.items() if value is not None}
        with self._write() as connection:
            _get(connection, id)
            given["updated"] = codec.time_to_text(codec.now())
            connection.execute(update(_table).where(_table.c.id == id).values(given))
            return _get(connection, id)
