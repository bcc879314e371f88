"""Going back to an older version restores what it proposed, and the queue with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app import jobs
from app.queue import Queue
from app.run import Run
from app.workflow import documents, proposals, training
from app.workflow.training import version_folder
from app.workflow.views import view
from data_io.artifacts import Artifacts
from data_io.store import Store
from data_io.types import Instance, ModelVersion, VersionState
from model.prediction import Prediction

WIDTH, HEIGHT = 320, 240
DOUBTS = {  # version -> place of the doubt on the map, and how it grows with the image's gray level
    "v1": (slice(10, 24), 10, 1),
    "v2": (slice(30, 44), 40, -1),
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four photos of a camera, each with its own gray level."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        Image.new("RGB", (WIDTH, HEIGHT), (60 * number, 0, 0)).save(folder / f"{number}.png")
    return folder


class Version:
    """Proposes a cow of its own and a doubt of its own, larger or smaller with the gray level."""

    def __init__(self, version: str, animal: Callable[..., Instance]) -> None:
        self._version, self._animal = version, animal

    def predict(self, pixels: Any) -> Any:
        number = round(float(pixels[..., 0].mean()) / 60)
        rows, column, direction = DOUBTS[self._version]
        unsure = np.zeros((HEIGHT // 4, WIDTH // 4), np.uint8)
        unsure[rows, column : column + (20 + 3 * direction * number)] = 255
        box = (8, 8, 16, 16) if self._version == "v1" else (200, 100, 30, 20)
        nothing = np.zeros((2, *unsure.shape), np.float32)
        return Prediction(nothing, unsure, (self._animal(*box, source="model", score=0.7),))


@pytest.fixture
def versions(project: Store, animal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """v1, used before, and v2, in use; jobs start without a process."""
    states: dict[str, VersionState] = {"v1": "retired", "v2": "promoted"}
    for version, state in states.items():
        folder = version_folder(project, version)
        folder.mkdir(parents=True)
        for name in ("weights.safetensors", "version.json"):
            folder.joinpath(name).touch()
        moment = datetime.now(timezone.utc)
        project.add_version(ModelVersion(version, None, "j", "", {}, (), "s", {}, state, moment))
    monkeypatch.setattr(proposals, "_load", lambda store, version: Version(version, animal))
    monkeypatch.setattr(jobs, "_launch", lambda store, job: job)


def run(project: Store, job: Any) -> None:
    """What the worker of a propose job does."""
    folder = jobs.job_folder(project, job)
    folder.mkdir(parents=True, exist_ok=True)
    proposals.run_proposals(Run(project, job, folder, threading.Event()))


def seen(project: Store) -> list[Any]:
    """Everything the proposals decide: animals, maps, regions, scores and the queue's order."""
    found: list[Any] = [item.as_dict() for item in Queue(project).ranked()]
    for image, one in sorted(project.proposals().items()):
        regions = [
            (r.id, r.version, r.state, r.box) for r in documents.shown_regions(view(project, image))
        ]
        map = Artifacts(project.project).read_uncertainty(one.uncertainty)
        ids = [animal.id for animal in one.instances]
        found += [image, one.version, ids, one.score, regions, map.tobytes()]
    return found


def test_going_back_restores_proposals_and_queue(project: Store, versions: None) -> None:
    project.promote("v1")
    run(project, proposals.start_proposals(project))
    before = seen(project)
    run(project, training.promote(project, "v2"))
    assert seen(project) != before
    run(project, training.promote(project, "v1"))
    assert seen(project) == before


def test_answers_and_labels_outlive_going_back(project: Store, versions: None, animal: Any) -> None:
    run(project, proposals.start_proposals(project))
    image = project.images()[0].id
    (region,) = project.regions(image, "open")
    documents.answer_region(
        project, image, region.id, 0, {"action": "accept", "instances": [], "rejected": []}, "me"
    )
    labels = project.revision(image)
    run(project, training.promote(project, "v1"))
    assert project.region(region.id).state == "accepted"
    after = project.revision(image)
    assert labels is not None
    assert after is not None
    assert after.number == labels.number
    run(project, training.promote(project, "v2"))
    assert project.regions(image, "open") == []
    assert project.region(region.id).state == "accepted"


def test_until_an_image_is_proposed_on_again_nothing_of_two_versions_mixes(
    project: Store, versions: None
) -> None:
    run(project, proposals.start_proposals(project))
    first = project.images()[0]
    job = training.promote(project, "v1")
    assert job is not None
    assert job.config == {"version": "v1", "images": None}
    proposals.propose(project, proposals._load(project, "v1"), "v1", first)
    for record in project.images():
        shown = documents.document(project, record.id)
        version = "v1" if record.id == first.id else "v2"
        assert shown["version"] == version
        owners = {region["id"]: project.region(region["id"]).version for region in shown["regions"]}
        assert set(owners.values()) == {version}
        assert {one["version"] for one in shown["instances"] if one["proposed"]} == {version}


def test_a_run_of_the_version_before_ends_without_a_word_after_going_back(
    project: Store, versions: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker is told to stop, and what it still wrote is replaced by the run that waits."""
    old = proposals.start_proposals(project)
    stopped: list[str] = []
    monkeypatch.setattr(jobs, "is_alive", lambda job: job.id == old.id)
    monkeypatch.setattr(jobs, "cancel_job", lambda store, id, wait: stopped.append(id))
    job = training.promote(project, "v1")
    assert stopped == [old.id]
    run(project, old)  # it had not heard of it yet
    run(project, job)
    assert {one.version for one in project.proposals().values()} == {"v1"}
