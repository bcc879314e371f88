"""A project with photos behind the pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.context import Context
from app.security import PathGuard
from app.workflow.imports import import_source
from data_io.store import Store


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos in a folder outside the project."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        pixels = np.full((48, 64, 3), 40 * number, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def context(tmp_path: Path, photos: Path) -> Iterator[Context]:
    """The open project; its users may name folders below the test's."""
    with Store.open(tmp_path / "project") as store:
        import_source(store, photos)
        yield Context.of(store, PathGuard.of(store.project, [tmp_path]))


@pytest.fixture
def store(context: Context) -> Store:
    """The project's store."""
    return context.store
