"""How the robot annotator works: it knows the animals as a person sees them, and repairs what the
screen shows of them differently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.robot_hand import Hand
from benchmarks.robot_outline import blobs, cut, depth, inner_point, outlines, strokes
from benchmarks.robot_scenes import CATEGORIES
from data_io.scenes import Scene

Mask = NDArray[np.bool_]

COMFORT = 420.0  # screen px an animal's long side should take when it is drawn
CLOSE = 12.0  # largest zoom
GOOD = 0.96  # IoU from which an outline is left as it is
SAME = 0.4  # IoU from which an outline shows an animal
MOSTLY = 0.5  # of an animal or outline
WORTH = (0.006, 0.0015)  # of the animal's area: errors left at the first and at a second look
HOPELESS = 0.8  # IoU below which an outline is drawn anew
FINEST = (2.5, 1.5)  # diameters of the thinnest brush for them
BLOBS = 12  # errors repaired in one go
ROUNDS = 4  # looks at one region
BRUSH_STEP = 1.25  # what a bracket key does to the brush
REVIEW = "h.editor.review"
CATEGORY_KEYS = {name: str(k + 1) for k, name in enumerate(CATEGORIES)}


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union; 0 for two empty masks."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 0.0


class Person:
    """Labels images from scratch and corrects proposals, one image after the other."""

    def __init__(self, hand: Hand) -> None:
        self.hand = hand
        self.label = "cow"  # the category of what is drawn next
        self.brush = 24.0  # as the app starts
        self.tried: set[str] = set()  # animals that were cut already

    # ---- from scratch ----

    def draw_all(self, scene: Scene) -> None:
        """Outline every animal of the open image, then vouch for the image."""
        hand = self.hand
        hand.clock.charge("open")
        hand.clock.charge("scan", len(scene.masks))
        hand.keys("d")
        for mask, label in sorted(
            zip(scene.masks, scene.labels, strict=True), key=lambda one: -int(one[0].sum())
        ):
            self.draw(mask, label)
        hand.saved()
        hand.keys("Shift+Enter")

    def draw(self, mask: Mask, label: str) -> None:
        """Outline one animal with the polygon tool."""
        hand = self.hand
        hand.decide()
        hand.approach(mask, COMFORT, CLOSE)
        for how, ring in outlines(mask, hand.scale):
            hand.outline(ring, {"new": "", "add": "Shift", "subtract": "Alt"}[how])
        if label != self.label:
            hand.keys(CATEGORY_KEYS[label])
            self.label = label

    # ---- correcting ----

    def correct(self, scene: Scene) -> None:
        """Go through the review regions of the open image, then vouch for the image."""
        hand = self.hand
        hand.clock.charge("open")
        hand.clock.charge("scan", len(scene.masks))
        if hand.read(f"{REVIEW}.current === null && {REVIEW}.open.length > 0"):
            hand.keys("]")
        size = scene.image.shape[0], scene.image.shape[1]
        answered = np.zeros(size, bool)
        while left := self._open(size):
            region, box = hand.read(f"[{REVIEW}.region.id, {REVIEW}.region.box]")
            here = _filled(box, size)
            answered |= here
            last = not any(_share(other, answered) < 1 for other in left)
            hand.decide()
            answer = self.repaired(scene, here, last)
            if last:
                break  # vouching for the whole image answers the last region too
            while hand.read(f"{REVIEW}.current") != region:  # Esc has left it
                hand.keys("]")
            hand.keys(answer)
            hand.page.wait_for_function(
                "(left) => { const { review } = document.querySelector('.hm-root')._herdmark"
                ".editor; return review.open.length < left && review.region; }",
                arg=len(left),
            )
            hand.saved()
        hand.keys("v", "Shift+Enter")

    def _open(self, size: tuple[int, int]) -> list[Mask]:
        """The regions still to be answered."""
        return [_filled(box, size) for box in self.hand.read(f"{REVIEW}.open.map((r) => r.box)")]

    def repaired(self, scene: Scene, region: Mask, last: bool) -> str:
        """Repair what the region under review shows; the key that answers it.

        The last region is answered with the whole image, so an animal that is none is deleted.
        """
        hand = self.hand
        height, width = region.shape
        answer = "a"
        for _ in range(ROUNDS):
            shown = hand.shown(height, width)
            if self._structure(scene, shown, region):
                answer = "x"
                continue
            ghost = self._ghost(scene, shown, region)
            if ghost:
                self._select(shown, ghost)
                alone = hand.read("h.state.selected") == ghost
                if answer == "a" and alone and not last:
                    return "r"
                if alone:
                    hand.keys("Delete")
                    answer = "x"
            if self._edges(scene, shown, region) | self._categories(scene, region):
                answer = "x"
            return answer
        return answer

    def _structure(self, scene: Scene, shown: dict[str, Mask], region: Mask) -> bool:
        """Split what shows two animals, merge what shows one twice, draw what is missing."""
        here = [k for k, mask in enumerate(scene.masks) if _meets(mask, region)]
        for one, mask in shown.items():
            inside = [k for k in here if _share(scene.masks[k], mask) > MOSTLY]
            inside = [k for k in inside if _share(mask, scene.masks[k]) > 0.15]
            if len(inside) > 1:
                if not self._split(shown, one, [scene.masks[k] for k in inside[:2]]):
                    self._redraw(scene, shown, one, inside)
                return True
        for k in here:
            truth = scene.masks[k]
            pieces = [one for one, mask in shown.items() if _share(mask, truth) > MOSTLY]
            if len(pieces) > 1:
                self._merge(shown, pieces[:2])
                return True
            if all(iou(mask, truth) < SAME for mask in shown.values()) and not pieces:
                self.hand.keys("d")
                self.draw(truth, scene.labels[k])
                self.hand.keys("Escape")
                return True
        return False

    def _ghost(self, scene: Scene, shown: dict[str, Mask], region: Mask) -> str:
        """The animal in the region that is none, if one is; its id."""
        everything = np.any(scene.masks, axis=0)
        for one, mask in shown.items():
            if _meets(mask, region) and _share(mask, everything) < 1 - MOSTLY:
                return one
        return ""

    def _select(self, shown: dict[str, Mask], one: str, held: str = "") -> None:
        """Click an animal where nothing lies on top of it."""
        order = list(shown)
        above = order[order.index(one) + 1 :]
        hidden = np.any([shown[other] for other in above], axis=0) if above else ~shown[one] & False
        place = inner_point(shown[one], hidden)
        self.hand.click(*place, held=held)
        picked = self.hand.read("h.state.selected")
        if picked not in (one, None) and not held:  # a vertex of the animal selected before
            self.hand.keys("Escape")
            self.hand.click(*place)

    def _redraw(self, scene: Scene, shown: dict[str, Mask], one: str, which: Sequence[int]) -> None:
        """Delete what shows several animals and outline each."""
        hand = self.hand
        hand.keys("v")
        self._select(shown, one)
        hand.keys("Delete", "d")
        for k in which:
            self.draw(scene.masks[k], scene.labels[k])
        hand.keys("Escape")

    def _split(self, shown: dict[str, Mask], one: str, pair: Sequence[Mask]) -> bool:
        """Cut between two animals, at the first try only; False where that does no good."""
        hand = self.hand
        if one in self.tried:
            return False
        self.tried.add(one)
        hand.approach(shown[one], COMFORT, CLOSE)
        line = cut(shown[one], pair[0], pair[1], hand.scale)
        if not line:
            return False
        hand.keys("v")
        self._select(shown, one)
        hand.keys("u")
        hand.stroke(line)
        hand.keys("v", "Escape")
        return bool(len(hand.shown(*pair[0].shape)) > len(shown))

    def _merge(self, shown: dict[str, Mask], pieces: Sequence[str]) -> None:
        hand = self.hand
        hand.keys("v")
        self._select(shown, pieces[0])
        self._select(shown, pieces[1], "Shift")
        hand.keys("m")

    def _categories(self, scene: Scene, region: Mask) -> bool:
        """Give animals in the region the category they have."""
        hand, changed = self.hand, False
        shown, labels = hand.shown(*region.shape), hand.labels()
        for truth, label in zip(scene.masks, scene.labels, strict=True):
            best = max(shown, key=lambda one: iou(shown[one], truth), default="")
            wrong = best and labels[best] != label and iou(shown[best], truth) > MOSTLY
            if wrong and _meets(truth, region):
                hand.keys("v")
                self._select(shown, best)
                hand.keys(CATEGORY_KEYS[label])
                self.label = label
                changed = True
        return changed

    # ---- brush and eraser ----

    def _edges(self, scene: Scene, shown: dict[str, Mask], region: Mask) -> bool:
        """Paint and erase at animals in the region until their outlines are good."""
        changed = False
        for truth, label in zip(scene.masks, scene.labels, strict=True):
            if not _meets(truth, region):
                continue
            best = max(shown, key=lambda one: iou(shown[one], truth), default="")
            if best and SAME / 2 < iou(shown[best], truth) < GOOD:
                self._improve(shown, best, truth, label)
                shown = self.hand.shown(*truth.shape)
                changed = True
        return changed

    def _improve(self, shown: dict[str, Mask], one: str, truth: Mask, label: str) -> None:
        """Brush over errors, finer ones at a second look; an outline far off is drawn anew."""
        hand = self.hand
        hand.keys("v")
        hand.approach(shown[one] | truth, COMFORT, CLOSE)
        self._select(shown, one)
        if iou(shown[one], truth) < HOPELESS:
            hand.keys("Delete", "d")
            self.draw(truth, label)
            hand.keys("Escape")
            return
        mask = shown[one]
        for worth, finest in zip(WORTH, FINEST, strict=True):
            if iou(mask, truth) < GOOD:
                self._retouch(mask, truth, worth, finest)
                mask = hand.shown(*truth.shape)[one]
        hand.keys("v")

    def _retouch(self, mask: Mask, truth: Mask, worth: float, finest: float) -> None:
        """Brush and eraser strokes over the selected animal's errors."""
        hand = self.hand
        smallest = max(worth * float(truth.sum()), 4)
        missing = [("b", blob, truth) for blob in blobs(truth & ~mask, smallest)]
        surplus = [("e", blob, ~truth) for blob in blobs(mask & ~truth, smallest)]
        tool = ""
        for key, blob, allowed in [*missing[:BLOBS], *surplus[:BLOBS]]:
            if key != tool:
                hand.keys(key)
                tool = key
            for line in strokes(blob, allowed, self._size(blob, allowed, finest)):
                hand.stroke(line)

    def _size(self, blob: Mask, allowed: Mask, finest: float) -> float:
        """Set the brush about as wide as an error; its radius in image px."""
        half = float(depth(blob).max())
        room = float(depth(allowed)[cv2.dilate(blob.astype(np.uint8), None) > 0].max())
        wanted = min(max(2 * half + 1, finest), max(2 * room, 2.0))
        while not self.brush / 1.2 <= wanted <= self.brush * 1.2:
            larger = wanted > self.brush
            self.hand.keys("]" if larger else "[")
            step = self.brush * BRUSH_STEP if larger else self.brush / BRUSH_STEP
            ways = (max(step, self.brush + 1), min(step, self.brush - 1))
            self.brush = float(math.floor((ways[0] if larger else ways[1]) + 0.5))
            if self.brush <= 2:
                break
        return self.brush / 2


def _share(part: Mask, of: Mask) -> float:
    """How much of `part` lies in `of`."""
    return int((part & of).sum()) / max(int(part.sum()), 1)


def _filled(box: Sequence[float], size: tuple[int, int]) -> Mask:
    """The pixels of a region's box."""
    x, y, w, h = box
    mask = np.zeros(size, bool)
    mask[int(y) : math.ceil(y + h), int(x) : math.ceil(x + w)] = True
    return mask


def _meets(mask: Mask, region: Mask) -> bool:
    return bool((mask & region).any())
