"""The Label page: the canvas over nearly the whole screen, and what comes next beside it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.context import Context
from app.pages import label_view
from app.pages.action_html import ActionHTML, clicked
from app.pages.canvas import AnnotationCanvas, descriptor
from app.pages.told import QUIET, told

TOP = 500  # places of the queue among which the side panel finds the image
HEIGHT = "calc(100vh - 57px)"  # all but the tabs and a rim
CANVAS_EVENTS = ("saved", "answered", "navigate", "status")  # each carries the image's id


@dataclass(frozen=True)
class LabelPage:
    """The page's components that other pages write to."""

    canvas: AnnotationCanvas
    side: ActionHTML
    image: gr.State
    context: Context

    @property
    def outputs(self) -> list[Any]:
        """What `show` fills."""
        return [self.canvas, self.side, self.image]

    def open(self, image: str | None) -> dict[str, str] | None:
        """The canvas's value: which image, never its geometry.

        The last field differs each time: Gradio passes on changes only, and the canvas may have
        walked on to another image by itself.
        """
        if image is None:
            return None
        return {**(descriptor(image) or {}), "opened": secrets.token_hex(4)}

    def show(self, image: str | None) -> tuple[Any, str, str | None]:
        """Canvas value, side panel and view cursor for an image, or for the queue's first."""
        items = self._front()
        if image is None and items:
            image = str(items[0]["image"])
        if image is None:
            image = self.context.queue.next_image()
        return self.open(image), self._side(image, items), image

    def again(self, image: str | None) -> tuple[Any, ...]:
        """Show the same image anew: labels, categories or proposals may have changed meanwhile."""
        one = self.context.store.image_states().get(image or "")
        return self.show(None if one is None or one.excluded else image)

    def panel(self, image: str | None) -> str:
        """The side panel after a save or an answer."""
        return self._side(image, self._front())

    def _front(self) -> list[dict[str, Any]]:
        return [item.as_dict() for item in self.context.queue.ranked(TOP)]

    def _side(self, image: str | None, front: list[dict[str, Any]]) -> str:
        queue = self.context.queue
        waiting, strategy = queue.waiting(), queue.strategy()
        return label_view.side(self.context.store, image, front, waiting, strategy)


def build(context: Context) -> LabelPage:
    """Lay the page out; `wire` connects it."""
    image = gr.State(None, time_to_live=24 * 3600)
    with gr.Row(elem_id="hm-label", equal_height=True):
        with gr.Column(scale=1, min_width=480, elem_id="hm-stage"):
            canvas = AnnotationCanvas(
                elem_id="hm-canvas", height=HEIGHT, project=str(context.store.project)
            )
        with gr.Column(scale=0, min_width=222, elem_id="hm-panel"):
            side = ActionHTML(elem_id="hm-side")
    return LabelPage(canvas, side, image, context)


def wire(page: LabelPage, demo: gr.Blocks, tabs: gr.Tabs) -> None:
    """Load the first image for each visitor, follow the canvas, open what the panel names."""

    @told
    def first() -> Any:
        return page.show(None)

    @told
    def follow(event: gr.EventData) -> Any:
        image = str(event._data["image"])
        return page.panel(image), image

    @told
    def act(event: gr.EventData) -> Any:
        action, key = clicked(event)
        if action == "train":
            return gr.Tabs(selected="train"), gr.skip(), gr.skip(), gr.skip()
        page.context.store.image(key)
        return gr.skip(), *page.show(key)

    demo.load(first, None, page.outputs, **QUIET)
    for name in CANVAS_EVENTS:
        getattr(page.canvas, name)(
            follow, None, [page.side, page.image], trigger_mode="always_last", **QUIET
        )
    page.side.act(act, None, [tabs, *page.outputs], **QUIET)
