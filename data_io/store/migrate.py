"""Bring a database to the newest schema: inside one transaction, and never without a copy.

Alembic runs from this package, without an ini file, so that an installed Herdmark can migrate.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from data_io.errors import StoreError
from data_io.store import database
from data_io.store.database import make_engine, told, writing

MIGRATIONS = Path(__file__).parent / "migrations"


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration for this package; `connection` is handed to the environment."""
    config = Config()
    # Alembic reads option values through configparser, where % begins an interpolation.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def head_revision() -> str:
    """The schema this program writes."""
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    if head is None:
        raise StoreError("Herdmark was installed without its migrations; install it again.")
    return head


def _known_revisions() -> set[str]:
    script = ScriptDirectory.from_config(alembic_config())
    return {one.revision for one in script.walk_revisions()}


def current_revision(connection: Connection) -> str | None:
    """The schema a database has, None for an empty file."""
    return MigrationContext.configure(connection).get_current_revision()


def bring_up_to_date(file: Path) -> None:
    """Create or migrate the database at `file`; an older one is copied beside itself first.

    Raises:
        StoreError: a newer schema, some other program's database, or a migration that failed (the
            database is then what it was).
    """
    # Migrations rebuild tables, which foreign keys would cascade into; they are checked afterwards.
    engine = make_engine(file, foreign_keys=False)
    try:
        with told(file):
            with engine.connect() as connection, connection.begin():
                current = current_revision(connection)
                _refuse_unknown(connection, file, current)
            if current == head_revision():
                return
            _enter_wal(file)
            with writing(engine) as connection, connection.begin():
                _upgrade(connection, file)
    finally:
        engine.dispose()


def _refuse_unknown(connection: Connection, file: Path, current: str | None) -> None:
    if current is None and inspect(connection).get_table_names():
        raise StoreError(f"{file}: this is another program's database; choose another folder.")
    if current is not None and current not in _known_revisions():
        raise StoreError(
            f"{file}: a newer Herdmark wrote this project (schema {current}, this program knows"
            f" {head_revision()}); update Herdmark to open it."
        )


def _enter_wal(file: Path) -> None:
    """Switch to write-ahead logging; the setting stays with the file."""
    with closing(sqlite3.connect(file, timeout=database.BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _upgrade(connection: Connection, file: Path) -> None:
    # Read again: another process may have migrated while this one waited for the lock.
    current = current_revision(connection)
    if current == head_revision():
        return
    _refuse_unknown(connection, file, current)
    copy = None if current is None else copy_database(file, current)
    try:
        command.upgrade(alembic_config(connection), "head")
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            raise StoreError(
                f"{file}: the migration would leave a row of {broken[0]} without its"
                f" {broken[2]}; nothing was changed. Report this with the file."
            )
    except BaseException:
        if copy is not None:
            copy.unlink(missing_ok=True)  # the transaction is undone, so it tells nothing new
        raise


def copy_database(file: Path, revision: str) -> Path:
    """A whole copy ``<file>.bak-<revision>``; an earlier copy of that name is kept beside it."""
    target = file.with_name(f"{file.name}.bak-{revision}")
    count = 1
    while target.exists():
        count += 1
        target = file.with_name(f"{file.name}.bak-{revision}.{count}")
    partial = file.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(partial)) as copy:
            copy.execute("PRAGMA synchronous=FULL")
            source.backup(copy)
            # A copy must be one file: without its own write-ahead log beside it.
            copy.execute("PRAGMA journal_mode=DELETE")
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target
