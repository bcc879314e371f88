"""From a snapshot to a model version: start, finalise, promote, roll back."""

from __future__ import annotations

import logging
import os
import re
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app import gate, jobs, meter, processes, retention, scores, settings, validation_set
from app.gate import Verdict
from app.meter import Prequential
from app.run import Run, exclusive
from app.scores import Entrant
from app.workflow import labels, trainer, warm_start
from data_io.errors import DataError
from data_io.snapshot import SET_ASIDE, write_snapshot
from data_io.store import Store
from data_io.types import Job, ModelVersion
from model.config import train_config

if TYPE_CHECKING:  # torch takes seconds to load, and most of the program does without
    from app.workflow.instant import InstantModel

LOCK = ".training"
_FILES = ("weights.safetensors", "version.json")


@dataclass(frozen=True)
class TrainOptions:
    """What a person may choose for one training; None = the project's settings.

    `steps` replaces the time budget of `minutes`. `reason` is why it starts by itself.
    """

    method: str | None = None
    preset: str | None = None
    minutes: float | None = None
    steps: int | None = None
    seed: int = 0
    device: str | None = None
    threads: int | None = None
    reason: str = ""


def start_training(store: Store, options: TrainOptions | None = None) -> Job:
    """Freeze the labels into a snapshot and start training on it in the background.

    Raises:
        DataError: nothing verified yet, an option that does not fit, or a training that runs.
    """
    overrides = _overrides(store, options or TrainOptions())
    train_config(overrides)  # refused here, before anything is written
    if not store.categories() or not pool(store)[0]:
        raise DataError(
            store.project.name,
            "no image has a verified area to learn from",
            "label an image and accept it, or import labels",
        )
    jobs.refuse_second_trainer(store)
    validation_set.grow(store)  # before the snapshot, whose images may teach
    promoted, told = store.promoted(), labels.count(store)  # before the snapshot, to miss none
    snapshot = write_snapshot(store, store.project / "snapshots")
    config = {
        "snapshot": str(snapshot.folder),
        "version": _new_version_id(store),
        # A warm start begins with its weights; from scratch it is for the record only.
        "parent": str(version_folder(store, promoted.id)) if promoted else None,
        "train": overrides,
        "labels": told.as_dict(),
        "reason": (options or TrainOptions()).reason,
    }
    return jobs.start_job(store, "train", config)


def is_held_up(store: Store) -> bool:
    """Whether the trainer of a job that has ended still runs; the next one waits for it."""
    lock = processes.try_lock(store.project / "jobs" / LOCK)
    if lock is None:
        return True
    lock.close()
    return False


def pool(store: Store) -> tuple[int, int]:
    """How many images a training takes: (with a verified area, without); test images never."""
    usable = [
        one.verified
        for one in store.image_states().values()
        if not one.excluded and one.split not in SET_ASIDE
    ]
    bare = usable.count("none")
    return len(usable) - bare, bare


def run_training(run: Run) -> dict[str, Any]:
    """The train job: the trainer as a subprocess, then its version registered and judged."""
    with exclusive(run, LOCK) as lock:
        if not _is_trained(run):
            trainer.train(run, lock)
        trainer.quicken(run, lock)
        if settings.load(run.store.project).refine:
            trainer.refine(run, lock)
        trainer.keep_refiner(run)
        run.say("judging the version")
        known = meter.prequential(run.store)
        result = finalise(run.store, run.job, run.folder, known, run.check)
    retention.tidy(run.store)
    return result


def finalise(
    store: Store,
    job: Job,
    folder: Path,
    prequential: Sequence[Prequential] = (),
    check: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Register what the trainer left in `folder`, promoted unless the gate finds it worse.

    May be repeated after a crash at any point: a version that is registered was judged and stays
    so, whatever a person has promoted since.

    Args:
        prequential: pre-labels that became verified images, oldest first.
        check: called while the version is judged; raises to end early.

    Raises:
        DataError: the trainer left no complete version.
    """
    result = trainer.read_json(folder / "result.json")
    version_id = str(job.config["version"])
    target = version_folder(store, version_id)
    if not target.exists():
        os.replace(folder / "version", target)
    missing = missing_files(target)
    if missing:
        raise DataError(target.name, f"the version lacks {missing[0]}", "train again")
    version = _registered(store, version_id)
    if version is None:
        version = _judged(store, job, result, target, prequential, check)
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    return {
        "version": version_id,
        "promoted": version.metrics["gate"]["promoted"],
        "why": version.metrics["gate"]["why"],
        "steps": result.get("steps"),
        "kept": result.get("kept"),
        "metrics": scores.finite(result.get("metrics") or {}),
        "message": result.get("message") or "",
        "refiner": _refined(target),
    }


def _refined(folder: Path) -> Mapping[str, Any] | None:
    """What `model.assist.herd` measured for a version, None where it has not."""
    told = folder / "refiner.json"
    return scores.finite(trainer.read_json(told)) if told.is_file() else None


def promote(store: Store, version_id: str) -> Job | None:
    """Promote a version, or roll back to an older one, and recompute the proposals.

    Returns:
        The propose job, None when every proposal is this version's already.

    Raises:
        DataError: no such version, or its files are gone.
    """
    with jobs.starting(store):  # or its files could be tidied away after the look at them
        _require_files(store, store.version(version_id))
        store.promote(version_id)
    from app.workflow import proposals

    return proposals.ensure(store)


def version_folder(store: Store, version_id: str) -> Path:
    """Where the files of a version lie."""
    return store.project / "versions" / version_id


def missing_files(folder: Path) -> list[str]:
    """Names of the files a complete version needs and this folder lacks."""
    return [name for name in _FILES if not folder.joinpath(name).is_file()]


def usable_version(store: Store, version_id: str | None = None) -> ModelVersion:
    """The version asked for, else the promoted one, else the newest complete one.

    Raises:
        DataError: there is none, or its files are gone.
    """
    if version_id is not None:
        version = store.version(version_id)
        _require_files(store, version)
        return version
    promoted = store.promoted()
    for version in ([promoted] if promoted else []) + store.versions():
        if not missing_files(version_folder(store, version.id)):
            return version
    raise DataError(store.project.name, "has no trained version yet", "run train first")


def _require_files(store: Store, version: ModelVersion) -> None:
    folder = version_folder(store, version.id)
    if not folder.is_dir():
        why = f"its files are gone (only the newest {retention.KEPT_VERSIONS} versions keep them)"
        raise DataError(version.id, why, "choose a newer version or train again")
    missing = missing_files(folder)
    if missing:
        raise DataError(version.id, f"its {missing[0]} is gone", "choose another version")


def _overrides(store: Store, options: TrainOptions) -> dict[str, Any]:
    defaults = settings.load(store.project)
    values: dict[str, Any] = {
        "preset": options.preset or defaults.preset,
        "method": options.method or defaults.method,
        "seed": options.seed,
        "device": options.device or defaults.device,
        "threads": options.threads or defaults.training_threads,
        "start": warm_start.start_of(store, options.method or defaults.method),
        "gpu_share": defaults.gpu_share,
    }
    if values["device"] not in settings.DEVICES:
        remedy = f"use {', '.join(settings.DEVICES)}"
        raise DataError("training settings", f"no device {values['device']!r}", remedy)
    if options.steps is not None and options.steps < 1:
        raise DataError("training settings", "there is nothing to do", "give 1 or more steps")
    steps = options.steps or (defaults.steps if options.minutes is None else 0)
    if steps:
        return {**values, "steps": steps}
    return {**values, "minutes": options.minutes or defaults.minutes}


def _new_version_id(store: Store) -> str:
    numbers = [re.match(r"v([0-9]+)-", str(job.config.get("version"))) for job in store.jobs()]
    last = max((int(match.group(1)) for match in numbers if match), default=0)
    return f"v{last + 1}-{uuid.uuid4().hex[:6]}"


def _is_trained(run: Run) -> bool:
    """True when an earlier attempt got as far as a version, and only the rest is to be done."""
    target = version_folder(run.store, str(run.job.config["version"]))
    done = run.folder.joinpath("version").is_dir() or target.is_dir()
    return done and run.folder.joinpath("result.json").is_file()


def _registered(store: Store, version_id: str) -> ModelVersion | None:
    return next((one for one in store.versions() if one.id == version_id), None)


def _judged(
    store: Store,
    job: Job,
    result: Mapping[str, Any],
    folder: Path,
    prequential: Sequence[Prequential],
    check: Callable[[], None],
) -> ModelVersion:
    """Register the version as what the gate makes of it, in one step: promoted, or kept aside."""
    new = Entrant(folder.name, folder, Path(str(job.config["snapshot"])))
    while True:
        promoted = store.promoted()
        ahead = _entrant(store, promoted) if promoted else None
        rival = partial(_instant, store)
        verdict = gate.judge(store, new, ahead, result, prequential, check, rival)
        with jobs.starting(store):  # nobody promotes another version meanwhile
            now = store.promoted()
            if (now and now.id) == (ahead and ahead.id):
                return store.add_version(_record(store, job, result, folder, verdict))


def _instant(store: Store) -> InstantModel | None:
    """What proposes while no version is promoted; None where nothing does."""
    from app.workflow.instant import InstantLearning  # late: it loads torch

    chosen = settings.load(store.project)
    if not chosen.instant:
        return None
    try:
        return InstantLearning(store, chosen.threads).model()
    except DataError as error:
        logging.warning("no instant model to compare with: %s", error)
        return None


def _entrant(store: Store, version: ModelVersion) -> Entrant:
    snapshot = store.project / "snapshots" / version.snapshot
    return Entrant(version.id, version_folder(store, version.id), snapshot)


def _record(
    store: Store, job: Job, result: Mapping[str, Any], folder: Path, verdict: Verdict
) -> ModelVersion:
    told = trainer.read_json(folder / "version.json")
    parent = job.config.get("parent")
    categories = told.get("categories") or [category.id for category in store.categories()]
    metrics = scores.finite(result.get("metrics") or {})
    return ModelVersion(
        id=str(job.config["version"]),
        parent=Path(parent).name if parent else None,
        job=job.id,
        weights_sha256=str(result.get("weights_sha256", "")),
        config=dict(result.get("config") or job.config["train"]),
        categories=tuple(
            str(one["id"]) if isinstance(one, dict) else str(one) for one in categories
        ),
        snapshot=str(told.get("snapshot") or Path(str(job.config["snapshot"])).name),
        metrics={
            **metrics,
            "val_iou": _validation_iou(verdict),
            "kept": result.get("kept"),
            "degenerate": bool(result.get("degenerate")),
            "gate": verdict.as_dict(),
        },
        state="promoted" if verdict.promoted else "aside",
        created=datetime.now(timezone.utc),
    )


def _validation_iou(verdict: Verdict) -> float | None:
    """Mean IoU of the version's proposals on validation images, None without any."""
    found = [one["iou"] for one in verdict.evidence.get("images", {}).values()]
    return sum(found) / len(found) if found else None
