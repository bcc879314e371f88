"""Migrations run for real: older projects are copied and migrated, newer ones refused."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from data_io.errors import StoreError
from data_io.store import NewImage, NewReading, Store, migrate
from data_io.store.database import DATABASE_NAME, make_engine
from data_io.store.schema import metadata
from data_io.types import Category, ImageRecord, Instance, Proposal

NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9001"
down_revision = "{head}"


def upgrade():
    with op.batch_alter_table("images") as batch:
        batch.add_column(sa.Column("note", sa.String(), nullable=False, server_default="moved on"))
        batch.alter_column("group", existing_type=sa.String(), nullable=True)
    {last}
"""


@pytest.fixture
def newer_program(tmp_path: Path) -> Callable[..., pytest.MonkeyPatch]:
    """Puts a program with one more migration in the place of this one, until `undo`."""

    def become(last: str = "pass") -> pytest.MonkeyPatch:
        folder = tmp_path / "newer % program"
        shutil.copytree(migrate.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        script = NEXT.format(head=migrate.head_revision(), last=last)
        (folder / "versions" / "9001_note.py").write_text(script, encoding="utf-8")
        patch = pytest.MonkeyPatch()
        patch.setattr(migrate, "MIGRATIONS", folder)
        patches.append(patch)
        return patch

    patches: list[pytest.MonkeyPatch] = []
    yield become  # type: ignore[misc]
    for patch in patches:
        patch.undo()


@pytest.fixture
def labeled(project: Path, animal: Callable[..., Instance]) -> ImageRecord:
    """A project as today's program leaves it, closed, with one revision."""
    with Store.open(project) as store:
        category = store.add_category("cow")
        image = store.add_images([NewImage("a.jpg", 64, 48, "a", "north")])[0]
        store.save_revision(image.id, 0, [animal("one", category)], (), "me")
    return image


def rows(file: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query).fetchall()


def test_a_project_of_the_first_schema_opens(project: Path) -> None:
    project.mkdir(parents=True)
    file = project / DATABASE_NAME
    engine = make_engine(file, foreign_keys=False)
    with engine.begin() as connection:
        command.upgrade(migrate.alembic_config(connection), "0001")
        connection.exec_driver_sql(
            "INSERT INTO categories (id, name, color, coco_id) VALUES ('c', 'cow', '#e69f00', 4)"
        )
    engine.dispose()
    with Store.open(project) as store:
        (category,) = store.categories()
        assert (category.name, category.coco_id, category.extras) == ("cow", 4, {})
        assert store.add_category("cow", extras={"keypoints": ["nose"]}).extras == {
            "keypoints": ["nose"]
        }
        assert store.categories()[0].extras == {"keypoints": ["nose"]}
    assert rows(project / f"{DATABASE_NAME}.bak-0001", "SELECT name FROM categories") == [("cow",)]


def test_what_images_hold_is_read_from_the_revisions_of_an_older_project(
    project: Path, labeled: ImageRecord
) -> None:
    file = project / DATABASE_NAME
    with Store.open(project) as store:
        calf, cow = store.add_category("calf").id, store.categories()[0].id
        one = replace(store.revision(labeled.id).instances[0], category=calf)  # type: ignore[union-attr]
        store.save_revision(labeled.id, 1, [one], (), "me")
        seen = (replace(one, id="seen", category=cow, source="model"),)
        store.put_proposal(Proposal(labeled.id, "v1", seen, "", 0.5))
    before = rows(file, "SELECT * FROM contents ORDER BY source")
    engine = make_engine(file, foreign_keys=False)
    with engine.begin() as connection:
        for index in ("ix_images_group", "ix_revisions_state", "ix_proposals_score"):
            connection.exec_driver_sql(f"DROP INDEX {index}")
        connection.exec_driver_sql("DROP TABLE contents")
        _drop_changes(connection)
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0002'")
    engine.dispose()
    Store.open(project).close()
    assert before == [(labeled.id, "proposal", cow), (labeled.id, "revision", calf)]
    assert rows(file, "SELECT * FROM contents ORDER BY source") == before


def _drop_readings(connection: Connection) -> None:
    """Undo the fifth migration and those after it."""
    for table in ("readings", "embeddings", "clusters"):
        connection.exec_driver_sql(f"DROP TABLE {table}")
    connection.exec_driver_sql("ALTER TABLE regions DROP COLUMN weight")


def _drop_changes(connection: Connection) -> None:
    """Undo the fourth migration and those after it."""
    _drop_readings(connection)
    find = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE '%changed%'"
    for trigger in connection.exec_driver_sql(find).scalars().all():
        connection.exec_driver_sql(f"DROP TRIGGER {trigger}")
    connection.exec_driver_sql("DROP TABLE changes")


def test_states_of_an_older_project_are_read_and_followed(
    project: Path, labeled: ImageRecord
) -> None:
    engine = make_engine(project / DATABASE_NAME, foreign_keys=False)
    with engine.begin() as connection:
        _drop_changes(connection)
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0003'")
    engine.dispose()
    with Store.open(project) as store:
        assert store.image_states()[labeled.id].revision == 1
        store.save_revision(labeled.id, 1, [], (), "me")
        assert store.image_states()[labeled.id].revision == 2


def test_answers_of_an_older_project_have_no_reading_and_new_ones_have(
    project: Path, labeled: ImageRecord
) -> None:
    engine = make_engine(project / DATABASE_NAME, foreign_keys=False)
    with engine.begin() as connection:
        _drop_readings(connection)
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0004'")
    engine.dispose()
    with Store.open(project) as store:
        assert store.readings() == []
        reading = NewReading(kind="save", seconds=2.5)
        store.save_revision(labeled.id, 1, [], (), "me", reading=reading)
        assert [(one.number, one.seconds) for one in store.readings()] == [(2, 2.5)]
        assert store.check() == []
    assert (project / f"{DATABASE_NAME}.bak-0004").is_file()


def test_an_older_database_is_copied_then_migrated(
    project: Path, labeled: ImageRecord, newer_program: Callable[..., pytest.MonkeyPatch]
) -> None:
    old = migrate.head_revision()
    newer_program()
    with Store.open(project, create=False) as store:
        assert store.check() == []
        revision = store.revision(labeled.id)
        assert revision is not None
        assert [one.id for one in revision.instances] == ["one"]
        assert store.image(labeled.id) == labeled
    database = project / DATABASE_NAME
    assert rows(database, "SELECT version_num FROM alembic_version") == [("9001",)]
    assert rows(database, "SELECT note FROM images") == [("moved on",)]
    copy = project / f"{DATABASE_NAME}.bak-{old}"
    assert rows(copy, "SELECT version_num FROM alembic_version") == [(old,)]
    assert rows(copy, "SELECT image, number FROM revisions") == [(labeled.id, 1)]
    assert rows(copy, "PRAGMA integrity_check") == [("ok",)]
    assert not list(project.glob(".*.tmp"))


def test_the_copy_can_be_put_back(
    project: Path, labeled: ImageRecord, newer_program: Callable[..., pytest.MonkeyPatch]
) -> None:
    copy = project / f"{DATABASE_NAME}.bak-{migrate.head_revision()}"
    patch = newer_program()
    Store.open(project).close()
    patch.undo()
    copy.replace(project / DATABASE_NAME)
    with Store.open(project, create=False) as store:
        assert store.revision_numbers(labeled.id) == [1]


def test_a_newer_database_is_refused_in_words(
    project: Path, labeled: ImageRecord, newer_program: Callable[..., pytest.MonkeyPatch]
) -> None:
    patch = newer_program()
    Store.open(project).close()
    patch.undo()
    before = (project / DATABASE_NAME).read_bytes()
    with pytest.raises(StoreError, match=r"newer Herdmark .*9001.*update Herdmark"):
        Store.open(project)
    assert (project / DATABASE_NAME).read_bytes() == before


@pytest.mark.parametrize(
    ("last", "error"),
    [
        ('raise RuntimeError("halfway")', RuntimeError),
        ("op.execute(\"UPDATE revisions SET author = 'x'\")", StoreError),
        ('op.execute("DELETE FROM images")', StoreError),
    ],
)
def test_a_failed_migration_changes_nothing(
    project: Path,
    labeled: ImageRecord,
    newer_program: Callable[..., pytest.MonkeyPatch],
    last: str,
    error: type[Exception],
) -> None:
    patch = newer_program(last)
    with pytest.raises(error):
        Store.open(project)
    patch.undo()
    assert not list(project.glob("*.bak-*"))
    with Store.open(project, create=False) as store:
        assert store.image(labeled.id) == labeled
        revision = store.revision(labeled.id)
        assert revision is not None
        assert revision.author == "me"


def test_an_earlier_copy_is_never_overwritten(project: Path, labeled: ImageRecord) -> None:
    file = project / DATABASE_NAME
    first = migrate.copy_database(file, "0001")
    before = first.read_bytes()
    with Store.open(project) as store:
        store.add_category("calf")
        second = migrate.copy_database(file, "0001")
    assert second != first
    assert first.read_bytes() == before
    assert rows(second, "SELECT count(*) FROM categories") == [(2,)]


def test_the_migrations_build_exactly_the_schema(project: Path, labeled: ImageRecord) -> None:
    engine = make_engine(project / DATABASE_NAME)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_opening_twice_migrates_once(project: Path, labeled: ImageRecord) -> None:
    with Store.open(project), Store.open(project) as store:
        assert store.images() == [labeled]
    assert not list(project.glob("*.bak-*"))


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as connection:
        connection.execute("CREATE TABLE recipes (id INTEGER)")
    before = (tmp_path / DATABASE_NAME).read_bytes()
    with pytest.raises(StoreError, match="another program's database"):
        Store.open(tmp_path)
    assert (tmp_path / DATABASE_NAME).read_bytes() == before


def test_a_folder_that_is_no_project_is_refused_unless_it_may_be_created(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no Herdmark project"):
        Store.open(tmp_path / "nothing", create=False)
    assert not (tmp_path / "nothing").exists()


def test_no_revision_can_be_changed_or_deleted(store: Store, labeled_row: str) -> None:
    for statement in ("UPDATE revisions SET author = 'x'", "DELETE FROM revisions"):
        with pytest.raises(StoreError, match="append-only"), store._write() as connection:
            connection.exec_driver_sql(statement)
    assert store.revision_numbers(labeled_row) == [1]


@pytest.fixture
def labeled_row(
    store: Store, image: ImageRecord, cow: Category, animal: Callable[..., Instance]
) -> str:
    store.save_revision(image.id, 0, [animal("one", cow)], (), "me")
    return image.id


def test_rows_cannot_refer_to_missing_images(store: Store) -> None:
    with pytest.raises(StoreError, match="FOREIGN KEY"), store._write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO proposals VALUES ('ghost', 'v', 'map.png', 0.5, '2026', x'')"
        )
