"""Proposals for the pool: computed in the background, front of the queue first, resumable."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app import jobs, settings
from app.queue import ranked
from app.run import Run, exclusive
from app.workflow.training import usable_version, version_folder
from data_io.artifacts import Artifacts
from data_io.errors import DataError, refused_rows
from data_io.geometry import (
    Rle,
    area_of_rle,
    box_of_rle,
    mask_of_rle,
    parts_of_rle,
    rle_difference,
    rle_of_parts,
)
from data_io.images import read
from data_io.store import Store
from data_io.types import ImageRecord, Job, Parts, Proposal, ReviewRegion

if TYPE_CHECKING:
    from model.predictor import Prediction, Predictor

LOCK = ".proposing"
STRIDE = 4  # of uncertainty maps
_LEFT = 0.1  # share of a region that must be unverified for it to be asked about


def start_proposals(
    store: Store, version: str | None = None, images: Sequence[str] | None = None
) -> Job:
    """Start computing proposals; a run that is on its way is replaced by this one.

    Args:
        store: the project.
        version: the model version; None = the promoted one, else the newest complete one.
        images: ids of images; None = all.

    Raises:
        DataError: no version, or an unknown image.
    """
    version_id = usable_version(store, version).id
    chosen = None if images is None else [store.image(image).id for image in images]
    active = jobs.running(store, "propose")
    if active is not None:  # what it has written stays and is not computed again
        jobs.cancel_job(store, active.id)
    return jobs.start_job(store, "propose", {"version": version_id, "images": chosen})


def ensure(store: Store) -> Job | None:
    """Start proposals of the promoted version for the images that lack them.

    Returns:
        The running or new job; None when there is nothing to do.
    """
    promoted = store.promoted()
    if promoted is None:
        return None
    active = jobs.running(store, "propose")
    if active is not None and active.config.get("version") == promoted.id:
        return active
    if not _missing(store, promoted.id, store.images()):
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
    version, wanted = str(run.job.config["version"]), run.job.config.get("images")
    records = [one for one in run.store.images() if wanted is None or one.id in set(wanted)]
    todo = _missing(run.store, version, _front_first(run.store, records))
    refused: list[DataError] = []
    if todo:
        predictor = _load(run.store, version)
    loaded = time.monotonic()
    for done, record in enumerate(todo):
        run.check()
        run.progress = _progress(done, len(todo), loaded)
        try:
            propose(run.store, predictor, version, record)
        except DataError as error:  # an image that is gone must not keep the others waiting
            logging.warning("%s", error)
            refused.append(error)
    run.progress = _progress(len(todo), len(todo), loaded)
    return _summary(run.store, version, records, refused, began)


def propose(store: Store, predictor: Predictor, version: str, record: ImageRecord) -> None:
    """Compute and store one image's proposal, its regions and its uncertainty map.

    Raises:
        DataError: the image cannot be read any more, or changed its size.
    """
    pixels = read(record.path)
    if pixels.shape[:2] != (record.height, record.width):
        raise DataError(record.path, "the image has another size now", "import it again")
    prediction = predictor.predict(pixels)
    revision = store.revision(record.id)
    verified = rle_of_parts(revision.verified if revision else (), record.height, record.width)
    unsure, share = _without(prediction.uncertainty, verified)
    path = Artifacts(store.project).write_uncertainty(record.id, version, unsure)
    store.put_proposal(
        Proposal(
            image=record.id,
            version=version,
            instances=tuple(
                replace(one, id=_id(version, record.id, "instance", number), version=version)
                for number, one in enumerate(prediction.instances)
            ),
            uncertainty=path,
            score=float(np.clip(prediction.score * share, 0.0, 1.0)),
        ),
        _open_regions(prediction, version, record, verified),
    )


def _open_regions(
    prediction: Prediction, version: str, record: ImageRecord, verified: Rle
) -> list[ReviewRegion]:
    """The prediction's regions with the verified area taken out."""
    regions = []
    for number, region in enumerate(prediction.regions):
        raster = rle_of_parts(region.parts, record.height, record.width)
        left = rle_difference(raster, verified)
        if area_of_rle(left) <= _LEFT * area_of_rle(raster):
            continue
        untouched = area_of_rle(left) == area_of_rle(raster)
        parts: Parts = region.parts if untouched else parts_of_rle(left)
        regions.append(
            replace(
                region,
                id=_id(version, record.id, "region", number),
                image=record.id,
                version=version,
                parts=parts,
                box=region.box if untouched else box_of_rle(left),
                state="open",
            )
        )
    return regions


def _without(unsure: NDArray[np.uint8], verified: Rle) -> tuple[NDArray[np.uint8], float]:
    """The map with zeros where a person vouches, and the share of its total that is left."""
    if area_of_rle(verified) == 0:
        return unsure, 1.0
    known = mask_of_rle(verified)[::STRIDE, ::STRIDE]
    left = np.where(known, np.uint8(0), unsure)
    total = float(unsure.sum(dtype=np.int64))
    return left, float(left.sum(dtype=np.int64)) / total if total else 0.0


def _id(version: str, image: str, what: str, number: int) -> str:
    """The same id for the same thing, should a proposal be computed a second time."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{version}/{image}/{what}/{number}").hex


def _missing(store: Store, version: str, records: Sequence[ImageRecord]) -> list[ImageRecord]:
    states = store.image_states()
    return [one for one in records if states[one.id].proposal_version != version]


def _front_first(store: Store, records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """In the queue's order; verified images, which are not in the queue, come last."""
    place = {item.image: number for number, item in enumerate(ranked(store))}
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
