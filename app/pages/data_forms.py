"""The forms of the Data page: what they consist of, not what they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.pages.action_html import ActionHTML
from app.uploads import MAX_FILES
from app.workflow.imports import FPS
from data_io.formats.registry import FORMATS, SOURCES
from data_io.images import EXTENSIONS

TITLES = {"images": "photos", "video": "a video", **{n: one.title for n, one in FORMATS.items()}}


@dataclass(frozen=True)
class Imports:
    """Photos by upload; photos, videos or labels by a path of the server."""

    files: gr.File
    upload: gr.Button
    source: gr.Textbox
    images: gr.Textbox
    kind: gr.Dropdown
    vouched: gr.Radio
    rename: gr.Textbox
    fps: gr.Number
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
                        label="Folder of photos, video or labels",
                        placeholder="/photos/herd, herd.mp4 or labels.json",
                        max_lines=1,
                        elem_id="hm-source",
                    )
                    kind = gr.Dropdown(
                        [("find out", "auto"), *((TITLES[name], name) for name in SOURCES)],
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
                        rename = gr.Textbox(
                            label="Categories with other names here",
                            placeholder="Cow=cow, bos taurus=cow",
                            max_lines=1,
                        )
                    with gr.Accordion("For videos", open=False):
                        fps = gr.Number(
                            FPS, label="Frames a second, 0 = every frame", minimum=0, maximum=1000
                        )
                    start = gr.Button("Import", variant="primary", elem_id="hm-import")
            report = gr.HTML(js_on_load=None, elem_id="hm-report")
            job = gr.State(None)
        return cls(files, upload, source, images, kind, vouched, rename, fps, start, report, job)


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
    format: gr.Dropdown
    geometry: gr.Radio
    only_verified: gr.Checkbox
    no_overlap: gr.Checkbox
    start: gr.Button
    result: gr.HTML

    @classmethod
    def build(cls) -> Exports:
        """Lay the form out."""
        with gr.Accordion("Export", open=True):
            origin = gr.Radio(
                [("your labels", "revisions"), ("model proposals", "proposals")],
                value="revisions",
                label="What",
            )
            format = gr.Dropdown(
                [(one.title, one.name) for one in FORMATS.values()], value="coco", label="Format"
            )
            geometry = gr.Radio(
                [("exact", "exact"), ("few vertices", "compact"), ("run lengths", "rle")],
                value="exact",
                label="Outlines",
                info="Few vertices keep IoU .99; run lengths are for COCO.",
            )
            only_verified = gr.Checkbox(False, label="only images that are verified whole")
            no_overlap = gr.Checkbox(False, label="no overlaps: the animal on top keeps the pixels")
            start = gr.Button("Export", variant="primary", elem_id="hm-export")
            result = gr.HTML(js_on_load=None, elem_id="hm-export-result")
        return cls(origin, format, geometry, only_verified, no_overlap, start, result)
