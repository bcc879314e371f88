"""Two writers on one image: the canvas's own store and queue against the real routes and database.

The oracle lies in `writers.js`: no edit may be missing in the end unless somebody who saw it
replaced it, or gave it up in a conflict.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from PIL import Image

from app.context import Context
from app.routes import add_routes
from app.security import PathGuard
from data_io.images import inspect
from data_io.store import NewImage, Store
from data_io.types import Instance, Part, Proposal, ReviewRegion
from tests.browser.conftest import free_port, sibling

pytestmark = pytest.mark.browser

HERE = Path(__file__).parent
STATIC = HERE.parents[1] / "app" / "static"
STEPS = 10  # deeds of each writer in one interleaving


def part(x: float, y: float) -> Part:
    """A rectangle."""
    return Part(np.array([[x, y], [x + 40, y], [x + 40, y + 30], [x, y + 30]], np.float64))


def add_image(context: Context, name: str, category: str) -> str:
    """Id of a new image with two drawn animals, a proposed one and a region around that."""
    store = context.store
    file = store.project / "images" / name
    Image.fromarray(np.full((150, 200), len(name), np.uint8)).save(file)
    info = inspect(file)
    new = NewImage(info.path, info.width, info.height, info.sha256, "barn")
    [record] = store.add_images([new])
    drawn = [Instance(f"{k}" * 32, category, (part(5 + 50 * k, 5),)) for k in (1, 2)]
    store.save_revision(record.id, 0, drawn, (), "person")
    proposed = Instance(f"p-{record.id}", category, (part(120, 90),), "model", "v1", 0.8)
    map_path = context.artifacts.write_uncertainty(record.id, "v1", np.zeros((37, 50), np.uint8))
    box = (118.0, 88.0, 44.0, 34.0)
    region = ReviewRegion(
        f"r-{record.id}", record.id, "v1", "unsure", proposed.parts, box, 0.7, "?"
    )
    store.put_proposal(Proposal(record.id, "v1", (proposed,), map_path, 0.5), [region])
    return record.id


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Context, str]]:
    """A project behind the real routes, with the modules and the harness beside them."""
    with Store.open(tmp_path / "project") as store:
        (store.project / "images").mkdir(exist_ok=True)
        context = Context.of(store, PathGuard.of(store.project))
        app = FastAPI()
        add_routes(app, context)
        app.mount("/herdmark-static", StaticFiles(directory=STATIC))
        app.mount("/harness", StaticFiles(directory=HERE))
        app.get("/")(lambda: HTMLResponse("<title>writers</title>"))
        port = free_port()
        with sibling("canvas_server").Server(app, port):
            yield context, f"http://127.0.0.1:{port}/"


@pytest.mark.parametrize(
    ("theirs", "mine", "asked", "stored"),
    [
        ("removeInstance", None, [], False),  # not drawn once more by sending it again
        ("setParts", "undo", [True], True),  # one has deleted what the other has changed
        ("removeInstance", "setParts", [True], False),
        ("setParts", None, [], True),
    ],
)
def test_a_lost_reply_does_not_undo_what_others_did_with_the_animal(
    page: Any, served: tuple[Context, str], theirs: str, mine: str | None, asked: list, stored: bool
) -> None:
    context, url = served
    category = context.store.add_category("cow").id
    image = add_image(context, "a.png", category)
    page.goto(url)
    script = "async (a) => (await import('./harness/writers.js')).drawnUnheard(a)"
    case = {"image": image, "category": category, "theirs": theirs, "mine": mine}
    assert page.evaluate(script, case) == {"asked": asked, "stored": stored}


@pytest.mark.parametrize("count", [pytest.param(30), pytest.param(500, marks=pytest.mark.long)])
def test_two_writers_lose_no_edit(page: Any, served: tuple[Context, str], count: int) -> None:
    context, url = served
    category = context.store.add_category("cow").id
    page.goto(url)
    script = "async (a) => (await import('./harness/writers.js')).play(a)"
    asked = 0
    for seed in range(count):
        image = add_image(context, f"{seed:04d}.png", category)
        case = {"image": image, "category": category, "seed": seed, "steps": STEPS}
        played = page.evaluate(script, case)
        assert played["missing"] == [], f"seed {seed}"
        assert played["revision"] > 1
        asked += played["asked"]
    assert asked > count / 10  # the writers did get in each other's way
