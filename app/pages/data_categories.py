"""What the categories' form of the Data page does: create, rename, recolor, and merge."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.pages import data_view
from app.pages.action_html import clicked
from app.pages.data_forms import Categories
from app.pages.told import QUIET, inform, told
from data_io.errors import DataError
from data_io.store import Store
from data_io.store.categories import clean_name
from data_io.types import Category


def wire(form: Categories, store: Store, demo: gr.Blocks, tab: gr.Tab) -> None:
    """Connect the form."""

    @told
    def create(name: str) -> Any:
        refuse_twin(store, name or "")
        store.add_category(name or "")
        return gr.Textbox(value=""), *filled(store)

    @told
    def edit(event: gr.EventData) -> Any:
        return gr.Accordion(open=True), *filled(store, clicked(event)[1])

    @told
    def change(chosen: str | None, name: str, color: str) -> Any:
        picked = _picked(store, chosen).id
        store.rename_category(picked, name)
        store.recolor_category(picked, data_view.hex_color(color))
        return filled(store, picked)

    @told
    def load() -> Any:
        return listed(store)

    @told
    def choose(chosen: str | None) -> Any:
        return filled(store, chosen)

    for event in (form.create.click, form.name.submit):
        event(create, form.name, [form.name, *form.outputs], **QUIET)
    form.listing.act(edit, None, [form.editor, *form.outputs], **QUIET)
    form.chosen.input(choose, form.chosen, form.outputs, **QUIET)
    form.apply.click(change, [form.chosen, form.rename, form.color], form.outputs, **QUIET)
    for moment in (tab.select, demo.load):
        moment(load, None, [form.listing, form.chosen, form.target], **QUIET)
    _wire_merge(form, store)


def refuse_twin(store: Store, name: str) -> None:
    """No second category by mistake: imported ones may differ in case alone, made ones not."""
    clean = clean_name(name)
    for one in store.categories():
        if one.name != clean and one.name.casefold() == clean.casefold():
            why = f"differs from the category {one.name} in capital letters alone"
            raise DataError(clean, why, f"use {one.name}, or choose another name")


def _wire_merge(form: Categories, store: Store) -> None:
    @told
    def asked(chosen: str | None, target: str | None) -> Any:
        return ask(store, chosen, target)

    @told
    def agreed(pair: tuple[str, str] | None) -> Any:
        return merge(store, pair)

    form.merge.click(asked, [form.chosen, form.target], form.asking, **QUIET)
    form.agree.click(agreed, form.pair, form.outputs, **QUIET)
    for event in (form.target.input, form.refuse.click):  # the question was about another pair
        event(_unasked, None, form.asking, **QUIET)


def ask(store: Store, chosen: str | None, target: str | None) -> tuple[Any, ...]:
    """The question before a merge, which cannot be undone, and the pair that it is about.

    Raises:
        DataError: a category is not chosen, or gone.
    """
    source, kept = _picked(store, chosen), _picked(store, target)
    question = data_view.merge_question(source, kept)
    return gr.Column(visible=True), question, (source.id, kept.id)


def merge(store: Store, pair: tuple[str, str] | None) -> tuple[Any, ...]:
    """Merge the pair that was asked about; returns the form filled anew.

    Raises:
        DataError: a category is gone, or both are one.
    """
    if pair is None:
        return filled(store)
    kept = store.merge_categories(*pair)
    inform(f"Merged into {kept.name}; every label follows.")
    return filled(store, kept.id)


def listed(store: Store) -> tuple[Any, ...]:
    """The list and what may be chosen; what a person has chosen meanwhile stays."""
    found = store.categories()
    choices = [(one.name, one.id) for one in found]
    return (
        data_view.categories(found),
        gr.Dropdown(choices=choices),
        gr.Dropdown(choices=[("merge into …", ""), *choices]),
    )


def filled(store: Store, chosen: str | None = None) -> tuple[Any, ...]:
    """The form's outputs, with one of the categories in the editor."""
    found = store.categories()
    choices = [(one.name, one.id) for one in found]
    picked = next((one for one in found if one.id == chosen), None)
    others = [one for one in choices if picked is None or one[1] != picked.id]
    return (
        data_view.categories(found),
        gr.Dropdown(choices=choices, value=picked.id if picked else None),
        gr.Textbox(value=picked.name if picked else ""),
        gr.ColorPicker(value=picked.color if picked else "#e69f00"),
        gr.Dropdown(choices=[("merge into …", ""), *others], value=""),
        *_unasked(),
    )


def _unasked() -> tuple[Any, ...]:
    """No question about a merge."""
    return gr.Column(visible=False), "", None


def _picked(store: Store, category: str | None) -> Category:
    found = next((one for one in store.categories() if one.id == category), None)
    if found is None:
        raise DataError("category", "none is chosen", "choose one in the list first")
    return found
