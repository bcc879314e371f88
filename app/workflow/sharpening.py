"""Whether the instant model's outlines are drawn again by the refiner, and by which.

The refiner that ships has seen no photo of this herd. Whether it makes its outlines better is tried
on animals that somebody has drawn; the herd's own, once a training has taught one, is tried too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.click_engines import weights_in_use
from data_io.errors import DataError
from data_io.geometry import Rle, rle_iou, rle_of_parts
from data_io.store import Store
from data_io.types import Instance
from model.assist.engine import Answer
from model.assist.served import GENERAL, Served, exported
from model.assist.sharpen import sharpened
from model.prediction import Prediction

IMAGES, ANIMALS = 4, 12  # that a trial looks at, at most
GAIN = 0.02  # of the mean IoU, that drawing again must bring: what clicks made is like it anyway

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Taught:
    """An image with animals that somebody has drawn, and how to look at it."""

    drawn: tuple[Instance, ...]
    pixels: Callable[[], Bytes]
    propose: Callable[[], Sequence[Instance]]


@dataclass(frozen=True)
class Sharpener:
    """A refiner that draws outlines again; `name` tells those of two apart."""

    name: str
    answer: Answer

    def __call__(self, image: Bytes, made: Prediction) -> Prediction:
        """A prediction for an image (H, W, 3) uint8 RGB, with its outlines drawn again."""
        return replace(made, instances=sharpened(self.answer, image, made.instances))


class Sharpening:
    """Finds the sharpener of a project; not thread-safe.

    Args:
        store: the project.
        threads: of the refiner on the CPU.
    """

    def __init__(self, store: Store, threads: int | None = None) -> None:
        self._store, self._threads = store, threads
        self._general = exported(GENERAL, store.project / "artifacts")
        self._source: Path | None = None
        self._served: Sharpener | None = None
        self._tried: tuple[str, int] | None = None
        self._helps = False

    def sharpener(self, taught: Callable[[], Sequence[Taught]], animals: int) -> Sharpener | None:
        """The refiner in use, where it helps; None else, and while none is exported.

        It is tried anew where it is another one, and when the drawn animals have doubled.

        Args:
            taught: gives images to try it on.
            animals: how many are drawn in the project.
        """
        served = self._ready()
        if served is None:
            return None
        trial = served.name, animals.bit_length()
        if trial != self._tried:
            self._helps = gain(served, taught()) >= GAIN
            self._tried = trial
        return served if self._helps else None

    def _ready(self) -> Sharpener | None:
        source = weights_in_use(self._store)
        source = self._general if source == GENERAL else source
        if not source.is_file():
            return None
        if source != self._source:
            try:
                name = "general" if source == self._general else source.parent.name
                self._served = Sharpener(name, Served(source, self._threads))
            except DataError as error:
                logging.warning("%s", error)
                self._served = None
            self._source = source
        return self._served


def gain(sharpener: Sharpener, taught: Sequence[Taught]) -> float:
    """By how much the IoU with drawn animals rises, on average; 0 where none is proposed."""
    gains: list[float] = []
    for one in taught[:IMAGES]:
        try:
            pixels, proposed = one.pixels(), one.propose()
        except DataError as error:  # it is gone; its labels teach all the same
            logging.warning("%s", error)
            continue
        matched = _matched(one.drawn, proposed, pixels.shape[:2])
        chosen = list(islice(matched, ANIMALS - len(gains)))
        again = sharpened(sharpener.answer, pixels, [rough for _, rough, _ in chosen])
        for (drawn, _, before), new in zip(chosen, again, strict=True):
            gains.append(rle_iou(rle_of_parts(new.parts, *pixels.shape[:2]), drawn) - before)
    return float(np.mean(gains)) if gains else 0.0


def _matched(
    drawn: Sequence[Instance], proposed: Sequence[Instance], size: tuple[int, ...]
) -> Iterator[tuple[Rle, Instance, float]]:
    """Each drawn animal with the proposal that overlaps it most, once each, and their IoU."""
    height, width = size
    used: set[int] = set()
    rasters = [rle_of_parts(one.parts, height, width) for one in proposed]
    for animal in drawn:
        own = rle_of_parts(animal.parts, height, width)
        shared = [rle_iou(own, raster) for raster in rasters]
        best = int(np.argmax(shared)) if shared else 0
        if shared and shared[best] > 0 and best not in used:
            used.add(best)
            yield own, proposed[best], shared[best]
