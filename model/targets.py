"""What labels teach beside classes: the contact band, and the middle of every animal.

*The contact band* tells one category to the network as background, body and band. Where two animals
touch, a map of "animal or not" shows one blob. With a band along every animal's outline as a class
of its own, the two bodies stay apart in what the network has to learn. Only the training sees it:
the decoded answer is p(animal) = p(body) + p(band), so that predictions, exports, measures and the
uncertainty map know one category.

*Animal targets* are what the instance heads learn, after Panoptic-DeepLab (arXiv 1911.10194): a
heat-map with a hill at the middle of every animal, from each cell the way to the middle of its
animal, and where animals touch. Lengths are relative to the animals, whose sizes differ by fifty
times in one project.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from data_io.geometry import Rle, mask_of_rle
from model.config import IGNORE, Encoding

BODY, BAND = 1, 2  # 0 is the background
# Pixels at training size: two cells of stride 4, so that a band is still a cell wide when a crop
# shows its image at half the size.
RADIUS = 8.0

STRIDE = 4  # pixels a cell of the instance heads
UNKNOWN = 65535  # id of ground nobody vouches for
HILL = 0.1  # sigma of a hill of the heat-map, in square roots of its animal's area; a cell at least

# Depth inside an animal that counts as 1, in square roots of its area: an ellipse twice as long as
# wide is .4 deep.
CORE = 0.4

Ids = NDArray[np.uint16]  # (h, w): 0 = no animal, k = the k-th one
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]


def animal_ids(rasters: Sequence[Rle], height: int, width: int) -> Ids:
    """Which animal each pixel shows, (height, width); later ones lie on top."""
    ids = np.zeros((height, width), np.uint16)
    for number, rle in enumerate(rasters, start=1):
        ids[mask_of_rle(rle)] = number
    return ids


def contact_band(ids: Ids, radius: float = RADIUS) -> Labels:
    """Labels 0, `BODY`, `BAND` (h, w) of a map of animals.

    The band holds the pixels of an animal at most `radius` pixels from its outline. Pixels so near
    to another animal are among them, since the way there leads over the own outline. The border of
    the image is no outline: the animal goes on there.
    """
    own = ids > 0
    labels = np.where(own, BODY, 0).astype(np.uint8)
    labels[own & (inner_distance(ids) <= radius)] = BAND
    return labels


def inner_distance(ids: Ids) -> Floats:
    """Distance of each pixel of an animal to its animal's outline (h, w), pixels; 0 outside.

    The border of the map is no outline: the animal goes on there.
    """
    own = ids > 0
    outline = np.zeros(ids.shape, np.bool_)
    for axis in (0, 1):
        before, after = (_cut(ids.shape, axis, part) for part in (slice(None, -1), slice(1, None)))
        differ = ids[before] != ids[after]
        outline[before] |= differ
        outline[after] |= differ
    # Centers of outline pixels lie half a pixel inside the outline.
    distance = cv2.distanceTransform(
        (~(outline & own)).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
    )
    return np.where(own, distance + 0.5, 0).astype(np.float32)


def _cut(shape: tuple[int, ...], axis: int, part: slice) -> tuple[slice, ...]:
    return tuple(part if k == axis else slice(None) for k in range(len(shape)))


def decode_labels(labels: Labels, encoding: Encoding) -> Labels:
    """Labels as the decoded network answers them: body and band are the category, 255 stays."""
    if encoding == "classes":
        return labels
    return np.where(labels == IGNORE, IGNORE, np.minimum(labels, BODY)).astype(np.uint8)


class AnimalTargets(NamedTuple):
    """What the instance heads learn of one crop, at stride 4; a batch has an axis in front."""

    center: Floats  # (h, w) in [0, 1], about 1 in the middle of each animal
    offset: Floats  # (2, h, w): x and y from the middle of a cell to that of its animal, pixels
    size: Floats  # (h, w): square root of its animal's area, pixels; 0 = no whole animal here
    contact: Floats  # (h, w): 1 = beside a cell of another animal, else 0
    core: Floats  # (h, w) in [0, 1]: how deep inside its animal, see `CORE`; 0 outside


def animal_targets(ids: Ids) -> AnimalTargets:
    """Targets of a map of animals (H, W) at training size; sides are multiples of the stride.

    The middle is that of the pixels that the map shows: an animal that its border cuts is taken for
    what is left of it, as when predicting. One that reaches unknown ground has no known middle and
    teaches neither hill nor offset.
    """
    at = np.s_[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
    known = np.where(ids == UNKNOWN, 0, ids)
    area, middle = _middles(known)
    whole = area > 0
    whole[0] = False
    whole[_reaching_unknown(ids)] = False
    cell = known[at]
    h, w = cell.shape
    y, x = ((np.arange(n, dtype=np.float32) + 0.5) * STRIDE for n in (h, w))
    side = np.sqrt(area, dtype=np.float32) * whole
    taught = side[cell] > 0
    reach = CORE * np.maximum(side[cell], 1)
    offset = np.stack([middle[0][cell] - x, middle[1][cell] - y[:, None]]) * taught
    return AnimalTargets(
        center=_hills(x, y, middle[:, whole], side[whole]),
        offset=offset.astype(np.float32),
        size=side[cell],
        contact=_contact(cell).astype(np.float32),
        core=np.minimum(1, _at_centers(inner_distance(known)) / reach) * taught,
    )


def _at_centers(values: Floats) -> Floats:
    """(H, W) -> (h, w): the mean of the four pixels around the middle of each cell."""
    h, w = (n // STRIDE for n in values.shape)
    middle = np.s_[STRIDE // 2 - 1 : STRIDE // 2 + 1]
    return values.reshape(h, STRIDE, w, STRIDE)[:, middle, :, middle].mean((1, 3))


def _middles(ids: Ids) -> tuple[NDArray[np.int64], Floats]:
    """Area (n,) and centroid (2, n) as x, y of every id up to the largest, in pixels."""
    h, w = ids.shape
    flat = ids.ravel()
    area = np.bincount(flat)
    x = np.bincount(flat, np.tile(np.arange(w) + 0.5, h))
    y = np.bincount(flat, np.repeat(np.arange(h) + 0.5, w))
    return area, (np.stack([x, y]) / np.maximum(area, 1)).astype(np.float32)


def _reaching_unknown(ids: Ids) -> NDArray[np.int64]:
    """Animals beside unknown ground, by number."""
    unknown = ids == UNKNOWN
    if not unknown.any():
        return np.zeros(0, np.int64)
    beside = cv2.dilate(unknown.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return np.unique(ids[beside & ~unknown]).astype(np.int64)


def _hills(x: Floats, y: Floats, middle: Floats, side: Floats) -> Floats:
    """The highest hill at each cell, (h, w)."""
    heat = np.zeros((y.size, x.size), np.float32)
    for (mx, my), sigma in zip(middle.T, np.maximum(HILL * side, STRIDE), strict=True):
        reach = 3 * sigma
        rows, columns = (
            slice(*np.searchsorted(axis, (m - reach, m + reach))) for axis, m in ((y, my), (x, mx))
        )
        dx, dy = (x[columns] - mx) / sigma, (y[rows] - my) / sigma
        hill = np.exp(-0.5 * dy * dy)[:, None] * np.exp(-0.5 * dx * dx)
        heat[rows, columns] = np.maximum(heat[rows, columns], hill)
    return heat


def _contact(cell: NDArray[np.integer]) -> Mask:
    """Cells of an animal that have a cell of another one among their eight neighbors."""
    own = cell.astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    highest = cv2.dilate(own, kernel)
    lowest = cv2.erode(np.where(own > 0, own, np.float32(UNKNOWN)), kernel)
    return np.asarray((own > 0) & ((highest > own) | (lowest < own)), np.bool_)
