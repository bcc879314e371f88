"""The gallery's listings against the same answers computed image by image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_io.errors import DataError
from data_io.geometry import full_image
from data_io.store import GalleryFilter, NewImage, Store
from data_io.types import ImageRecord, Instance, Part, Proposal, ReviewRegion

RING = Part(np.array([[1.0, 1.0], [5.0, 1.0], [5.0, 5.0]]))


@pytest.fixture
def herd(tmp_path: Path) -> Store:
    """Six images: nothing, draft, partly verified, verified, verified then draft, excluded."""
    store = Store.open(tmp_path / "project")
    news = [NewImage(f"images/{n}.jpg", 40, 30, f"{n}" * 64, f"pen-{n % 2}") for n in range(6)]
    images = store.add_images(news)
    cow, calf = store.add_category("cow").id, store.add_category("calf").id
    whole, part = full_image(30, 40), (RING,)
    for image, areas in zip(images[1:5], [[()], [part], [whole], [whole, ()]], strict=True):
        for base, area in enumerate(areas):
            kept = [Instance(f"{image.id}-{base}", cow if image.coco_id % 2 else calf, (RING,))]
            store.save_revision(image.id, base, kept, area, "test")
    for image, score in ((images[0], 0.9), (images[2], 0.2), (images[3], 0.6)):
        region = ReviewRegion("", image.id, "v1", "unsure", (RING,), (1, 1, 4, 4), 0.5, "unsure")
        seen = (Instance(f"p-{image.id}", calf, (RING,), "model", "v1", 0.8),)
        store.put_proposal(Proposal(image.id, "v1", seen, "", score), [region, region])
    store.set_split(images[1].id, "val")
    store.set_excluded(images[5].id, True)
    return store


def listed(store: Store, order: str = "added", **wanted: object) -> list[int]:
    return store.gallery_order(GalleryFilter(**wanted), order)  # type: ignore[arg-type]


def test_every_filter_keeps_what_it_says(herd: Store) -> None:
    by_name = {one.name: one.id for one in herd.categories()}
    assert listed(herd) == [1, 2, 3, 4, 5]  # the excluded one is left out
    assert listed(herd, status="unlabeled") == [1]
    assert listed(herd, status="draft") == [2, 5]  # its newest revision verifies nothing
    assert listed(herd, status="partial") == [3]
    assert listed(herd, status="verified") == [4]
    assert listed(herd, group="pen-1") == [2, 4]
    assert listed(herd, split="val") == [2]
    assert listed(herd, split="none") == [1, 3, 4, 5]
    assert listed(herd, score=0.6) == [1, 4]
    assert listed(herd, category=by_name["cow"]) == [3, 5]
    assert listed(herd, category=by_name["calf"]) == [1, 2, 3, 4]
    assert listed(herd, text="PEN-1", status="verified") == [4]
    assert listed(herd, text="3.jpg") == [4]
    assert listed(herd, text="%") == []
    assert listed(herd, text="_") == []
    assert listed(herd, group="' OR 1=1 --") == []


def test_orders(herd: Store) -> None:
    assert listed(herd, "unreliable") == [1, 4, 3, 2, 5]
    assert listed(herd, "reliable") == [3, 4, 1, 2, 5]
    assert listed(herd, "group") == [1, 3, 5, 2, 4]
    assert listed(herd, "name") == [1, 2, 3, 4, 5]
    with pytest.raises(DataError, match="no order"):
        listed(herd, "size")
    with pytest.raises(DataError, match="no status"):
        listed(herd, status="finished")


def test_rows_tell_what_the_states_tell(herd: Store) -> None:
    states = herd.image_states()
    images: dict[int, ImageRecord] = {one.coco_id: one for one in herd.images()}
    rows = herd.gallery_rows([4, 1, 99, 5])
    assert [row.id for row in rows] == [images[n].id for n in (4, 1, 5)]
    for row in rows:
        state = states[row.id]
        told = row.revision, row.instances, row.verified, row.score, row.open_regions
        assert told == (
            state.revision,
            state.instances,
            state.verified,
            state.score,
            state.open_regions,
        )
    assert herd.gallery_rows([]) == []
    assert herd.groups() == {"pen-0": 3, "pen-1": 2}


def test_a_category_goes_with_its_last_animal_and_with_a_merge(herd: Store) -> None:
    by_name = {one.name: one.id for one in herd.categories()}
    third = next(one for one in herd.images() if one.coco_id == 3)
    herd.save_revision(third.id, 1, [], (), "test")
    assert listed(herd, category=by_name["cow"]) == [5]
    herd.merge_categories(by_name["cow"], by_name["calf"])
    assert listed(herd, category=by_name["calf"]) == [1, 2, 3, 4, 5]


def test_an_import_fills_the_categories_too(tmp_path: Path) -> None:
    from data_io.store import FirstRevision

    with Store.open(tmp_path / "project") as store:
        (image,) = store.add_images([NewImage("images/a.jpg", 40, 30, "a" * 64)])
        cow = store.add_category("cow").id
        store.save_first_revisions(
            [FirstRevision(image.id, [Instance("i", cow, (RING,))], ())], "import"
        )
        assert listed(store, category=cow) == [1]
