"""Full disks, locked and damaged databases: a sentence with a remedy, and nothing lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event

from data_io.errors import StoreError
from data_io.store import Store
from data_io.store.database import DATABASE_NAME
from data_io.types import Category, ImageRecord, Instance

Animal = Callable[..., Instance]


def limit_size(store: Store, pages: int) -> None:
    """Make SQLite report a full disk beyond `pages` pages, through every connection."""

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    event.listen(store._engine, "connect", limit)
    store._engine.dispose()


def test_a_full_disk_is_told_and_loses_nothing(
    store: Store, image: ImageRecord, cow: Category, animal: Animal, project: Path
) -> None:
    store.save_revision(image.id, 0, [animal("first", cow)], (), "me")
    limit_size(store, 1)  # SQLite takes the present size when the limit lies below it
    noise = {"note": "".join(chr(0x4E00 + (n * n * 7919) % 20000) for n in range(100_000))}
    with pytest.raises(StoreError, match=r"disk is full.*free some space and try again"):
        store.save_revision(image.id, 1, [animal("big", cow, attributes=noise)], (), "me")
    assert store.revision_numbers(image.id) == [1]
    assert "big" not in store.annotation_ids(["first"])
    with Store.open(project) as roomy:
        assert roomy.check() == []
        saved = roomy.save_revision(image.id, 1, [animal("big", cow, attributes=noise)], (), "me")
        assert saved.number == 2
        assert saved.instances[0].attributes == noise


def test_a_locked_database_is_told(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_io.store.database.BUSY_SECONDS", 0.05)
    with Store.open(project) as impatient, store._write():
        with pytest.raises(StoreError, match=r"another program has held .* try again"):
            impatient.add_category("cow")
        assert impatient.categories() == []
    assert store.add_category("cow").coco_id == 1


def test_a_file_that_is_no_database_is_told(project: Path, store: Store) -> None:
    store.close()
    (project / DATABASE_NAME).write_bytes(b"This was a database once. " * 400)
    with pytest.raises(StoreError, match=r"damaged; put a copy back"):
        Store.open(project)


def test_a_damaged_page_is_told(
    project: Path, store: Store, image: ImageRecord, cow: Category, animal: Animal
) -> None:
    for number in range(20):
        store.save_revision(image.id, number, [animal(f"cow-{number}", cow)], (), "me")
    store.close()
    file = project / DATABASE_NAME
    with closing(sqlite3.connect(file)) as connection:
        page = connection.execute("PRAGMA page_size").fetchone()[0]
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'revisions'"
        root = connection.execute(query).fetchone()[0]
    with file.open("r+b") as damaged:
        damaged.seek((root - 1) * page)
        damaged.write(b"\xff" * page)
    with Store.open(project) as opened, pytest.raises(StoreError, match="damaged"):
        opened.latest_revisions()


def test_a_project_below_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="file"):
        Store.open(tmp_path / "file" / "project")


def test_commits_reach_the_disk_and_keys_are_enforced(store: Store) -> None:
    def pragma(name: str) -> object:
        with store._read() as connection:
            return connection.exec_driver_sql(f"PRAGMA {name}").scalar()

    assert pragma("journal_mode") == "wal"
    assert pragma("synchronous") == 2
    assert pragma("foreign_keys") == 1
    assert int(str(pragma("busy_timeout"))) >= 5000


def test_an_exception_undoes_the_whole_transaction(store: Store, cow: Category) -> None:
    def rename_and_fail() -> None:
        with store._write() as connection:
            connection.exec_driver_sql("UPDATE categories SET name = 'gone'")
            raise KeyError

    with pytest.raises(KeyError):
        rename_and_fail()
    assert [category.name for category in store.categories()] == ["cow"]


def test_check_finds_broken_references(store: Store, image: ImageRecord, project: Path) -> None:
    assert store.check() == []
    with closing(sqlite3.connect(project / DATABASE_NAME)) as careless:
        careless.execute(
            "INSERT INTO regions VALUES ('r', 'ghost', 'v', 'k', 'open', 0.1, '', '[]', x'', NULL)"
        )
        careless.commit()
    assert any("regions" in line for line in store.check())


def test_projects_have_their_folders(store: Store, project: Path) -> None:
    assert store.project == project
    for name in ("images", "artifacts", "versions", "jobs", "snapshots"):
        assert (project / name).is_dir()
