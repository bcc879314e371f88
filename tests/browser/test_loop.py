"""The whole loop in a real browser: label, train by itself, promote, rank anew, and measure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.workflow.imports import import_source
from data_io.geometry import full_image
from data_io.outline import parts_of_mask
from data_io.scenes import Scene, scene
from data_io.store import Store
from data_io.types import Instance
from tests.browser.conftest import expect, on_screen
from tests.browser.pages import open_tab

pytestmark = [pytest.mark.browser, pytest.mark.long]  # a minute or more with its training

CAMERA, SEED = "ceiling-straw", 5
WIDTH, HEIGHT = 320, 240
JUDGES, ACCEPTED, LEFT = 4, 6, 10  # the queue looks for coverage until ten images are verified
LONG_MS = 300_000  # that learning may take where the machine has other work to do
SETTINGS = {
    "nice": 0,  # or it would hardly get a turn on a machine that has other work to do
    "steps": 24,  # enough to find the animals, however busy the machine is,
    "worse": 1.0,  # but not as well as the instant model, which only longer trainings surpass
    "retrain_images": ACCEPTED,
    "retrain_regions": 0,
    "retrain_idle": 0,
}
REASON = f"{ACCEPTED} newly accepted images"
PROPOSED = (
    "(id) => { const session = document.querySelector('.hm-root')?._herdmark?.session;"
    " return session?.id === id && session.instances.some((one) => one.proposed)"
    " && session.document.version; }"
)
# The next image is there, or the answer came too late: its proposals were replaced meanwhile.
ANSWERED = (
    "([id, version]) => { const root = document.querySelector('.hm-root');"
    " const { session } = root._herdmark;"
    " return (root.dataset.ready && root.dataset.ready !== id)"
    " || (session?.id === id && session.document.version !== version && !session.answers.length"
    " && session.status !== 'verified'); }"
)


@pytest.fixture
def herd(tmp_path: Path) -> Iterator[tuple[Store, dict[str, Scene]]]:
    """Frames of one herd, four of them labeled to judge versions by; the truth by image id."""
    project, folder = tmp_path / "herd", tmp_path / "photos"
    folder.mkdir()
    drawn = [scene(SEED, CAMERA, n, WIDTH, HEIGHT) for n in range(JUDGES + ACCEPTED + LEFT)]
    for frame, made in enumerate(drawn):
        Image.fromarray(made.image).save(folder / f"{frame:02}.png")
    with Store.open(project) as store:
        import_source(store, folder, format="images")
        project.joinpath("settings.json").write_text(json.dumps(SETTINGS))
        cow = store.add_category("cow").id
        truth = {one.id: drawn[int(Path(one.path).stem)] for one in store.images()}
        for image in [one.id for one in store.images()][:: len(drawn) // JUDGES][:JUDGES]:
            masks = enumerate(truth[image].masks)
            animals = [Instance(f"{image}-{n}", cow, parts_of_mask(mask)) for n, mask in masks]
            store.save_revision(image, 0, animals, full_image(HEIGHT, WIDTH), "somebody")
            store.set_split(image, "val")
        yield store, truth


def outline(mask: np.ndarray[Any, Any]) -> list[tuple[float, float]]:
    """An animal's outer outline, as few corners as a person may click."""
    from shapely.geometry import Polygon

    shape = max((Polygon(part.outer) for part in parts_of_mask(mask)), key=lambda one: one.area)
    return [(float(x), float(y)) for x, y in shape.simplify(2.0).exterior.coords[:-1]]


def draw_largest(page: Any, made: Scene) -> None:
    """Outline one animal with the mouse."""
    page.focus(".hm-root [tabindex='0']")
    page.keyboard.press("d")
    for x, y in on_screen(page, outline(max(made.masks, key=lambda one: int(one.sum())))):
        page.mouse.click(x, y)
    page.keyboard.press("Enter")


def shown(page: Any) -> str:
    """The id of the image on the canvas."""
    page.wait_for_function("() => document.querySelector('.hm-root')?.dataset.ready")
    return str(page.get_attribute(".hm-root", "data-ready"))


def proposed(page: Any, image: str) -> str:
    """Wait until an image on the canvas has proposed animals; the version they come from."""
    found = page.wait_for_function(PROPOSED, arg=image, timeout=LONG_MS)
    return str(found.json_value())


def accept(page: Any, image: str) -> str:
    """Accept the image on the canvas as it is proposed; the version that proposed it."""
    version = proposed(page, image)
    page.get_by_role("button", name="Accept image").click()
    page.wait_for_function(ANSWERED, arg=[image, version])
    return version


def accept_until(page: Any, store: Store, verified: int) -> list[str]:
    """Accept what the app proposes on one image after the other; the versions that proposed it."""
    versions = []
    while sum(one.verified == "whole" for one in store.image_states().values()) < verified:
        assert len(versions) < 2 * ACCEPTED, "nothing that is accepted is stored"
        versions.append(accept(page, shown(page)))
    return versions


def queue(page: Any, rule: str) -> dict[str, str]:
    """Image -> reason as the Label page lists them, in order, once `rule` is in force there."""
    page.locator("#hm-side .hm-queue summary", has_text=rule).wait_for(timeout=LONG_MS)
    rows = page.locator("#hm-side .hm-queue .hm-row")
    script = "(rows) => rows.map((one) => [one.dataset.key, one.querySelector('i').textContent])"
    return dict(rows.evaluate_all(script))


def answers(page: Any, count: int) -> None:
    """Wait for the number of answers that the meter has seen."""
    open_tab(page, "Insight")
    cell = page.locator("#hm-insight .hm-figures div").filter(has_text="answers").locator("dd")
    expect(cell).to_have_text(str(count))


def watch_training(page: Any) -> None:
    """See on the Train page that a training runs which nobody started."""
    open_tab(page, "Train")
    job = page.locator("#hm-jobs tr", has_text=REASON)
    job.locator(".hm-state.hm-running").wait_for()
    page.locator("#hm-progress .hm-state.hm-running", has_text="running").wait_for()


def promoted(page: Any) -> str:
    """What the gate says about the version in use, once its proposals are there."""
    open_tab(page, "Train")
    proposals = page.locator("#hm-jobs tr", has_text="proposals")
    proposals.locator(".hm-state.hm-done").first.wait_for(timeout=LONG_MS)
    return str(page.locator("#hm-versions tr", has=page.locator(".hm-promoted")).inner_text())


def test_one_animal_starts_a_loop_that_trains_promotes_and_ranks_anew(
    page: Any, live_server: Callable[..., str], herd: tuple[Store, dict[str, Scene]]
) -> None:
    store, truth = herd
    page.goto(live_server(store.project))
    first = shown(page)
    draw_largest(page, truth[first])
    accept(page, first)
    second = shown(page)
    assert second != first
    assert proposed(page, second).startswith("instant-")
    assert store.jobs() == []  # nobody pressed train
    versions = accept_until(page, store, JUDGES + ACCEPTED)
    assert all(version.startswith("instant-") for version in versions)
    before = queue(page, "Coverage")
    assert all(why.startswith("To cover") for why in before.values())
    watch_training(page)
    answers(page, ACCEPTED)
    open_tab(page, "Label")
    page.locator("#hm-side", has_text="The first training is running").wait_for()
    queue(page, "Uncertainty, round 1")  # by itself
    image = shown(page)
    trained = proposed(page, image)
    told = promoted(page)
    assert "promoted: validation IoU 0." in told
    assert f"of the instant model on {JUDGES} images" in told
    open_tab(page, "Label")
    after = queue(page, "Uncertainty, round 1")
    assert list(after) != list(before)
    assert all("to check, group" in why for why in after.values())
    accept(page, image)
    answers(page, ACCEPTED + 1)
    version = store.promoted()
    assert version is not None
    assert version.id == trained == store.readings()[-1].version
    assert [job.config["reason"] for job in store.jobs("train")] == [REASON]
