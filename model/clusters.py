"""Kinds of picture: k-means over embeddings, with numbers that last.

More images ask for more clusters in powers of two, so clusters are made anew only when the images
have quadrupled; the old centers are where the new ones begin, and in between an image just joins
the nearest. So the queue does not jump when an image comes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEWEST = 8  # images before there are clusters
MOST = 32  # clusters
_TRIES = 5  # vectors drawn for each further center
Floats = NDArray[np.float32]


def wanted(images: int) -> int:
    """How many clusters so many images deserve: 0, 2, 4, 8 ... 32, about the root of their half."""
    if images < FEWEST:
        return 0
    return min(MOST, 1 << ((images // 2).bit_length() - 1) // 2)


def nearest(vectors: Floats, centers: Floats) -> NDArray[np.int64]:
    """(n,) the row of `centers` (k, d), k >= 1, that is closest to each of `vectors` (n, d)."""
    closeness = 2 * vectors @ centers.T - (centers**2).sum(1)
    return np.asarray(closeness.argmax(1), np.int64)


def kmeans(
    vectors: Floats, count: int, start: Floats | None = None, seed: int = 0, steps: int = 30
) -> Floats:
    """Centers by Lloyd's algorithm, seeded by greedy k-means++ (Arthur & Vassilvitskii 2007).

    Args:
        vectors: (n, d), n >= 1.
        count: how many centers; fewer come out where fewer vectors differ.
        start: (m, d) earlier centers, which keep their numbers; m = 0 for none.
        seed: of the further ones.
        steps: of Lloyd's algorithm at most.

    Returns:
        (k, d) float32.
    """
    centers = _seeded(vectors, count, start, np.random.default_rng(seed))
    for _ in range(steps):
        own = nearest(vectors, centers)
        moved = centers.copy()
        for number in np.unique(own):  # a center without vectors stays where it is
            moved[number] = vectors[own == number].mean(0)
        if np.array_equal(moved, centers):
            break
        centers = moved
    return centers


def _seeded(vectors: Floats, count: int, start: Floats | None, dice: np.random.Generator) -> Floats:
    """Earlier centers, and vectors far from them: of some drawn, the one that helps most."""
    centers = [] if start is None else list(start[:count])
    if not centers:
        centers = [vectors[int(dice.integers(len(vectors)))]]
    apart = np.min([_apart(vectors, center) for center in centers], 0)
    while len(centers) < count and apart.any():
        drawn = dice.choice(len(vectors), _TRIES, p=apart / apart.sum())
        left = [np.minimum(apart, _apart(vectors, vectors[index])) for index in drawn]
        best = int(np.argmin([one.sum() for one in left]))
        centers.append(vectors[drawn[best]])
        apart = left[best]
    return np.stack(centers).astype(np.float32)


def _apart(vectors: Floats, center: Floats) -> NDArray[np.float64]:
    return np.asarray(((vectors - center) ** 2).sum(1, dtype=np.float64))
