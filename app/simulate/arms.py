"""The ways of working that are compared, and the order in which each takes images.

Every arm has the same person, the same tools and the same minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from app.queue import Queue
from data_io.store import Store
from data_io.types import ImageRecord


@dataclass(frozen=True)
class Arm:
    """One way of working.

    Attributes:
        method: how its networks are trained.
        order: random; camera = the groups in turn, at random within, images on which the model
            sees animals first; queue = the app's.
        proposals: animals are proposed; otherwise everything is drawn from scratch.
        highlights: the person is led to the review regions.
        retrained: False = proposals of the first network for ever.
        clicks: the person has the click tool.
        gate: the app's; otherwise every version takes the place of the one before.
    """

    name: str
    title: str
    method: Literal["supervised", "u2pl"]
    order: Literal["random", "camera", "queue"]
    proposals: bool = False
    highlights: bool = False
    retrained: bool = True
    clicks: bool = False
    gate: bool = True


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("A0", "random, from scratch, supervised", "supervised", "random"),
        Arm("A2", "cameras in turn, from scratch, U2PL", "u2pl", "camera"),
        Arm("A3", "A2 + proposals of the first network", "u2pl", "camera", True, False, False),
        Arm("A4", "A2 + proposals, whole images", "u2pl", "camera", True),
        Arm("A9", "queue, proposals, highlights", "u2pl", "queue", True, True),
        Arm("A9g", "A9 without the gate", "u2pl", "queue", True, True, gate=False),
        Arm("A9c", "A9 + clicks", "u2pl", "queue", True, True, clicks=True),
    )
}


def next_image(
    arm: Arm, store: Store, seed: int, left: Sequence[ImageRecord], barren: frozenset[str]
) -> ImageRecord:
    """The image that is worked on next.

    Args:
        left: the images that are not finished, at least one.
        barren: ids of images on which the newest model sees no animal.
    """
    if arm.order == "queue":
        waiting = {one.id: one for one in left}
        ranked = Queue(store).ranked(1)
        return waiting[ranked[0].image]
    # All images are shuffled, so that an image keeps its place while others are finished.
    everything = sorted(store.images(), key=lambda one: one.path)
    order = [everything[int(k)] for k in np.random.default_rng(seed).permutation(len(everything))]
    waiting_ids = {one.id for one in left}
    waiting_order = [one for one in order if one.id in waiting_ids]
    if arm.order == "random":
        return waiting_order[0]
    done = [one.group for one in order if one.id not in waiting_ids]
    return min(waiting_order, key=lambda one: (one.id in barren, done.count(one.group)))
