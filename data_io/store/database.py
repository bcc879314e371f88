"""The connection every part of the store shares: SQLite in WAL mode, one writer at a time.

Several processes (server, worker, command line) open the same file. Readers never wait; a writer
takes the lock with BEGIN IMMEDIATE before it reads anything, so that what it decides on cannot
change before it commits. synchronous=FULL: a commit that returned survives a power cut.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc

from data_io.errors import StoreError

DATABASE_NAME = "herdmark.db"
BUSY_SECONDS = 20.0
LOG_BYTES = 64 * 1024 * 1024  # what the write-ahead log may keep after a checkpoint


def make_engine(file: Path, *, foreign_keys: bool = True) -> Engine:
    """An engine on `file` with the pragmas of this module; connections are opened when needed."""
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        # isolation_level None: the driver must not begin transactions on its own, _begin does.
        connect_args={
            "timeout": BUSY_SECONDS,
            "isolation_level": None,
            "check_same_thread": False,
        },
        max_overflow=-1,
    )

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA journal_size_limit={LOG_BYTES}")
        connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def writing(engine: Engine) -> Connection:
    """A connection whose transactions take the write lock at once."""
    return engine.connect().execution_options(writes=True)


def _explain(file: Path, reason: str) -> str:
    """The sentence and the remedy for what SQLite reported."""
    low = reason.lower()
    if "disk is full" in low or "no space left" in low:
        return (
            f"{file}: the disk is full and nothing of this change was saved;"
            " free some space and try again."
        )
    if "locked" in low or "busy" in low:
        return (
            f"{file}: another program has held the project for more than {BUSY_SECONDS:.0f} s and"
            " nothing of this change was saved; close it or wait, then try again."
        )
    if "malformed" in low or "not a database" in low or "incorrect header" in low:
        return (
            f"{file}: the project database is damaged; put a copy back in its place"
            f" (for instance {DATABASE_NAME}.bak-... beside it) and keep the damaged file."
        )
    if "readonly" in low or "read-only" in low or "permission denied" in low:
        return f"{file}: the project may not be written; check the permissions of its folder."
    if "unable to open" in low:
        return f"{file}: the project database cannot be opened; check the folder's permissions."
    if "disk i/o error" in low or "input/output error" in low:
        return (
            f"{file}: the disk reported an error and nothing of this change was saved;"
            " check the disk and its free space, then try again."
        )
    return f"{file}: the project database refused the request ({reason}); run doctor."


@contextmanager
def told(file: Path) -> Iterator[None]:
    """Turn what the database or the disk reports into a `StoreError` sentence."""
    try:
        yield
    except exc.DBAPIError as error:
        raise StoreError(_explain(file, str(error.orig))) from error
    except (sqlite3.Error, OSError) as error:
        raise StoreError(_explain(file, str(error))) from error


class Database:
    """What the parts of `Store` build on: `_read` and `_write`, one transaction each."""

    def __init__(self, project: Path, engine: Engine) -> None:
        self.project = project
        self.file = project / DATABASE_NAME
        self._engine = engine
        # SQLite's own queue for the lock is unfair; threads of one process wait here instead.
        self._turn = threading.Lock()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        """One consistent view; never waits for writers."""
        with told(self.file), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        """One transaction that no other writer can interleave; an exception undoes all of it."""
        with told(self.file), self._turn, writing(self._engine) as connection, connection.begin():
            yield connection

    def check(self) -> list[str]:
        """What SQLite's integrity and foreign key checks find; an empty list when all is well."""
        with self._read() as connection:
            rows = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
            keys = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        return [str(row) for row in rows if row != "ok"] + [
            f"{key[0]} row {key[1]} refers to a missing row of {key[2]}" for key in keys
        ]

    def close(self) -> None:
        """Give the connections back; the last one to close folds the write-ahead log in."""
        self._engine.dispose()
