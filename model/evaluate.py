"""Scores of a predictor on labeled images; nothing is written anywhere.

COCO images are matched by file name, categories by name (case ignored). An image without a true
animal counts like any other: whatever is predicted on it is a false alarm.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from data_io.errors import DataError, refused_rows
from data_io.formats.coco import read_coco
from data_io.formats.labels import FileImage
from data_io.geometry import (
    Rle,
    area_of_rle,
    box_of_rle,
    mask_of_rle,
    rle_of_parts,
    rle_union,
)
from data_io.images import list_images, read
from data_io.types import Instance
from model.instances import STRIDE, resample
from model.metrics import (
    Confusion,
    Mixups,
    Panoptic,
    PointScore,
    Ratio,
    Scored,
    average_precision,
    boundary,
    boundary_distance,
    error_finding,
)

Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]


class Predicted(Protocol):
    """What `evaluate` reads of a `model.predictor.Prediction`."""

    @property
    def instances(self) -> tuple[Instance, ...]: ...

    @property
    def uncertainty(self) -> Pixels: ...


class Predicts(Protocol):
    """What `evaluate` needs of a `model.predictor.Predictor`."""

    def predict(self, image: Pixels, /) -> Predicted: ...


def evaluate(
    predictor: Predicts,
    coco_file: Path | str | None,
    images_dir: Path | str,
    points: Path | str | None = None,
    progress: Callable[[int, int], None] | None = None,
    names: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Every measure of the command line's `evaluate`.

    Args:
        predictor: anything with `predict(image)`.
        coco_file: the truth; None scores the points alone.
        images_dir: where the images are, searched below when they are not at their file name.
        points: JSON {file name: {"points": [[x, y], ...]}}, one human point an animal; its images
            may be others than the COCO file's.
        progress: called with (images done, images in all).
        names: category id -> name for the predictor's categories, merged ones under the name of
            their target; None takes the ids as names.

    Returns:
        iou, miou, boundary_iou, ap, ap50, pq, count_mae, merges and splits (see `Mixups`),
        error_auroc, error_recall_at_5 (None where there is nothing to measure), points (None
        without), seconds_per_image (mean of `predict` alone), images, refused.

    Raises:
        DataError: a file cannot be read, or not one image could be scored.
    """
    refused: list[DataError] = []
    labeled: dict[str, FileImage] = {}
    classes: dict[str, str] = {}
    if coco_file is not None:
        truth = read_coco(Path(coco_file))
        refused += truth.refused
        labeled = {image.file_name: image for image in truth.images}
        classes = {category.key: category.name for category in truth.categories}
    marked = {} if points is None else read_points(Path(points))
    folder = _Folder(Path(images_dir))
    tally = Tally(classes, names or {})
    everything = list(dict.fromkeys([*labeled, *marked]))
    for done, name in enumerate(everything):
        if progress:
            progress(done, len(everything))
        try:
            _score_one(tally, predictor, folder.find(name), labeled.get(name), marked.get(name))
        except DataError as error:
            refused.append(error)
    if not tally.seconds:
        why = refused[0].sentence() if refused else "it lists no image"
        raise DataError(
            coco_file or points or images_dir, f"no image could be scored ({why})", "check --images"
        )
    if progress:
        progress(len(everything), len(everything))
    return {**tally.result(), "refused": refused_rows(refused)}


def _score_one(
    tally: Tally,
    predictor: Predicts,
    path: Path,
    truth: FileImage | None,
    points: Points | None,
) -> None:
    image = read(path)
    size = image.shape[:2]
    if truth is not None and size != (truth.height, truth.width):
        raise DataError(
            path,
            f"it has {size[1]} x {size[0]} pixels, its labels were made for"
            f" {truth.width} x {truth.height}",
            "evaluate with the images that were labeled",
        )
    start = time.perf_counter()
    made = predictor.predict(image)
    tally.seconds.append(time.perf_counter() - start)
    rles = [rle_of_parts(animal.parts, *size) for animal in made.instances]
    if truth is not None:
        tally.add(truth, made.instances, rles, made.uncertainty)
    if points is not None:
        tally.points.add(points, [crop_of(rle) for rle in rles])


class Tally:
    """Running sums over the images of one evaluation.

    Args:
        true_names: COCO category id -> name.
        predicted_names: the predictor's category id -> name.
    """

    def __init__(self, true_names: Mapping[str, str], predicted_names: Mapping[str, str]) -> None:
        self._true_names, self._predicted_names = true_names, predicted_names
        self.seconds: list[float] = []
        self.points = PointScore()
        self._true: list[list[Scored]] = []
        self._made: list[list[Scored]] = []
        self._iou, self._edge = Ratio(), Ratio()
        self._confusion, self._panoptic = Confusion(), Panoptic()
        self._mixups = Mixups()
        self._auroc: list[float] = []
        self._recall: list[float] = []

    def add(
        self,
        truth: FileImage,
        instances: Sequence[Instance],
        rles: Sequence[Rle],
        uncertainty: Pixels,
    ) -> None:
        """Score one labeled image; `rles` are the rasters of the predicted `instances`."""
        height, width = truth.height, truth.width
        real = [
            _scored(animal, rle_of_parts(animal.parts, height, width), self._true_names)
            for animal in truth.instances
        ]
        made = [
            _scored(animal, rle, self._predicted_names)
            for animal, rle in zip(instances, rles, strict=True)
        ]
        self._true.append(real)
        self._made.append(made)
        self._panoptic.add(real, made)
        self._mixups.add(real, made)
        names = ["", *sorted({animal.category for animal in (*real, *made)})]
        true, predicted = (class_map(a, names, height, width) for a in (real, made))
        self._confusion.add(names, true, predicted)
        self._iou.add(true > 0, predicted > 0)
        distance = boundary_distance(height, width)
        self._edge.add(boundary(true > 0, distance), boundary(predicted > 0, distance))
        fine = resample(uncertainty.astype(np.float32), 1 / STRIDE, height, width)
        found = error_finding(np.round(fine).astype(np.uint8), true != predicted)
        self._auroc += [] if found.auroc is None else [found.auroc]
        self._recall += [] if found.recall is None else [found.recall]

    def result(self) -> dict[str, Any]:
        """All measures, see `evaluate`."""
        ap, ap50 = average_precision(self._true, self._made) if self._true else (None, None)
        counts = [
            abs(len(made) - sum(not animal.crowd for animal in real))
            for real, made in zip(self._true, self._made, strict=True)
        ]
        return {
            "iou": self._iou.value,
            "miou": self._confusion.miou(),
            "boundary_iou": self._edge.value,
            "ap": ap,
            "ap50": ap50,
            "pq": self._panoptic.value(),
            "count_mae": _mean(counts),
            "merges": self._mixups.merges if self._true else None,
            "splits": self._mixups.splits if self._true else None,
            "error_auroc": _mean(self._auroc),
            "error_recall_at_5": _mean(self._recall),
            "points": self.points.as_dict() if self.points.differences else None,
            "seconds_per_image": _mean(self.seconds),
            "images": len(self.seconds),
        }


def _scored(animal: Instance, rle: Rle, names: Mapping[str, str]) -> Scored:
    name = names.get(animal.category, animal.category).strip().casefold()
    score = 1.0 if animal.score is None else animal.score
    return Scored(category=name, rle=rle, score=score, crowd=animal.iscrowd)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def class_map(
    animals: Sequence[Scored], names: Sequence[str], height: int, width: int
) -> NDArray[np.int64]:
    """Which class covers each pixel, later animals on top: positions in `names`, 0 = background.

    Returns:
        (height, width) int64.
    """
    result = np.zeros((height, width), np.int64)
    # One full-size raster for each run of the same category, not for each animal.
    for name, run in itertools.groupby(animals, key=lambda animal: animal.category):
        result[mask_of_rle(rle_union([animal.rle for animal in run]))] = names.index(name)
    return result


def crop_of(rle: Rle) -> tuple[NDArray[np.bool_], int, int]:
    """An animal's mask cut to its box, and the box's corner x0, y0 in the image."""
    if area_of_rle(rle) == 0:
        return np.zeros((0, 0), np.bool_), 0, 0
    x, y, w, h = (int(value) for value in box_of_rle(rle))
    return mask_of_rle(rle)[y : y + h, x : x + w].copy(), x, y


def read_points(file: Path) -> dict[str, Points]:
    """Human points by file name: (n, 2) float64 x, y in image pixels.

    Raises:
        DataError: the file cannot be read, or an entry is no list of finite pairs.
    """
    remedy = 'write {"name.jpg": {"points": [[x, y], ...]}}'
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(file, "it is no readable JSON file", remedy) from error
    if not isinstance(entries, dict):
        raise DataError(file, "it is no object of file names", remedy)
    result: dict[str, Points] = {}
    for name, entry in entries.items():
        try:
            pairs = np.asarray(entry["points"], np.float64).reshape(-1, 2)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(file, "these are no x, y pairs", remedy, index=name) from error
        if not np.isfinite(pairs).all():
            raise DataError(file, "a point is not finite", remedy, index=name)
        result[name] = pairs
    return result


class _Folder:
    """Finds images by the file name a label file gives them."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise DataError(root, "there is no such folder", "check --images")
        self._root = root
        self._by_name: dict[str, list[Path]] | None = None

    def find(self, file_name: str) -> Path:
        """The image at that relative path, else the only one below with that name."""
        direct = self._root / file_name
        if direct.is_file() and self._root.resolve() in direct.resolve().parents:
            return direct
        if self._by_name is None:
            self._by_name = {}
            for path in list_images(self._root):
                self._by_name.setdefault(path.name, []).append(path)
        found = self._by_name.get(Path(file_name).name, [])
        if len(found) != 1:
            why = "several images have this name" if found else "the image is missing"
            raise DataError(file_name, f"{why} in {self._root}", "check --images")
        return found[0]
