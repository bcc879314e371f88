"""The same short training with right and with corrupted labels, up to the gate's verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app import jobs
from app.workflow import training
from app.workflow.imports import import_source
from data_io.geometry import full_image, parts_of_mask
from data_io.snapshot import write_snapshot
from data_io.store import Store
from data_io.types import Instance
from model import train

pytestmark = pytest.mark.usefixtures("as_before")  # trainings run inside the test process
WIDTH, HEIGHT, SIDE = 128, 96, 48
TRAIN: dict[str, Any] = {
    "method": "supervised",
    "steps": 30,
    "crop": 64,
    "batch": 4,
    "max_side": 128,
    "decoder_channels": 16,
    "representation_channels": 4,
    "threads": 1,
    "device": "cpu",
    "checkpoint_seconds": 1000.0,
}


@pytest.fixture
def masks() -> list[np.ndarray]:
    """Where the animal of each picture is."""
    rng, found = np.random.default_rng(0), []
    for _ in range(7):
        x, y = int(rng.integers(WIDTH - SIDE)), int(rng.integers(HEIGHT - SIDE))
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[y : y + SIDE, x : x + SIDE] = True
        found.append(mask)
    return found


@pytest.fixture
def herd(tmp_path: Path, masks: list[np.ndarray]) -> Iterator[Store]:
    """Brown squares on green noise, all labeled; the first three judge."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, mask in enumerate(masks):
        pixels = np.random.default_rng(number).integers(60, 120, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        pixels[mask] = (200, 90, 40)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    with Store.open(tmp_path / "project") as store:
        # Steps this few do not surpass the instant model.
        off = {"instant": False, "refine": False}
        store.project.joinpath("settings.json").write_text(json.dumps(off))
        import_source(store, folder)
        store.add_category("cow")
        label(store, masks, 0)
        for record in store.images()[:3]:
            store.set_split(record.id, "val")
        yield store


def label(store: Store, masks: list[np.ndarray], first: int) -> None:
    """Verify the images from `first` on, with these masks."""
    cow = store.categories()[0].id
    for record, mask in list(zip(store.images(), masks, strict=True))[first:]:
        before = store.revision(record.id)
        animals = [Instance(f"a-{record.id}", cow, parts_of_mask(mask))]
        number = before.number if before else 0
        store.save_revision(record.id, number, animals, full_image(HEIGHT, WIDTH), "me")


def trained(store: Store, version: str) -> dict[str, Any]:
    """Train on the labels as they are, to the end of the job."""
    snapshot = write_snapshot(store, store.project / "snapshots")
    config = {"snapshot": str(snapshot.folder), "version": version, "parent": None, "train": TRAIN}
    job = store.create_job("train", config)
    folder = jobs.job_folder(store, job)
    folder.mkdir(parents=True)
    folder.joinpath("config.json").write_text(json.dumps(config))
    assert train.main([str(folder)]) == train.DONE
    return training.finalise(store, job, folder)


@pytest.mark.long
def test_corrupted_labels_never_replace_what_was_learned_from_right_ones(
    herd: Store, masks: list[np.ndarray]
) -> None:
    good = trained(herd, "v1")
    assert good["promoted"], good["why"]
    assert "the first version, validation IoU" in good["why"]
    label(herd, [~mask for mask in masks], 3)
    bad = trained(herd, "v2")
    assert not bad["promoted"]
    assert bad["why"].startswith("kept aside: ")
    assert "IoU" in bad["why"]
    promoted = herd.promoted()
    assert promoted is not None
    assert promoted.id == "v1"
    assert len(promoted.metrics["gate"]["images"]) == 3
