"""A small project with real photos, shared by the tests of the use cases."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app import jobs, scores
from app.workflow.imports import import_source
from data_io.geometry import box_of_parts
from data_io.store import Store
from data_io.types import Instance, Job, Part, Parts, Proposal, ReviewRegion

WIDTH, HEIGHT = 64, 48


def rectangle(x: float, y: float, width: float, height: float) -> Parts:
    """A rectangle as a region."""
    corners = [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]
    return (Part(np.array(corners, dtype=np.float64)),)


@pytest.fixture
def box() -> Callable[[float, float, float, float], Parts]:
    """Makes a rectangle (x, y, width, height) as a region."""
    return rectangle


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two folders (cameras) with two 64 x 48 photos each."""
    folder = tmp_path / "photos"
    rng = np.random.default_rng(0)
    for camera in ("north", "south"):
        folder.joinpath(camera).mkdir(parents=True)
        for number in range(2):
            pixels = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / camera / f"{number}.png")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty project."""
    with Store.open(tmp_path / "project") as opened:
        yield opened


@pytest.fixture
def project(store: Store, photos: Path) -> Store:
    """A project with the four photos and the category "cow"."""
    import_source(store, photos)
    store.add_category("cow")
    return store


@pytest.fixture
def animal(project: Store) -> Callable[..., Instance]:
    """Makes a cow: a rectangle, drawn by a person unless said otherwise."""
    cow = project.categories()[0].id

    def make(x: float, y: float, width: float, height: float, **fields: object) -> Instance:
        values = {"id": uuid.uuid4().hex, "category": cow, **fields}
        return Instance(parts=rectangle(x, y, width, height), **values)  # type: ignore[arg-type]

    return make


@pytest.fixture
def propose(project: Store) -> Callable[..., Proposal]:
    """Stores a proposal with instances and rectangular regions for an image."""

    def put(
        image: str, instances: tuple[Instance, ...], regions: dict[str, Parts], version: str = "v1"
    ) -> Proposal:
        proposal = Proposal(image, version, instances, "artifacts/none.png", 0.5)
        rows = [
            ReviewRegion(id, image, version, "edge", parts, box_of_parts(parts), 0.5, "unsure")
            for id, parts in regions.items()
        ]
        project.put_proposal(proposal, rows)
        return proposal

    return put


@pytest.fixture
def sees(monkeypatch: pytest.MonkeyPatch, project: Store) -> dict[str, tuple[float, ...]]:
    """Version -> box (x, y, width, height) of the cow it proposes on every image; () for none.

    A version that is not named finds a cow at (8, 8, 16, 16).
    """
    boxes: dict[str, tuple[float, ...]] = {}
    cow = project.categories()[0].id

    def opened(store: Store, entrant: scores.Entrant) -> Any:
        box = boxes.get(entrant.id, (8, 8, 16, 16))
        animals = (Instance("x", cow, rectangle(*box)),) if box else ()
        made = SimpleNamespace(probability=np.zeros((2, 1, 1), np.float32), instances=animals)
        return SimpleNamespace(predict=lambda pixels: made)

    monkeypatch.setattr(scores, "open_version", opened)
    return boxes


@pytest.fixture
def trained(project: Store, sees: dict[str, tuple[float, ...]]) -> Callable[..., tuple[Job, Path]]:
    """Lays down what the trainer leaves for a version; returns its job and folder."""

    def leave(version: str, **result: object) -> tuple[Job, Path]:
        job = project.create_job("train", {"version": version, "snapshot": "s", "train": {}})
        folder = jobs.job_folder(project, job)
        folder.joinpath("version").mkdir(parents=True)
        folder.joinpath("checkpoint").mkdir()
        folder.joinpath("version", "weights.safetensors").write_bytes(b"w")
        told = {"categories": ["cow"], "snapshot": "hash"}
        folder.joinpath("version", "version.json").write_text(json.dumps(told))
        content = {"steps": 9, "kept": "semi", "metrics": {}, "weights_sha256": "abc", **result}
        folder.joinpath("result.json").write_text(json.dumps(content))
        return job, folder

    return leave
