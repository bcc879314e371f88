"""Golden screenshots of the canvas, compared at half size so that another font does no harm.

What a picture shows is set up with real mouse and key events. After a wanted change, regenerate:
``PICTURES=new .venv/bin/python -m pytest tests/browser/test_canvas_pictures.py`` and look at
each file in tests/browser/pictures before it is committed.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from data_io.store import Store
from tests.browser.conftest import expect

pytestmark = pytest.mark.browser

FOLDER = Path(__file__).with_name("pictures")
NOTICEABLE = 32  # of 255, in any channel
TOLERATED = 0.004  # of the pixels
COLORS = 160  # of a committed file
HEAVIEST = 120_000  # bytes of a committed file
STILL = ".hc-toast { visibility: hidden }"  # it goes by itself, at a time of its own
SQUARE = (330.0, 195.0)  # the middle of the drawn rectangle i4
# Resolves once the pictures of the regions ahead are here; a background tells nobody.
CROPS = """Promise.all([...document.querySelectorAll('.hc-crop')].map((one) => {
  const picture = new Image();
  picture.src = one.style.backgroundImage.slice(5, -2);
  return picture.decode();
}))"""
Act = Callable[[Any, Any], None]


def half(shot: bytes) -> Image.Image:
    """A screenshot at half size."""
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)


def soft(image: Image.Image) -> NDArray[np.float32]:
    """(H, W, 3) in [0, 255], without what is finer than two pixels."""
    return cv2.GaussianBlur(np.asarray(image.convert("RGB"), np.float32), (0, 0), 1)


def differing(a: Image.Image, b: Image.Image) -> float:
    """Share of pixels that differ noticeably; 1 for pictures of two sizes."""
    if a.size != b.size:
        return 1.0
    return float((np.abs(soft(a) - soft(b)).max(axis=-1) > NOTICEABLE).mean())


def compare(page: Any, name: str, tmp_path: Path) -> None:
    """Hold the page against its golden picture, or write that one."""
    page.evaluate("document.fonts.ready")
    page.evaluate("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")
    taken = half(page.screenshot(animations="disabled", style=STILL))
    golden = FOLDER / f"{name}.png"
    if os.environ.get("PICTURES") == "new":
        taken.quantize(COLORS, dither=Image.Dither.NONE).save(golden, optimize=True)
    taken.save(tmp_path / golden.name)
    assert golden.stat().st_size < HEAVIEST
    share = differing(taken, Image.open(golden))
    assert share <= TOLERATED, f"{share:.2%} of {tmp_path / golden.name} differ from {golden}"


@contextmanager
def dark(page: Any) -> Iterator[None]:
    """The page as people see it who prefer dark."""
    page.emulate_media(color_scheme="dark")
    yield
    page.emulate_media(color_scheme="light")


# ---- over the in-memory server ----


def empty(canvas: Any, herd: Any) -> None:
    canvas.open(None)


def proposals(canvas: Any, herd: Any) -> None:
    opened(canvas)


def vertices(canvas: Any, herd: Any) -> None:
    opened(canvas)
    canvas.click(*SQUARE)
    canvas.press("Enter", "Tab")
    canvas.page.mouse.move(*canvas.at(360, 230))


def stroke(canvas: Any, herd: Any) -> None:
    opened(canvas)
    canvas.click(*SQUARE)
    canvas.press("b")
    canvas.page.mouse.move(*canvas.at(390, 200))
    canvas.page.mouse.down()
    for place in ((430, 190), (450, 205), (440, 225)):
        canvas.page.mouse.move(*canvas.at(*place), steps=4)


def conflict(canvas: Any, herd: Any) -> None:
    opened(canvas)
    stored = herd.documents["a"]
    stored["revision"] += 1
    for item in stored["instances"]:
        if item["id"] == "i4":
            item["parts"] = [{"outer": [260, 140, 420, 170, 390, 250, 270, 230], "holes": []}]
            item["category"] = "c1"
    canvas.click(*SQUARE)
    canvas.press("2")
    canvas.state("conflict")
    canvas.page.get_by_role("dialog", name="changed elsewhere").wait_for()


def offline(canvas: Any, herd: Any) -> None:
    opened(canvas)
    herd.offline = True
    canvas.click(*SQUARE)
    canvas.press("2", "Escape")
    canvas.halt()
    canvas.state("retry")


def sheet(canvas: Any, herd: Any) -> None:
    opened(canvas)
    canvas.press("?")
    canvas.page.get_by_role("dialog", name="Shortcuts").wait_for()


# ---- over the product's routes ----


def review(canvas: Any, store: Store) -> None:
    seen(canvas, store)
    canvas.page.locator(".hc-strip .hc-ahead").first.wait_for()
    canvas.page.evaluate(CROPS)
    canvas.press("]", "]")


def livewire(canvas: Any, store: Store) -> None:
    seen(canvas, store)
    canvas.press("w")
    for x, y in ((370, 260), (320, 330), (230, 310)):
        canvas.click(x, y)
        canvas.page.wait_for_selector(".hm-root[data-wire=ready]")
    canvas.page.mouse.move(*canvas.at(240, 262))


def gallery(canvas: Any, store: Store) -> None:
    seen(canvas, store)
    canvas.press("g")
    canvas.page.wait_for_selector(".hc-gallery[data-filled=true]")
    canvas.page.wait_for_function(
        "() => [...document.querySelectorAll('.hc-gallery img')]"
        ".every((one) => !one.hidden && one.complete)"
    )


def opened(canvas: Any) -> None:
    """Image a with its picture and heat-map."""
    canvas.open()
    painted(canvas)


def seen(canvas: Any, store: Store) -> None:
    """The project's first image."""
    canvas.open(min(store.images(), key=lambda one: one.coco_id).id)
    painted(canvas)


def painted(canvas: Any) -> None:
    canvas.page.mouse.move(5, 5)
    canvas.painted()


@pytest.mark.parametrize(
    "state",
    [
        empty,
        pytest.param(proposals, marks=pytest.mark.long),
        pytest.param(vertices, marks=pytest.mark.long),
        stroke,
        pytest.param(conflict, marks=pytest.mark.long),
        pytest.param(offline, marks=pytest.mark.long),
        pytest.param(sheet, marks=pytest.mark.long),
    ],
)
def test_the_canvas_looks_as_it_did(canvas: Any, herd: Any, state: Act, tmp_path: Path) -> None:
    state(canvas, herd)
    compare(canvas.page, state.__name__, tmp_path)
    canvas.page.mouse.up()


@pytest.mark.long
def test_the_canvas_in_the_dark_looks_as_it_did(canvas: Any, herd: Any, tmp_path: Path) -> None:
    with dark(canvas.page):
        vertices(canvas, herd)
        expect(canvas.page.locator(".hm-root")).to_have_attribute("data-theme", "dark")
        compare(canvas.page, "dark", tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("state", [review, livewire, gallery])
def test_the_routes_pages_look_as_they_did(
    canvas_over: Any, frames_project: Path, state: Act, tmp_path: Path
) -> None:
    project = shutil.copytree(frames_project, tmp_path / "project")
    with Store.open(project) as store, canvas_over(store) as canvas:
        state(canvas, store)
        compare(canvas.page, state.__name__, tmp_path)


def test_a_missing_button_is_noticed() -> None:
    shown = Image.new("RGB", (683, 384), "white")
    less = shown.copy()
    shown.paste("black", (20, 20, 60, 60))
    assert differing(shown, less) > TOLERATED
    assert differing(shown, shown) == 0
    assert differing(shown, shown.resize((680, 384))) == 1
