"""Labels or proposals out of a project, exact and whole or not at all.

An image says something in an export when a person said it: images without a revision are left
out, and so are images whose newest revision is empty unless a person verified them whole, since an
image without annotations reads as "no animal here". Excluded images are left out.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from data_io import geometry as geo
from data_io.atomic import PARTIAL
from data_io.borders import compact_together
from data_io.errors import DataError
from data_io.formats.export import (
    ExportReport,
    check_target,
    common_folder,
    file_names,
    write_labels,
)
from data_io.formats.labels import Export, ExportImage
from data_io.formats.registry import FORMATS
from data_io.formats.verify import Check, check_coco
from data_io.shapes import flatten
from data_io.store import Store
from data_io.types import ImageRecord, Instance, Parts, Revision

Origin = Literal["revisions", "proposals"]
Geometry = Literal["exact", "compact", "rle"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Options:
    """What to export, and how.

    Attributes:
        format: a name of `data_io.formats.registry.FORMATS`.
        origin: ``revisions``, or ``proposals`` for every image that has one.
        only_verified: keep only images that are verified whole.
        geometry: ``exact`` keeps every raster; ``compact`` has the fewest vertices within IoU .99,
            touching animals share their border; ``rle`` writes run lengths (COCO alone).
        no_overlap: where several instances have a pixel, the one on top keeps it.
        verify: let pycocotools evaluate the file against itself (COCO alone).
        images: ids of the images to export; None = all.
    """

    format: str = "coco"
    origin: Origin = "revisions"
    only_verified: bool = False
    geometry: Geometry = "exact"
    no_overlap: bool = False
    verify: bool = False
    images: Collection[str] | None = None


@dataclass(frozen=True)
class Exported:
    """What was written, and pycocotools' verdict where it was asked for."""

    report: ExportReport
    check: Check | None

    def as_dict(self) -> dict[str, Any]:
        """The answer of the export command."""
        check = {} if self.check is None else {"verify": self.check.as_dict()}
        return {**self.report.as_dict(), **check}


def export_labels(
    store: Store,
    target: str | Path,
    options: Options = Options(),
    progress: Progress | None = None,
) -> Exported:
    """Write labels or proposals; an older export stays until the new one was read and compared.

    Raises:
        DataError: nothing to export, options that do not go together, or the target cannot be
            written.
    """
    _check(options)
    path = Path(target).expanduser().absolute()
    check_target(path, FORMATS[options.format])
    chosen = _chosen(store, options)
    if not chosen:
        raise DataError(store.project.name, *_nothing(options))
    root = common_folder([Path(one.path) for one in store.images()])  # of all: names never change
    names = file_names(path, [record for record, _, _ in chosen], root)
    numbers = store.annotation_ids(one.id for _, found, _ in chosen for one in found)
    stored: dict[int, geo.Rle] | None = {} if options.geometry == "compact" else None
    images = []
    for done, (record, instances, verified) in enumerate(chosen):
        numbered = [(numbers[one.id], one) for one in instances]
        if options.no_overlap:
            numbered = _without_overlap(record, numbered)
        if stored is not None:
            stored.update(_rasters(record, numbered))
            numbered = _compacted(record, numbered)
        images.append(ExportImage(record, numbered, verified))
        if progress is not None:
            progress(done + 1, len(chosen))
    outlines: Literal["rle", "polygons"] = "rle" if options.geometry == "rle" else "polygons"
    export = Export(images, names, store.categories(), outlines)
    report = write_labels(FORMATS[options.format], path, export, stored)
    hidden = sum(len(instances) for _, instances, _ in chosen) - sum(
        len(image.instances) for image in images
    )
    if hidden:
        told = f"{hidden} instances lie wholly under others and were left out"
        report = replace(report, losses=(*report.losses, told))
    return Exported(report, check_coco(path) if options.verify else None)


def export_download(
    store: Store, folder: Path, name: str, options: Options
) -> tuple[Path, ExportReport]:
    """An export as one file to download: as it is, or the format's folder in a ZIP.

    Returns:
        the file, `name` with the suffix of its kind, and the report.

    Raises:
        DataError: as `export_labels`.
    """
    if not FORMATS[options.format].is_folder:
        target = folder / f"{name}{'.xml' if options.format == 'cvat' else '.json'}"
        return target, export_labels(store, target, options).report
    target = folder / f"{name}.zip"
    with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=_made(folder)) as scratch:
        report = export_labels(store, Path(scratch) / name, options).report
        packed = shutil.make_archive(str(Path(scratch) / "packed"), "zip", scratch, name)
        os.replace(packed, target)
    return target, report


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _check(options: Options) -> None:
    if options.format not in FORMATS:
        remedy = f"use {', '.join(FORMATS)}"
        raise DataError("export", f"there is no format {options.format!r}", remedy, field="format")
    if options.format == "results" and options.origin != "proposals":
        remedy = "export --from proposals, or choose coco"
        raise DataError("export", "COCO results are predictions", remedy, field="from")
    if options.geometry == "rle" and options.format not in ("coco", "results"):
        remedy = "choose exact or compact"
        raise DataError("export", "only COCO knows run lengths", remedy, field="geometry")
    if options.verify and options.format != "coco":
        raise DataError("export", "only COCO files can be evaluated", "drop it", field="verify")


def _rasters(record: ImageRecord, numbered: Sequence[tuple[int, Instance]]) -> dict[int, geo.Rle]:
    size = record.height, record.width
    return {number: geo.rle_of_parts(one.parts, *size) for number, one in numbered}


def _without_overlap(
    record: ImageRecord, numbered: Sequence[tuple[int, Instance]]
) -> list[tuple[int, Instance]]:
    regions = flatten([one.parts for _, one in numbered], record.height, record.width)
    return [
        (number, replace(one, parts=parts))
        for (number, one), parts in zip(numbered, regions, strict=True)
        if parts
    ]


def _compacted(
    record: ImageRecord, numbered: Sequence[tuple[int, Instance]]
) -> list[tuple[int, Instance]]:
    regions = compact_together([one.parts for _, one in numbered], record.height, record.width)
    return [
        (number, replace(one, parts=parts))
        for (number, one), parts in zip(numbered, regions, strict=True)
    ]


Chosen = tuple[ImageRecord, Sequence[Instance], Parts | None]


def _chosen(store: Store, options: Options) -> list[Chosen]:
    """(image, instances, verified area; None = the whole image) of what is exported."""
    states = store.image_states()
    records = [
        record
        for record in store.images()
        if (options.images is None or record.id in options.images)
        and (not options.only_verified or states[record.id].verified == "whole")
    ]
    if options.origin == "proposals":
        proposals = store.proposals()
        return [(one, proposals[one.id].instances, None) for one in records if one.id in proposals]
    revisions = store.latest_revisions()
    return [
        (one, revision.instances, _verified(states[one.id].verified, revision))
        for one in records
        if (revision := revisions.get(one.id))
        and (revision.instances or states[one.id].verified == "whole")
    ]


def _verified(state: str, revision: Revision) -> Parts | None:
    return None if state == "whole" else () if state == "none" else revision.verified


def _nothing(options: Options) -> tuple[str, str]:
    if options.origin == "proposals":
        return "has no proposals to export", "train a version first, then run propose"
    if options.only_verified:
        return "has no image that is verified whole", "accept some images first"
    return "has no labels to export", "label or import some first"
