"""The Data page in a real browser: categories and images of a project, on one server for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.workflow.imports import import_source
from data_io.store import Store
from tests.browser.conftest import expect, servers
from tests.browser.pages import open_tab, wait_image

pytestmark = pytest.mark.browser

FRAMES = 6
SCRIPT_NAME = "<script>window.injected = 1</script><img src=x onerror='window.injected = 1'>"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A project of images without any label, and its url."""
    folder = tmp_path_factory.mktemp("data")
    project, images = folder / "herd", folder / "herd" / "images" / "barn"
    images.mkdir(parents=True)
    for frame in range(FRAMES):
        pixels = np.full((96, 128, 3), 40 * frame, np.uint8)
        Image.fromarray(pixels).save(images / f"frame-{frame}.png")
    with Store.open(project) as store:
        import_source(store, images, format="images")
    project.joinpath("settings.json").write_text('{"instant": false}')
    with servers(folder) as serve:
        yield project, serve(project)


def opened(page: Any, url: str) -> None:
    """The app with an image on its canvas."""
    page.goto(url)
    wait_image(page)


def test_a_script_as_category_name_stays_text(page: Any, served: tuple[Path, str]) -> None:
    project, url = served
    with Store.open(project, create=False) as store:
        store.add_category(SCRIPT_NAME)
    opened(page, url)
    open_tab(page, "Data")
    page.locator(".hm-category", has_text="<script>").click()
    page.locator("#hm-category-name input, #hm-category-name textarea").first.wait_for()
    open_tab(page, "Label")
    page.locator(".hm-root").get_by_text("<script>").first.wait_for(state="attached")
    assert page.evaluate("window.injected") is None


def test_an_image_is_left_out_and_taken_back_in(page: Any, served: tuple[Path, str]) -> None:
    project, url = served
    opened(page, url)
    open_tab(page, "Data")
    tile = page.locator(".hm-tile", has_text="frame-3.png")
    tile.hover()
    tile.get_by_role("button", name="exclude frame-3.png").click()
    tile.wait_for(state="detached")
    page.locator(".hm-summary", has_text=f"{FRAMES - 1} images").wait_for()
    with Store.open(project, create=False) as store:
        assert len(store.images()) == FRAMES - 1
    page.get_by_role("combobox", name="Status").and_(page.locator("input")).click()
    page.get_by_role("option", name="excluded").click()
    page.locator(".hm-pager", has_text="1 image").wait_for()
    tile.hover()
    tile.get_by_role("button", name="include frame-3.png").click()
    page.locator(".hm-summary", has_text=f"{FRAMES} images").wait_for()
    with Store.open(project, create=False) as store:
        assert len(store.images()) == FRAMES


def test_merging_categories_asks_first(page: Any, served: tuple[Path, str]) -> None:
    project, url = served
    with Store.open(project, create=False) as store:
        store.add_category("calf")
        store.add_category("cow")
        names = [one.name for one in store.categories()]
    opened(page, url)
    open_tab(page, "Data")
    page.locator(".hm-category", has_text="calf").click()
    page.get_by_role("combobox", name="Merge", exact=True).click()
    page.get_by_role("option", name="cow").click()
    page.locator("#hm-merge").click()
    page.get_by_text("This cannot be undone.").wait_for()
    page.get_by_role("button", name="Keep both").click()
    page.get_by_text("This cannot be undone.").wait_for(state="hidden")
    expect(page.locator(".hm-category")).to_have_count(len(names))
    page.locator("#hm-merge").click()
    page.get_by_role("button", name="Merge them").click()
    page.locator(".hm-category", has_text="calf").wait_for(state="detached")
    with Store.open(project, create=False) as store:
        assert [one.name for one in store.categories()] == [n for n in names if n != "calf"]
