"""The editor around the editing: empty states, errors, sub-paths, unmounting, help."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.robot_hand import HANDLE
from tests.browser.conftest import expect

pytestmark = pytest.mark.browser

MIDDLE = (330.0, 195.0)  # the middle of the drawn rectangle i4


def test_empty_states_say_what_to_do(canvas: Any, herd: Any) -> None:
    canvas.open(None)
    expect(canvas.page.locator(".hc-overlay")).to_contain_text("Import photos on the Data page")
    bare = herd.documents["b"]
    bare.update(categories=[], instances=[], regions=[], version=None, heat_url=None)
    canvas.open("b")
    canvas.says("add one on the Data page")
    expect(canvas.page.locator("[aria-label=Polygon]")).to_be_disabled()
    expect(canvas.page.locator(".hc-review")).to_contain_text("No proposal yet")
    canvas.press("d")
    assert canvas.read("h.state.tool") == "select"


def test_a_missing_image_is_an_error_in_words(canvas: Any, herd: Any) -> None:
    canvas.page.goto(canvas.url + "?value=" + json.dumps({"image_id": "gone"}))
    canvas.page.locator(".hc-overlay", has_text="There is no such image.").wait_for()


def test_the_editor_works_below_a_sub_path(canvas: Any, herd: Any) -> None:
    seen: list[str] = []
    canvas.page.on("request", lambda sent: seen.append(sent.url))
    base = f"{canvas.url}below/"
    canvas.page.route(
        f"{base}**", lambda route: route.continue_(url=route.request.url.replace("/below/", "/"))
    )
    value = json.dumps({"image_id": "a", "doc_url": "api/images/a/document"})
    canvas.page.goto(f"{base}?value={value}")
    canvas.ready("a")
    canvas.click(*MIDDLE)
    canvas.press("2")
    canvas.revision(2)
    assert [url for url in seen if not url.startswith(base) and "favicon" not in url] == []


def test_unmounting_stops_everything_but_the_save(canvas: Any, herd: Any) -> None:
    canvas.open()
    herd.gate.clear()
    canvas.click(*MIDDLE)
    canvas.press("2")
    canvas.state("saving")
    canvas.page.evaluate("document.querySelector('.box').remove()")
    with canvas.page.expect_response("**/api/images/a/document"):
        herd.gate.set()
    assert herd.documents["a"]["instances"][1]["category"] == "c2"


def test_the_help_sheet_and_names(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.press("?")
    dialog = canvas.page.get_by_role("dialog", name="Shortcuts")
    expect(dialog).to_be_visible()
    assert dialog.locator("kbd").count() > 20
    canvas.press("?")
    expect(dialog).to_be_hidden()
    nameless = "[...document.querySelectorAll('.hm-root button')].filter(" \
        "b => !(b.getAttribute('aria-label') || b.textContent.trim())).length"  # fmt: skip
    assert canvas.page.evaluate(nameless) == 0
    assert canvas.page.get_by_role("application").get_attribute("aria-label")


@pytest.mark.parametrize(
    ("what", "there"), [("heat", "state.heat"), ("outlook", "editor.outlook.ahead?.images === 3")]
)
def test_what_a_busy_server_could_not_give_is_asked_for_again(
    canvas: Any, what: str, there: str
) -> None:
    refused: list[str] = []

    def answer(route: Any) -> None:
        if not refused:
            refused.append(route.request.url)
            route.fulfill(status=503)
        elif what == "heat":
            route.fallback()
        else:
            route.fulfill(json={"images": 3, "verified": 0, "regions": 0, "coming": []})

    canvas.page.route(f"**/api/images/a/{what}*", answer)
    canvas.open("a")
    canvas.page.wait_for_function(f"() => {HANDLE}.{there}")
    assert len(refused) == 1


def test_an_image_nobody_has_outlined_anything_on_is_accepted_twice(canvas: Any, herd: Any) -> None:
    bare = herd.documents["a"]
    bare.update(instances=[], regions=[], version=None, heat_url=None)
    canvas.open("a")
    canvas.press("Shift+Enter")
    canvas.says("Accept again if there is no animal")
    assert herd.documents["a"]["status"] == "draft"
    canvas.press("Shift+Enter")
    canvas.says("a.jpg is verified: no animal in it.")
    assert herd.documents["a"]["status"] == "verified"


def test_letters_on_a_page_s_tab_are_the_canvas_s(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.page.evaluate(
        "() => { const tab = document.createElement('button'); tab.role = 'tab';"
        " document.body.append(tab); tab.focus(); }"
    )
    canvas.page.keyboard.press("d")
    canvas.page.wait_for_function(f"() => {HANDLE}.state.tool === 'draw'")


def test_a_verified_image_does_not_ask_to_be_accepted(canvas: Any, herd: Any) -> None:
    herd.documents["a"].update(regions=[], status="verified")
    canvas.open("a")
    canvas.press("]")
    canvas.says("The whole image is verified.")


def test_regions_of_a_proposal_that_has_come_are_counted(canvas: Any, herd: Any) -> None:
    told = iter([0, 3])
    counts = {"images": 2, "verified": 0, "coming": []}
    canvas.page.route(
        "**/api/images/a/outlook*",
        lambda route: route.fulfill(json={**counts, "regions": next(told)}),
    )
    canvas.page.route(
        "**/api/images/a/proposal",
        lambda route: route.fulfill(json={"version": herd.documents["a"]["version"]}),
    )
    proposed = herd.documents["a"]
    herd.documents["a"] = {**proposed, "regions": [], "version": None, "heat_url": None}
    canvas.open("a")
    canvas.page.locator(".hc-left", has_text="0 regions left").wait_for()
    herd.documents["a"] = proposed
    canvas.page.locator(".hc-left", has_text="3 regions left").wait_for()
