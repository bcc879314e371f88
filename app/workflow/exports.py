"""Labels or proposals out of a project, exact and whole or not at all.

An image says something in an export when a person said it: images without a revision are left
out, and so are images whose newest revision is empty unless a person verified them whole, since a
COCO image without annotations reads as "no animal here". Excluded images are left out.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from app.run import Run
from data_io.errors import DataError
from data_io.formats.coco import ExportImage, ExportReport, write_coco
from data_io.store import Store
from data_io.types import ImageRecord, Instance

Origin = Literal["revisions", "proposals"]


def export_coco(
    store: Store, target: Path, origin: Origin = "revisions", only_verified: bool = False
) -> ExportReport:
    """Write a COCO file of the newest revisions, or of the current proposals.

    Args:
        store: the project.
        target: the file; replaced only once the new one has been read back and compared.
        origin: ``revisions``, or ``proposals`` for every image that has one.
        only_verified: keep only images that are verified whole.

    Raises:
        DataError: nothing to export, or the target cannot be written.
    """
    target = Path(target).expanduser().absolute()
    if target.is_dir():
        raise DataError(target, "is a folder", "name a .json file inside it")
    chosen = _chosen(store, origin, only_verified)
    if not chosen:
        raise DataError(store.project.name, *_nothing(origin, only_verified))
    target.parent.mkdir(parents=True, exist_ok=True)
    numbers = store.annotation_ids(one.id for _, instances in chosen for one in instances)
    images = [
        ExportImage(record, [(numbers[one.id], one) for one in instances])
        for record, instances in chosen
    ]
    return write_coco(target, images, store.categories(), _root(record for record, _ in chosen))


def run_export(run: Run) -> dict[str, Any]:
    """The export job: its config holds `target`, `origin` and `only_verified`."""
    options = dict(run.job.config)
    return answer(export_coco(run.store, Path(options.pop("target")), **options))


def answer(report: ExportReport) -> dict[str, Any]:
    """The answer of the export command."""
    return {"images": report.images, "instances": report.instances, "sha256": report.sha256}


def _chosen(
    store: Store, origin: Origin, only_verified: bool
) -> list[tuple[ImageRecord, Sequence[Instance]]]:
    states = store.image_states()
    records = [
        record
        for record in store.images()
        if not only_verified or states[record.id].verified == "whole"
    ]
    if origin == "proposals":
        proposals = store.proposals()
        return [(one, proposals[one.id].instances) for one in records if one.id in proposals]
    revisions = store.latest_revisions()
    return [
        (one, revisions[one.id].instances)
        for one in records
        if one.id in revisions
        and (revisions[one.id].instances or states[one.id].verified == "whole")
    ]


def _nothing(origin: Origin, only_verified: bool) -> tuple[str, str]:
    if origin == "proposals":
        return "has no proposals to export", "train a version first, then run propose"
    if only_verified:
        return "has no image that is verified whole", "accept some images first"
    return "has no labels to export", "label or import some first"


def _root(records: Any) -> Path | None:
    """The folder that file names in the export are relative to: the deepest they share."""
    folders = {str(Path(record.path).parent) for record in records}
    try:
        return Path(os.path.commonpath(sorted(folders)))
    except ValueError:  # different drives
        return None
