"""The routes that help along: outlook, crops, reopening, carrying over."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from app.context import Context
from app.routes import add_routes
from app.routes_assist import CROP, crops_jpeg
from app.security import PathGuard
from data_io.images import inspect
from data_io.store import NewImage, Store
from data_io.types import Part, Proposal, ReviewRegion

SQUARE = [10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Two images of a group with one region each."""
    with Store.open(tmp_path / "project") as opened:
        opened.add_category("cow")
        for name in ("2", "10"):
            file = tmp_path / f"{name}.png"
            pixels = np.random.default_rng(int(name)).integers(0, 255, (60, 80, 3), np.uint8)
            Image.fromarray(pixels).save(file)
            info = inspect(file)
            new = NewImage(info.path, info.width, info.height, info.sha256, "barn")
            image = opened.add_images([new])[0].id
            part = (Part(np.array(SQUARE).reshape(-1, 2)),)
            box = (10.0, 10.0, 20.0, 20.0)
            region = ReviewRegion("", image, "v1", "edge", part, box, 0.7, "unsure")
            opened.put_proposal(Proposal(image, "v1", (), "", 1 / int(name)), [region])
        yield opened


@pytest.fixture
def client(store: Store) -> TestClient:
    app = FastAPI()
    add_routes(app, Context.of(store, PathGuard.of(store.project)))
    return TestClient(app, raise_server_exceptions=False)


def test_the_outlook_names_the_next_regions(client: TestClient, store: Store) -> None:
    first, second = (record.id for record in store.images())
    said = client.get(f"/api/images/{first}/outlook").json()
    assert (said["images"], said["verified"], said["regions"]) == (2, 0, 2)
    (coming,) = said["coming"]
    assert (coming["image"], coming["name"]) == (second, "10.png")
    assert coming["regions"][0]["box"] == [10, 10, 20, 20]
    assert client.get(f"/api/images/{first}/following").json() == {"image": second}
    assert client.get(f"/api/images/{second}/following").json() == {"image": None}


def test_an_answer_is_taken_back_over_the_routes(client: TestClient, store: Store) -> None:
    image = store.images()[0].id
    url, headers = f"/api/images/{image}", {"If-Match": '"0"'}
    body = {"instances": [], "rejected": [], "version": "v1"}
    assert client.post(f"{url}/accept", json=body, headers=headers).json()["status"] == "verified"
    headers = {"If-Match": '"1"'}
    assert client.post(f"{url}/reopen", json=body, headers=headers).json()["status"] == "draft"
    region = store.regions(image)[0]
    assert region.state == "open"
    headers = {"If-Match": '"1"'}
    body = {**body, "action": "reopen"}
    answer = client.post(f"{url}/regions/{region.id}", json=body, headers=headers)
    assert (answer.status_code, store.revision_numbers(image)) == (200, [1, 2])


def test_crops_show_each_box_with_its_surroundings() -> None:
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[20:40, 30:50] = 200
    row = Image.open(io.BytesIO(crops_jpeg(pixels, [[30, 20, 20, 20], [70, 50, 40, 40]])))
    assert row.size == (2 * CROP, CROP)
    first = np.asarray(row.convert("L"))[:, :CROP]
    assert first[CROP // 2, CROP // 2] > 180
    assert first[4, 4] < 20  # ground around the box
    bright = (first > 100).mean()
    assert bright == pytest.approx((1 / 1.7) ** 2, abs=0.05)


@pytest.mark.parametrize(
    "boxes", ["", "1,2,3", "a,b,c,d", "1,2,3,nan", "1,2,3,inf", "-5,0,9,9", "500,500,9,9"]
)
def test_wrong_boxes_are_refused_in_words(client: TestClient, store: Store, boxes: str) -> None:
    answer = client.get(f"/api/images/{store.images()[0].id}/crops", params={"boxes": boxes})
    assert answer.status_code == 400
    assert "box" in answer.json()["error"]


def test_crops_come_as_a_picture(client: TestClient, store: Store) -> None:
    url = f"/api/images/{store.images()[0].id}/crops"
    answer = client.get(url, params={"boxes": "10,10,20,20;0,0,5,5"})
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (2 * CROP, CROP)


def test_carrying_over_answers_where_animals_lie(client: TestClient, store: Store) -> None:
    first, second = (record.id for record in store.images())
    category = store.categories()[0].id
    row = {"id": "a", "category": category, "parts": [{"outer": SQUARE, "holes": []}]}
    body = {"source": first, "instances": [row], "present": []}
    placed = client.post(f"/api/images/{second}/carry", json=body).json()["instances"]
    assert placed[0]["parts"][0]["outer"] == SQUARE
    assert client.post("/api/images/nobody/carry", json=body).status_code == 404
