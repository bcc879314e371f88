"""The demo project: synthetic barn scenes, three labeled, five for validation, the rest not."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from app import jobs
from app.workflow import training
from data_io.geometry import full_image, parts_of_mask
from data_io.images import inspect
from data_io.scenes import Scene, write_demo
from data_io.simplify import simplify
from data_io.store import NewImage, Store
from data_io.types import ImageRecord, Instance, Job

LABELED, JUDGES, UNLABELED, SEED = 3, 5, 35, 1
CATEGORY = "cow"
AUTHOR = "demo"
FIRST_MINUTES = 2.0
_MARK = "demo.json"
_BUDGET = 0.98  # IoU that the editable outlines keep against the scene's exact masks


def is_demo(project: Path) -> bool:
    """True when the folder holds the complete demo project."""
    return project.joinpath(_MARK).is_file()


def create(store: Store, progress: Callable[[int, int], None] | None = None) -> None:
    """Fill the project with the demo; does nothing when it is complete.

    Scenes are the same bytes every time, so an interrupted creation is simply done again.

    Raises:
        DataError: a scene cannot be written.
    """
    if is_demo(store.project):
        return
    folder = store.project / "images" / "demo"
    scenes = dict(write_demo(folder, LABELED + JUDGES + UNLABELED, SEED, progress))
    groups = {name: name.rpartition("/")[0] for name in scenes}
    infos = {name: inspect(folder / name) for name in scenes}
    store.add_images(
        [
            NewImage(info.path, info.width, info.height, info.sha256, groups[name])
            for name, info in infos.items()
        ]
    )
    category = store.add_category(CATEGORY).id
    learned, judges = _chosen(groups)
    for name in (*learned, *judges):
        record = store.image_by_path(folder / name)
        if record is not None and store.revision(record.id) is None:
            _label(store, record, scenes[name], category)
    records = (store.image_by_path(folder / name) for name in judges)
    store.set_splits({one.id: "val" for one in records if one is not None})
    jobs.write_json(store.project / _MARK, {"seed": SEED, "scenes": len(scenes)})


def _chosen(groups: dict[str, str]) -> tuple[list[str], list[str]]:
    """The scenes to learn from, and those that judge; `groups` maps a scene to its camera.

    One scene a camera: three frames of one clip would show the same animals three times. What
    judges comes from the cameras' last clips, what is learned from their first.
    """
    first = {group: name for name, group in reversed(groups.items())}
    last = {group: name for name, group in groups.items()}
    learned = list(dict.fromkeys([*reversed(first.values()), *groups]))[:LABELED]
    others = (name for name in dict.fromkeys([*last.values(), *groups]) if name not in learned)
    return learned, list(islice(others, JUDGES))


def start_first_training(store: Store) -> Job | None:
    """Start the demo's first training, visibly, unless something was trained or started before."""
    if not is_demo(store.project) or store.versions() or store.jobs("train"):
        return None
    if not any(state.verified != "none" for state in store.image_states().values()):
        return None
    return training.start_training(store, training.TrainOptions(minutes=FIRST_MINUTES))


def _label(store: Store, record: ImageRecord, scene: Scene, category: str) -> None:
    size = record.height, record.width
    instances = [
        Instance(uuid.uuid4().hex, category, simplify(parts_of_mask(mask), *size, _BUDGET))
        for mask in scene.masks
    ]
    store.save_revision(record.id, 0, instances, full_image(*size), AUTHOR)
