"""The part of the Train page that says what answers clicks."""

from __future__ import annotations

import gradio as gr

from app import settings
from app.context import Context
from app.pages.told import QUIET, inform, told
from model.assist.sam import SamPair

ABOUT = "ONNX file of SAM, MobileSAM, EdgeSAM or SAM 2; empty = the herd's own refiner"


def build(context: Context) -> None:
    """Lay it out with the project's settings, and connect it."""
    chosen = settings.load(context.store.project)
    with gr.Accordion("Click tool", open=False, elem_id="click-tool"):
        refine = gr.Checkbox(chosen.refine, label="Each training teaches it this herd")
        encoder = gr.Textbox(chosen.sam_encoder, label="SAM encoder", info=ABOUT)
        decoder = gr.Textbox(chosen.sam_decoder, label="SAM decoder")
        button = gr.Button("Store", elem_id="store-click-tool")

    @told
    def store_click_tool(*values: object) -> None:
        change(context, *values)
        inform("The settings are stored.")

    button.click(store_click_tool, [refine, encoder, decoder], None, **QUIET)


def change(context: Context, refine: object, encoder: object, decoder: object) -> None:
    """Store what the form says, once the files can be opened.

    Raises:
        DataError: a file may not be named, is missing, damaged or no part of a pair, or there is
            only one; nothing was stored.
    """
    paths = [str(one or "").strip() for one in (encoder, decoder)]
    if all(paths):
        files = [context.guard.resolve(path) for path in paths]
        SamPair(files[0], files[1])
        paths = [str(file) for file in files]
    changed = {"sam_encoder": paths[0], "sam_decoder": paths[1], "refine": bool(refine)}
    settings.change(context.store.project, **changed)
