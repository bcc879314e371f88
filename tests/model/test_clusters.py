"""Clusters find kinds of picture and keep their numbers."""

from __future__ import annotations

import numpy as np

from model.clusters import FEWEST, MOST, kmeans, nearest, wanted


def heaps(count: int, each: int, seed: int = 0) -> np.ndarray:
    """Vectors around `count` well separated places, in turn."""
    rng = np.random.default_rng(seed)
    places = 20 * np.eye(count, 8)
    noise = rng.normal(size=(count * each, 8))
    return (np.tile(places, (each, 1)) + noise).astype(np.float32)


def test_the_number_of_clusters_grows_with_the_fourfold() -> None:
    counts = [wanted(n) for n in range(20_000)]
    assert counts[FEWEST - 1] == 0
    assert counts[FEWEST] == 2
    assert counts == sorted(counts)
    assert sorted({n for n in counts if n}) == [2, 4, 8, 16, MOST]
    assert [counts.index(n) for n in (2, 4, 8, 16, 32)] == [8, 32, 128, 512, 2048]


def test_separate_heaps_are_separate_clusters() -> None:
    vectors = heaps(4, 25)
    own = nearest(vectors, kmeans(vectors, 4))
    assert all(len(set(own[k::4].tolist())) == 1 for k in range(4))
    assert len(set(own.tolist())) == 4
    np.testing.assert_array_equal(kmeans(vectors, 4), kmeans(vectors, 4))


def test_earlier_centers_keep_their_numbers() -> None:
    few = heaps(2, 20)
    before = kmeans(few, 2)
    more = np.concatenate([few, heaps(4, 20, seed=1)])
    after = kmeans(more, 4, before)
    assert len(after) == 4
    np.testing.assert_array_equal(nearest(few, before), nearest(few, after))


def test_fewer_vectors_than_clusters_make_fewer_clusters() -> None:
    vectors = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    assert len(kmeans(vectors, 8)) == 3
    assert len(kmeans(np.zeros((9, 2), np.float32), 2)) == 1
