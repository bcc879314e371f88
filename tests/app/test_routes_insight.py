"""Downloads of the Insight page."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from app import meter
from app.context import Context
from app.routes import add_routes
from app.security import PathGuard
from data_io.geometry import full_image
from data_io.store import NewImage, NewReading, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "project") as opened:
        opened.add_images([NewImage(f"{k}.jpg", 40, 30, f"{k:064}", "pen") for k in range(6)])
        yield opened


@pytest.fixture
def answered(store: Store) -> None:
    """Five images accepted, ten seconds and two animals each."""
    for image in store.images()[:5]:
        values = {"pixels_both": 3, "pixels_either": 4, "kept": 2, "seconds": 10.0}
        reading = NewReading(kind="image", version="v1", **values)  # type: ignore[arg-type]
        store.save_revision(image.id, 0, [], full_image(30, 40), "=me", reading=reading)


@pytest.fixture
def client(store: Store) -> TestClient:
    app = FastAPI()
    add_routes(app, Context.of(store, PathGuard.of(store.project)))
    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.usefixtures("answered")
def test_rows_of_a_chart(client: TestClient) -> None:
    answer = client.get("/api/insight/iou.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="herdmark-iou.csv"'
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (float(row["value"]), float(row["count"])) == (0.75, 5)
    assert float(row["minutes"]) == pytest.approx(50 / 60)


@pytest.mark.usefixtures("answered")
def test_a_picture_of_a_chart(client: TestClient) -> None:
    answer = client.get("/api/insight/forecast.png")
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.format == "PNG"


@pytest.mark.usefixtures("answered")
def test_all_readings(client: TestClient, store: Store) -> None:
    told = list(csv.DictReader(io.StringIO(client.get("/api/insight/readings.csv").text)))
    assert [row["image"] for row in told] == [one.id for one in store.images()[:5]]
    assert {(row["seconds"], row["animals"], row["taken_back"]) for row in told} == {
        ("10.0", "2", "")
    }


def test_too_little_to_draw_is_told(client: TestClient) -> None:
    for name in meter.NAMES:
        table = client.get(f"/api/insight/{name}.csv")
        assert (table.status_code, len(table.text.splitlines())) == (200, 1)
        picture = client.get(f"/api/insight/{name}.png")
        assert picture.status_code == 404
        assert "nothing to draw yet" in picture.json()["error"]
    assert len(client.get("/api/insight/readings.csv").text.splitlines()) == 1


@pytest.mark.parametrize("file", ["iou", "iou.svg", "ghost.csv", ".csv", "readings.png", "%2e%2e"])
def test_what_is_no_chart_is_refused(client: TestClient, file: str) -> None:
    answer = client.get(f"/api/insight/{file}")
    assert answer.status_code == 404
    assert set(answer.json()) == {"error"}
