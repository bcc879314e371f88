"""Pictures, tiles and equalized pictures over REST; whole pictures are in test_routes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from app.context import Context
from app.routes import add_routes
from app.security import PathGuard
from data_io.images import equalized, inspect, read
from data_io.store import NewImage, Store
from data_io.types import ImageRecord


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    with Store.open(tmp_path / "project") as store:
        yield Context.of(store, PathGuard.of(store.project))


@pytest.fixture
def client(context: Context) -> TestClient:
    app = FastAPI()
    add_routes(app, context)
    return TestClient(app, raise_server_exceptions=False)


def add_image(store: Store, width: int, height: int) -> ImageRecord:
    file = store.project / "images" / f"{width}.png"
    x = np.linspace(0, 90, width).astype(np.uint8)
    Image.fromarray(np.repeat(np.repeat(x[None, :, None], height, 0), 3, 2)).save(file)
    info = inspect(file)
    return store.add_images([NewImage(info.path, info.width, info.height, info.sha256)])[0]


def test_only_large_images_have_tiles(client: TestClient, context: Context) -> None:
    small = add_image(context.store, 4096, 20)
    large = add_image(context.store, 4097, 20)
    answers = [client.get(f"/api/images/{one.id}/document").json() for one in (small, large)]
    assert answers[0]["tile_url"] is None
    url = answers[1]["tile_url"]
    tile = client.get(f"/{url}/0/8/0")
    assert tile.status_code == 200
    assert "immutable" in tile.headers["cache-control"]
    with Image.open(io.BytesIO(tile.content)) as picture:
        assert picture.size == (1, 20)
    assert client.get(f"/{url}/0/9/0").status_code == 400
    assert client.get(f"/{url}/x/0/0").status_code == 422
    other = url.replace(large.sha256[:16], "0" * 16)
    gone = client.get(f"/{other}/0/0/0")
    assert (gone.status_code, gone.json()["error"][-16:]) == (404, "reload the page.")


def test_clahe_is_opencvs_on_the_lightness(client: TestClient, context: Context) -> None:
    record = add_image(context.store, 640, 480)
    url = f"/api/images/{record.id}/pixels"
    answer = client.get(url, params={"clahe": 2})
    assert answer.headers["content-type"] == "image/jpeg"
    seen = np.array(Image.open(io.BytesIO(answer.content)).convert("RGB"), int)
    wanted = equalized(read(record.path), 2)
    assert np.abs(seen - wanted).mean() < 1.5
    lab = cv2.cvtColor(read(record.path), cv2.COLOR_RGB2LAB)
    lightness = cv2.createCLAHE(2.0, (8, 8)).apply(lab[..., 0])
    told = cv2.cvtColor(wanted, cv2.COLOR_RGB2LAB)[..., 0]
    assert np.abs(told.astype(int) - lightness).max() <= 1
    tag = answer.headers["etag"]
    assert client.get(url, headers={"if-none-match": tag}).status_code == 200  # another picture
    again = client.get(url, params={"clahe": 2}, headers={"if-none-match": tag})
    assert again.status_code == 304
    assert client.get(url, params={"clahe": 5}).status_code == 422
    Path(record.path).unlink()
    assert client.get(url, params={"clahe": 2}).content == answer.content  # from the cache
