"""Two programs write one image at the same time over REST, by the documented contract.

Contract: a save names in If-Match the revision it started from; 409 means that somebody was faster,
so read again and do your change on top. Then every accepted change is one revision, and nothing
else is in it. The canvas's own merge is tested in `tests/browser/test_canvas_writers.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from numpy.random import Generator
from PIL import Image

from app.context import Context
from app.routes import add_routes
from app.security import PathGuard
from data_io.images import inspect
from data_io.store import NewImage, Store

WRITERS, DEEDS = 2, 3
Rows = list[dict[str, Any]]
Change = Callable[[Rows], Rows]


def client_of(context: Context) -> TestClient:
    """The routes alone."""
    app = FastAPI()
    add_routes(app, context)
    return TestClient(app, raise_server_exceptions=False)


def add_image(store: Store, name: str) -> str:
    """Id of a new picture."""
    file = store.project / "images" / name
    file.parent.mkdir(exist_ok=True)
    Image.fromarray(np.full((60, 80), 90, np.uint8)).save(file)
    info = inspect(file)
    new = NewImage(info.path, info.width, info.height, info.sha256, "barn")
    return store.add_images([new])[0].id


def animal(identity: str, category: str, at: float) -> dict[str, Any]:
    """An instance as the canvas sends it: a square at x = `at`."""
    ring = [at, 10.0, at + 20, 10.0, at + 20, 30.0, at, 30.0]
    return {"id": identity, "category": category, "parts": [{"outer": ring, "holes": []}]}


def deed(random: Generator, identity: str, category: str) -> Change:
    """Add an animal, move one or delete one; one that is gone by then is left alone."""
    kind, place = random.choice(["add", "move", "delete"]), round(float(random.uniform(1, 50)), 2)
    which = int(random.integers(100))

    def change(rows: Rows) -> Rows:
        if kind == "add" or not rows:
            return [*rows, animal(identity, category, place)]
        chosen = which % len(rows)
        moved = animal(rows[chosen]["id"], category, place)
        return [
            moved if at == chosen else row
            for at, row in enumerate(rows)
            if at != chosen or kind == "move"
        ]

    return change


def unchanged(rows: Rows) -> Rows:
    """No change."""
    return rows


def write(client: TestClient, image: str, change: Change) -> tuple[int, Change]:
    """Do a change until it is accepted; the revision that it became, and what made that one.

    A move to where the animal is already is no new revision.
    """
    while True:
        seen = client.get(f"/api/images/{image}/document").json()
        held = seen["instances"]
        sent = [row["id"] if row in held else row for row in change(held)]
        body = {"instances": sent, "rejected": []}
        headers = {"If-Match": f'"{seen["revision"]}"', "X-Herdmark": "1"}
        reply = client.put(f"/api/images/{image}/document", json=body, headers=headers)
        if reply.status_code == 200:
            revision = int(reply.json()["revision"])
            return revision, change if revision > seen["revision"] else unchanged
        assert reply.status_code == 409, reply.text
        assert reply.json()["revision"] > seen["revision"]


def places(rows: Rows) -> list[tuple[str, float]]:
    """(id, x) of every animal in drawing order."""
    return [(row["id"], row["parts"][0]["outer"][0]) for row in rows]


def race(client: TestClient, image: str, category: str, seed: int) -> list[tuple[int, Change]]:
    """Let the writers loose on an image; every accepted change with its revision."""
    accepted: list[tuple[int, Change]] = []
    start = threading.Barrier(WRITERS)

    def live(writer: int) -> None:
        random = np.random.default_rng([seed, writer])
        start.wait()
        for number in range(DEEDS):
            identity = f"{seed:016x}{writer:08x}{number:08x}"
            accepted.append(write(client, image, deed(random, identity, category)))

    threads = [threading.Thread(target=live, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return accepted


@pytest.mark.parametrize("count", [30, pytest.param(500, marks=pytest.mark.long)])
def test_every_accepted_save_is_one_revision_on_top_of_the_last(tmp_path: Path, count: int) -> None:
    with Store.open(tmp_path / "project") as store:
        client = client_of(Context.of(store, PathGuard.of(store.project)))
        category = store.add_category("cow").id
        for seed in range(count):
            image = add_image(store, f"{seed:04d}.png")
            accepted = race(client, image, category, seed)
            assert len(accepted) == WRITERS * DEEDS
            rows: Rows = []
            # Both deleting the same animal is one revision: the second is told that it is stored.
            made = {number: change for number, change in accepted if change is not unchanged}
            for _, change in sorted(made.items()):
                rows = change(rows)
            document = client.get(f"/api/images/{image}/document").json()
            assert places(document["instances"]) == places(rows), f"seed {seed}"
            assert document["revision"] == max(revision for revision, _ in accepted)
