"""Nothing a person drew is lost or lands on another image: reloads, closed and offline browsers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from data_io.geometry import Rle, parts_of_json, rle_of_parts
from tests.browser.conftest import VIEWPORT, Canvas, expect, sibling, watched

pytestmark = pytest.mark.browser

SIZE = (400, 640)  # height, width of the server's pictures
MIDDLE = (330.0, 195.0)  # the middle of the drawn rectangle i4
CORNER = (260.0, 160.0)  # its first vertex
BLOCKED = "() => !window.dispatchEvent(new Event('beforeunload', {cancelable: true}))"


def raster(herd: Any, identity: str = "i4", image: str = "a") -> Rle | None:
    """Pixels of a stored instance, None where it is gone."""
    for item in herd.documents[image]["instances"]:
        if item["id"] == identity:
            return rle_of_parts(parts_of_json(item["parts"]), *SIZE)
    return None


def rectangle(left: float, top: float) -> Rle:
    """Pixels of the rectangle i4 with its first vertex at another place."""
    ring = [left, top, 400.0, 160.0, 400.0, 230.0, 260.0, 230.0]
    return rle_of_parts(parts_of_json([{"outer": ring, "holes": []}]), *SIZE)


@pytest.fixture
def own(browser: Any, herd_server: tuple[Any, str], herd: Any) -> Iterator[Any]:
    """A browser context of its own, for tests that close pages or cut the network."""
    context = browser.new_context(viewport=VIEWPORT)
    yield context
    context.close()


def drag_corner(canvas: Canvas, x: float, y: float) -> Rle:
    """Drag the first vertex of the rectangle; its pixels afterwards."""
    canvas.click(*MIDDLE)
    canvas.drag(CORNER, (x, y))
    ring = canvas.read("h.session.instance('i4').parts[0].outer")
    return rle_of_parts(parts_of_json([{"outer": ring, "holes": []}]), *SIZE)


def forget_unused(page: Any) -> None:
    """Let the browser drop from its memory what nobody holds, as it may do at any time."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.enable")
    session.send("HeapProfiler.collectGarbage")
    session.detach()


def test_undo_and_redo_survive_a_reload(canvas: Canvas, herd: Any) -> None:
    canvas.open()
    before = raster(herd)
    first = drag_corner(canvas, 250, 150)
    canvas.revision(2)
    canvas.press("2")
    canvas.revision(3)
    canvas.press("Control+z")
    canvas.revision(4)
    canvas.kept()
    canvas.page.reload()
    canvas.revision(4)
    assert raster(herd) == first
    canvas.press("Control+z")
    canvas.revision(5)
    assert raster(herd) == before == rectangle(*CORNER)
    canvas.press("Control+Shift+z", "Control+Shift+z")
    canvas.revision(7)
    assert raster(herd) == first
    assert herd.documents["a"]["instances"][1]["category"] == "c2"
    canvas.press("n")  # another image has a log of its own
    canvas.ready("b")
    canvas.press("Control+z")
    canvas.says("Nothing to undo")


def test_unsaved_edits_and_the_outline_under_way_survive_a_reload(
    canvas: Canvas, herd: Any
) -> None:
    canvas.open()
    herd.offline = True
    moved = drag_corner(canvas, 250, 150)
    canvas.state("retry")
    canvas.press("Escape", "d")
    for point in ((300, 330), (400, 330), (420, 370)):
        canvas.click(*point)
    assert canvas.page.evaluate(BLOCKED) is True
    canvas.kept()
    canvas.page.reload()
    canvas.ready("a")  # the edits of earlier visits are sent before it is
    canvas.state("retry")
    assert canvas.read("h.session.draft.length") == 6
    herd.offline = False
    canvas.page.evaluate("window.dispatchEvent(new Event('focus'))")
    canvas.revision(2)
    assert raster(herd) == moved
    canvas.page.locator(".hc-stage").focus()
    canvas.press("Enter")
    canvas.revision(3)
    drawn = herd.documents["a"]["instances"][2]
    assert len(drawn["parts"][0]["outer"]) == 6
    assert canvas.page.evaluate(BLOCKED) is False


def test_edits_wait_for_the_network_also_in_a_closed_browser(
    own: Any, herd_server: tuple[Any, str], herd: Any
) -> None:
    with watched(own) as page:
        canvas = Canvas(page, herd_server[1])
        canvas.open()
        canvas.press("n")
        canvas.ready("b")
        canvas.press("p")
        canvas.ready("a")
        canvas.painted()
        forget_unused(page)
        own.set_offline(True)
        first = drag_corner(canvas, 250, 150)
        canvas.state("offline")
        canvas.says("edits are kept in this browser")
        canvas.press("n")  # seen before, so it opens without the server
        canvas.ready("b")
        second = drag_corner(canvas, 240, 140)
        canvas.press("p")
        canvas.ready("a")
        canvas.halt()  # or b, on its way when the network comes back, is stored before a
        own.set_offline(False)
        canvas.revision(2)
        assert [image for _, image, _, _ in herd.writes] == ["a", "b"]
        assert (raster(herd), raster(herd, image="b")) == (first, second)
        own.set_offline(True)
        canvas.click(*MIDDLE)
        canvas.press("2", "n")
        canvas.ready("b")
        canvas.click(*MIDDLE)
        canvas.press("2")
        canvas.kept()
    own.set_offline(False)
    with watched(own) as page:
        canvas = Canvas(page, herd_server[1])
        canvas.open("c")
        canvas.revision(1)
        page.wait_for_function("() => window.events.filter(([name]) => name === 'saved')[1]")
    stored = [herd.documents[image]["instances"][1]["category"] for image in "ab"]
    assert stored == ["c2", "c2"]
    assert [herd.documents[image]["revision"] for image in "abc"] == [3, 3, 1]


def test_a_lost_reply_is_no_conflict_after_a_reload(canvas: Canvas, herd: Any) -> None:
    canvas.open()
    herd.losing = True
    moved = drag_corner(canvas, 250, 150)
    canvas.state("retry")
    herd.offline = True
    canvas.press("2")
    canvas.kept()
    herd.offline = False
    canvas.page.reload()
    canvas.revision(3)
    assert [match for _, _, match, _ in herd.writes] == ['"1"', '"2"']
    assert raster(herd) == moved
    assert herd.documents["a"]["instances"][1]["category"] == "c2"


@pytest.mark.long
def test_two_windows_edit_one_image(own: Any, herd_server: tuple[Any, str], herd: Any) -> None:
    with watched(own) as one, watched(own) as two:
        left, right = Canvas(one, herd_server[1]), Canvas(two, herd_server[1])
        left.open()
        right.open()
        moved = drag_corner(left, 250, 150)
        left.revision(2)
        right.click(240, 265)  # i3 above its hole
        right.press("Delete")
        right.revision(3)
        assert (raster(herd), raster(herd, "i3")) == (moved, None)
        left.press("2")
        left.revision(4)
        right.click(*MIDDLE)
        right.press("Delete")
        right.state("conflict")
        right.page.get_by_role("button", name="All theirs").click()
        right.revision(4)
        assert raster(herd) == moved
        assert herd.documents["a"]["instances"][0]["category"] == "c2"


def test_fast_steps_write_to_the_right_image(canvas: Canvas, herd: Any) -> None:
    names = [f"x{number}" for number in range(51)]
    make = sibling("canvas_server").document
    herd.documents = {name: make(name) for name in names}
    canvas.open(names[0])
    edited = set()
    for number, name in enumerate(names[:-1]):
        if number % 5 == 0:
            canvas.ready(name)
            edited.add(name)
        canvas.click(*MIDDLE)
        canvas.press("2" if number % 3 else "Delete", "n")
    canvas.ready(names[-1])
    canvas.page.wait_for_selector(".hm-root[data-save-state=saved]")
    assert {image for _, image, _, _ in herd.writes} >= edited
    for _, image, match, body in herd.writes:
        assert match == '"1"' or herd.documents[image]["revision"] > 2
        named = {one if isinstance(one, str) else one["id"] for one in body["instances"]}
        assert named <= {f"i{number}" for number in range(5)}
    for name in names:
        revision = herd.documents[name]["revision"]
        assert revision == 1 + sum(image == name for _, image, _, _ in herd.writes)


def test_a_hidden_tab_ends_the_gesture_and_keeps_it(canvas: Canvas, herd: Any) -> None:
    canvas.open()
    canvas.click(*MIDDLE)
    page = canvas.page
    page.mouse.move(*canvas.at(*CORNER))
    page.mouse.down()
    page.mouse.move(*canvas.at(250, 150), steps=4)
    page.evaluate("document.querySelector('.box').style.display = 'none'")
    page.wait_for_selector(".hm-root[data-revision='2'][data-save-state=saved]", state="attached")
    assert raster(herd) == rectangle(250, 150)
    page.evaluate("document.querySelector('.box').style.display = ''")
    page.mouse.up()
    page.mouse.move(5, 5)
    canvas.click(10, 390)
    canvas.state("saved")
    assert herd.documents["a"]["revision"] == 2


def test_keys_work_after_clicking_around_and_text_boxes_keep_theirs(
    canvas: Canvas, herd: Any
) -> None:
    canvas.open()
    canvas.click(*MIDDLE)
    page = canvas.page
    page.locator(".hc-name").click()  # no control, so it must not swallow the keys
    canvas.press("2")
    canvas.revision(2)
    page.evaluate("document.activeElement.blur()")
    canvas.press("1")
    canvas.revision(3)
    page.locator("#elsewhere").focus()
    page.keyboard.type("2daxs n?")
    page.keyboard.press("Delete")
    expect(page.locator("#elsewhere")).to_have_value("2daxs n?")
    assert canvas.read("[h.session.id, h.state.tool, h.session.undoLog.length]") == [
        "a",
        "select",
        2,
    ]


@pytest.mark.long
def test_the_canvas_works_where_storage_is_refused(own: Any, herd_server: Any, herd: Any) -> None:
    with watched(own) as page:
        page.add_init_script("IDBFactory.prototype.open = () => { throw new Error('refused'); }")
        canvas = Canvas(page, herd_server[1])
        canvas.open()
        moved = drag_corner(canvas, 250, 150)
        canvas.revision(2)
        assert raster(herd) == moved
        own.set_offline(True)
        canvas.press("2")
        canvas.says("keep this page open")
        own.set_offline(False)
        canvas.revision(3)


def test_a_reload_comes_back_to_the_image_that_was_open(canvas: Canvas, herd: Any) -> None:
    canvas.open("a")
    canvas.press("n")
    canvas.ready("b")
    canvas.page.reload()
    canvas.ready("b")
    del herd.documents["b"]  # it is gone: the one that was asked for comes
    canvas.page.reload()
    canvas.ready("a")
