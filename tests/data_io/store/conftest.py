"""A small project for the tests of the store: two images, a category, outlines to put in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from data_io.store import NewImage, Store
from data_io.types import Category, ImageRecord, Instance, Part

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "herd 100%"


@pytest.fixture
def store(project: Path) -> Iterator[Store]:
    with Store.open(project) as opened:
        yield opened


@pytest.fixture
def cow(store: Store) -> Category:
    return store.add_category("cow")


@pytest.fixture
def pictures(store: Store) -> list[ImageRecord]:
    return store.add_images(
        [NewImage(f"images/{name}.jpg", 64, 48, name * 8, "north") for name in "ab"]
    )


@pytest.fixture
def image(pictures: list[ImageRecord]) -> ImageRecord:
    return pictures[0]


@pytest.fixture
def animal() -> Callable[..., Instance]:
    """Makes an instance: a triangle with a hole, at coordinates no short decimal can write."""

    def make(id: str, category: Category | str, x: float = 1 / 3, **fields: object) -> Instance:
        outer = np.array([[x, 0.1], [x + 20.0, np.pi], [x + 5.0, 30.7]])
        hole = np.array([[x + 5.0, 6.0], [x + 7.0, 6.5], [x + 6.0, 9.0]])
        category_id = category if isinstance(category, str) else category.id
        return Instance(id, category_id, (Part(outer, (hole,)),), **fields)  # type: ignore[arg-type]

    return make


@pytest.fixture
def run_python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python processes on a script and its arguments; none outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
