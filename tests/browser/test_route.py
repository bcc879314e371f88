"""The whole route in a real browser: label two images, train, review a proposal, export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from shapely.geometry import MultiPoint

from app.workflow.imports import import_source
from benchmarks.robot_hand import HANDLE
from data_io.geometry import rle_iou, rle_of_mask, rle_of_parts
from data_io.scenes import Scene, scene
from data_io.store import Store
from tests.browser.conftest import on_screen
from tests.browser.pages import open_tab, wait_image

pytestmark = pytest.mark.browser

CAMERA, SEED, FRAMES = "ceiling-straw", 5, 6
WIDTH, HEIGHT = 448, 336
MINUTES = "0.45"
TRAINING_MS = 600_000  # the job steps back for everything else


@pytest.fixture
def herd(tmp_path: Path) -> tuple[Path, dict[str, Scene]]:
    """A project of near-duplicate frames without any label, and the truth by file name."""
    project = tmp_path / "herd"
    folder = project / "images" / "barn"
    folder.mkdir(parents=True)
    truth = {}
    for frame in range(FRAMES):
        drawn = scene(SEED, CAMERA, frame, WIDTH, HEIGHT)
        truth[f"frame-{frame}.png"] = drawn
        Image.fromarray(drawn.image).save(folder / f"frame-{frame}.png")
    with Store.open(project) as store:
        import_source(store, folder, format="images")
    # Here every animal is drawn by hand: test_instant.py lets the app propose after the first one,
    # and what a training teaches the click tool has tests of its own.
    project.joinpath("settings.json").write_text('{"instant": false, "refine": false}')
    return project, truth


def outline(mask: np.ndarray[Any, Any]) -> list[tuple[float, float]]:
    """A coarse hand-drawn outline of an animal: its simplified convex hull."""
    rows, columns = np.nonzero(mask)
    hull = MultiPoint(np.stack([columns + 0.5, rows + 0.5], 1)).convex_hull.simplify(2.5)
    return [(float(x), float(y)) for x, y in hull.exterior.coords[:-1]]


def draw_animals(page: Any, truth: Scene) -> int:
    """Draw every animal with the mouse; how many were drawn."""
    for number, mask in enumerate(truth.masks, 1):
        page.focus(".hm-root [tabindex='0']")
        page.keyboard.press("d")
        for x, y in on_screen(page, outline(mask)):
            page.mouse.click(x, y)
        page.keyboard.press("Enter")
        page.wait_for_function(
            "(n) => document.querySelector('.hm-root')._herdmark.session.instances.length === n",
            arg=number,
        )
    return len(truth.masks)


def label(page: Any, store: Store, truth: dict[str, Scene]) -> str:
    """Draw all animals of the image on the canvas and accept it; its id."""
    image = wait_image(page)
    draw_animals(page, truth[Path(store.image(image).path).name])
    page.get_by_role("button", name="Accept image").click()
    wait_image(page, but=image)
    return image


def train(page: Any) -> None:
    """A short training from the Train page, until its version is in use and has proposed."""
    open_tab(page, "Train")
    minutes = page.locator("#minutes input[type=number]")
    minutes.fill(MINUTES)
    minutes.press("Tab")
    page.locator("#start-training").click()
    page.locator("#hm-progress .hm-state.hm-running").first.wait_for(timeout=60_000)
    page.locator("#hm-versions .hm-promoted").wait_for(timeout=TRAINING_MS)
    proposed = page.locator("#hm-jobs tr", has_text="proposals")
    proposed.locator(".hm-state.hm-done").first.wait_for(timeout=TRAINING_MS)


def fix_one(page: Any) -> str:
    """Drag a vertex of a proposed animal with the mouse, accept the image; its id."""
    image = wait_image(page)
    for shown in ("state.heat", "editor.outlook.ahead"):
        page.wait_for_function(f"() => {HANDLE}.{shown}", timeout=60_000)
    found = page.wait_for_function(
        f"() => {HANDLE}.session.instances.filter((one) => one.proposed).at(-1)", timeout=60_000
    )
    first = found.json_value()
    ring = np.reshape(first["parts"][0]["outer"], (-1, 2))
    corner = ring[np.argmin(ring.sum(1))]
    inner = np.argwhere(raster(ring))[:, ::-1].mean(0)
    (cx, cy), (vx, vy) = on_screen(page, [inner, corner])
    page.focus(".hm-root [tabindex='0']")
    page.keyboard.press("v")
    page.mouse.click(cx, cy)
    page.mouse.move(vx, vy)
    page.mouse.down()
    page.mouse.move(vx - 9, vy - 7, steps=4)
    page.mouse.up()
    page.wait_for_function(
        "() => document.querySelector('.hm-root')._herdmark.session.instances"
        ".some((one) => one.source === 'edited')"
    )
    page.get_by_role("button", name="Accept image").click()
    wait_image(page, but=image)
    return image


def raster(ring: Any) -> Any:
    """(H, W) bool mask of one ring."""
    from data_io.geometry import mask_of_parts
    from data_io.types import Part

    return mask_of_parts((Part(np.asarray(ring, float)),), HEIGHT, WIDTH)


def export(page: Any, target: Path) -> dict[str, Any]:
    """Export the labels from the Data page and read the download."""
    open_tab(page, "Data")
    page.locator("#hm-export").click()
    link = page.locator("#hm-export-result a[download]")
    link.wait_for(timeout=30_000)
    with page.expect_download() as download:
        link.click()
    download.value.save_as(target)
    return dict(json.loads(target.read_text()))


def test_label_train_review_export(
    page: Any,
    live_server: Callable[..., str],
    herd: tuple[Path, dict[str, Scene]],
    tmp_path: Path,
) -> None:
    project, truth = herd
    page.goto(live_server(project))
    wait_image(page)
    open_tab(page, "Data")
    page.locator("#hm-new-category input, #hm-new-category textarea").first.fill("cow")
    page.get_by_role("button", name="Create").click()
    page.locator(".hm-category", has_text="cow").wait_for()
    open_tab(page, "Label")
    page.wait_for_function(
        "() => document.querySelector('.hm-root')._herdmark.session?.categories.length === 1"
    )
    with Store.open(project, create=False) as store:
        labeled = [label(page, store, truth) for _ in range(2)]
        states = store.image_states()
        assert [states[image].verified for image in labeled] == ["whole", "whole"]
        assert drawn_like_the_truth(store, labeled[0], truth) > 0.6  # a hull drawn around each
        train(page)
        open_tab(page, "Label")
        fixed = fix_one(page)
        revision = store.revision(fixed)
        assert revision is not None
        assert {one.source for one in revision.instances} >= {"edited"}
        assert store.image_states()[fixed].verified == "whole"
    told = export(page, tmp_path / "labels.json")
    assert len(told["images"]) == 3
    assert len(COCO(str(tmp_path / "labels.json")).anns) == len(told["annotations"]) > 3


def drawn_like_the_truth(store: Store, image: str, truth: dict[str, Scene]) -> float:
    """Lowest IoU between a stored outline and the animal it was drawn around."""
    revision = store.revision(image)
    assert revision is not None
    masks = truth[Path(store.image(image).path).name].masks
    return min(
        rle_iou(rle_of_parts(one.parts, HEIGHT, WIDTH), rle_of_mask(mask))
        for one, mask in zip(revision.instances, masks, strict=True)
    )
