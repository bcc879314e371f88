"""The app learns while a person works: one animal drawn, and the next image has proposals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.workflow.imports import import_source
from data_io.geometry import mask_of_parts
from data_io.scenes import Scene, scene
from data_io.store import Store

pytestmark = pytest.mark.browser

CAMERA, SEED, FRAMES = "ceiling-straw", 5, 3
WIDTH, HEIGHT = 448, 336
LONG_MS = 120_000  # the first proposal waits for the encoder's export
PROPOSED = (
    "(id) => { const canvas = document.querySelector('.hm-root')?._herdmark;"
    " const session = canvas?.session;"
    " return session?.id === id && session.instances.some((one) => one.proposed); }"
)


@pytest.fixture
def herd(tmp_path: Path) -> tuple[Path, dict[str, Scene]]:
    """A project of frames without labels, with one category, and the truth by image id."""
    folder = tmp_path / "photos"
    folder.mkdir()
    drawn = [scene(SEED, CAMERA, frame, WIDTH, HEIGHT) for frame in range(FRAMES)]
    for frame, made in enumerate(drawn):
        Image.fromarray(made.image).save(folder / f"{frame}.png")
    with Store.open(tmp_path / "herd") as store:
        import_source(store, folder, format="images")
        store.add_category("cow")
        truth = {one.id: drawn[int(Path(one.path).stem)] for one in store.images()}
    return tmp_path / "herd", truth


def largest(made: Scene) -> Any:
    """Corners of the box of the largest animal's outline, as a polygon that a person may draw."""
    import cv2

    mask = max(made.masks, key=lambda one: int(one.sum())).astype(np.uint8)
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(found, key=cv2.contourArea)
    return cv2.approxPolyDP(outline, 2.0, True)[:, 0].astype(float).tolist()


def draw(page: Any, corners: list[list[float]]) -> None:
    page.focus(".hm-root [tabindex='0']")
    page.keyboard.press("d")
    for x, y in corners:
        place = "([x, y]) => document.querySelector('.hm-root')._herdmark.toScreen(x, y)"
        page.mouse.click(*page.evaluate(place, [x, y]))
    page.keyboard.press("Enter")


def test_one_drawn_animal_brings_proposals_on_the_next_image(
    page: Any, live_server: Callable[..., str], herd: tuple[Path, dict[str, Scene]]
) -> None:
    project, truth = herd
    page.goto(live_server(project))
    page.wait_for_function("() => document.querySelector('.hm-root')?.dataset.ready")
    first = str(page.get_attribute(".hm-root", "data-ready"))
    draw(page, largest(truth[first]))
    page.wait_for_function(PROPOSED, arg=first, timeout=LONG_MS)  # its neighbors, on the same image
    page.locator("#hm-side", has_text="has learned from 1 image").wait_for()
    page.get_by_role("button", name="Accept image").click()
    page.wait_for_function(
        "(but) => { const id = document.querySelector('.hm-root').dataset.ready;"
        " return id && id !== but; }",
        arg=first,
    )
    second = str(page.get_attribute(".hm-root", "data-ready"))
    page.wait_for_function(PROPOSED, arg=second, timeout=LONG_MS)
    with Store.open(project, create=False) as store:
        assert store.versions() == []  # nobody pressed train
        assert store.revision(second) is None
        proposal = store.proposal(second)
        assert proposal is not None
        parts = sum((one.parts for one in proposal.instances), ())
    found, animals = mask_of_parts(parts, HEIGHT, WIDTH), np.any(truth[second].masks, axis=0)
    assert (found & animals).sum() / (found | animals).sum() > 0.3
