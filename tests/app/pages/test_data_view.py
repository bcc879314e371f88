"""The gallery and the line above it."""

from __future__ import annotations

from app.pages import data_view
from app.pages.data_view import EXCLUDED, Filter
from data_io.geometry import full_image
from data_io.store import Store


def test_excluded_images_show_only_where_they_are_asked_for(store: Store) -> None:
    out, verified, _ = (record.id for record in store.images())
    store.set_excluded(out, True)
    store.save_revision(verified, 0, [], full_image(48, 64), "me")
    assert out not in data_view.gallery(store, Filter()).html
    assert data_view.gallery(store, Filter()).found == 2
    only = data_view.gallery(store, Filter(status=EXCLUDED))
    assert (only.found, out in only.html) == (1, True)
    assert data_view.gallery(store, Filter(status="verified")).found == 1
    told = data_view.summary(store)
    assert "<b>2 images</b>" in told
    assert ">excluded</span> 1" in told


def test_a_gallery_with_excluded_images_alone_is_not_called_empty(store: Store) -> None:
    for record in store.images():
        store.set_excluded(record.id, True)
    assert "No image matches" in data_view.gallery(store, Filter()).html
    assert data_view.groups(store) == ["photos"]
