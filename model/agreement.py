"""Whether a second phase that no labeled image can judge went astray.

Without validation images only the labeled ones are left to judge a phase, and both phases learned
those. A teacher that drifts on UNLABELED ground, until it finds animals nowhere or everywhere, can
still know the labeled images by heart. So both networks answer a few unlabeled images: where
they hardly agree, and the second one's share of animal pixels left that of the labeled images,
the first phase is the safer one.

The two thresholds follow from what they mean, not from measurements: no test image was used. They
are meant to catch ruin alone; whether a phase is somewhat better only validation images tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from data_io.errors import DataError
from data_io.snapshot import SnapshotImage
from model.config import IGNORE
from model.dataset import Frames
from model.network import SegmentationNetwork
from model.validation import predict_classes

COMPARED = 4  # unlabeled images
HARDLY = 0.25  # IoU of the two networks' animal pixels below which they hardly agree
AWAY = 2.0  # factor by which the second share is farther from the labeled one than the first
LEAST_SHARE = 1e-3  # of pixels; less than that is as good as no animal
LEAST_PATCH = 2e-4  # of an image's pixels; smaller patches are not counted

Classes = NDArray[np.int64]  # (h, w), 0 = background


@dataclass(frozen=True)
class Agreement:
    """What two networks say about the same images."""

    images: int
    iou: float | None  # of animal pixels, summed over the images; None where both see none
    share_before: float  # animal pixels over all pixels, first phase
    share_after: float  # the same, second phase
    patches_before: float  # connected animal patches an image
    patches_after: float
    share_labeled: float | None  # animal pixels over labeled pixels; None = unknown

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def compare(pairs: Iterable[tuple[Classes, Classes]], share_labeled: float | None) -> Agreement:
    """Sum up predictions (first phase, second phase) of the same images."""
    both = either = pixels = images = 0
    animal, patches = [0, 0], [0, 0]
    for pair in pairs:
        masks = [predicted != 0 for predicted in pair]
        both += int((masks[0] & masks[1]).sum())
        either += int((masks[0] | masks[1]).sum())
        pixels, images = pixels + masks[0].size, images + 1
        for k, mask in enumerate(masks):
            animal[k] += int(mask.sum())
            patches[k] += _patches(mask)
    return Agreement(
        images=images,
        iou=both / either if either else None,
        share_before=animal[0] / max(pixels, 1),
        share_after=animal[1] / max(pixels, 1),
        patches_before=patches[0] / max(images, 1),
        patches_after=patches[1] / max(images, 1),
        share_labeled=share_labeled,
    )


def objection(found: Agreement) -> str | None:
    """Why the first phase should be kept; None where the second one may stay.

    Both must hold: the animal pixels of the two networks overlap by less than `HARDLY`, and the
    second share of animal pixels is farther from that of the labeled images than the first, on a
    scale of ratios, by more than the factor `AWAY`. A second phase that finds animals the first
    one missed disagrees with it as well, but comes closer to the labeled share, and stays.
    """
    if found.iou is None or found.iou >= HARDLY or found.share_labeled is None:
        return None
    before, after, labeled = (
        math.log(max(share, LEAST_SHARE))
        for share in (found.share_before, found.share_after, found.share_labeled)
    )
    if abs(after - labeled) - abs(before - labeled) <= math.log(AWAY):
        return None
    return (
        f"kept the supervised phase: on {found.images} unlabeled images the semi-supervised one"
        f" finds {found.share_after:.1%} animal pixels after {found.share_before:.1%}, with"
        f" {found.share_labeled:.1%} in the labeled images, and the two overlap by"
        f" {found.iou:.2f} only"
    )


def of_networks(
    first: SegmentationNetwork,
    second: SegmentationNetwork,
    unlabeled: Sequence[SnapshotImage],
    labeled: Sequence[SnapshotImage],
    frames: Frames,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    stop: Callable[[], None] = lambda: None,
) -> Agreement:
    """Compare two networks on whole unlabeled images; those that cannot be read are left out.

    Args:
        labeled: images whose share of animal pixels is the usual one.
        stop: called between images; raises to end early.
    """

    def answers() -> Iterable[tuple[Classes, Classes]]:
        for record in unlabeled:
            stop()
            try:
                pixels, _ = frames.get(record)
            except DataError:
                continue
            yield (
                predict_classes(first.eval(), pixels, mean, std),
                predict_classes(second.eval(), pixels, mean, std),
            )

    return compare(answers(), _labeled_share(labeled, frames))


def _labeled_share(records: Sequence[SnapshotImage], frames: Frames) -> float | None:
    """Animal pixels over known pixels of the labeled images."""
    animal = known = 0
    for record in records:
        labels = frames.get(record)[1]
        animal += int(((labels != 0) & (labels != IGNORE)).sum())
        known += int((labels != IGNORE).sum())
    return animal / known if known else None


def _patches(mask: NDArray[np.bool_]) -> int:
    """Connected animal patches (8 neighbors) of a size worth counting."""
    _, _, found, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    sizes = found[1:, cv2.CC_STAT_AREA]
    return int((sizes >= LEAST_PATCH * mask.size).sum())
