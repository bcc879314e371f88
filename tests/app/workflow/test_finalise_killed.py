"""kill -9 of the worker at each point of finishing a training: nothing half-written is ever shown.

The worker is a real process that kills itself just before or after one of its steps.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from app import jobs
from app.workflow import training
from data_io.store import Store
from data_io.types import Job, ModelVersion

# The gate's look at the version is replaced: what it would load is no network here.
WORKER = """
import os, shutil, signal, sys
from types import SimpleNamespace
from app import jobs, scores
from app.workflow import training
from data_io.store import Store

class Nothing:
    def predict(self, pixels):
        return SimpleNamespace(probability=__import__("numpy").zeros(1), instances=())

project, job, when, where = sys.argv[1:]
owners = {
    "move": (os, "replace"),
    "register": (Store, "add_version"),
    "clean": (shutil, "rmtree"),
}
scores.open_version = lambda store, entrant: Nothing()
owner, name = owners[where]
step = getattr(owner, name)

def killed(*arguments, **named):
    if when == "after":
        step(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, name, killed)
with Store.open(project) as store:
    row = store.job(job)
    training.finalise(store, row, jobs.job_folder(store, row))
"""
POINTS = [
    pytest.param("before", "move", [], marks=pytest.mark.long),
    ("after", "move", []),
    pytest.param("before", "register", [], marks=pytest.mark.long),
    ("after", "register", ["v2-b"]),
    pytest.param("after", "clean", ["v2-b"], marks=pytest.mark.long),
]

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")


@pytest.fixture
def trained(project: Store) -> Job:
    """What a trainer has just left, beside a version in use."""
    job = project.create_job("train", {"version": "v2-b", "snapshot": "s", "train": {}})
    for version, folder in (
        ("v1-a", training.version_folder(project, "v1-a")),
        ("v2-b", jobs.job_folder(project, job) / "version"),
    ):
        folder.mkdir(parents=True)
        folder.joinpath("weights.safetensors").write_bytes(version.encode())
        folder.joinpath("version.json").write_text(json.dumps({"categories": ["cow"]}))
    jobs.job_folder(project, job).joinpath("checkpoint").mkdir()
    moment = datetime.now(timezone.utc)
    project.add_version(ModelVersion("v1-a", None, "j", "", {}, (), "s", {}, "promoted", moment))
    result = {"steps": 9, "kept": "semi", "metrics": {}, "weights_sha256": "abc"}
    jobs.job_folder(project, job).joinpath("result.json").write_text(json.dumps(result))
    return job


@pytest.fixture
def finish(project: Store, trained: Job) -> Callable[[str, str], int]:
    """Runs the worker; its exit code."""

    def run(when: str, where: str) -> int:
        command = [sys.executable, "-c", WORKER, str(project.project), trained.id, when, where]
        return subprocess.run(command, cwd=jobs.ROOT, check=False, timeout=600).returncode

    return run


@pytest.mark.parametrize(("when", "where", "registered"), POINTS)
def test_a_version_is_registered_whole_judged_and_promoted_or_not_at_all(
    project: Store, trained: Job, finish: Any, sees: Any, when: str, where: str, registered: Any
) -> None:
    assert finish(when, where) == -signal.SIGKILL
    assert [one.id for one in project.versions()] == [*registered, "v1-a"]
    promoted = project.promoted()
    assert promoted is not None
    assert promoted.id == (registered or ["v1-a"])[0]
    assert training.missing_files(training.version_folder(project, promoted.id)) == []
    if registered:
        assert promoted.metrics["gate"]["promoted"]
    folder = jobs.job_folder(project, trained)
    result = training.finalise(project, trained, folder)  # as the resumed job does
    assert (result["version"], result["promoted"]) == ("v2-b", True)
    assert not folder.joinpath("checkpoint").exists()
    assert [one.id for one in project.versions()] == ["v2-b", "v1-a"]
    weights = training.version_folder(project, "v2-b") / "weights.safetensors"
    assert weights.read_bytes() == b"v2-b"
