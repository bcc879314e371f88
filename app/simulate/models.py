"""Where the model of a round comes from: trained on what the simulated person has verified."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from app import jobs
from app.click_engines import served_file, weights_in_use
from app.workflow import proposals, training
from app.workflow.instant import InstantLearning
from data_io.errors import DataError
from data_io.snapshot import write_snapshot
from data_io.store import Store
from data_io.types import ImageRecord
from model.assist.engine import Answer
from model.assist.served import Served

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from model.predictor import Prediction, Predictor


class Predicts(Protocol):
    """A model that proposes animals."""

    @property
    def version(self) -> str:
        """Its id; another model has another one."""

    def predict(self, image: NDArray[np.uint8]) -> Prediction:
        """See `model.predictor.Predictor.predict`."""


class Models(Protocol):
    """Makes the model of a round from the images that are verified in a project.

    Both answer with the model in use from now on, None while there is none. What `instant` answers
    depends on the project alone, so an interrupted run gets the same model back.
    """

    def trained(self, store: Store, method: str, seed: int, number: int) -> Predicts | None:
        """After a round with a training; `number` is the round's."""

    def instant(self, store: Store) -> Predicts | None:
        """After any other round, and when a run goes on."""

    def refiner(self, store: Store) -> Answer:
        """What answers clicks now."""

    def look_first(self, store: Store) -> None:
        """Tell the queue what images look like while nobody has drawn an animal."""

    def propose(self, store: Store, record: ImageRecord) -> None:
        """Store the proposal of the model in use for an image, which there must be."""


class TrainedModels:
    """The app's own training jobs, each in a process that this one waits for.

    Args:
        settings: of `model.config.train_config`; method and seed come from the run.
        refine: there is the click tool: trainings teach it, and it draws outlines again.
        gate: whether the app's gate decides; otherwise every version is promoted.
    """

    def __init__(
        self, settings: Mapping[str, Any], refine: bool = False, gate: bool = True
    ) -> None:
        self._settings, self._refine, self._gate = dict(settings), refine, gate
        self._loaded: tuple[Path, Predictor] | None = None
        self._learning: InstantLearning | None = None
        self._refiner: tuple[Path, Served] | None = None

    def trained(self, store: Store, method: str, seed: int, number: int) -> Predicts | None:
        """Train a version and register it; what the app would keep aside is kept aside here.

        Raises:
            DataError: the training failed.
        """
        if not training.pool(store)[0]:
            return None
        snapshot = write_snapshot(store, store.project / "snapshots")
        if not snapshot.categories:  # nothing but ground so far, from which nothing can be learned
            return self.instant(store)
        config = {
            "snapshot": str(snapshot.folder),
            "version": f"v{number}",
            "parent": None,
            "train": {**self._settings, "method": method, "seed": seed},
        }
        job = store.create_job("train", config)
        folder = jobs.job_folder(store, job)
        _run("model.train", folder, config)
        if self._refine:
            _run("model.assist.herd", folder, config)
        told = training.finalise(store, job, folder)
        if not self._gate:
            store.promote(told["version"])
        store.update_job(job.id, state="done")
        shutil.rmtree(folder)
        return self.instant(store)

    def instant(self, store: Store) -> Predicts | None:
        """The promoted version, before the first one the app's instant model."""
        return self._promoted(store) or self._learning_of(store).model()

    def look_first(self, store: Store) -> None:
        """All first looks of the app."""
        learning = self._learning_of(store)
        while learning.look_first(store.image_states()):
            pass

    def propose(self, store: Store, record: ImageRecord) -> None:
        """As the app's job, or its instant model, does."""
        version = self._promoted(store)
        if version is None:
            self._learning_of(store).propose(record)
        else:
            proposals.propose(store, version, version.version, record)

    def _promoted(self, store: Store) -> Predictor | None:
        from model.predictor import Predictor

        promoted = store.promoted()
        if promoted is None:
            return None
        folder = training.version_folder(store, promoted.id)
        if self._loaded is None or self._loaded[0] != folder:
            self._loaded = folder, Predictor.load(folder, threads=self._settings.get("threads"))
        return self._loaded[1]

    def _learning_of(self, store: Store) -> InstantLearning:
        if self._learning is None or self._learning.store is not store:
            threads = self._settings.get("threads")
            self._learning = InstantLearning(store, threads, sharp=self._refine)
        return self._learning

    def refiner(self, store: Store) -> Answer:
        """See `app.click_engines.weights_in_use`."""
        source = weights_in_use(store)
        if self._refiner is None or self._refiner[0] != source:
            self._refiner = source, Served(served_file(store, source), 1)
        return self._refiner[1]


def _run(program: str, folder: Path, config: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    line = [sys.executable, "-m", program, str(folder)]
    done = subprocess.run(line, cwd=jobs.ROOT, check=False, stdout=subprocess.DEVNULL)
    if done.returncode == 0:
        return
    told = folder / "error.json"
    why = json.loads(told.read_text())["error"] if told.is_file() else f"code {done.returncode}"
    raise DataError("training", f"it failed: {why}", "correct that and start the command again")
