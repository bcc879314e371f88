"""A laptop has room for what a person works with: lists, toolbar, names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model.regions import REASONS
from tests.browser.conftest import expect

pytestmark = pytest.mark.browser

STATIC = Path(__file__).resolve().parents[2] / "app" / "static"
# What a page of 1366 x 768 leaves to the canvas beside the queue and below the tabs.
ROOM = """addEventListener("DOMContentLoaded", () => document.head.insertAdjacentHTML("beforeend",
  "<style>.box { width: 1114px; height: 711px }</style>"));"""
ANIMALS, REGIONS = 24, 28
LEAST = 3  # whole rows of a list
# How many rows of a list a person sees whole.
WHOLE = """(name) => {
  const list = document.querySelector(name);
  const [inner, outer] = [list, list.closest('.hc-body')].map((one) => one.getBoundingClientRect());
  const [top, bottom] = [Math.max(inner.top, outer.top), Math.min(inner.bottom, outer.bottom)];
  return [...list.children].map((row) => row.getBoundingClientRect())
    .filter((row) => row.top > top - 1 && row.bottom < bottom + 1).length;
}"""
# Menus whose choice is cut, beside an arrow of 20 px.
CUT_MENUS = """() => {
  const pen = document.createElement('canvas').getContext('2d');
  return [...document.querySelectorAll('.hc-filters select')].filter((one) => {
    const { font, paddingLeft, paddingRight } = getComputedStyle(one);
    pen.font = font;
    return pen.measureText(one.selectedOptions[0].textContent).width + parseFloat(paddingLeft)
      + parseFloat(paddingRight) + 20 > one.clientWidth;
  }).map((one) => one.ariaLabel);
}"""
LINES = "(one) => Math.round(one.clientHeight / parseFloat(getComputedStyle(one).lineHeight))"


@pytest.fixture
def laptop(canvas: Any, herd: Any) -> Any:
    """The canvas in the room a laptop leaves it, over images full of animals and regions."""
    for stored in herd.documents.values():
        crowd(stored)
    canvas.page.add_init_script(ROOM)
    return canvas


def crowd(stored: dict[str, Any]) -> None:
    """A whole herd in one image, and a doubt in words at most of it."""
    animal, doubt = stored["instances"][-1], stored["regions"][0]
    words = list(REASONS.values())
    stored["instances"] = [{**animal, "id": f"i{k}"} for k in range(ANIMALS)]
    stored["regions"] = [
        {**doubt, "id": f"r{k}", "reason": words[k % len(words)]} for k in range(REGIONS)
    ]


def whole(canvas: Any) -> int:
    """Rows seen whole in the list that shows fewer."""
    return min(canvas.page.evaluate(WHOLE, name) for name in (".hc-regions", ".hc-animals"))


def test_both_lists_show_rows_with_and_without_a_selection(laptop: Any) -> None:
    laptop.open()
    assert whole(laptop) >= LEAST
    last = laptop.page.locator(".hc-animals .hc-row").nth(LEAST)
    last.click()  # the note takes the height it stood in
    expect(laptop.page.get_by_label("Note")).to_be_visible()
    assert whole(laptop) >= LEAST
    expect(last).to_be_in_viewport(ratio=0.9)


def test_a_low_panel_scrolls_between_header_and_footer(laptop: Any) -> None:
    laptop.open()
    laptop.page.locator(".box").evaluate("(one) => { one.style.height = '480px'; }")
    laptop.page.locator(".hc-animals .hc-row").first.click()
    note = laptop.page.get_by_label("Note")
    note.scroll_into_view_if_needed()
    expect(note).to_be_in_viewport(ratio=1)
    assert laptop.page.evaluate(WHOLE, ".hc-animals") >= LEAST
    expect(laptop.page.locator(".hc-name")).to_be_in_viewport(ratio=1)
    expect(laptop.page.get_by_label("Accept image")).to_be_in_viewport(ratio=1)


def test_only_the_current_region_takes_more_than_two_lines(laptop: Any) -> None:
    laptop.open()
    row = laptop.page.locator(".hc-regions .hc-row").nth(1)
    text = laptop.page.locator(".hc-regions .hc-words").nth(1)
    assert text.evaluate(LINES) == 2
    expect(row).to_have_attribute("title", REASONS["possible miss"])
    row.click()
    expect(row).to_have_attribute("aria-current", "true")
    assert text.evaluate(LINES) == 4


def test_the_lists_of_the_next_image_begin_at_their_top(laptop: Any) -> None:
    laptop.open()
    for name in (".hc-regions", ".hc-animals"):
        laptop.page.locator(name).evaluate("(one) => { one.scrollTop = 300; }")
    laptop.press("n")
    laptop.ready("b")
    for name in (".hc-regions", ".hc-animals"):
        assert laptop.page.locator(name).evaluate("(one) => one.scrollTop") == 0


def rows(canvas: Any) -> int:
    """Rows of the toolbar; fails where it sticks out."""
    bar = canvas.page.locator(".hc-bar")
    assert bar.evaluate("(one) => one.scrollWidth - one.clientWidth") <= 0
    return int(bar.evaluate("(one) => Math.floor(one.clientHeight / 30)"))


def test_the_toolbar_has_one_row_whatever_the_category_is_called(laptop: Any, herd: Any) -> None:
    laptop.open()
    select = laptop.page.locator(".hc-category select")
    name = "Braunvieh, gehornt, mit Kalb bei Fuss"
    width = select.bounding_box()["width"]
    herd.documents["b"]["categories"][0]["name"] = name
    laptop.press("n")
    laptop.ready("b")
    expect(select).to_have_attribute("title", name)
    assert select.bounding_box()["width"] == width
    assert rows(laptop) == 1
    assert whole(laptop) >= LEAST  # one line an animal
    herd.documents["c"].update(categories=[], instances=[], regions=[])
    laptop.press("n")
    laptop.ready("c")
    assert rows(laptop) == 1


def test_the_toolbar_has_one_row_while_nothing_can_be_saved(laptop: Any, herd: Any) -> None:
    laptop.open()
    herd.offline = True
    laptop.page.locator(".hc-animals .hc-row").first.click()
    laptop.press("2", "Escape")
    laptop.halt()
    laptop.state("retry")
    assert rows(laptop) == 1


def ends(canvas: Any, name: str) -> bool:
    """Whether a name is cut, but not at its end."""
    head, tail = (canvas.page.locator(f"{name} > span").nth(k) for k in (0, 1))
    assert tail.evaluate("(one) => one.scrollWidth <= one.clientWidth")
    expect(tail).to_be_in_viewport(ratio=0.99)
    box, frame = tail.bounding_box(), canvas.page.locator(name).bounding_box()
    assert box["x"] + box["width"] <= frame["x"] + frame["width"] + 1
    return bool(head.evaluate("(one) => one.scrollWidth > one.clientWidth"))


def answer_gallery(page: Any, name: str) -> None:
    """A gallery of one image."""
    row = {"id": "a", "name": name, "status": "draft", "score": None, "group": "", "split": None}
    answer = {"listing": "1", "total": 1, "place": 0, "items": [row]}
    choices = {"groups": [], "categories": [{"id": "c1", "name": "Braunvieh, gehornt, mit Kalb"}]}
    page.route("**/api/gallery?*", lambda route: route.fulfill(json=answer))
    page.route("**/api/gallery/choices", lambda route: route.fulfill(json=choices))


def test_names_are_cut_in_the_middle(laptop: Any, herd: Any) -> None:
    name = "barn-7-16171798096734-left-camera_t1.jpg"
    herd.documents["a"]["image"]["name"] = name
    answer_gallery(laptop.page, name)
    laptop.open()
    expect(laptop.page.locator(".hc-name")).to_have_text(name)
    expect(laptop.page.locator(".hc-name")).to_have_attribute("title", name)
    assert ends(laptop, ".hc-name")
    laptop.press("g")
    laptop.page.locator(".hc-gallery[data-filled=true]").wait_for()
    assert ends(laptop, ".hc-cell b")


def test_the_menus_of_the_gallery_show_what_they_are_for(laptop: Any) -> None:
    answer_gallery(laptop.page, "a.jpg")
    laptop.open()
    laptop.page.locator(".box").evaluate("(one) => { one.id = 'hm-canvas'; }")
    laptop.page.add_style_tag(path=str(STATIC / "pages.css"))  # as on the Label page
    laptop.press("g")
    laptop.page.locator(".hc-gallery[data-filled=true]").wait_for()
    assert laptop.page.evaluate(CUT_MENUS) == []
