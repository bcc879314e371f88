"""The project database as one object."""

from __future__ import annotations

import os
from pathlib import Path

from data_io.errors import StoreError
from data_io.store.categories import Categories
from data_io.store.database import DATABASE_NAME, make_engine, told
from data_io.store.embeddings import Embeddings
from data_io.store.gallery import Gallery
from data_io.store.images import Images
from data_io.store.jobs import Jobs
from data_io.store.migrate import bring_up_to_date
from data_io.store.numbering import Numbering
from data_io.store.proposals import Proposals
from data_io.store.readings import Readings
from data_io.store.revisions import Revisions
from data_io.store.states import States
from data_io.store.versions import Versions

FOLDERS = ("images", "artifacts", "versions", "jobs", "snapshots")


class Store(
    Categories,
    Images,
    Revisions,
    Numbering,
    Proposals,
    Readings,
    Embeddings,
    States,
    Gallery,
    Jobs,
    Versions,
):
    """A project: `project` is its folder, every method is one transaction.

    Thread-safe: each call takes its own connection. Several processes may open one project. Every
    method may raise `StoreError` with a sentence when the database or the disk fails.
    """

    @classmethod
    def open(cls, project: str | Path, create: bool = True) -> Store:
        """Open a project folder, creating or migrating its database.

        Args:
            project: the folder.
            create: make the folder and the database when they are missing.

        Raises:
            StoreError: no project there and `create` is False; a newer schema; a damaged file.
        """
        folder = Path(os.path.abspath(Path(project).expanduser()))
        file = folder / DATABASE_NAME
        if not create and not file.is_file():
            raise StoreError(f"{folder}: this is no Herdmark project; import images to make one.")
        with told(folder):
            for name in FOLDERS:
                (folder / name).mkdir(parents=True, exist_ok=True)
        bring_up_to_date(file)
        return cls(folder, make_engine(file))

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
