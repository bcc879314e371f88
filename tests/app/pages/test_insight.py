"""When the Insight page is computed anew."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr
import pytest

from app.context import Context
from app.pages import insight
from app.pages.insight import InsightPage
from data_io.geometry import full_image
from data_io.store import NewReading, Store


@pytest.fixture
def page(context: Context) -> Iterator[InsightPage]:
    with gr.Blocks():
        yield insight.build(context)


def test_it_is_computed_again_only_after_something_happened(
    page: InsightPage, store: Store
) -> None:
    shown, mark = page.refresh()
    assert "0 of 3" in shown
    assert page.refresh(mark) == (gr.skip(), gr.skip())
    image = store.images()[0].id
    reading = NewReading(kind="image", seconds=90.0, added=2)
    store.save_revision(image, 0, [], full_image(48, 64), "me", reading=reading)
    shown, after = page.refresh(mark)
    assert after != mark
    assert "<dd>1.5</dd>" in shown
    assert "1 of 3" in shown
    again = NewReading(kind="reopen", seconds=1.0)
    store.save_revision(image, 1, [], (), "me", reading=again)
    shown, _ = page.refresh(after)
    assert "0 of 3" in shown
    store.set_excluded(image, True)
    assert "0 of 2" in page.refresh(after)[0]
