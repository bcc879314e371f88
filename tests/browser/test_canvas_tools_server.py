"""Painted animals in a real project: the database holds the raster that was painted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.workflow.imports import import_source
from benchmarks.robot_hand import HANDLE
from data_io import geometry as geo
from data_io.store import Store
from tests.browser.conftest import on_screen

pytestmark = [pytest.mark.browser, pytest.mark.long]
WIDTH, HEIGHT = 400, 300


def stroke(page: Any, *points: tuple[float, float]) -> None:
    """Press, move through image points, let go."""
    places = on_screen(page, points)
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def saved(page: Any, revision: int) -> None:
    """Wait until a revision is stored."""
    page.wait_for_selector(f".hm-root[data-revision='{revision}'][data-save-state=saved]")


def rasters(store: Store, image: str) -> list[geo.Rle]:
    """The stored rasters in drawing order."""
    revision = store.revision(image)
    assert revision is not None
    return [geo.rle_of_parts(one.parts, HEIGHT, WIDTH) for one in revision.instances]


def test_painted_animals_are_in_the_database(
    page: Any, live_server: Callable[..., str], tmp_path: Path
) -> None:
    project = tmp_path / "herd"
    folder = project / "images"
    folder.mkdir(parents=True)
    ground = np.random.default_rng(2).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(ground).save(folder / "a.png")
    with Store.open(project) as store:
        import_source(store, folder, format="images")
        store.add_category("cow")
        page.goto(live_server(project))
        page.wait_for_selector(".hm-root[data-ready]", timeout=60_000)
        image = str(page.get_attribute(".hm-root", "data-ready"))
        page.locator(".hc-stage").focus()
        page.keyboard.press("b")
        stroke(page, (80, 80), (200, 90), (180, 160))
        saved(page, 1)
        (painted,) = rasters(store, image)
        assert geo.area_of_rle(painted) > 24 * 180
        page.keyboard.press("u")
        stroke(page, (140, 40), (142, 130))
        saved(page, 2)
        halves = rasters(store, image)
        assert len(halves) == 2
        assert geo.area_of_rle(geo.rle_intersection(halves)) == 0
        assert geo.same_raster(geo.rle_union(halves), painted)
        page.keyboard.press("m")
        saved(page, 3)
        (merged,) = rasters(store, image)
        assert geo.same_raster(merged, painted)
        page.reload()
        page.wait_for_selector(".hm-root[data-ready]", timeout=60_000)
        shown = geo.parts_of_json(page.evaluate(f"() => {HANDLE}.session.instances[0].parts"))
        assert geo.same_raster(geo.rle_of_parts(shown, HEIGHT, WIDTH), painted)
