"""Beginning a training with the weights of the version before it, and what is new since then.

A version trained on from its predecessor keeps some of the bias of the first images, so a line of
versions should start from scratch now and then; who starts the jobs decides when.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data_io.errors import DataError
from data_io.snapshot import VOID, Snapshot, SnapshotImage, read_snapshot
from model.checkpoint import load_version, read_meta
from model.network import SegmentationNetwork

CLASS_HEADS = ("segmentation.", "representation.", "auxiliary.")  # they know the categories
_OFFSETS = slice(1, 3)  # channels of the instance head's last layer in units of `animal_size`


def take_over(student: SegmentationNetwork, parent: Path | None, categories: Sequence[str]) -> str:
    """Give a fresh network the weights of a version; a sentence for the log.

    Where the categories are others, the heads that know them stay fresh. Where the version is gone
    or is of another network, everything does.

    Args:
        student: changed in place.
        parent: folder of the version, None = there is none.
        categories: ids of the categories to be learned; class c of the network is the c-th.
    """
    if parent is None:
        return "starts from scratch: there is no version to start from"
    try:
        network, meta = load_version(parent)
    except DataError as error:
        return f"starts from scratch: version {parent.name} cannot be used ({error.why})"
    same = list(meta["categories"]) == list(categories)
    mine = student.state_dict()
    given = {k: v for k, v in network.state_dict().items() if same or not _knows_classes(k)}
    wanted = {k: v for k, v in mine.items() if same or not _knows_classes(k)}
    if {k: v.shape for k, v in given.items()} != {k: v.shape for k, v in wanted.items()}:
        return f"starts from scratch: version {parent.name} is another network"
    student.load_state_dict({**mine, **given})
    _rescale_offsets(student, network.config.animal_size / student.config.animal_size)
    told = f"starts from version {parent.name}"
    return told if same else f"{told}; the categories changed, so the heads for them start anew"


def _knows_classes(name: str) -> bool:
    return name.startswith(CLASS_HEADS)


def _rescale_offsets(student: SegmentationNetwork, factor: float) -> None:
    """Offsets in the student's unit say the same pixels as they did in the other's."""
    if not student.config.instances or factor == 1.0:
        return
    last = student.animals[-1]
    with torch.no_grad():
        for part in (last.weight, last.bias):
            assert isinstance(part, Tensor)
            part[_OFFSETS] *= factor


def new_images(spec: Mapping[str, Any], snapshot: Snapshot) -> frozenset[str]:
    """Ids of the labeled images whose labels the job's parent has not seen, or not like this.

    None of them when the snapshot that the parent learned from is gone.
    """
    try:
        learned = str(read_meta(Path(spec["parent"]))["snapshot"])
        before = read_snapshot(Path(spec["snapshot"]).parent / learned)
    except (DataError, KeyError, TypeError):  # the parent's, and not the job's fault
        return frozenset()
    known = {image.id: _labels(image, before) for image in before.images}
    return frozenset(
        image.id
        for image in snapshot.images
        if image.verified is not None and known.get(image.id) != _labels(image, snapshot)
    )


def _labels(image: SnapshotImage, snapshot: Snapshot) -> tuple[Any, ...]:
    """What is labeled, by the ids of the categories: their numbers differ between snapshots."""
    names = {VOID: ""} | {n: one.id for n, one in enumerate(snapshot.categories, start=1)}
    return image.verified, tuple((names[index], rle) for index, rle in image.labels)
