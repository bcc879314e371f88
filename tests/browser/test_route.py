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
from tests.browser.conftest import expect, on_screen

pytestmark = pytest.mark.browser

CAMERA, SEED, FRAMES = "ceiling-straw", 5, 6
WIDTH, HEIGHT = 448, 336
MINUTES = "0.45"
TRAINING_MS = 600_000  # the job steps back for everything else
SCRIPT_NAME = "<script>window.injected = 1</script><img src=x onerror='window.injected = 1'>"


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


def open_tab(page: Any, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def wait_image(page: Any, but: str = "") -> str:
    """The id of the image on the canvas once it is one other than `but` and drawn."""
    found = page.wait_for_function(
        "(but) => { const id = document.querySelector('.hm-root')?.dataset.ready;"
        " return id && id !== but && id; }",
        arg=but,
        timeout=60_000,
    )
    return str(found.json_value())


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


def test_a_script_as_category_name_stays_text(
    page: Any, live_server: Callable[..., str], herd: tuple[Path, dict[str, Scene]]
) -> None:
    project, _ = herd
    with Store.open(project) as store:
        store.add_category(SCRIPT_NAME)
    page.goto(live_server(project))
    wait_image(page)
    open_tab(page, "Data")
    page.locator(".hm-category", has_text="<script>").wait_for()
    page.locator(".hm-category").click()
    page.locator("#hm-category-name input, #hm-category-name textarea").first.wait_for()
    open_tab(page, "Label")
    page.locator(".hm-root").get_by_text("<script>").first.wait_for(state="attached")
    assert page.evaluate("window.injected") is None


def test_an_image_is_left_out_and_taken_back_in(
    page: Any, live_server: Callable[..., str], herd: tuple[Path, dict[str, Scene]]
) -> None:
    project, _ = herd
    page.goto(live_server(project))
    wait_image(page)
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


def test_merging_categories_asks_first(
    page: Any, live_server: Callable[..., str], herd: tuple[Path, dict[str, Scene]]
) -> None:
    project, _ = herd
    with Store.open(project) as store:
        store.add_category("calf")
        kept = store.add_category("cow")
    page.goto(live_server(project))
    wait_image(page)
    open_tab(page, "Data")
    page.locator(".hm-category", has_text="calf").click()
    page.get_by_role("combobox", name="Merge", exact=True).click()
    page.get_by_role("option", name="cow").click()
    page.locator("#hm-merge").click()
    page.get_by_text("This cannot be undone.").wait_for()
    page.get_by_role("button", name="Keep both").click()
    page.get_by_text("This cannot be undone.").wait_for(state="hidden")
    expect(page.locator(".hm-category")).to_have_count(2)
    page.locator("#hm-merge").click()
    page.get_by_role("button", name="Merge them").click()
    page.locator(".hm-category", has_text="calf").wait_for(state="detached")
    with Store.open(project, create=False) as store:
        assert store.categories() == [kept]
