"""Pointers of all kinds, names for screen readers, and gestures that a merge must not disturb."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from data_io.geometry import Rle, parts_of_json, rle_of_parts
from tests.browser.conftest import Canvas, expect

pytestmark = pytest.mark.browser

SIZE = (400, 640)  # height, width of the server's pictures
MIDDLE = (330.0, 195.0)  # the middle of the drawn rectangle i4
CORNER = (260.0, 160.0)  # its first vertex

NAMELESS = """() => [...document.querySelectorAll(
  '.hm-root :is(button, input, select, textarea, dialog, [role=application], [role=group])')]
  .filter((one) => !(one.getAttribute('aria-label') || one.getAttribute('aria-labelledby')
    || one.labels?.length || (one.tagName === 'BUTTON' && one.textContent.trim())))
  .map((one) => one.outerHTML.slice(0, 120))"""


def pixels(item: dict[str, Any]) -> Rle:
    """Raster of an instance."""
    return rle_of_parts(parts_of_json(item["parts"]), *SIZE)


def stored(herd: Any, identity: str = "i4") -> dict[str, Any]:
    """A stored instance of image a."""
    found = {item["id"]: item for item in herd.documents["a"]["instances"]}
    return found[identity]


def press(session: Any, kind: str, pointer: str, place: list[float]) -> None:
    """One event of a pen or a finger, as the browser's own input pipeline makes it."""
    x, y = place
    if pointer == "touch":
        names = {"down": "touchStart", "move": "touchMove", "up": "touchEnd"}
        points = [] if kind == "up" else [{"x": x, "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": names[kind], "touchPoints": points})
        return
    names = {"down": "mousePressed", "move": "mouseMoved", "up": "mouseReleased"}
    held = {"button": "left", "buttons": 0 if kind == "up" else 1, "clickCount": 1}
    event = {"type": names[kind], "x": x, "y": y, "pointerType": pointer, **held}
    session.send("Input.dispatchMouseEvent", event)


@pytest.mark.long
@pytest.mark.parametrize("pointer", ["pen", "touch"])
def test_a_vertex_is_dragged_with_pen_and_finger(canvas: Canvas, herd: Any, pointer: str) -> None:
    canvas.open()
    before = pixels(stored(herd))
    session = canvas.page.context.new_cdp_session(canvas.page)
    start, middle, end = (canvas.at(*point) for point in (CORNER, (255, 155), (240, 140)))
    for kind, place in (("down", canvas.at(*MIDDLE)), ("up", canvas.at(*MIDDLE))):
        press(session, kind, pointer, place)
    canvas.waits("h.state.selected === 'i4'")
    for kind, place in (("down", start), ("move", middle), ("move", end), ("up", end)):
        press(session, kind, pointer, place)
    canvas.revision(2)
    moved = stored(herd)
    assert moved["parts"][0]["outer"][:2] == pytest.approx([240, 140], abs=2)
    assert pixels(moved) != before
    canvas.press("Control+z")
    canvas.revision(3)
    assert pixels(stored(herd)) == before


def test_everything_has_a_name_and_what_happens_is_announced(canvas: Canvas, herd: Any) -> None:
    canvas.page.emulate_media(reduced_motion="reduce")
    canvas.open()
    assert canvas.page.evaluate(NAMELESS) == []
    live = canvas.page.locator(".hm-root [aria-live=polite]")
    assert live.count() >= 2
    canvas.page.locator(".hc-stage").focus()
    canvas.press("Tab")
    expect(canvas.page.locator(".hc-unseen").first).to_contain_text("1 of 5")
    herd.offline = True
    canvas.press("2")
    chip = canvas.page.locator(".hc-save")
    expect(chip).to_have_attribute("aria-label", re.compile("Not saved"))
    moving = """() => [...document.querySelectorAll('.hm-root *')].filter((one) => {
      const {animationName, transitionDuration} = getComputedStyle(one);
      return animationName !== 'none' && animationName !== 'hc-late'
        || transitionDuration.split(',').some((time) => parseFloat(time) > 0); }).length"""
    assert canvas.page.evaluate(moving) == 0


@pytest.mark.long
def test_a_merge_waits_for_the_gesture_under_way(canvas: Canvas, herd: Any) -> None:
    canvas.open()
    canvas.click(*MIDDLE)
    herd.gate.clear()
    canvas.press("2")
    canvas.state("saving")
    page = canvas.page
    page.mouse.move(*canvas.at(*CORNER))
    page.mouse.down()
    page.mouse.move(*canvas.at(240, 140), steps=4)
    sent = copy.deepcopy(
        [item for item in herd.documents["a"]["instances"] if not item["proposed"]]
    )
    sent[1]["parts"] = [{"outer": [10, 10, 60, 10, 60, 50, 10, 50], "holes": []}]
    herd.save("a", {"instances": sent, "rejected": []})
    with page.expect_response(
        lambda reply: reply.request.method == "GET" and reply.url.endswith("/document")
    ):
        herd.gate.set()
    page.mouse.move(*canvas.at(230, 130), steps=4)
    assert canvas.read("h.editor.tool.active") is True
    page.mouse.up()
    page.get_by_role("dialog", name="changed elsewhere").wait_for()
    page.get_by_role("button", name="All mine").click()
    canvas.revision(3)
    assert stored(herd)["parts"][0]["outer"][:2] == pytest.approx([230, 130], abs=0.7)
    assert stored(herd)["category"] == "c2"


def test_an_image_accepted_without_the_server_is_verified_later(canvas: Canvas, herd: Any) -> None:
    canvas.open()
    herd.offline = True
    canvas.press("Shift+Enter")
    canvas.ready("b")
    assert herd.documents["a"]["status"] == "draft"
    herd.offline = False
    canvas.page.evaluate("window.dispatchEvent(new Event('online'))")
    canvas.page.wait_for_selector(".hm-root[data-save-state=saved]")
    assert [herd.documents[image]["status"] for image in "ab"] == ["verified", "draft"]
    assert all(not item["proposed"] for item in herd.documents["a"]["instances"])
