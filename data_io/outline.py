"""Mask -> exact outline: closed rings along pixel edges, found without a loop over pixels.

Every corner of the outline ends one horizontal and one vertical edge. So the corners of a row,
taken in order, pair up into its horizontal edges, those of a column into its vertical ones, and
following horizontal, vertical, horizontal... closes the rings. A saddle (two pixels that touch at a
corner only) is two corners in one place; which edges its copies join decides whether two rings
touch there or one ring passes twice.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from data_io.types import Part, Parts, Ring

Index = NDArray[np.int64]


def parts_of_mask(mask: NDArray[Any], x0: int = 0, y0: int = 0) -> Parts:
    """The exact outline of an (H, W) mask (non-zero = inside), a part for each 4-connected piece.

    Rings are simple (a ring touches itself nowhere; a hole may touch its outer ring or another hole
    at single points), have no collinear vertices and only integer coordinates. Outer rings run
    clockwise on the screen, holes the other way. Parts come in the order of their top-left pixels.
    The inverse of `geometry.mask_of_parts`, bit for bit.

    Args:
        mask: (H, W), any dtype.
        x0: added to every x, for a mask that is a crop of an image.
        y0: added to every y.
    """
    inside = np.asarray(mask) != 0
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return ()
    crop = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    padded = np.zeros((crop.shape[0] + 2, crop.shape[1] + 2), dtype=np.uint8)
    padded[1:-1, 1:-1] = crop
    labels = cv2.connectedComponents(padded, connectivity=4, ltype=cv2.CV_32S)[1]
    origin = np.array([columns[0] + x0, rows[0] + y0], dtype=np.float64)
    return _parts(padded, labels, origin)


def _parts(padded: NDArray[np.uint8], labels: NDArray[Any], origin: Ring) -> Parts:
    x, y, mate = _corners(padded, labels)
    left = np.arange(0, len(x), 2)  # the corners 2i and 2i + 1 are the ends of horizontal edge i
    below = padded[y[left] + 1, x[left] + 1] != 0  # the animal lies below this edge
    tail, head = np.where(below, left, left + 1), np.where(below, left + 1, left)
    leader, order = _cycles(mate[head] // 2)
    corners = np.stack([tail[order], head[order]], axis=1).ravel()
    points = np.stack([x[corners], y[corners]], axis=1).astype(np.float64) + origin
    cuts = np.flatnonzero(np.diff(leader[order])) + 1
    owner = labels[y[left] + below, x[left] + 1]
    outers: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for ring, first in zip(
        np.split(points, 2 * cuts), leader[order][np.concatenate([[0], cuts])], strict=True
    ):
        piece = int(owner[first])
        if below[first]:  # the leader is the ring's topmost edge
            outers[piece] = ring
        else:
            holes.setdefault(piece, []).append(ring)
    return tuple(Part(ring, tuple(holes.get(piece, ()))) for piece, ring in outers.items())


def _corners(padded: NDArray[np.uint8], labels: NDArray[Any]) -> tuple[Index, Index, Index]:
    """x, y of every corner in row order, saddles twice, and the other end of its vertical edge."""
    nw, ne, sw, se = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    saddle = (nw == se) & (ne == sw) & (nw != ne)
    y, x = np.nonzero((nw ^ ne ^ sw ^ se).astype(np.bool_) | saddle)
    twice = saddle[y, x]
    copies = 1 + twice
    falling = nw[y, x] != 0
    one = np.where(falling, labels[y, x], labels[y, x + 1])
    two = np.where(falling, labels[y + 1, x + 1], labels[y + 1, x])
    # Pixels of one piece: cut the ring in two there, which makes the pocket between them a hole.
    # Pixels of two pieces: keep each ring on its own side.
    left_goes_up = np.repeat(falling ^ (one == two), copies)
    x, y, twice = np.repeat(x, copies), np.repeat(y, copies), np.repeat(twice, copies)
    second = np.zeros(len(x), dtype=np.bool_)
    second[1:] = twice[1:] & (x[1:] == x[:-1]) & (y[1:] == y[:-1])
    columns = np.lexsort((np.where(left_goes_up, second, ~second), y, x))
    mate = np.empty(len(x), dtype=np.int64)
    mate[columns[0::2]], mate[columns[1::2]] = columns[1::2], columns[0::2]
    return x, y, mate


def _cycles(following: Index) -> tuple[Index, Index]:
    """Cycles of a permutation, by pointer doubling.

    Returns:
        the smallest member of everyone's cycle, and the members sorted by cycle, then along it from
        that smallest member.
    """
    count = len(following)
    leader, jump = np.arange(count), following
    for _ in range(count.bit_length()):
        leader = np.minimum(leader, leader[jump])
        jump = jump[jump]
    ends = following == leader
    jump = np.where(ends, np.arange(count), following)
    to_end = (~ends).astype(np.int64)
    for _ in range(count.bit_length()):
        to_end += to_end[jump]
        jump = jump[jump]
    return leader, np.lexsort((-to_end, leader))
