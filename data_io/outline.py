"""Mask -> exact outline: closed rings along pixel edges, found without a loop over pixels.

Every corner of the outline ends one horizontal and one vertical edge. So the corners of a row,
taken in order, pair up into its horizontal edges, those of a column into its vertical ones, and
following horizontal, vertical, horizontal... closes the rings. A saddle (two pixels that touch at a
corner only) is two corners in one place; which edges its copies join decides whether two rings
touch there or one ring passes twice.
"""

from __future__ import annotations

from itertools import pairwise
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
    inside = np.ascontiguousarray(np.asarray(mask) != 0).view(np.uint8)
    left, top, width, height = cv2.boundingRect(inside)
    if not width:
        return ()
    padded = np.zeros((height + 2, width + 2), dtype=np.uint8)
    padded[1:-1, 1:-1] = inside[top : top + height, left : left + width]
    return _parts(padded, np.array([left + x0, top + y0], dtype=np.float64))


def _parts(padded: NDArray[np.uint8], origin: Ring) -> Parts:
    x, y, mate = _found_corners(padded)
    left = np.arange(0, len(x), 2)  # the corners 2i and 2i + 1 are the ends of horizontal edge i
    below = padded[y[left] + 1, x[left] + 1] != 0  # the animal lies below this edge
    tail, head = left + ~below, left + below
    order, starts = _cycles((mate[head] // 2).tolist())
    corners = np.stack([tail[order], head[order]], axis=1).ravel()
    points = np.stack([x[corners], y[corners]], axis=1) + origin
    rings = [points[2 * a : 2 * b] for a, b in pairwise([*starts, len(order)])]
    first = [order[start] for start in starts]  # the topmost edge of each ring
    return _grouped(rings, [bool(below[edge]) for edge in first], padded, (x, y, left[first]))


def _found_corners(padded: NDArray[np.uint8]) -> tuple[Index, Index, Index]:
    """See `_corners`."""
    upright = padded[:, :-1] ^ padded[:, 1:]  # edges between a pixel and the next one in its row
    saddles = padded[:-1, :-1] ^ padded[1:, :-1]
    saddles &= upright[:-1]
    saddles &= upright[1:]
    if cv2.countNonZero(saddles):
        return _corners(padded, _pieces(padded))
    return _plain_corners(upright[:-1] ^ upright[1:])


def _grouped(
    rings: list[Ring],
    outer: list[bool],
    padded: NDArray[np.uint8],
    corner: tuple[Index, Index, Index],
) -> Parts:
    """Each outer ring with its holes; `corner` holds x, y and which are the rings' first ones."""
    if all(outer):
        return tuple(Part(ring) for ring in rings)
    x, y, places = corner
    if sum(outer) == 1:
        piece = [0] * len(rings)
    else:
        piece = _pieces(padded)[y[places] + outer, x[places] + 1].tolist()
    holes: dict[int, list[Ring]] = {}
    for ring, owner, is_outer in zip(rings, piece, outer, strict=True):
        if not is_outer:
            holes.setdefault(owner, []).append(ring)
    return tuple(
        Part(ring, tuple(holes.get(owner, ())))
        for ring, owner, is_outer in zip(rings, piece, outer, strict=True)
        if is_outer
    )


def _pieces(padded: NDArray[np.uint8]) -> NDArray[Any]:
    """Number of the 4-connected piece of each pixel, 0 outside."""
    return np.asarray(cv2.connectedComponents(padded, connectivity=4, ltype=cv2.CV_32S)[1])


def _plain_corners(corner: NDArray[np.uint8]) -> tuple[Index, Index, Index]:
    """As `_corners`, where no two pixels touch at a corner only."""
    y, x = np.divmod(np.flatnonzero(corner), corner.shape[1])
    return x, y, _mates(np.argsort(x, kind="stable"))


def _mates(columns: Index) -> Index:
    """The other end of each corner's vertical edge, from the corners in column order."""
    mate = np.empty(len(columns), dtype=np.int64)
    mate[columns[0::2]], mate[columns[1::2]] = columns[1::2], columns[0::2]
    return mate


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
    return x, y, _mates(np.lexsort((np.where(left_goes_up, second, ~second), y, x)))


def _cycles(following: list[int]) -> tuple[list[int], list[int]]:
    """Cycles of a permutation.

    Returns:
        its members cycle by cycle, each from its smallest one on, and where in that list they
        start; cycles in the order of their smallest members.
    """
    order: list[int] = []
    starts: list[int] = []
    for smallest in range(len(following)):
        member = smallest
        if following[member] < 0:
            continue
        starts.append(len(order))
        while (after := following[member]) >= 0:
            order.append(member)
            following[member] = -1
            member = after
    return order, starts
