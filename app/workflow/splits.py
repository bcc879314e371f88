"""Divide a project's images into train, val and test, once: in the database and as COCO files."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.workflow.exports import Options, export_labels
from data_io.atomic import disk_sentence, recover_folder, whole_folder, write_atomic
from data_io.errors import DataError, StoreError
from data_io.formats.export import file_names
from data_io.splits import By, Shares, SplitImage, draw, partition
from data_io.store import ImageState, Store
from data_io.types import ImageRecord, Split

FOLDER = "splits"
PARTS: tuple[Split, ...] = ("train", "val", "test")


def split_project(
    store: Store,
    shares: Shares,
    by: By = "group",
    partitions: Sequence[int] = (),
    seed: int = 0,
    again: bool = False,
) -> dict[str, Any]:
    """Draw a split; write it into the project, and its labels to ``splits/`` in its folder.

    The folder is replaced as a whole: a COCO file of the labeled images of each part, and for each
    partition which of train keep their labels. A failure leaves project and folder as they were.

    Args:
        store: the project.
        shares: wanted shares of val and test.
        by: what stays together: whole groups, blocks of time, or nothing.
        partitions: denominators of the partitions to write, e.g. (2, 4, 8, 16).
        seed: the same images and labels with the same seed give the same split.
        again: draw anew although val or test have images.

    Returns:
        The answer of the split command; `animals` holds mean, least, median and most of a part.

    Raises:
        DataError: there are val or test images and `again` is False, or the images cannot be
            divided this way.
        StoreError: the disk or the database cannot be written.
    """
    records = store.images()
    if not records:
        raise DataError(store.project.name, "has no images to split", "import some first")
    if not again:
        _refuse_redraw(store, records)
    states = store.image_states()
    images = [_split_image(record, states[record.id]) for record in records]
    drawn = draw(images, shares, by, seed)
    members = {part: [one for one in images if drawn.splits[one.id] == part] for part in PARTS}
    kept = {number: partition(members["train"], number, seed) for number in partitions}
    # An excluded image that comes back later belongs to no part of this draw.
    everyone = dict.fromkeys((one.id for one in store.images(include_excluded=True)), None)
    folder = store.project / FOLDER
    try:
        recover_folder(folder)
        with whole_folder(folder) as draft:
            files, losses = _write_labels(store, draft, members)
            for number, ids in kept.items():
                content = _partition_rows(records, members["train"], ids)
                files.append(_write_partition(draft, number, seed, content))
            store.set_splits(everyone | drawn.splits)
    except OSError as error:
        raise StoreError(disk_sentence(folder, error)) from error
    return {
        **_counts(members),
        "unused": sum(part == "gap" for part in drawn.splits.values()),
        "by": by,
        "seed": seed,
        "warnings": [*drawn.warnings, *_drafts(states, records), *losses],
        "files": [f"{FOLDER}/{name}" for name in files],
    }


def _counts(members: Mapping[Split, Sequence[SplitImage]]) -> dict[str, Any]:
    """Images of each part, how many of them are labeled, and how many animals those show."""
    return {
        **{part: len(found) for part, found in members.items()},
        "labeled": {part: len(_animals(found)) for part, found in members.items()},
        "animals": {part: _summary(_animals(found)) for part, found in members.items()},
    }


def _refuse_redraw(store: Store, records: Iterable[ImageRecord]) -> None:
    frozen = sum(record.split in ("val", "test") for record in records)
    if frozen:
        raise DataError(
            store.project.name,
            f"{frozen} of its images are val or test already, and figures on other images cannot be"
            " compared with the earlier ones",
            "keep them, or draw anew with --again",
        )


def _split_image(record: ImageRecord, state: ImageState) -> SplitImage:
    """Labeled as trainings and exports see it: somebody vouches for ground that tells something."""
    labeled = state.verified == "whole" or (state.verified == "partial" and state.instances > 0)
    name = Path(record.path).as_posix()
    return SplitImage(record.id, record.group, name, state.instances if labeled else None)


def _write_labels(
    store: Store, folder: Path, members: Mapping[Split, Sequence[SplitImage]]
) -> tuple[list[str], list[str]]:
    """Names of the COCO files written, and what COCO could not hold."""
    files, losses = [], []
    for part, found in members.items():
        labeled = [one.id for one in found if one.animals is not None]
        if labeled:
            name = f"{part}.json"
            report = export_labels(store, folder / name, Options(images=labeled)).report
            files.append(name)
            losses += [f"{name}: {loss}" for loss in report.losses]
    return files, losses


def _partition_rows(
    records: Sequence[ImageRecord], train: Sequence[SplitImage], kept: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """Ids and file names as in the COCO files; every other image of train counts as unlabeled."""
    names = dict(zip(records, file_names(Path(FOLDER), records), strict=True))
    rows = {record.id: {"id": record.coco_id, "file_name": name} for record, name in names.items()}
    keeps = set(kept)
    return {
        "labeled": [rows[one.id] for one in train if one.id in keeps],
        "unlabeled": [rows[one.id] for one in train if one.id not in keeps],
    }


def _write_partition(
    folder: Path, denominator: int, seed: int, rows: Mapping[str, list[dict[str, Any]]]
) -> str:
    name = f"partition-1-{denominator}.json"
    content = {"seed": seed, "fraction": f"1/{denominator}", **rows}
    write_atomic(folder / name, json.dumps(content, ensure_ascii=False, indent=1).encode())
    return name


def _animals(images: Iterable[SplitImage]) -> list[int]:
    return [one.animals for one in images if one.animals is not None]


def _summary(animals: Sequence[int]) -> list[float]:
    """[mean, least, median, most]."""
    if not animals:
        return []
    middle = statistics.median(animals)
    return [round(statistics.fmean(animals), 3), min(animals), middle, max(animals)]


def _drafts(states: Mapping[str, ImageState], records: Iterable[ImageRecord]) -> list[str]:
    count = sum(
        states[record.id].verified == "none" and states[record.id].instances > 0
        for record in records
    )
    return [f"{count} images are drafts and count as unlabeled; accept them first"] if count else []
