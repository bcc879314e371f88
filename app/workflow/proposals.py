"""Proposals for the pool: computed in the background, front of the queue first, resumable."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app import jobs, settings
from app.queue import Queue
from app.run import Run, exclusive
from app.workflow.training import usable_version, version_folder
from data_io.artifacts import Artifacts
from data_io.errors import DataError, refused_rows
from data_io.images import read
from data_io.store import Store
from data_io.types import ImageRecord, Job, Proposal
from model import uncertainty
from model.audit import AuditConfig, audits
from model.regions import regions

if TYPE_CHECKING:
    from model.prediction import Prediction
    from model.predictor import Predictor

LOCK = ".proposing"


def start_proposals(
    store: Store, version: str | None = None, images: Sequence[str] | None = None
) -> Job:
    """Start computing proposals; the new run waits until those before it have ended.

    A run for all images is asked to stop: what it has written stays, and whatever starts next does
    the rest. One for some images may finish, since somebody waits for them.

    Args:
        store: the project.
        version: the model version; None = the promoted one, else the newest complete one.
        images: ids of images; None = all.

    Raises:
        DataError: no version, or an unknown image.
    """
    version_id = usable_version(store, version).id
    chosen = None if images is None else [store.image(image).id for image in images]
    for active in jobs.running(store, "propose"):
        if active.config.get("images") is None:
            with contextlib.suppress(DataError):  # it has ended meanwhile
                jobs.cancel_job(store, active.id, wait=False)
    return jobs.start_job(store, "propose", {"version": version_id, "images": chosen})


def ensure(store: Store, but: Collection[str] = ()) -> Job | None:
    """Start proposals of the promoted version for the images that lack them.

    Args:
        store: the project.
        but: paths of images whose lack is no reason to start, since they were refused just now.

    Returns:
        The running or new job; None when there is nothing to do.
    """
    promoted = store.promoted()
    if promoted is None:
        return None
    for active in jobs.running(store, "propose"):
        # Only a run for all looks for new images until the end, and only if nobody stops it.
        config = active.config
        covers = config.get("version") == promoted.id and config.get("images") is None
        if covers and not jobs.is_stopping(store, active):
            return active
    if all(one.path in but for one in _missing(store, promoted.id, store.images())):
        return None
    return start_proposals(store, promoted.id)


def run_proposals(run: Run) -> dict[str, Any]:
    """The propose job: `version`, and `images` (ids, or None for all), in its config.

    Images that have this version's proposal are skipped, so the job goes on where it stopped.
    Images verified whole get instances but no review regions.
    """
    with exclusive(run, LOCK):
        return _propose_missing(run)


def _propose_missing(run: Run) -> dict[str, Any]:
    began = time.monotonic()
    version, images = str(run.job.config["version"]), run.job.config.get("images")
    wanted = None if images is None else frozenset(images)
    refused: dict[str, DataError] = {}
    predictor: Predictor | None = None
    loaded, done = began, 0
    while todo := _todo(run.store, version, wanted, refused):  # images come while it runs
        if predictor is None:
            predictor = _load(run.store, version)
            loaded = time.monotonic()
        total = done + len(todo)
        for record in todo:
            run.check()
            run.progress = _progress(done, total, loaded)
            try:
                propose(run.store, predictor, version, record)
            except DataError as error:  # an image that is gone must not keep the others waiting
                logging.warning("%s", error)
                refused[record.id] = DataError(record.path, error.why, error.remedy)
            done += 1
    run.progress = _progress(done, done, loaded)
    records = [one for one in run.store.images() if wanted is None or one.id in wanted]
    return _summary(run.store, version, records, list(refused.values()), began)


def _todo(
    store: Store, version: str, wanted: Collection[str] | None, refused: Collection[str]
) -> list[ImageRecord]:
    """What is still to be done, front of the queue first; `refused` are ids to leave out."""
    records = [
        one
        for one in store.images()
        if (wanted is None or one.id in wanted) and one.id not in refused
    ]
    missing = _missing(store, version, records)
    return _front_first(store, missing) if missing else []


def propose(store: Store, predictor: Predictor, version: str, record: ImageRecord) -> None:
    """Compute and store one image's proposal, its regions, random checks and uncertainty map.

    Raises:
        DataError: the image cannot be read any more, or changed its size.
    """
    put_prediction(store, version, record, predictor.predict(readable(record)))


def readable(record: ImageRecord) -> NDArray[np.uint8]:
    """An image's pixels (H, W, 3), RGB.

    Raises:
        DataError: it cannot be read any more, or changed its size.
    """
    pixels = read(record.path)
    if pixels.shape[:2] != (record.height, record.width):
        raise DataError(record.path, "the image has another size now", "import it again")
    return pixels


def put_prediction(store: Store, version: str, record: ImageRecord, made: Prediction) -> None:
    """Store what a model says about an image as its proposal, with regions and uncertainty map."""
    classes, size = len(made.probability), (record.height, record.width)
    revision = store.revision(record.id)
    verified = revision.verified if revision else ()
    unsure = uncertainty.without_verified(made.uncertainty, verified, *size)
    found = regions(
        unsure,
        made.instances,
        *size,
        classes=classes,
        version=version,
        image=record.id,
        verified=verified,
        doubts=made.doubts,
    )
    checks = audits(
        unsure,
        made.instances,
        *size,
        classes=classes,
        version=version,
        image=record.id,
        pixels=record.sha256,
        regions=found,
        verified=verified,
        config=AuditConfig(share=settings.load(store.project).audit),
    )
    store.put_proposal(
        Proposal(
            image=record.id,
            version=version,
            instances=tuple(
                replace(one, id=_id(version, record.id, number), version=version)
                for number, one in enumerate(made.instances)
            ),
            uncertainty=Artifacts(store.project).write_uncertainty(record.id, version, unsure),
            score=uncertainty.image_score(unsure, classes),
        ),
        (*found, *checks),
    )


def _id(version: str, image: str, number: int) -> str:
    """The same id for the same animal, should a proposal be computed a second time."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{version}/{image}/instance/{number}").hex


def _missing(store: Store, version: str, records: Sequence[ImageRecord]) -> list[ImageRecord]:
    states = store.image_states()
    return [one for one in records if states[one.id].proposal_version != version]


def _front_first(store: Store, records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """In the queue's order; verified images, which are not in the queue, come last."""
    place = {item.image: number for number, item in enumerate(Queue(store).ranked())}
    return sorted(records, key=lambda one: place.get(one.id, len(place)))


def _load(store: Store, version: str) -> Predictor:
    from model.predictor import Predictor

    chosen = settings.load(store.project)
    folder = version_folder(store, version)
    return Predictor.load(folder, device=chosen.device, threads=chosen.threads)


def _progress(done: int, total: int, began: float) -> dict[str, Any]:
    spent = time.monotonic() - began
    eta = spent / done * (total - done) if done else None
    return {
        "step": done,
        "steps": total,
        "eta": eta,
        "message": f"{done} of {total} images have a proposal",
    }


def _summary(
    store: Store,
    version: str,
    records: Sequence[ImageRecord],
    refused: Sequence[DataError],
    began: float,
) -> dict[str, Any]:
    proposals = store.proposals()
    found = [
        proposals[one.id]
        for one in records
        if one.id in proposals and proposals[one.id].version == version
    ]
    Artifacts(store.project).drop_stale({one.uncertainty for one in proposals.values()})
    return {
        "version": version,
        "images": len(found),
        "instances": sum(len(one.instances) for one in found),
        "seconds": round(time.monotonic() - began, 2),
        "refused": refused_rows(refused),
    }
