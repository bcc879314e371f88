"""The gallery over the real routes and thousands of rows."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.browser.conftest import expect

pytestmark = pytest.mark.browser

FILLED = ".hc-gallery[data-filled=true]"


def open_gallery(canvas: Any, image: str) -> None:
    """Load the page with an image, then open the gallery with its key."""
    canvas.page.goto(f"{canvas.url}?value={json.dumps({'image_id': image})}")
    canvas.page.wait_for_selector(".hm-root[data-ready]")
    canvas.press("g")
    canvas.page.wait_for_selector(FILLED)


def cell(canvas: Any, number: int) -> Any:
    """The cell of a row, by its number from 1."""
    return canvas.page.locator(f"#hc-cell-{number - 1}")


def count(canvas: Any, words: str) -> None:
    """Wait until so many images are listed and all their texts are there."""
    expect(canvas.page.locator(".hc-count")).to_have_text(words)
    canvas.page.wait_for_selector(FILLED)


def test_the_gallery_finds_scrolls_and_opens(big_canvas: Any, many: Any) -> None:
    page = big_canvas.page
    images = many[0].images()
    open_gallery(big_canvas, images[2100].id)
    current = page.locator(".hc-cell[aria-selected=true]")
    expect(current).to_have_attribute("data-index", "2100")  # where the canvas's image lies
    expect(current).to_have_class(re.compile("hc-open"))
    assert page.locator(".hc-cell").count() < 80  # of thousands
    big_canvas.press("Home")
    page.wait_for_selector(FILLED)
    first = cell(big_canvas, 1)
    expect(first.locator("b")).to_have_text("00.jpg")
    expect(first.locator("i")).to_contain_text("barn-00")
    first.locator("img:not([hidden])").wait_for()  # the thumbnail follows
    big_canvas.press("End")
    page.wait_for_selector(FILLED)
    expect(cell(big_canvas, len(images))).to_be_visible()
    page.get_by_label("Go to number").fill("3001")
    big_canvas.press("Enter", "ArrowRight", "Enter")
    page.wait_for_selector(f".hm-root[data-ready='{images[3001].id}']")
    expect(page.locator(".hc-gallery")).to_be_hidden()
    assert page.evaluate("events.at(-1)") is not None
    big_canvas.press("g")
    page.wait_for_selector(FILLED)
    page.locator(f"#hc-cell-{3000}").click()
    page.wait_for_selector(f".hm-root[data-ready='{images[3000].id}']")


def test_the_gallery_filters_and_sorts(big_canvas: Any, many: Any) -> None:
    page, store = big_canvas.page, many[0]
    open_gallery(big_canvas, store.images()[0].id)
    states = store.image_states()
    saved = [one for one in states.values() if one.revision]
    page.get_by_label("Status", exact=True).select_option("verified")
    count(big_canvas, f"{sum(one.verified == 'whole' for one in saved):,} images")
    told = "[...document.querySelectorAll('.hc-cell .hc-status')].map((one) => one.textContent)"
    assert set(page.evaluate(told)) == {"Verified"}
    page.get_by_label("Status", exact=True).select_option("")
    page.get_by_label("Group", exact=True).select_option("barn-07")
    count(big_canvas, "100 images")
    page.get_by_label("Sort", exact=True).select_option("unreliable")
    page.wait_for_selector(FILLED)
    in_group = [one.id for one in store.images() if one.group == "barn-07"]
    scores = sorted((states[one].score or -1 for one in in_group), reverse=True)
    texts = page.evaluate(
        "[...document.querySelectorAll('.hc-cell')].sort((a, b) => a.dataset.index"
        " - b.dataset.index).map((e) => e.querySelector('.hc-score').textContent)"
    )
    assert len(texts) > 10
    assert [float(one) for one in texts] == pytest.approx(scores[: len(texts)], abs=0.006)
    page.locator(".hc-grid").focus()
    page.keyboard.press("/")
    page.keyboard.type("no such cow")
    page.locator(".hc-none", has_text="No image matches").wait_for()
    page.keyboard.press("Escape")
    expect(page.locator(".hc-gallery")).to_be_hidden()
    expect(page.locator(".hc-stage")).to_be_focused()


def test_rows_of_the_last_listing_do_not_count_as_those_of_the_next(
    big_canvas: Any, many: Any
) -> None:
    open_gallery(big_canvas, many[0].images()[0].id)
    chosen = """(select) => {
      select.value = 'unreliable';
      select.dispatchEvent(new Event('change'));
      return document.querySelector('.hc-gallery').dataset.filled }"""
    assert big_canvas.page.get_by_label("Sort", exact=True).evaluate(chosen) == "false"
    big_canvas.page.wait_for_selector(FILLED)


def test_scrolling_far_shows_text_for_every_row(big_canvas: Any, many: Any) -> None:
    page = big_canvas.page
    open_gallery(big_canvas, many[0].images()[0].id)
    page.mouse.move(600, 400)
    for _ in range(12):
        page.mouse.wheel(0, 6000)
    page.wait_for_function("document.querySelector('.hc-grid').scrollTop > 60000")
    # One look, in the page: while the grid still moves, rows come and go between two looks.
    page.wait_for_function(
        "() => { const names = [...document.querySelectorAll('.hc-cell b')];"
        " return names.length > 0 && names.every((one) => one.textContent !== '') }"
    )
