"""Merging categories asks first; a second one is not made by mistake."""

from __future__ import annotations

import gradio as gr
import pytest

from app.pages import data_categories
from app.pages.data_forms import Categories
from data_io.errors import DataError
from data_io.store import Store


def test_merging_asks_first_and_then_merges_what_was_asked(store: Store) -> None:
    calf, cow = store.add_category("<calf>"), store.add_category("cow")
    column, question, pair = data_categories.ask(store, calf.id, cow.id)
    assert column.visible
    assert "&lt;calf&gt;" in question
    assert "cannot be undone" in question
    assert len(store.categories()) == 2
    filled = data_categories.merge(store, pair)
    assert store.categories() == [cow]
    assert filled[1].value == cow.id
    assert (filled[-3].visible, filled[-1]) == (False, None)


def test_nothing_is_merged_without_a_question(store: Store) -> None:
    cow = store.add_category("cow")
    data_categories.merge(store, None)
    for chosen, target in ((cow.id, ""), (None, cow.id), ("ghost", cow.id)):
        with pytest.raises(DataError, match="none is chosen"):
            data_categories.ask(store, chosen, target)
    assert store.categories() == [cow]


def test_a_category_is_not_offered_to_itself(store: Store) -> None:
    calf, cow = store.add_category("calf"), store.add_category("cow")
    filled = data_categories.filled(store, calf.id)
    assert [value for _, value in filled[4].choices] == ["", cow.id]


def test_applying_a_name_takes_no_notice_of_the_merge(store: Store) -> None:
    with gr.Blocks() as demo:
        with gr.Tab("Data") as tab:
            form = Categories.build()
        data_categories.wire(form, store, demo, tab)
    clicks = {
        target[0]: handler.inputs
        for handler in demo.fns.values()
        for target in handler.targets
        if target[1] == "click"
    }
    assert clicks[form.apply._id] == [form.chosen, form.rename, form.color]
    assert clicks[form.agree._id] == [form.pair]


def test_a_name_that_differs_in_capitals_alone_is_refused(store: Store) -> None:
    store.add_category("Heifer")
    with pytest.raises(DataError, match="differs from the category Heifer in capital letters"):
        data_categories.refuse_twin(store, " heifer ")
    data_categories.refuse_twin(store, "Heifer")  # the same one: nothing is added
    data_categories.refuse_twin(store, "heifers")
