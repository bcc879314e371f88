"""The canvas inside the real app: switching between Gradio's tabs while drawing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.workflow.imports import import_source
from benchmarks.robot_hand import HANDLE
from data_io.geometry import mask_of_parts
from data_io.store import Store
from tests.browser.conftest import on_screen

pytestmark = [pytest.mark.browser, pytest.mark.long]

SIDE = 240  # px of the picture
TRIANGLE = [(40, 40), (180, 40), (180, 160)]


def switch(page: Any, name: str) -> None:
    """Open a tab of the app."""
    page.get_by_role("tab", name=name, exact=True).click()


def at(page: Any, x: float, y: float) -> list[float]:
    """Client coordinates of an image point."""
    return on_screen(page, [(x, y)])[0]


def test_a_tab_switch_costs_no_vertex_and_no_edit(
    page: Any, live_server: Callable[..., str], tmp_path: Path
) -> None:
    project = tmp_path / "herd"
    folder = project / "images" / "barn"
    folder.mkdir(parents=True)
    Image.new("RGB", (SIDE, SIDE), "gray").save(folder / "one.png")
    with Store.open(project) as store:
        import_source(store, folder, format="images")
        store.add_category("cow")
    page.goto(live_server(project))
    page.wait_for_selector(".hm-root[data-ready]", timeout=60_000)
    page.locator(".hc-stage").focus()
    page.keyboard.press("d")
    for point in TRIANGLE[:2]:
        page.mouse.click(*at(page, *point))
    switch(page, "Data")
    switch(page, "Label")
    page.wait_for_selector(".hm-root[data-ready]")
    page.wait_for_function(f"() => {HANDLE}.session?.draft.length === 4")
    page.mouse.click(*at(page, *TRIANGLE[2]))
    page.keyboard.press("Enter")
    page.wait_for_selector(".hm-root[data-revision='1'][data-save-state=saved]")
    page.keyboard.press("v")
    page.mouse.move(*at(page, *TRIANGLE[2]))
    page.mouse.down()
    page.mouse.move(*at(page, 200, 200), steps=4)
    page.evaluate(
        "() => [...document.querySelectorAll('[role=tab]')]"
        ".find((tab) => tab.textContent.trim() === 'Data').click()"
    )
    page.wait_for_selector(".hm-root[data-revision='2'][data-save-state=saved]", state="attached")
    page.mouse.up()
    with Store.open(project) as store:
        [image] = store.images()
        revision = store.revision(image.id)
        assert revision is not None
        [drawn] = revision.instances
    mask = mask_of_parts(drawn.parts, SIDE, SIDE)
    assert mask[190, 195]
    assert not mask[190, 100]
