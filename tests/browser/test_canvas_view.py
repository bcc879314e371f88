"""How picture and outlines look: adjustments, CLAHE, display options, tiles, pinching."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import expect

pytestmark = pytest.mark.browser

PLAIN = (330, 320)  # ground without any animal or region
SIDE = (8000, 6000)


def pixel(canvas: Any, x: float, y: float) -> np.ndarray:
    """The color a person sees at an image point."""
    canvas.painted()
    left, top = canvas.at(x, y)
    clip = {"x": int(left), "y": int(top), "width": 1, "height": 1}
    shot = Image.open(io.BytesIO(canvas.page.screenshot(clip=clip))).convert("RGB")
    return np.array(shot)[0, 0].astype(float)


def adjusted(color: np.ndarray, gamma: float, contrast: float, brightness: float) -> np.ndarray:
    """What the sliders promise, computed here anew."""
    slope = 1 / (1 - contrast / 100) if contrast >= 0 else 1 + contrast / 100
    value = ((color / 255) ** (1 / gamma) - 0.5) * slope + 0.5 + brightness / 200
    return np.clip(value, 0, 1) * 255


def slide(canvas: Any, **values: float) -> None:
    """Move sliders of the View panel."""
    for name, value in values.items():
        canvas.page.get_by_label(name, exact=True).fill(str(value))


def test_the_picture_is_adjusted_and_nothing_else(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.press("h")  # the heat-map off: its colors are not the picture's
    before = pixel(canvas, *PLAIN)
    canvas.page.click("[data-look]")
    slide(canvas, Gamma=2, Contrast=20, Brightness=-10)
    seen = pixel(canvas, *PLAIN)
    assert np.abs(seen - adjusted(before, 2, 20, -10)).max() <= 2
    canvas.page.locator(".hc-stage").focus()
    canvas.press("z")
    assert np.array_equal(pixel(canvas, *PLAIN), before)
    canvas.press("z")
    assert np.array_equal(pixel(canvas, *PLAIN), seen)
    canvas.open("b")  # kept for the next image and the next visit, as is the heat-map
    assert np.abs(pixel(canvas, *PLAIN) - seen).max() <= 2
    canvas.page.click("[data-look]")
    canvas.page.get_by_role("button", name="Reset").click()
    assert np.array_equal(pixel(canvas, *PLAIN), before)
    assert herd.writes == []


def test_outlines_are_colored_labeled_and_hidden(canvas: Any, herd: Any) -> None:
    canvas.open()
    middle = (305.0, 172.0)  # inside the drawn rectangle i4, beside its label
    plain = pixel(canvas, *middle)
    canvas.page.click("[data-look]")
    canvas.page.get_by_label("Color by").select_option("origin")
    swatch = canvas.page.locator(".hc-animals .hc-swatch").first
    expect(swatch).to_have_css("background-color", "rgb(43, 181, 138)")
    by_origin = pixel(canvas, *middle)
    assert np.abs(by_origin - plain).max() > 5
    slide(canvas, Fill=0)
    bare = pixel(canvas, *middle)
    assert np.abs(bare - by_origin).max() > 5
    canvas.page.keyboard.press("Escape")
    expect(canvas.page.locator(".hc-look")).to_be_hidden()
    canvas.press("Shift+H")
    canvas.says("Outlines hidden")
    edge = (330.0, 160.0)  # on its upper border
    without = pixel(canvas, *edge)
    canvas.press("Shift+H")
    assert np.abs(pixel(canvas, *edge) - without).max() > 20
    canvas.press("Tab", "Shift+H")  # only the first animal, which is selected
    canvas.says("Only the selected")
    assert np.abs(pixel(canvas, *edge) - without).max() <= 2
    handle = herd.documents["a"]["instances"][0]["parts"][0]["outer"][:2]
    assert pixel(canvas, *handle).min() > 230
    canvas.press("Shift+H")
    canvas.says("Outlines hidden")
    assert pixel(canvas, *handle).max() < 200
    assert herd.writes == []


def touch(session: Any, kind: str, *points: tuple[float, float]) -> None:
    """A real touch event with these fingers on the screen."""
    fingers = [{"x": x, "y": y, "id": k} for k, (x, y) in enumerate(points)]
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})


def test_two_fingers_zoom_and_move_and_never_draw(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.press("d")
    session = canvas.page.context.new_cdp_session(canvas.page)
    (ax, ay), (bx, by) = canvas.at(250, 330), canvas.at(350, 330)
    before = canvas.read("h.editor.view.scale")
    touch(session, "touchStart", (ax, ay))
    touch(session, "touchStart", (ax, ay), (bx, by))
    touch(session, "touchMove", (ax - 50, ay + 30), (bx + 50, by + 30))
    touch(session, "touchEnd")
    wanted = before * (bx - ax + 100) / (bx - ax)
    canvas.waits(f"Math.abs(h.editor.view.scale / {wanted} - 1) < 0.01")
    assert canvas.at(300, 330) == pytest.approx([(ax + bx) / 2, ay + 30], abs=1.5)
    assert canvas.read("h.session.draft.length") == 0
    for point in ((260, 320), (340, 320), (340, 360)):
        x, y = canvas.at(*point)
        touch(session, "touchStart", (x, y))
        touch(session, "touchEnd")
    canvas.waits("h.session.draft.length === 6")
    canvas.press("Enter")
    canvas.revision(2)
    drawn = herd.documents["a"]["instances"][2]["parts"][0]["outer"]
    assert drawn == pytest.approx([260, 320, 340, 320, 340, 360], abs=1)


def picture_file(folder: Path) -> Path:
    """A picture whose color tells the place: red from left to right, green from top to bottom."""
    file = folder / "large.jpg"
    if not file.exists():
        x = np.linspace(0, 255, SIDE[0]).astype(np.uint8)
        y = np.linspace(0, 255, SIDE[1]).astype(np.uint8)
        pixels = np.zeros((SIDE[1], SIDE[0], 3), np.uint8)
        pixels[..., 2], pixels[..., 1] = x[None], y[:, None]  # OpenCV wants blue first
        cv2.imwrite(str(file), pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return file


def test_the_next_picture_is_fetched_while_one_looks_at_this_one(canvas: Any, herd: Any) -> None:
    with canvas.page.expect_request("**/api/images/b/pixels"):
        canvas.open("a")
    canvas.press("n")
    canvas.ready("b")


def test_a_large_image_comes_in_tiles(big_canvas: Any, many: Any) -> None:
    store, url, pictures = many
    page = big_canvas.page
    record = pictures.add_picture(store, picture_file(store.project / "images"), animals=2)
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url.removeprefix(url)))
    page.goto(f"{url}?value={json.dumps({'image_id': record.id})}")
    page.wait_for_selector(".hm-root[data-ready]")
    page.locator(".hc-left").wait_for()  # the strip of coming regions takes its place with it
    big_canvas.painted()
    assert f"api/images/{record.id}/pixels" not in asked
    big_canvas.press("Shift+H")
    for point in ((400, 3000), (4000, 300), (7600, 5700)):
        seen = pixel(big_canvas, *point)
        wanted = [255 * point[0] / SIDE[0], 255 * point[1] / SIDE[1], 0]
        assert np.abs(seen - wanted).max() <= 6, point
    asked.clear()
    page.mouse.move(*big_canvas.at(7900, 5900))
    for _ in range(6):
        page.mouse.wheel(0, -240)
    big_canvas.waits("h.editor.view.scale >= 0.8")
    seen = pixel(big_canvas, 7900, 5900)
    assert np.abs(seen - [255 * 7900 / 8000, 255 * 5900 / 6000, 0]).max() <= 6
    tiles = [address for address in asked if "/tiles/" in address]
    assert tiles
    assert len(tiles) <= 30  # of 192 at full size
    asked.clear()
    big_canvas.press("f")
    big_canvas.painted()
    # The tiles of the whole view are still here.
    assert [address for address in asked if "/tiles/" in address] == []


def test_clahe_is_the_servers_and_can_be_taken_back(big_canvas: Any, many: Any) -> None:
    store, url, pictures = many
    page = big_canvas.page
    folder = store.project / "images"
    dark = np.random.default_rng(0).normal(30, 6, (90, 120, 3)).clip(0, 255).astype(np.uint8)
    Image.fromarray(dark).save(folder / "dark.png")
    record = pictures.add_picture(store, folder / "dark.png")
    page.goto(f"{url}?value={json.dumps({'image_id': record.id})}")
    page.wait_for_selector(".hm-root[data-ready]")
    page.locator(".hc-left").wait_for()  # the strip of coming regions takes its place with it
    spread = spread_of(big_canvas)
    page.click("[data-look]")
    slide(big_canvas, CLAHE=3)
    page.wait_for_selector(".hm-root[data-clahe='3']")
    assert spread_of(big_canvas) > 1.5 * spread
    page.get_by_role("button", name="Reset").click()
    page.wait_for_selector(".hm-root[data-clahe='0']")
    assert spread_of(big_canvas) == pytest.approx(spread, rel=0.05)


def spread_of(canvas: Any) -> float:
    """How far the grays of the picture's middle lie apart on the screen."""
    canvas.painted()
    page = canvas.page
    box = page.locator(".hc-stage").bounding_box()
    clip = {"x": box["x"] + 300, "y": box["y"] + 200, "width": 240, "height": 240}
    shot = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("L")
    return float(np.array(shot, float).std())
