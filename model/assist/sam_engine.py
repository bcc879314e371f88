"""Clicks, boxes and points answered by a SAM-style pair, as `model.assist.engine` does.

An embedding takes a second on two cores and belongs to one image, so the newest are kept, those of
the images that come next among them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from data_io.geometry import mask_of_parts, parts_of_mask
from data_io.types import Parts
from model.assist.clicks import Click, within
from model.assist.engine import Change
from model.assist.merge import answered, heard
from model.assist.sam import Embedding, SamPair

KEPT = 64 * 2**20  # bytes of embeddings: those of about sixteen images

Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class Embeddings:
    """The newest embeddings by image, up to `KEPT` bytes; may be asked from several threads."""

    def __init__(self, pair: SamPair, limit: int = KEPT) -> None:
        self._pair, self._limit = pair, limit
        self._kept: OrderedDict[str, Embedding] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: str) -> bool:
        with self._lock:
            return key in self._kept

    def of(self, key: str, image: Bytes) -> Embedding:
        """The embedding of an image (H, W, 3) RGB that `key` names."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        made = self._pair.embed(image)
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > 1 and sum(map(_size, self._kept.values())) > self._limit:
                self._kept.popitem(last=False)
        return made


def _size(embedding: Embedding) -> int:
    return sum(values.nbytes for values in embedding.values.values())


def change(
    pair: SamPair, seen: Embedding, parts: Parts, clicks: Sequence[Click], free: bool
) -> Change:
    """What the last of the clicks changes, see `model.assist.engine.change`."""
    height, width = seen.height, seen.width
    before = mask_of_parts(parts, height, width) if parts else np.zeros((height, width), np.bool_)
    inside = heard(before, clicks)
    if not inside:
        return Change((), ())
    logits = pair.logits_of(before) if before.any() else None
    found = pair.answer(seen, inside, None, logits).mask
    after = answered(before, found, inside, free)
    return Change(parts_of_mask(after & ~before), parts_of_mask(before & ~after))


def in_box(pair: SamPair, seen: Embedding, box: tuple[float, float, float, float]) -> Parts:
    """The animal that fills a box (left, top, right, bottom), image pixels; () for none."""
    left, right = (min(max(0.0, x), seen.width) for x in sorted((box[0], box[2])))
    top, bottom = (min(max(0.0, y), seen.height) for y in sorted((box[1], box[3])))
    if right <= left or bottom <= top:
        return ()
    return parts_of_mask(pair.answer(seen, (), (left, top, right, bottom)).mask)


def through(pair: SamPair, seen: Embedding, points: Sequence[tuple[float, float]]) -> Parts:
    """The animal with these points in it; () for none."""
    clicks = within((Click(x, y, True) for x, y in points), seen.height, seen.width)
    return parts_of_mask(pair.answer(seen, clicks).mask) if clicks else ()
