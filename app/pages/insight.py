"""The Insight page: what the minutes of review bought, how far to go, and when to stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app import meter
from app.context import Context
from app.pages import insight_view
from app.pages.told import QUIET, told
from data_io.store import codec

POLL_SECONDS = 4.0


@dataclass(frozen=True)
class InsightPage:
    """The page's components and what fills them."""

    context: Context
    body: gr.HTML
    mark: gr.State
    timer: gr.Timer

    @property
    def outputs(self) -> list[Any]:
        """What `refresh` fills."""
        return [self.body, self.mark]

    def refresh(self, mark: str | None = None) -> tuple[Any, Any]:
        """The page and its mark; nothing is computed again while the mark stays the same."""
        now = codec.now()
        store = self.context.store
        made, taken = store.readings_mark()
        present = [one for one in store.image_states().values() if not one.excluded]
        verified = sum(one.verified == "whole" for one in present)
        fresh = f"{now.date()} {made} {taken} {len(present)} {verified}"
        if fresh == mark:
            return gr.skip(), gr.skip()
        return insight_view.page(meter.insight(store, now)), fresh


def build(context: Context) -> InsightPage:
    """Lay the page out; `wire` connects it."""
    body = gr.HTML(elem_id="hm-insight", js_on_load=None)
    return InsightPage(context, body, gr.State(None), gr.Timer(POLL_SECONDS, active=False))


def wire(page: InsightPage, tab: gr.Tab, others: Sequence[gr.Tab]) -> None:
    """Connect the page; it looks for new answers only while it is on the screen."""
    poll = told(page.refresh)
    tab.select(lambda: gr.Timer(active=True), None, page.timer, **QUIET)
    tab.select(poll, page.mark, page.outputs, **QUIET)
    page.timer.tick(poll, page.mark, page.outputs, trigger_mode="once", **QUIET)
    for other in others:
        other.select(lambda: gr.Timer(active=False), None, page.timer, **QUIET)
