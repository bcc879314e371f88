"""The forms of the Data page: what they consist of, not what they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.pages.action_html import ActionHTML
from app.uploads import MAX_FILES
from data_io.images import EXTENSIONS


@dataclass(frozen=True)
class Imports:
    """Photos by upload, photos or COCO labels by a path of the server."""

    files: gr.File
    upload: gr.Button
    source: gr.Textbox
    images: gr.Textbox
    kind: gr.Dropdown
    vouched: gr.Radio
    start: gr.Button
    report: gr.HTML
    job: gr.State

    @classmethod
    def build(cls) -> Imports:
        """Lay the form out."""
        with gr.Accordion("Import", open=True):
            with gr.Tabs():
                with gr.Tab("Upload", render_children=True):
                    files = gr.File(
                        label=f"Photos, up to {MAX_FILES:,} at once",
                        file_count="multiple",
                        file_types=sorted(EXTENSIONS),
                        height=120,
                        elem_id="hm-upload",
                    )
                    upload = gr.Button("Add to the project", variant="primary")
                with gr.Tab("Server path", render_children=True):
                    source = gr.Textbox(
                        label="Folder of photos, or COCO file",
                        placeholder="/photos/herd or labels.json",
                        max_lines=1,
                        elem_id="hm-source",
                    )
                    kind = gr.Dropdown(
                        [("find out", "auto"), ("photos", "images"), ("COCO labels", "coco")],
                        value="auto",
                        label="What it is",
                    )
                    with gr.Accordion("For label files", open=False):
                        images = gr.Textbox(
                            label="Folder of the images",
                            placeholder="beside the file",
                            max_lines=1,
                        )
                        vouched = gr.Radio(
                            [("verified", "verified"), ("drafts", "draft")],
                            value="verified",
                            label="The labels count as",
                        )
                    start = gr.Button("Import", variant="primary", elem_id="hm-import")
            report = gr.HTML(js_on_load=None, elem_id="hm-report")
            job = gr.State(None)
        return cls(files, upload, source, images, kind, vouched, start, report, job)


@dataclass(frozen=True)
class Moved:
    """Where a folder of photos was, and where it is now."""

    old: gr.Textbox
    new: gr.Textbox
    relink: gr.Button

    @classmethod
    def build(cls) -> Moved:
        """Lay the form out."""
        with gr.Accordion("Moved photos", open=False):
            old = gr.Textbox(
                label="Old folder",
                placeholder="/photos/herd",
                max_lines=1,
                elem_id="hm-moved-from",
            )
            new = gr.Textbox(
                label="New folder",
                placeholder="/archive/herd",
                max_lines=1,
                elem_id="hm-moved-to",
            )
            relink = gr.Button("Find them again", elem_id="hm-relink")
        return cls(old, new, relink)


@dataclass(frozen=True)
class Categories:
    """The list of categories, a field for a new one, an editor, and merging in two steps."""

    listing: ActionHTML
    name: gr.Textbox
    create: gr.Button
    editor: gr.Accordion
    chosen: gr.Dropdown
    rename: gr.Textbox
    color: gr.ColorPicker
    apply: gr.Button
    target: gr.Dropdown
    merge: gr.Button
    asked: gr.Column
    question: gr.HTML
    agree: gr.Button
    refuse: gr.Button
    pair: gr.State

    @property
    def outputs(self) -> list[Any]:
        """What a change of the categories fills anew."""
        editor = [self.chosen, self.rename, self.color, self.target]
        return [self.listing, *editor, *self.asking]

    @property
    def asking(self) -> list[Any]:
        """The question before a merge: whether it shows, its words, what it is about."""
        return [self.asked, self.question, self.pair]

    @classmethod
    def build(cls) -> Categories:
        """Lay the form out."""
        with gr.Accordion("Categories", open=True):
            listing = ActionHTML(elem_id="hm-category-list")
            with gr.Row(equal_height=True):
                name = gr.Textbox(
                    show_label=False,
                    label="Name of a new category",
                    placeholder="new category",
                    max_lines=1,
                    min_width=140,
                    elem_id="hm-new-category",
                    container=False,
                )
                create = gr.Button("Create", min_width=80, scale=0)
            with gr.Accordion("Rename, recolor or merge", open=False) as editor:
                chosen = gr.Dropdown([], label="Category")
                with gr.Row():
                    rename = gr.Textbox(
                        label="Name", max_lines=1, min_width=140, elem_id="hm-category-name"
                    )
                    color = gr.ColorPicker(label="Color", min_width=80)
                apply = gr.Button("Apply")
                target = gr.Dropdown([("merge into …", "")], value="", label="Merge")
                merge = gr.Button("Merge …", elem_id="hm-merge")
                with gr.Column(visible=False, elem_id="hm-merge-asked") as asked:
                    question = gr.HTML(js_on_load=None)
                    with gr.Row():
                        agree = gr.Button("Merge them", variant="stop", min_width=80)
                        refuse = gr.Button("Keep both", min_width=80)
            pair = gr.State(None)
        return cls(
            listing,
            name,
            create,
            editor,
            chosen,
            rename,
            color,
            apply,
            target,
            merge,
            asked,
            question,
            agree,
            refuse,
            pair,
        )


@dataclass(frozen=True)
class Exports:
    """What to export, and the finished file."""

    origin: gr.Radio
    only_verified: gr.Checkbox
    start: gr.Button
    result: gr.HTML

    @classmethod
    def build(cls) -> Exports:
        """Lay the form out."""
        with gr.Accordion("Export COCO", open=True):
            origin = gr.Radio(
                [("your labels", "revisions"), ("model proposals", "proposals")],
                value="revisions",
                label="What",
            )
            only_verified = gr.Checkbox(False, label="only images that are verified whole")
            start = gr.Button("Export", variant="primary", elem_id="hm-export")
            result = gr.HTML(js_on_load=None, elem_id="hm-export-result")
        return cls(origin, only_verified, start, result)
