"""The editor over the REST contract, with real mouse and keyboard events on a real page."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import expect

pytestmark = pytest.mark.browser

CORNER = (260.0, 160.0)  # vertex 0 of the drawn rectangle i4
MIDDLE = (330.0, 195.0)  # its middle
FREE = [(300, 330), (400, 330), (420, 370), (320, 380)]  # nothing lies here


def ring(herd: Any, identity: str, image: str = "a") -> list[float]:
    """The stored outer ring of an instance."""
    found = {item["id"]: item for item in herd.documents[image]["instances"]}
    return found[identity]["parts"][0]["outer"]


def test_a_dragged_vertex_is_one_step_and_is_stored(canvas: Any, herd: Any) -> None:
    canvas.open()
    before = ring(herd, "i4")
    canvas.click(*MIDDLE)
    canvas.drag(CORNER, (250, 150))
    canvas.revision(2)
    moved = ring(herd, "i4")
    assert moved[:2] == pytest.approx([250, 150], abs=0.7)
    assert moved[2:] == before[2:]
    assert all(round(value, 2) == value for value in moved)
    canvas.press("Control+z")
    canvas.revision(3)
    assert ring(herd, "i4") == before
    canvas.press("Control+Shift+z")
    canvas.revision(4)
    assert ring(herd, "i4") == moved
    assert [match for _, _, match, _ in herd.writes] == ['"1"', '"2"', '"3"']


def test_a_vertex_stays_inside_the_image(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.click(*MIDDLE)
    canvas.drag(CORNER, (-60, 150))
    canvas.revision(2)
    assert ring(herd, "i4")[0] == 0


def test_vertices_are_inserted_and_deleted(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.click(*MIDDLE)
    canvas.page.mouse.dblclick(*canvas.at(300, 160))
    canvas.revision(2)
    assert ring(herd, "i4")[2:4] == pytest.approx([300, 160], abs=0.7)
    canvas.page.keyboard.down("Alt")
    canvas.click(300, 160)
    canvas.page.keyboard.up("Alt")
    canvas.revision(3)
    assert len(ring(herd, "i4")) == 8
    canvas.click(330, 230)  # the lower edge's midpoint handle
    canvas.revision(4)
    assert ring(herd, "i4")[4:8] == pytest.approx([400, 230, 330, 230], abs=0.7)


def test_a_polygon_is_drawn_with_the_mouse(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.press("d")
    for point in FREE:
        canvas.click(*point)
    canvas.click(10, 10)
    canvas.press("Backspace")
    canvas.click(*FREE[0])  # the first vertex closes
    canvas.revision(2)
    drawn = herd.documents["a"]["instances"][2]
    flat = [value for point in FREE for value in point]
    assert drawn["parts"][0]["outer"] == pytest.approx(flat, abs=0.7)
    assert (drawn["source"], drawn["category"], drawn["proposed"]) == ("human", "c1", False)
    assert len(drawn["id"]) == 32
    for x, y in FREE[:2]:
        canvas.click(x, y + 50)
    canvas.page.mouse.dblclick(*canvas.at(420, 395))
    canvas.revision(3)
    assert len(herd.documents["a"]["instances"][3]["parts"][0]["outer"]) == 6


def test_a_polygon_is_drawn_with_the_keyboard(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.press("d", "ArrowDown", "Enter", "Shift+ArrowRight", "Enter", "Shift+ArrowDown", "Enter")
    canvas.press("Enter")
    canvas.revision(2)
    x0, y0, x1, y1, x2, y2 = herd.documents["a"]["instances"][2]["parts"][0]["outer"]
    assert x1 > x0
    assert y1 == y0
    assert x2 == x1
    assert y2 > y1


def test_an_outline_without_area_is_refused_in_words(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.press("d")
    for point in ((300, 330), (340, 330), (380, 330)):
        canvas.click(*point)
    canvas.press("Enter")
    canvas.says("no area")
    canvas.press("n")
    canvas.says("Finish the outline")
    canvas.press("Escape")
    assert canvas.read("h.session.draft.length") == 0
    assert herd.writes == []


def test_category_delete_and_undo_go_by_keys(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.click(*MIDDLE)
    canvas.press("2")
    canvas.revision(2)
    assert herd.documents["a"]["instances"][1]["category"] == "c2"
    canvas.press("Delete")
    canvas.revision(3)
    assert "i4" not in {item["id"] for item in herd.documents["a"]["instances"]}
    canvas.press("Control+z", "Control+z")
    canvas.page.wait_for_selector("[aria-label='Undo'][disabled]")
    canvas.state("saved")
    assert herd.documents["a"]["instances"][1]["category"] == "c1"


def test_a_category_name_is_text(canvas: Any, herd: Any) -> None:
    canvas.open()
    option = canvas.page.locator(".hc-select option").nth(1)
    expect(option).to_have_text("2 <img src=x onerror=alert(1)>")
    canvas.click(*MIDDLE)
    canvas.press("2")
    canvas.page.locator(".hc-animals .hc-row", has_text="onerror=alert").wait_for()
    assert canvas.page.locator(".hm-root img").count() == 0


def test_vertices_are_edited_with_the_keyboard(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.press("Tab", "Tab", "Enter")
    canvas.page.keyboard.down("ArrowRight")
    canvas.page.keyboard.down("ArrowRight")
    canvas.page.keyboard.up("ArrowRight")
    canvas.revision(2)
    assert ring(herd, "i4")[:2] == [262, 160]
    canvas.press("Tab", "i")
    canvas.revision(3)
    assert ring(herd, "i4")[2:6] == [400, 160, 400, 195]
    canvas.press("Delete")
    canvas.revision(4)
    assert len(ring(herd, "i4")) == 8


def test_focus_can_leave_the_canvas(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.press(*["Tab"] * 5)
    assert canvas.read("h.state.selected") == "i2"
    canvas.press("Tab")
    assert not canvas.read("document.activeElement.classList.contains('hc-stage')")
    canvas.page.locator("#elsewhere").focus()
    canvas.press("n", "d", "Delete")
    assert canvas.page.input_value("#elsewhere") == "nd"
    assert canvas.read("h.state.tool") == "select"
    assert herd.writes == []


def test_zoom_keeps_the_point_under_the_pointer(canvas: Any, herd: Any) -> None:
    canvas.open()
    before = canvas.at(200, 100)
    canvas.page.mouse.move(*before)
    canvas.page.mouse.wheel(0, -400)
    canvas.waits("h.editor.view.scale > h.editor.view.fitScale()")
    assert canvas.at(200, 100) == pytest.approx(before, abs=0.7)  # whole CSS px, scaled
    canvas.drag((200, 100), (220, 130), button="middle")
    assert canvas.at(220, 130) != canvas.at(200, 100)
    assert canvas.at(200, 100) != pytest.approx(before, abs=5)
    canvas.press("0")
    assert canvas.read("h.editor.view.scale") == 1
    canvas.press("f")
    assert canvas.read("h.editor.view.fitted") is True
    assert herd.writes == []


def test_heat_opacity_by_keys(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.press("Shift+J")
    assert canvas.read("h.state.heatOpacity") == 0.55
    canvas.press("h")
    assert canvas.read("h.state.heatOpacity") == 0
    canvas.press("h")
    expect(canvas.page.get_by_label("Heat-map opacity")).to_have_value("0.55")


def test_the_heat_map_shows_that_it_is_on_and_is_remembered(canvas: Any, herd: Any) -> None:
    canvas.open()
    button = canvas.page.get_by_role("button", name="Heat-map")
    expect(button).to_have_attribute("aria-pressed", "true")
    canvas.press("Shift+J", "h")
    expect(button).to_have_attribute("aria-pressed", "false")
    canvas.open("b")
    expect(button).to_have_attribute("aria-pressed", "false")
    assert canvas.read("h.state.heatOpacity") == 0
    canvas.press("h")
    canvas.open("a")
    assert canvas.read("h.state.heatOpacity") == 0.55


def test_a_region_is_accepted_another_fixed_and_one_skipped(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.press("]", "a")
    canvas.page.wait_for_selector(".hc-regions [aria-current] >> text=unclear")
    assert herd.documents["a"]["regions"][0]["state"] == "accepted"
    assert ring(herd, "i0") is not None
    canvas.page.wait_for_selector(".hc-status[data-status=partial]")
    canvas.click(500, 215)
    canvas.press("2", "x")
    canvas.page.wait_for_selector(".hc-regions [aria-current] >> text=missing")
    canvas.press("s")
    canvas.page.wait_for_selector(".hc-regions [data-state=skipped]")
    canvas.state("saved")
    assert [item["state"] for item in herd.documents["a"]["regions"]] == [
        "accepted", "fixed", "skipped",
    ]  # fmt: skip
    told = [detail for name, detail in canvas.page.evaluate("events") if name == "answered"]
    assert [detail["action"] for detail in told] == ["accept", "fix", "skip"]


def test_edits_made_before_a_skip_are_stored(canvas: Any, herd: Any) -> None:
    canvas.open()
    herd.gate.clear()
    canvas.press("]", "f")
    canvas.click(*MIDDLE)
    canvas.press("2", "s")
    herd.gate.set()
    canvas.page.wait_for_selector(".hc-regions [data-state=skipped]")
    canvas.state("saved")
    assert herd.documents["a"]["instances"][1]["category"] == "c2"
    assert [route for _, route, _, _ in herd.writes] == ["a", "a/r0"]


def test_accepting_the_image_goes_to_the_next(canvas: Any, herd: Any) -> None:
    herd.documents["a"]["instances"] = []
    canvas.open()
    canvas.press("Shift+Enter")
    canvas.ready("b")
    assert herd.documents["a"]["status"] == "verified"
    assert [(route, body["instances"]) for _, route, _, body in herd.writes] == [("a/accept", [])]
    canvas.press("n")
    canvas.ready("c")
    canvas.press("n")
    canvas.says("last image")
    canvas.press("p")
    canvas.ready("b")


def test_undo_never_crosses_images_and_survives_leaving(canvas: Any, herd: Any) -> None:
    canvas.open()
    before = ring(herd, "i4")
    canvas.click(*MIDDLE)
    canvas.drag(CORNER, (250, 150))
    canvas.press("n")
    canvas.ready("b")
    canvas.press("Control+z")
    canvas.says("Nothing to undo")
    canvas.press("p")
    canvas.ready("a")
    canvas.press("Control+z")
    canvas.revision(3)
    assert ring(herd, "i4") == before
    assert herd.documents["b"]["revision"] == 1


def test_a_save_in_flight_cannot_reach_another_image(canvas: Any, herd: Any) -> None:
    canvas.open()
    herd.gate.clear()
    canvas.click(*MIDDLE)
    canvas.press("2")
    canvas.state("saving")
    value = {"image_id": "b", "doc_url": "api/images/b/document"}
    canvas.page.evaluate("value => give(value)", value)  # Gradio switches while a save is under way
    canvas.ready("b")
    canvas.click(*MIDDLE)
    canvas.press("Delete")
    herd.gate.set()
    canvas.state("saved")
    assert [(route, match) for _, route, match, _ in herd.writes] == [("a", '"1"'), ("b", '"1"')]
    assert herd.documents["a"]["instances"][1]["category"] == "c2"
    assert "i4" not in {item["id"] for item in herd.documents["b"]["instances"]}


def test_fast_navigation_ends_on_the_right_image(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.press("n", "n", "p", "n")
    canvas.read("h.editor.walk.turn.then(() => h.editor.walk.opening)")  # c may be seen before b
    canvas.ready("c")
    assert canvas.read("h.session.id") == "c"
    expect(canvas.page.locator(".hc-name")).to_have_text("c.jpg")


def test_a_rejected_proposal_is_sent_and_undo_keeps_it(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.click(330, 110)
    canvas.press("Delete")
    canvas.revision(2)
    assert herd.writes[0][3]["rejected"] == ["i1"]
    canvas.press("Control+z")
    canvas.revision(3)
    sent = herd.writes[1][3]["instances"]
    assert "i1" in [one["id"] for one in sent if not isinstance(one, str)]  # no revision has it


def test_a_press_just_outside_the_selected_outline_keeps_it(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.click(*MIDDLE)
    canvas.page.mouse.dblclick(*canvas.at(300, 158))
    canvas.revision(2)
    assert ring(herd, "i4")[3] == pytest.approx(160, abs=0.01)
    canvas.click(10, 10)
    assert canvas.read("h.state.selected") is None
