"""The Insight page in a real browser: label, accept, and the meter moves."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.workflow import documents
from app.workflow.imports import import_source
from data_io.artifacts import Artifacts
from data_io.store import Store
from data_io.types import Instance, ModelVersion, Part, Proposal, ReviewRegion
from tests.browser.pages import wait_image

pytestmark = pytest.mark.browser

IMAGES, SIZE = 7, (240, 320)


def square(x: float, y: float, side: float) -> tuple[Part, ...]:
    return (Part(np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side]], float)),)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Images with one proposed cow each, a doubt in its corner and two random regions."""
    folder = tmp_path / "herd" / "images" / "barn"
    folder.mkdir(parents=True)
    for number in range(IMAGES):
        pixels = np.full((*SIZE, 3), 90 + 10 * number, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    with Store.open(tmp_path / "herd") as store:
        import_source(store, folder, format="images")
        cow, now = store.add_category("cow").id, datetime.now(timezone.utc)
        store.add_version(ModelVersion("v1", None, "j", "0", {}, (cow,), "s", {}, "aside", now))
        store.promote("v1")
        for image in store.images():
            doubt = np.zeros((60, 80), np.uint8)
            doubt[10:16, 10:16] = 200
            path = Artifacts(store.project).write_uncertainty(image.id, "v1", doubt)
            animal = Instance(f"p{image.id}", cow, square(40, 40, 80), "model", "v1", 0.9)
            places = {"boundary": square(40, 40, 24), "audit": square(150, 150, 20)}
            places["audit "] = square(60, 60, 20)
            regions = [
                ReviewRegion("", image.id, "v1", kind.strip(), parts, (0, 0, 9, 9), 0.5, "look")
                for kind, parts in places.items()
            ]
            store.put_proposal(Proposal(image.id, "v1", (animal,), path, 0.5), regions)
    return tmp_path / "herd"


def draw_a_cow(page: Any) -> None:
    """A second cow, 30 x 30, beside the proposed one."""
    page.focus(".hm-root [tabindex='0']")
    page.keyboard.press("d")
    for x, y in ((200, 60), (230, 60), (230, 90), (200, 90)):
        spot = page.evaluate(
            "([x, y]) => document.querySelector('.hm-root')._herdmark.toScreen(x, y)", [x, y]
        )
        page.mouse.click(*spot)
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => document.querySelector('.hm-root')._herdmark.session.instances.length === 2"
    )


def accept(page: Any, image: str) -> str:
    page.get_by_role("button", name="Accept image").click()
    return wait_image(page, but=image)


def figure(page: Any, name: str, value: str) -> None:
    """Wait for a figure of the page's head."""
    cell = page.locator("#hm-insight .hm-figures div").filter(has_text=name)
    cell.locator("dd").get_by_text(value, exact=True).wait_for(timeout=30_000)


def test_label_accept_and_the_meter_moves(
    page: Any, live_server: Callable[..., str], project: Path, tmp_path: Path
) -> None:
    page.goto(live_server(project))
    image = wait_image(page)
    page.get_by_role("tab", name="Insight", exact=True).click()
    page.get_by_text("Too early to say when to stop.").wait_for()
    figure(page, "answers", "0")
    assert page.locator(".hm-chart svg").count() == 0
    page.get_by_role("tab", name="Label", exact=True).click()
    draw_a_cow(page)
    for _ in range(5):
        image = accept(page, image)
    page.get_by_role("tab", name="Insight", exact=True).click()
    figure(page, "answers", "5")
    figure(page, "animals", "6")
    figure(page, "images verified", f"5 of {IMAGES}")
    with page.expect_download() as download:
        page.locator("[data-chart=iou]").get_by_role("link", name="CSV").click()
    download.value.save_as(tmp_path / "iou.csv")
    with (tmp_path / "iou.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["value"]) == pytest.approx(5 * 6400 / (5 * 6400 + 900))
    assert 0 < float(row["minutes"]) < 10
    with page.expect_download() as download:
        page.locator("[data-chart=seconds]").get_by_role("link", name="PNG").click()
    download.value.save_as(tmp_path / "seconds.png")
    with Image.open(tmp_path / "seconds.png") as picture:
        assert picture.format == "PNG"
    assert page.locator("[data-chart=iou] svg[role=img]").get_attribute("aria-label")
    assert page.locator(".hm-chart svg").count() == 5  # of corrected images there is one
    with Store.open(project, create=False) as store:
        readings = store.readings()
        assert [one.added for one in readings if one.kind == "image"] == [1, 0, 0, 0, 0]
        assert all(one.seconds and one.seconds > 0 for one in readings if one.kind == "image")
        documents.accept_image(store, image, 0, {"version": "v1"}, "somebody")
        figure(page, "answers", "6")  # by itself
