"""Embeddings and clusters: kept small, read in bulk, noticed by the queue."""

from __future__ import annotations

import numpy as np
import pytest

from data_io.errors import DataError
from data_io.geometry import full_image
from data_io.store import Store
from data_io.types import Category, ImageRecord, Proposal, ReviewRegion


def told(store: Store, image: str) -> tuple[str, int | None, float | None]:
    state = store.image_states()[image]
    return state.proposed, state.cluster, state.foreground


def test_embeddings_are_read_in_the_order_of_their_images(
    store: Store, pictures: list[ImageRecord]
) -> None:
    first, second = (record.id for record in pictures)
    assert store.embeddings().vectors.shape == (0, 0)
    store.put_embedding(second, np.array([1.5, -2.0]), 0.25, source="lite0")
    store.put_embedding(first, np.array([1e9, 0.1], np.float32), cluster=3, source="lite0")
    table = store.embeddings()
    assert (table.images, table.clusters, table.source) == ((first, second), (3, None), "lite0")
    assert table.vectors.dtype == np.float32
    np.testing.assert_allclose(table.vectors, [[65504, 0.1], [1.5, -2]], rtol=1e-3)


def test_states_follow_embeddings_and_clusters(store: Store, pictures: list[ImageRecord]) -> None:
    first, second = (record.id for record in pictures)
    before = store.image_states()
    store.put_embedding(first, np.ones(2), 0.25)
    store.put_embedding(first, np.ones(2), 0.75)
    assert told(store, first) == ("", None, 0.75)
    assert store.image_states()[second] is before[second]
    store.put_clusters(np.zeros((2, 2), np.float32), {first: 1, second: 0})
    assert told(store, first) == ("", 1, 0.75)
    assert told(store, second) == ("", None, None)
    assert store.clusters().shape == (2, 2)
    store.forget_embeddings()
    assert told(store, first) == ("", None, None)
    assert store.clusters().shape == (0, 0)
    assert store.embeddings().images == ()


def test_states_know_what_is_proposed(
    store: Store, pictures: list[ImageRecord], cow: Category, animal
) -> None:
    calf = store.add_category("calf")
    held = animal("a", cow), animal("b", calf), animal("c", cow)
    store.put_proposal(Proposal(pictures[0].id, "v1", held, "", 0.5))
    assert set(told(store, pictures[0].id)[0].split()) == {cow.id, calf.id}
    store.put_proposal(Proposal(pictures[0].id, "v1", (), "", 0.5))
    assert told(store, pictures[0].id)[0] == ""


@pytest.mark.parametrize(
    ("vector", "foreground", "source"),
    [
        ([np.nan, 1], None, "a"),
        ([], None, "a"),
        ([1, 2], 1.5, "a"),
        ([1, 2], float("nan"), "a"),
        ([1, 2, 3], None, "a"),
        ([1, 2], None, "b"),
    ],
)
def test_what_does_not_fit_is_refused(
    store: Store, pictures: list[ImageRecord], vector, foreground, source
) -> None:
    store.put_embedding(pictures[0].id, np.ones(2), source="a")
    with pytest.raises(DataError, match=pictures[1].id):
        store.put_embedding(pictures[1].id, np.array(vector), foreground, source=source)
    with pytest.raises(DataError, match="ghost"):
        store.put_embedding("ghost", np.ones(2), source="a")
    assert store.embeddings().images == (pictures[0].id,)


def test_the_weight_of_a_random_check_is_kept(store: Store, pictures: list[ImageRecord]) -> None:
    image = pictures[0].id
    check = ReviewRegion("", image, "v1", "audit", full_image(4, 4), (0, 0, 4, 4), 0.1, "x")
    rows = [check, ReviewRegion(**{**vars(check), "weight": 12.5})]
    store.put_proposal(Proposal(image, "v1", (), "", 0.5), rows)
    assert {one.weight for one in store.regions(image)} == {None, 12.5}
