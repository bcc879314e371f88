"""The measures of `evaluate`: pure functions of masks, RLEs, maps and points.

Convention: RLEs are pycocotools' (`data_io.geometry.Rle`); masks are (H, W) bool; a point (x, y)
lies in pixel (floor x, floor y). A measure without anything to measure is None, never 0.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from data_io.geometry import Rle, area_of_rle, box_of_rle

Mask = NDArray[np.bool_]
Labels = NDArray[np.int64]

MOST_ANIMALS = 1000  # predictions an image that AP looks at; the usual 100 would cut off a herd


@dataclass(frozen=True)
class Scored:
    """One animal for scoring: its class name, raster, belief, and whether it is a crowd."""

    category: str
    rle: Rle
    score: float = 1.0
    crowd: bool = False


@dataclass
class Ratio:
    """Intersection over union summed over a whole set of images."""

    intersection: int = 0
    union: int = 0

    def add(self, one: Mask, other: Mask) -> None:
        """Count one image's pair of masks."""
        self.intersection += int(np.count_nonzero(one & other))
        self.union += int(np.count_nonzero(one | other))

    @property
    def value(self) -> float | None:
        """The ratio in [0, 1]; None when both masks were always empty."""
        return self.intersection / self.union if self.union else None


@dataclass
class Confusion:
    """Pixel counts of (true, predicted) class names over a whole set; "" = background."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, names: Sequence[str], true: Labels, predicted: Labels) -> None:
        """Count one image's class maps, whose values are positions in `names`."""
        n = len(names)
        pairs = np.bincount((true * n + predicted).ravel(), minlength=n * n)
        for key in np.flatnonzero(pairs):
            pair = (names[int(key) // n], names[int(key) % n])
            self.counts[pair] = self.counts.get(pair, 0) + int(pairs[key])

    def miou(self) -> float | None:
        """Mean IoU over background and every category that occurs, true or predicted."""
        names = {name for pair in self.counts for name in pair}
        values = []
        for name in names:
            both = self.counts.get((name, name), 0)
            either = sum(count for pair, count in self.counts.items() if name in pair)
            values.append(both / either)
        return float(np.mean(values)) if values else None


def boundary(mask: Mask, distance: int) -> Mask:
    """Pixels of a mask within `distance` (chessboard) of its contour; the image border is contour.

    Cheng et al., Boundary IoU, CVPR 2021, section 3.
    """
    d = max(1, distance)
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), d, d, d, d, cv2.BORDER_CONSTANT, value=0)
    inner = cv2.erode(framed, np.ones((2 * d + 1, 2 * d + 1), np.uint8))[d:-d, d:-d]
    return np.asarray(mask & (inner == 0))


def boundary_distance(height: int, width: int) -> int:
    """2 % of the image diagonal in pixels, at least 1 (Cheng et al. 2021)."""
    return max(1, round(0.02 * float(np.hypot(height, width))))


@dataclass
class Panoptic:
    """Panoptic quality, Kirillov et al., CVPR 2019, per category over a whole set."""

    iou: dict[str, float] = field(default_factory=dict)
    hits: dict[str, int] = field(default_factory=dict)
    misses: dict[str, int] = field(default_factory=dict)  # false alarms and missed animals

    def add(self, true: Sequence[Scored], predicted: Sequence[Scored]) -> None:
        """Match one image's animals by category where IoU > .5; crowds forgive false alarms."""
        for name in {animal.category for animal in (*true, *predicted)}:
            real = [a.rle for a in true if a.category == name and not a.crowd]
            crowds = [a.rle for a in true if a.category == name and a.crowd]
            made = [a.rle for a in predicted if a.category == name]
            pairs = matches(made, real)
            matched = {i for i, _, _ in pairs}
            rest = [rle for i, rle in enumerate(made) if i not in matched]
            false = sum(1 for rle in rest if not _mostly_in(rle, crowds))
            self.iou[name] = self.iou.get(name, 0.0) + sum(iou for _, _, iou in pairs)
            self.hits[name] = self.hits.get(name, 0) + len(pairs)
            self.misses[name] = self.misses.get(name, 0) + false + len(real) - len(pairs)

    def value(self) -> float | None:
        """Mean over categories of sum(IoU) / (TP + FP/2 + FN/2)."""
        values = [
            self.iou[name] / (self.hits[name] + 0.5 * self.misses[name])
            for name in self.iou
            if self.hits[name] + self.misses[name]
        ]
        return float(np.mean(values)) if values else None


@dataclass
class Mixups:
    """Animals that were taken for one, and single ones that were taken for several."""

    merges: int = 0  # predicted animals that hold most of two true ones or more
    splits: int = 0  # true animals that hold most of two predicted ones or more

    def add(self, true: Sequence[Scored], predicted: Sequence[Scored]) -> None:
        """Count one image, whatever the categories; crowds do not count."""
        real = [animal.rle for animal in true if not animal.crowd]
        made = [animal.rle for animal in predicted]
        if not real or not made:
            return
        self.merges += _holding_several(real, made)
        self.splits += _holding_several(made, real)


def _holding_several(small: Sequence[Rle], large: Sequence[Rle]) -> int:
    """How many of `large` hold more than half of each of two of `small`."""
    # With iscrowd=1 pycocotools divides by the first one's own area.
    share = np.asarray(coco_mask.iou(list(small), list(large), [1] * len(large)))
    return int(((share > 0.5).sum(axis=0) >= 2).sum())


def matches(made: Sequence[Rle], real: Sequence[Rle]) -> list[tuple[int, int, float]]:
    """One-to-one pairs (made, real, IoU) with IoU > .5, the highest IoU first."""
    if not made or not real:
        return []
    iou = np.asarray(coco_mask.iou(list(made), list(real), [0] * len(real)))
    taken_made: set[int] = set()
    taken_real: set[int] = set()
    pairs = []
    for flat in np.argsort(-iou, axis=None, kind="stable"):
        i, j = divmod(int(flat), len(real))
        if iou[i, j] <= 0.5:
            break
        if i not in taken_made and j not in taken_real:
            taken_made.add(i)
            taken_real.add(j)
            pairs.append((i, j, float(iou[i, j])))
    return pairs


def _mostly_in(rle: Rle, crowds: Sequence[Rle]) -> bool:
    if not crowds:
        return False
    # With iscrowd=1 pycocotools divides by the prediction's own area.
    return bool(np.max(coco_mask.iou([rle], list(crowds), [1] * len(crowds))) > 0.5)


def average_precision(
    true: Sequence[Sequence[Scored]], predicted: Sequence[Sequence[Scored]]
) -> tuple[float | None, float | None]:
    """COCO mask AP (IoU .50:.05:.95) and AP50 over all images, mean over categories with truth.

    Args:
        true, predicted: one sequence of animals an image, in the same order.
    """
    names = sorted({animal.category for image in true for animal in image})
    if not names or all(animal.crowd for image in true for animal in image):
        return None, None
    number = {name: position for position, name in enumerate(names, start=1)}
    with contextlib.redirect_stdout(io.StringIO()):
        truth, made = COCO(), COCO()
        truth.dataset = _coco_of(true, number)
        made.dataset = _coco_of(predicted, number)
        truth.createIndex()
        made.createIndex()
        run = COCOeval(truth, made, "segm")
        run.params.maxDets = [1, 100, MOST_ANIMALS]
        run.evaluate()
        run.accumulate()
    # axes: IoU threshold, recall, category, area range (0 = all), maxDets
    precision = run.eval["precision"][:, :, :, 0, -1]
    return _mean_known(precision), _mean_known(precision[:1])


def _mean_known(values: NDArray[np.float64]) -> float | None:
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def _coco_of(images: Sequence[Sequence[Scored]], number: Mapping[str, int]) -> dict[str, object]:
    """A COCO data set in memory; ids start at 1, pycocotools takes 0 for "unmatched"."""
    annotations: list[dict[str, object]] = []
    records = []
    for image, animals in enumerate(images, start=1):
        # pycocotools asks for the size of every image that has an animal
        height, width = animals[0].rle["size"] if animals else (1, 1)
        records.append({"id": image, "height": height, "width": width})
        for animal in animals:
            if animal.category in number:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image,
                        "category_id": number[animal.category],
                        "segmentation": animal.rle,
                        "area": area_of_rle(animal.rle),
                        "bbox": list(box_of_rle(animal.rle)),
                        "iscrowd": int(animal.crowd),
                        "score": animal.score,
                    }
                )
    return {
        "images": records,
        "categories": [{"id": k, "name": name} for name, k in number.items()],
        "annotations": annotations,
    }


class ErrorFinding(NamedTuple):
    """How well an uncertainty points at wrong pixels; None where there is nothing to measure."""

    auroc: float | None  # area under the ROC curve; ties count half
    aupr: float | None  # average precision: mean over wrong pixels of the precision at their level
    recall: float | None  # share of wrong pixels inside the most uncertain share


def error_finding(
    uncertainty: NDArray[np.unsignedinteger[Any]], wrong: Mask, share: float = 0.05
) -> ErrorFinding:
    """How well an uncertainty map points at wrong pixels of one image, or of a part of it.

    Args:
        uncertainty: uint8 or uint16 of any shape.
        wrong: bool, the same shape: pixels whose predicted class is not the true one.
        share: size of the most uncertain part; a tie across its border counts in proportion.
    """
    bad, good = _levels(uncertainty, wrong)
    if bad.sum() == 0:
        return ErrorFinding(None, None, None)
    above = np.cumsum(good)  # right pixels at this level or at a higher one
    auroc = None
    if good.sum() > 0:
        auroc = float((bad * (good.sum() - above + 0.5 * good)).sum() / (bad.sum() * good.sum()))
    seen = above + np.cumsum(bad)
    precision = np.divide(np.cumsum(bad), seen, out=np.zeros(seen.size), where=seen > 0)
    aupr = float((bad * precision).sum() / bad.sum())
    return ErrorFinding(auroc, aupr, recall_of(uncertainty, wrong, share))


def recall_of(
    uncertainty: NDArray[np.unsignedinteger[Any]], wrong: Mask, share: float = 0.05
) -> float | None:
    """The share of some pixels inside the most uncertain `share`, as in `error_finding`."""
    bad, good = _levels(uncertainty, wrong)
    if bad.sum() == 0:
        return None
    level = bad + good
    room = np.clip(share * level.sum() - (np.cumsum(level) - level), 0, level)
    part = np.divide(room, level, out=np.zeros(level.size), where=level > 0)
    return float((part * bad).sum() / bad.sum())


def _levels(
    uncertainty: NDArray[np.unsignedinteger[Any]], wrong: Mask
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How many pixels are wrong, and right, at each level, the most uncertain first."""
    most = int(uncertainty.max(initial=0)) + 1
    bad, good = (np.bincount(uncertainty[m], minlength=most) for m in (wrong, ~wrong))
    return bad[::-1].astype(np.float64), good[::-1].astype(np.float64)


def contour_distance(classes: NDArray[Any]) -> NDArray[np.float32]:
    """How far the middle of each pixel is from the nearest edge between two classes.

    Args:
        classes: (H, W) bool or classes.

    Returns:
        (H, W) float32 pixels, at least 1/2; infinite everywhere where there is one class only.
    """
    found = np.unique(classes)
    if found.size < 2:
        return np.full(classes.shape, np.inf, np.float32)
    total = np.zeros(classes.shape, np.float32)
    for value in found:
        own = (classes == value).astype(np.uint8)
        total += cv2.distanceTransform(own, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return total - np.float32(0.5)


@dataclass
class PointScore:
    """Human points, one an animal, against predicted animals over a whole set."""

    points: int = 0
    found: int = 0
    animals: int = 0
    right: int = 0
    differences: list[int] = field(default_factory=list)

    def add(self, points: NDArray[np.float64], masks: Sequence[tuple[Mask, int, int]]) -> None:
        """Count one image.

        A point is found if it lies in exactly one predicted animal; a predicted animal is right if
        it holds exactly one point, so that a merged pair counts as an error.

        Args:
            points: (n, 2) float64 x, y in image pixels.
            masks: crops of the predicted animals with the image position x0, y0 of each.
        """
        cells = np.floor(points.reshape(-1, 2)).astype(np.int64)
        hits = np.zeros((len(masks), len(cells)), np.bool_)
        for row, (mask, x0, y0) in enumerate(masks):
            x, y = cells[:, 0] - x0, cells[:, 1] - y0
            inside = (x >= 0) & (y >= 0) & (x < mask.shape[1]) & (y < mask.shape[0])
            hits[row, inside] = mask[y[inside], x[inside]]
        self.points += len(cells)
        self.found += int((hits.sum(0) == 1).sum())
        self.animals += len(masks)
        self.right += int((hits.sum(1) == 1).sum())
        self.differences.append(abs(len(masks) - len(cells)))

    def as_dict(self) -> dict[str, float | None]:
        """precision, recall in [0, 1] and count_mae in animals an image."""
        return {
            "precision": self.right / self.animals if self.animals else None,
            "recall": self.found / self.points if self.points else None,
            "count_mae": float(np.mean(self.differences)) if self.differences else None,
        }
