"""A training job on procedural scenes whose steps can be timed: what two benchmarks share.

The engine is the one that users run (`model.train.Training`): its loader, losses, optimizer. Only
the loop around the steps, which writes logs and checkpoints, is left out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data_io.atomic import file_sha256
from data_io.geometry import full_image, parts_of_mask
from data_io.scenes import CAMERAS, scene
from data_io.snapshot import write_snapshot
from data_io.store import NewImage, Store
from data_io.types import Instance
from model import schedule
from model.loader import Batch
from model.train import Training
from model.training_state import StopRequest

LABELED, UNLABELED = 6, 18  # scenes
LONG = 1000  # steps a phase, more than anybody times


def write_scenes(folder: Path, seed: int) -> Path:
    """A snapshot of scenes of 640 x 480, cameras in turn, the first `LABELED` ones verified."""
    cameras = list(CAMERAS)
    with Store.open(folder / "project") as store:
        cow = store.add_category("cow")
        for k in range(LABELED + UNLABELED):
            drawn = scene(seed + k, cameras[k % len(cameras)])
            height, width = drawn.image.shape[:2]
            path = folder / f"{k}.png"
            cv2.imwrite(str(path), drawn.image[..., ::-1])
            picture = NewImage(str(path), width, height, file_sha256(path), "barn")
            (record,) = store.add_images([picture])
            if k < LABELED:
                animals = [
                    Instance(id=f"{k}-{n}", category=cow.id, parts=parts_of_mask(np.asarray(mask)))
                    for n, mask in enumerate(drawn.masks)
                ]
                store.save_revision(record.id, 0, animals, full_image(height, width), "scene")
        return write_snapshot(store, folder / "project" / "snapshots").folder


def prepare(folder: Path, snapshot: Path, method: str, **settings: Any) -> Training:
    """A job of the CPU preset at the start of its last phase."""
    job = folder / f"{method}-{len(list(folder.iterdir()))}"
    job.mkdir()
    train = {"method": method, "steps": 2 * LONG, "first_share": 0.5, **settings}
    spec = {"snapshot": str(snapshot), "version": "v1", "parent": None, "train": train}
    (job / "config.json").write_text(json.dumps(spec), encoding="utf-8")
    training = Training(job, StopRequest())
    if training.names[-1] == schedule.SEMI:
        training.learner.teacher.load_state_dict(training.learner.student.state_dict())
        training.progress.phase = 1
    return training


def timed_steps(training: Training, batches: Iterator[Batch], count: int) -> list[float]:
    """Seconds of each of `count` steps, the wait for its batch included."""
    seconds = []
    for _ in range(count):
        began = time.perf_counter()
        training._step(*next(batches))
        training.progress.step += 1
        seconds.append(time.perf_counter() - began)
    return seconds
