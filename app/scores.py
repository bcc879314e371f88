"""What a version finds on labeled images, as people would see it: its proposed animals.

The gate compares versions by these figures. Nothing is stored here, and test images never get here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app import settings
from data_io.errors import DataError
from data_io.geometry import Rle, area_of_rle, rle_iou, rle_of_parts, rle_union
from data_io.images import read
from data_io.snapshot import read_snapshot
from data_io.store import Store
from data_io.types import ImageRecord, Instance

if TYPE_CHECKING:  # torch takes seconds to load, and most of the program does without
    from model.evaluate import Predicts

ALL = 0.98  # share of an image from which nearly all of it was taken for animals
REAL = 0.9  # share that animals may really cover


@dataclass(frozen=True)
class Entrant:
    """A version that is judged: its id, the folder of its files and that of its snapshot."""

    id: str
    folder: Path
    snapshot: Path


@dataclass(frozen=True, eq=False)
class Truth:
    """One labeled image: `animals` is the raster of all of them, `count` their number."""

    record: ImageRecord
    revision: int
    animals: Rle
    count: int

    @property
    def share(self) -> float:
        """Of the image, that animals cover."""
        return area_of_rle(self.animals) / (self.record.width * self.record.height)


@dataclass(frozen=True)
class ImageScore:
    """What one version found on one image.

    Attributes:
        iou: intersection over union of all animal pixels, in [0, 1]; without any true animal 1
            when nothing was found, else 0.
        animals, truth: how many were found, and how many there are.
        share, true_share: of the image, found and true, in [0, 1].
        revision: number of the revision that is the truth.
    """

    image: str
    name: str
    group: str
    revision: int
    iou: float
    animals: int
    truth: int
    share: float
    true_share: float

    def as_dict(self) -> dict[str, Any]:
        """What a version's metrics keep of it."""
        kept = ("iou", "animals", "truth", "revision")
        return {key: getattr(self, key) for key in kept}


def truths(store: Store, images: Iterable[str]) -> list[Truth]:
    """The newest labels of the images that have any."""
    found = []
    for image in images:
        record, revision = store.image(image), store.revision(image)
        if revision is not None:
            raster = _together(revision.instances, record)
            count = _count(revision.instances)
            found.append(Truth(record, revision.number, raster, count))
    return found


def taught(snapshot: Path) -> frozenset[str] | None:
    """Ids of the images whose labels a snapshot teaches; None where it cannot be read any more."""
    try:
        images = read_snapshot(snapshot).images
    except DataError:
        return None
    return frozenset(one.id for one in images if one.verified is not None and one.split != "val")


def open_version(store: Store, entrant: Entrant) -> Predicts:
    """A version ready to predict, as the project's settings say.

    Raises:
        DataError: its files are not whole, or a weight is no finite number.
    """
    from model.checkpoint import is_finite
    from model.predictor import Predictor

    if not is_finite(entrant.folder):
        raise DataError(entrant.id, "its weights are not finite numbers", "train again")
    chosen = settings.load(store.project)
    return Predictor.load(entrant.folder, device=chosen.device, threads=chosen.threads)


def measure(
    predictor: Predicts, cases: Sequence[Truth], check: Callable[[], None] = lambda: None
) -> dict[str, ImageScore]:
    """Image id -> score; pictures that cannot be read any more are passed over.

    Args:
        check: called before each image; raises to end early.

    Raises:
        DataError: what the version says is no number.
    """
    scores = {}
    for case in cases:
        check()
        try:
            pixels = read(case.record.path)
        except DataError:
            continue
        if pixels.shape[:2] == (case.record.height, case.record.width):
            scores[case.record.id] = _score(predictor.predict(pixels), case)
    return scores


def fault(scores: Sequence[ImageScore]) -> str:
    """Why what was found is no use at all, in words; "" when it may be of use."""
    from model.validation import DEGENERATE_IOU

    shown = [one for one in scores if one.truth]
    where = "the image" if len(shown) == 1 else f"all {len(shown)} images"
    if shown and not any(one.animals for one in scores):
        return f"it finds no animal on {where} that it was tried on"
    if scores and all(one.share > ALL for one in scores) and _mean(scores, "true_share") < REAL:
        return "it takes everything for animals"
    if shown and _mean(shown, "iou") < DEGENERATE_IOU:
        return f"it finds next to no animal: IoU {_mean(shown, 'iou'):.3f} on {where} with animals"
    return ""


def told_fault(result: Mapping[str, Any]) -> str:
    """Why the trainer's own figures speak against its version, in words; "" when they do not."""
    if result.get("degenerate"):
        return f"it finds next to no animal{_trainers_iou(result)}"
    if any(not np.isfinite(value) for value in _numbers(result)):
        return "a figure of its training is not a finite number; train with smaller learning rates"
    return ""


def _trainers_iou(result: Mapping[str, Any]) -> str:
    metrics = result.get("metrics") or {}
    iou = metrics.get("iou")
    if not isinstance(iou, int | float):
        return ""
    where = "validation images" if metrics.get("on") == "validation" else "what it learned from"
    return f": IoU {iou:.3f} on {where}"


def finite(value: Any) -> Any:
    """Plain data with None in the place of numbers that are not finite."""
    if isinstance(value, Mapping):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _numbers(value: Any) -> Iterable[float]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, float):
        yield value


def _score(made: Any, case: Truth) -> ImageScore:
    if not np.isfinite(made.probability).all():
        raise DataError("model version", "what it says is not a finite number", "train again")
    found, record = _together(made.instances, case.record), case.record
    return ImageScore(
        image=record.id,
        name=Path(record.path).name,
        group=record.group,
        revision=case.revision,
        iou=rle_iou(found, case.animals),
        animals=_count(made.instances),
        truth=case.count,
        share=area_of_rle(found) / (record.width * record.height),
        true_share=case.share,
    )


def _together(instances: Sequence[Instance], record: ImageRecord) -> Rle:
    size = record.height, record.width
    return rle_union([rle_of_parts(parts, *size) for parts in ((), *(i.parts for i in instances))])


def _count(instances: Sequence[Instance]) -> int:
    return sum(not one.iscrowd for one in instances)


def _mean(scores: Sequence[ImageScore], name: str) -> float:
    return float(np.mean([getattr(one, name) for one in scores]))
