"""What answers clicks in `benchmarks.clicks`: ours, a SAM-style pair, GrabCut, a live-wire."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from model.assist.clicks import Click, discs
from model.assist.engine import Answer, clicked
from model.assist.sam import SamPair

GRAB_RADIUS, GRAB_ROUNDS, GRAB_REACH = 5.0, 1, 1.5
ANCHORS = (*range(3, 21),)  # of a live-wire outline
WIRE_AROUND = 24  # pixels around an object that a live-wire sees

Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class Engine(Protocol):
    """Answers clicks on one object after the other."""

    def begin(self, image: Bytes, usual: float) -> None:
        """A new object on (H, W, 3) RGB; `usual` is the size of an animal there, pixels."""

    def click(self, before: Mask, clicks: Sequence[Click]) -> Mask:
        """The mask (H, W) after the last of the clicks."""


class Ours:
    """The refiner."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def begin(self, image: Bytes, usual: float) -> None:
        self._image, self._usual, self._free = image, usual, True

    def vouch(self) -> None:
        """A person vouches for the outline that the next click meets."""
        self._free = False

    def click(self, before: Mask, clicks: Sequence[Click]) -> Mask:
        return clicked(self._answer, self._image, before, clicks, self._usual, self._free)


class Sam:
    """A SAM-style pair; the embedding of the last image is kept."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._pair = SamPair(folder / "encoder.onnx", folder / "sam.onnx", threads)
        self._image: Bytes | None = None

    def begin(self, image: Bytes, usual: float) -> None:
        if self._image is not image:
            self._image, self._seen = image, self._pair.embed(image)
        self._logits: Any = None

    def click(self, before: Mask, clicks: Sequence[Click]) -> Mask:
        if self._logits is None and before.any():
            self._logits = self._pair.logits_of(before)
        made = self._pair.answer(self._seen, clicks, None, self._logits)
        self._logits = made.logits
        return made.mask


class GrabCut:
    """Rother et al. 2004, as in OpenCV, around the clicks and what there is."""

    def begin(self, image: Bytes, usual: float) -> None:
        self._image, self._usual = np.ascontiguousarray(image[..., ::-1]), usual

    def click(self, before: Mask, clicks: Sequence[Click]) -> Mask:
        part = _near(before, clicks, 2 * GRAB_REACH * self._usual)
        moved = [Click(c.x - part[1].start, c.y - part[0].start, c.positive) for c in clicks]
        after = before.copy()
        after[part] = self._cut(np.ascontiguousarray(self._image[part]), before[part], moved)
        return after

    def _cut(self, image: Bytes, before: Mask, clicks: Sequence[Click]) -> Mask:
        height, width = before.shape
        shown = discs(clicks, height, width, GRAB_RADIUS) > 0
        known = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
        near = before if before.any() else discs(clicks, height, width, self._usual / 2)[0] > 0
        known[near] = cv2.GC_PR_FGD
        away = cv2.distanceTransform((~(near | shown[0])).astype(np.uint8), cv2.DIST_L2, 3)
        known[away > GRAB_REACH * self._usual] = cv2.GC_BGD
        known[shown[0]], known[shown[1]] = cv2.GC_FGD, cv2.GC_BGD
        if not (known % 2).any():
            return before
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(image, known, None, *models, GRAB_ROUNDS, cv2.GC_INIT_WITH_MASK)
        return np.asarray((known == cv2.GC_FGD) | (known == cv2.GC_PR_FGD), np.bool_)


def _near(mask: Mask, clicks: Sequence[Click], more: float) -> tuple[slice, slice]:
    """Rows and columns of a mask and of clicks, and so many pixels around them."""
    rows, columns = np.nonzero(mask)
    y = np.concatenate([rows, [click.y for click in clicks]])
    x = np.concatenate([columns, [click.x for click in clicks]])
    top, left = (max(0, int(at.min() - more)) for at in (y, x))
    return slice(top, int(y.max() + more) + 1), slice(left, int(x.max() + more) + 1)


def live_wire(image: Bytes, truth: Mask) -> Iterator[tuple[int, Mask]]:
    """Outlines whose edges between evenly set anchors snap to the picture, with ever more anchors.

    Mortensen and Barrett 1995, as in OpenCV. The robot knows the true outline and sets its anchors
    exactly on it, which no person does.

    Returns:
        Number of anchors and mask (H, W).
    """
    part = _near(truth, (), WIRE_AROUND)
    inside = np.ascontiguousarray(truth[part])
    drawn, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    ring = max(drawn, key=len)[:, 0]
    tool = cv2.segmentation.IntelligentScissorsMB()
    tool.setEdgeFeatureCannyParameters(32, 100)
    tool.setGradientMagnitudeMaxLimit(200)
    tool.applyImage(np.ascontiguousarray(image[part][..., ::-1]))
    for count in ANCHORS:
        at = ring[np.linspace(0, len(ring), count, endpoint=False).astype(int)]
        found = np.zeros_like(truth)
        found[part] = _wired(tool, at, inside.shape)
        yield count, found


def _wired(tool: Any, anchors: NDArray[np.int32], shape: tuple[int, ...]) -> Mask:
    """The area within the snapped edges between anchors (n, 2)."""
    path = []
    for start, end in zip(anchors, np.roll(anchors, -1, axis=0), strict=True):
        tool.buildMap(tuple(map(int, start)))
        path.append(tool.getContour(tuple(map(int, end))).reshape(-1, 2))
    drawn = np.zeros(shape, np.uint8)
    cv2.fillPoly(drawn, [np.concatenate(path)], 1)
    return drawn.view(np.bool_)
