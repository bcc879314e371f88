"""Categories: names, colors, merges that revisions and proposals follow without being rewritten."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from data_io.errors import DataError
from data_io.store import Store
from data_io.store.categories import PALETTE
from data_io.types import Category, ImageRecord, Instance, Proposal


def test_a_name_is_added_once(store: Store) -> None:
    first = store.add_category("  cow ")
    assert first.name == "cow"
    assert store.add_category("cow", "#123456") == first
    assert store.categories() == [first]


def test_the_same_letters_composed_differently_are_one_name(store: Store) -> None:
    assert store.add_category("vache âgée") == store.add_category("vache a\u0302ge\u0301e")


def test_a_name_is_text_whatever_it_holds(store: Store) -> None:
    name = "<script>alert(1)</script>'; DROP TABLE categories; --"
    assert store.add_category(name).name == name
    assert [category.name for category in store.categories()] == [name]


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "two\nlines", "nul\0"])
def test_unusable_names_are_refused(store: Store, name: str) -> None:
    with pytest.raises(DataError, match="name"):
        store.add_category(name)
    assert store.categories() == []


def test_the_longest_name_fits(store: Store) -> None:
    assert len(store.add_category("x" * 80).name) == 80


@pytest.mark.parametrize("color", ["red", "#12345", "#1234567", "#gggggg", "", "url(x)"])
def test_unusable_colors_are_refused(store: Store, color: str) -> None:
    with pytest.raises(DataError, match="color"):
        store.add_category("cow", color)
    cow = store.add_category("cow", "#ABCDEF")
    assert cow.color == "#abcdef"
    with pytest.raises(DataError, match="color"):
        store.recolor_category(cow.id, color)
    assert store.categories() == [cow]


def test_automatic_colors_differ_until_the_palette_is_used_up(store: Store) -> None:
    colors = [store.add_category(f"class {n}").color for n in range(2 * len(PALETTE))]
    assert set(colors[: len(PALETTE)]) == set(PALETTE)
    assert sorted(colors) == sorted(PALETTE * 2)


def test_rename_and_recolor(store: Store, cow: Category) -> None:
    assert store.rename_category(cow.id, "bull").name == "bull"
    assert store.recolor_category(cow.id, "#010203").color == "#010203"
    assert store.categories() == [Category(cow.id, "bull", "#010203", cow.coco_id)]


def test_a_rename_to_another_ones_name_is_refused(store: Store, cow: Category) -> None:
    calf = store.add_category("calf")
    with pytest.raises(DataError, match="merge the two"):
        store.rename_category(calf.id, "cow")
    assert store.rename_category(cow.id, "cow") == cow


def test_a_merge_is_read_everywhere_and_rewrites_nothing(
    store: Store, image: ImageRecord, cow: Category, animal: Callable[..., Instance]
) -> None:
    calf, kid = store.add_category("calf"), store.add_category("kid")
    herd = [animal("a", kid), animal("b", cow), animal("c", calf)]
    store.save_revision(image.id, 0, herd, (), "me")
    store.put_proposal(Proposal(image.id, "v1", (animal("p", kid),), "m.png", 0.5))

    def raw() -> object:
        with store._read() as connection:
            return connection.exec_driver_sql("SELECT instances FROM revisions").scalar()

    before = raw()
    store.merge_categories(kid.id, calf.id)
    assert store.merge_categories(calf.id, cow.id) == cow  # a chain: kid -> calf -> cow
    assert store.categories() == [cow]
    assert store.merged_categories() == {kid.id: cow.id, calf.id: cow.id}
    assert store.category_names() == {kid.id: "cow", calf.id: "cow", cow.id: "cow"}
    revision, proposal = store.revision(image.id), store.proposal(image.id)
    assert revision is not None
    assert proposal is not None
    assert [one.category for one in revision.instances] == [cow.id] * 3
    assert [one.category for one in proposal.instances] == [cow.id]
    assert [one.category for one in store.latest_revisions()[image.id].instances] == [cow.id] * 3
    assert raw() == before
    # An open canvas may still send the merged category.
    saved = store.save_revision(image.id, 1, [animal("a", kid)], (), "me")
    assert saved.instances[0].category == cow.id


def test_a_merged_name_can_be_used_again_but_its_coco_id_cannot(
    store: Store, cow: Category
) -> None:
    calf = store.add_category("calf")
    store.merge_categories(calf.id, cow.id)
    again = store.add_category("calf")
    assert again.id != calf.id
    assert [cow.coco_id, calf.coco_id, again.coco_id] == [1, 2, 3]


def test_merges_that_make_no_sense_are_refused(store: Store, cow: Category) -> None:
    calf = store.add_category("calf")
    store.merge_categories(calf.id, cow.id)
    for source, target in [(cow.id, cow.id), (cow.id, "ghost"), ("ghost", cow.id)]:
        with pytest.raises(DataError):
            store.merge_categories(source, target)
    with pytest.raises(DataError):
        store.merge_categories(cow.id, calf.id)  # calf is no category any more
    with pytest.raises(DataError, match="not in this project"):
        store.rename_category(calf.id, "veal")
    assert store.categories() == [cow]
