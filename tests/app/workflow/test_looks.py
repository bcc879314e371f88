"""Embeddings join clusters as they come, and clusters last."""

from __future__ import annotations

import numpy as np
import pytest

from app.workflow.looks import Looks
from data_io.store import NewImage


@pytest.fixture
def images(store):
    """Forty images without files; even ones look like this, odd ones like that."""
    new = [NewImage(f"/photos/{n}.png", 64, 48, str(n), "north") for n in range(40)]
    return [record.id for record in store.add_images(new)]


def vector(n: int) -> np.ndarray:
    return np.array([10 * (n % 2), 0.01 * n, 0, 1])


def test_images_join_clusters_that_last(store, images):
    looks = Looks(store, "lite0")
    for n, image in enumerate(images[:7]):
        looks.add(image, vector(n), 0.5)
    assert len(store.clusters()) == 0
    assert {state.cluster for state in store.image_states().values()} == {None}
    looks.add(images[7], vector(7))
    first = {image: store.image_states()[image].cluster for image in images[:8]}
    assert set(first.values()) == {0, 1}
    assert len({first[image] for image in images[0:8:2]}) == 1
    centers = store.clusters()
    looks = Looks(store, "lite0")  # another process goes on
    for n in range(8, 31):
        looks.add(images[n], vector(n))
        states = store.image_states()
        assert states[images[n]].cluster == first[images[n % 2]]
        assert {image: states[image].cluster for image in first} == first
    np.testing.assert_array_equal(store.clusters(), centers)
    looks.add(images[31], vector(31))
    assert len(store.clusters()) == 4
    states = store.image_states()
    evens, odds = ({states[image].cluster for image in images[n:32:2]} for n in (0, 1))
    assert not evens & odds


def test_alike_pictures_are_not_clustered_again_at_every_image(store, images, monkeypatch):
    looks = Looks(store, "lite0")
    for image in images[:8]:
        looks.add(image, np.ones(3))
    assert len(store.clusters()) == 1
    monkeypatch.setattr(store, "embeddings", None)
    looks.add(images[8], np.ones(3))
    looks.add(images[8], np.ones(3), 0.3)
    assert store.image_states()[images[8]].foreground == pytest.approx(0.3)


def test_vectors_of_another_backbone_begin_anew(store, images):
    looks = Looks(store, "lite0")
    for n, image in enumerate(images[:9]):
        looks.add(image, vector(n))
    again = Looks(store, "dino")
    assert store.embeddings().images == ()
    again.add(images[0], np.ones(6))
    assert store.image_states()[images[0]].cluster is None
