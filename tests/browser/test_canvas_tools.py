"""Every tool of the canvas with real pointer and key events; the stored raster is what counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from data_io import geometry as geo
from tests.browser.conftest import expect, on_screen

pytestmark = pytest.mark.browser
WIDTH, HEIGHT = 640, 400
Mask = NDArray[np.bool_]
FREE = (520, 90)  # a point with 60 px of free ground around it
SQUARE = (330, 195)  # a point of i4, an exact rectangle
RIM = np.add.outer(np.arange(HEIGHT) + 0.5, 1j * (np.arange(WIDTH) + 0.5))  # y + ix of each pixel


def raster(parts: Any) -> Mask:
    """(H, W) bool raster of JSON parts."""
    return geo.mask_of_parts(geo.parts_of_json(parts), HEIGHT, WIDTH)


def polygon(*points: tuple[float, float]) -> Mask:
    """(H, W) bool raster of one ring."""
    return raster([{"outer": [v for point in points for v in point], "holes": []}])


def capsule(a: tuple[float, float], b: tuple[float, float], radius: float) -> Mask:
    """(H, W) bool: pixel middles within `radius` of the segment a-b."""
    at = RIM.imag + 1j * RIM.real
    start, way = complex(*a), complex(*b) - complex(*a)
    along = ((at - start) * way.conjugate()).real / (abs(way) ** 2 or 1)
    near: Mask = np.abs(at - start - np.clip(along, 0, 1) * way) <= radius
    return near


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union."""
    return float((a & b).sum() / (a | b).sum())


def added(after: dict[str, Mask], before: dict[str, Mask]) -> Mask:
    """The raster of the one instance that is new."""
    (new,) = set(after) - set(before)
    return after[new]


def undo_all(canvas: Any, stored: Any, first: dict[str, Mask], steps: int) -> None:
    """After exactly `steps` times undo everything is as it was."""
    undo = canvas.page.locator(".hc-bar [aria-label=Undo]")
    canvas.press(*["Control+z"] * (steps - 1))
    expect(undo).to_be_enabled()
    canvas.press("Control+z")
    expect(undo).to_be_disabled()
    final = stored(canvas.saved())
    assert final.keys() == first.keys()
    assert all((final[name] == first[name]).all() for name in first)


def ring_of(canvas: Any, name: str) -> list[float]:
    """The outer ring of an instance's first part, flat."""
    ring: list[float] = canvas.read(f"h.session.instance('{name}').parts[0].outer")
    return ring


def draw(canvas: Any, *points: tuple[float, float]) -> None:
    """Polygon by clicks, closed with Enter."""
    for point in points:
        canvas.click(*point)
    canvas.press("Enter")


def click_with(canvas: Any, key: str, x: float, y: float) -> None:
    """A click while a key is held."""
    canvas.page.keyboard.down(key)
    canvas.click(x, y)
    canvas.page.keyboard.up(key)


def stroke(canvas: Any, *points: tuple[float, float]) -> None:
    """Press, move through the points, let go."""
    (x, y), *rest = on_screen(canvas.page, points)
    canvas.page.mouse.move(x, y)
    canvas.page.mouse.down()
    for place in rest:
        canvas.page.mouse.move(*place, steps=6)
    canvas.page.mouse.up()


def test_brush_and_eraser_change_the_stored_raster_stroke_by_stroke(
    canvas: Any, stored: Any
) -> None:
    canvas.open("a")
    before = stored(1)
    canvas.press("b")
    canvas.page.mouse.move(*canvas.at(*FREE))
    canvas.press("]", "]")  # 24 -> 30 -> 38
    assert canvas.read("h.state.brush") == 38
    canvas.page.keyboard.down("Shift")
    for turn, size in ((-100, 48), (100, 38)):
        canvas.page.mouse.wheel(0, turn)
        canvas.waits(f"h.state.brush === {size}")
    canvas.page.keyboard.up("Shift")
    stroke(canvas, (490, 80), (560, 80))
    painted = added(stored(2), before)
    assert iou(painted, capsule((490, 80), (560, 80), 19)) > 0.97
    stroke(canvas, (525, 80), (525, 130))
    grown = added(stored(3), before)
    assert (grown | painted == grown).all()
    assert iou(grown, painted | capsule((525, 80), (525, 130), 19)) > 0.97
    canvas.press("e")
    canvas.press(*["["] * 6)
    canvas.page.mouse.move(*canvas.at(525, 82))
    canvas.page.mouse.down()
    canvas.page.mouse.up()
    holed = stored(4)
    assert iou(grown & ~added(holed, before), capsule((525, 82), (525, 82), 5)) > 0.7
    assert canvas.read("h.session.instances.at(-1).parts[0].holes.length") == 1
    assert all((holed[name] == before[name]).all() for name in before)
    undo_all(canvas, stored, before, 3)


def test_a_brush_stroke_keeps_the_vertices_it_does_not_touch(canvas: Any, stored: Any) -> None:
    canvas.open("a")
    before = stored(1)["i4"]
    canvas.click(*SQUARE)
    canvas.press("b")
    stroke(canvas, (400, 195), (402, 195))
    after = stored(2)["i4"]
    assert (after >= before).all()
    assert after.sum() > before.sum() + 100
    ring = ring_of(canvas, "i4")
    corners = list(zip(ring[::2], ring[1::2], strict=True))
    assert {(260, 160), (400, 160), (400, 230), (260, 230)} <= set(corners)
    exact = geo.parts_of_mask(after)[0].outer
    assert len(corners) < len(exact) * 0.6
    canvas.press("e")
    stroke(canvas, (250, 150), (410, 150), (410, 240), (250, 240), (250, 170), (400, 170))
    assert (stored(3)["i4"] <= after).all()


def test_polygons_add_subtract_and_make_holes_exactly(canvas: Any, stored: Any) -> None:
    canvas.open("a")
    square = stored(1)["i4"]
    canvas.click(*SQUARE)
    canvas.press("d")
    draft = "h.session.draft"
    click_with(canvas, "Shift", 390, 170)
    for point in ((430, 175), (430, 215), (390, 220)):
        canvas.click(*point)
    ring = canvas.read(draft)
    canvas.press("Enter")
    joined = stored(2)["i4"]
    assert (joined == (square | raster([{"outer": ring, "holes": []}]))).all()
    click_with(canvas, "Alt", 300, 180)
    for point in ((330, 180), (330, 210)):
        canvas.click(*point)
    ring = canvas.read(draft)
    canvas.press("Enter")
    holed = stored(3)["i4"]
    assert (holed == (joined & ~raster([{"outer": ring, "holes": []}]))).all()
    assert len(canvas.read("h.session.instance('i4').parts[0].holes")) == 1
    canvas.press("v")
    canvas.page.get_by_role("button", name="Fill holes").click()
    assert (stored(4)["i4"] == joined).all()
    canvas.press("Control+z")
    assert (stored(5)["i4"] == holed).all()
    canvas.click(330, 180)
    canvas.page.get_by_role("button", name="Delete hole").wait_for()
    canvas.press("Shift+Delete")
    assert (stored(6)["i4"] == joined).all()
    canvas.press("d")
    canvas.page.get_by_role("button", name="Subtract", exact=True).click()
    draw(canvas, (240, 150), (300, 150), (240, 240))
    cut = stored(7)["i4"]
    assert (cut <= joined).all()
    assert cut.sum() < joined.sum() - 500


def test_lasso_draws_adds_and_subtracts(canvas: Any, stored: Any) -> None:
    canvas.open("a")
    before = stored(1)
    canvas.press("l")
    ring = [(480, 50), (580, 50), (580, 130), (480, 130), (484, 44)]
    stroke(canvas, *ring)
    assert "crosses" not in canvas.page.locator(".hc-toast").inner_text()
    drawn = added(stored(2), before)
    assert iou(drawn, polygon(*ring[:4])) > 0.97
    for key, box, revision in (("Shift", (570, 70, 620, 100), 3), ("Alt", (500, 70, 530, 100), 4)):
        x0, y0, x1, y1 = box
        canvas.page.keyboard.down(key)
        stroke(canvas, (x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0))
        canvas.page.keyboard.up(key)
        part = polygon((x0, y0), (x1, y0), (x1, y1), (x0, y1))
        now = added(stored(revision), before)
        wanted = drawn | part if key == "Shift" else drawn & ~part
        assert iou(now, wanted) > 0.97
        drawn = now
    assert canvas.read("h.session.instances.at(-1).parts[0].holes.length") == 1
    undo_all(canvas, stored, before, 3)


def test_split_and_merge_lose_no_pixel(canvas: Any, stored: Any) -> None:
    canvas.open("a")
    before = stored(1)
    canvas.click(*SQUARE)
    canvas.press("u")
    stroke(canvas, (320, 150), (340, 200), (325, 240))
    halves = stored(2)
    other = added(halves, before)
    assert not (halves["i4"] & other).any()
    assert ((halves["i4"] | other) == before["i4"]).all()
    assert min(halves["i4"].sum(), other.sum()) > 0.35 * before["i4"].sum()
    canvas.press("m")
    merged = stored(3)
    assert merged.keys() == before.keys()
    assert (merged["i4"] == before["i4"]).all()
    stroke(canvas, (300, 150), (300, 190))  # ends inside: divides nothing
    canvas.says("divides no animal")
    order = canvas.read("h.session.instances.map(({id}) => id)")
    canvas.press("Control+a", "m")
    (union,) = stored(4).values()
    assert (union == np.any(list(before.values()), 0)).all()
    undo_all(canvas, stored, before, 3)
    assert canvas.read("h.session.instances.map(({id}) => id)") == order


def test_several_animals_are_selected_moved_categorized_and_deleted_at_once(
    canvas: Any, stored: Any, herd: Any
) -> None:
    canvas.open("a")
    before = stored(1)
    canvas.page.keyboard.down("Shift")
    canvas.drag((250, 150), (410, 240))  # a rubber band around i4 alone
    canvas.page.keyboard.up("Shift")
    assert canvas.read("h.editor.selection.ids") == ["i4"]
    click_with(canvas, "Shift", 300, 280)
    assert set(canvas.read("h.editor.selection.ids")) == {"i4", "i3"}
    canvas.drag(SQUARE, (350, 205))
    moved = stored(2)
    dx, dy = canvas.read("[0, 1].map((k) => h.session.instance('i4').parts[0].outer[k])")
    assert (dx - 260, dy - 160) != (0, 0)
    for name in ("i3", "i4"):
        shift = (int(dy) - 160, int(dx) - 260)
        assert (np.roll(before[name], shift, (0, 1)) == moved[name]).all()
    canvas.press("Control+ArrowLeft")
    assert (np.roll(moved["i3"], -1, 1) == stored(3)["i3"]).all()
    canvas.press("2")
    stored(4)
    kinds = {item["id"]: item["category"] for item in herd.documents["a"]["instances"]}
    assert (kinds["i3"], kinds["i4"], kinds["i0"]) == ("c2", "c2", "c1")
    canvas.press("Delete")
    assert not {"i3", "i4"} & stored(5).keys()
    undo_all(canvas, stored, before, 4)
    assert canvas.read("h.session.instances.map(({id}) => id)") == ["i3", "i4", "i0", "i1", "i2"]


def test_snapping_shares_the_border(canvas: Any, stored: Any) -> None:
    canvas.open("a")
    before = stored(1)
    canvas.press("y", "d")
    draw(canvas, (400.8, 160.9), (450, 150), (450, 240), (398.5, 229))
    new = added(stored(2), before)
    ring = canvas.read("h.session.instances.at(-1).parts[0].outer")
    assert {(400, 160), (400, 230)} <= set(zip(ring[::2], ring[1::2], strict=True))
    assert not (new & before["i4"]).any()
    assert new[165:225, 400].all()  # no gap either
    oval = np.reshape(ring_of(canvas, "i3"), (-1, 2))
    lowest = int(np.argmax(oval[:, 1]))
    side = [tuple(oval[(lowest + k) % len(oval)].tolist()) for k in (-2, -1, 0, 1, 2)]
    (ax, ay), (bx, by) = side[0], side[-1]
    draw(canvas, (ax, ay + 2), (bx, by + 2), (bx, 390), (ax, 390))
    ring = canvas.read("h.session.instances.at(-1).parts[0].outer")
    assert set(side) <= set(zip(ring[::2], ring[1::2], strict=True))  # and all between
    below = stored(3)
    assert not (below["i3"] & raster([{"outer": ring, "holes": []}])).any()
    canvas.press("v")
    canvas.click(*SQUARE)
    border = shapely.LinearRing(oval)
    goal = border.interpolate(border.project(shapely.Point(262, 244)))
    canvas.drag((260, 230), (goal.x + 2, goal.y - 2))
    assert stored(4)["i4"].sum() > before["i4"].sum()
    assert border.distance(shapely.Point(ring_of(canvas, "i4")[6:])) < 0.01


def test_tools_work_by_keyboard_with_a_pen_and_a_finger(canvas: Any, stored: Any) -> None:
    canvas.open("a")
    before = stored(1)
    canvas.page.locator(".hc-stage").focus()
    canvas.press("b", *["Shift+ArrowRight"] * 5, *["Shift+ArrowUp"] * 3, "Enter")
    x, y = canvas.read("h.state.crosshair")
    assert iou(added(stored(2), before), capsule((x, y), (x, y), 12)) > 0.9
    canvas.press("Escape", "Escape", "u", *["Shift+ArrowUp"] * 2, "Enter")
    canvas.press(*["Shift+ArrowDown"] * 4, "Enter")  # a line down through i4
    halves = stored(3)
    assert len(halves) == len(before) + 2
    assert 0 < halves["i4"].sum() < before["i4"].sum()
    canvas.press("Control+z", "Escape", "v")
    pen = canvas.page.context.new_cdp_session(canvas.page)
    canvas.press("b", "Escape", "b")
    (x0, y0), (x1, y1) = on_screen(canvas.page, [(490, 60), (560, 100)])
    for kind, x, y, force in (
        ("mousePressed", x0, y0, 0.1), ("mouseMoved", x1, y1, 0.9), ("mouseReleased", x1, y1, 0),
    ):  # fmt: skip
        event = {"type": kind, "x": x, "y": y, "button": "left", "pointerType": "pen"}
        pen.send("Input.dispatchMouseEvent", {**event, "force": force, "clickCount": 1})
    assert len(stored(5)) == len(before) + 2
    painted = raster(canvas.read("h.session.instances.at(-1).parts"))
    assert iou(painted, capsule((490, 60), (560, 100), 12)) > 0.95
    for kind, places in (
        ("touchStart", [(490, 100)]), ("touchMove", [(520, 130)]), ("touchMove", [(560, 140)]),
        ("touchEnd", []), ("touchStart", [(500, 50)]), ("touchStart", [(500, 50), (560, 50)]),
        ("touchMove", [(500, 50), (580, 50)]), ("touchEnd", []),
    ):  # fmt: skip
        fingers = [
            dict(zip("xy", canvas.at(*place), strict=True), id=i) for i, place in enumerate(places)
        ]
        pen.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
    pen.detach()
    after = stored(6)  # one finger paints, two move the picture
    assert len(after) == len(before) + 2
    touched = raster(canvas.read("h.session.instances.at(-1).parts")) & ~painted
    wanted = capsule((490, 100), (520, 130), 12) | capsule((520, 130), (560, 140), 12)
    assert iou(touched, wanted & ~painted) > 0.9


def test_gestures_repaint_only_what_they_change(canvas: Any, herd: Any) -> None:
    items = herd.documents["a"]["instances"]
    ring = items[1]["parts"][0]["outer"]
    for k in range(60):
        shifted = [
            v / 8 + (k % 10 * 60 if i % 2 == 0 else k // 10 * 60) for i, v in enumerate(ring)
        ]
        items.append({**items[1], "id": f"x{k}", "parts": [{"outer": shifted, "holes": []}]})
    canvas.open("a")
    canvas.painted()  # what arrives later repaints everything
    canvas.page.evaluate(
        """() => { const kind = CanvasRenderingContext2D.prototype, { fill } = kind;
        window.fills = 0;
        kind.fill = function (...rest) { window.fills += 1; return fill.apply(this, rest); }; }"""
    )
    canvas.click(*SQUARE)
    x, y = canvas.at(400, 230)
    canvas.page.mouse.move(x, y)
    canvas.page.mouse.down()
    canvas.page.mouse.move(x + 9, y + 9, steps=4)
    frame = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    canvas.page.evaluate(frame)
    start = canvas.page.evaluate("window.fills")
    for k in range(5):
        canvas.page.mouse.move(x + 12 + k, y + 9)
        canvas.page.evaluate(frame)
    assert 5 <= canvas.page.evaluate("window.fills") - start < 5 * 20
    canvas.page.mouse.up()
