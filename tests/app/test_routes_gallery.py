"""Pages of the gallery over REST."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.context import Context
from app.routes import add_routes
from app.security import PathGuard
from data_io.geometry import full_image
from data_io.store import NewImage, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "project") as opened:
        opened.add_images(
            [NewImage(f"images/{k:02}.jpg", 40, 30, f"{k:064}", f"pen-{k % 3}") for k in range(12)]
        )
        yield opened


@pytest.fixture
def client(store: Store) -> TestClient:
    app = FastAPI()
    add_routes(app, Context.of(store, PathGuard.of(store.project)))
    return TestClient(app, raise_server_exceptions=False)


def page(client: TestClient, **query: object) -> dict[str, object]:
    answer = client.get("/api/gallery", params={k: str(v) for k, v in query.items()})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def names(answer: dict[str, object]) -> list[str]:
    return [item["name"] for item in answer["items"]]  # type: ignore[index, attr-defined]


def test_pages_of_one_listing_stay_as_they_were(client: TestClient, store: Store) -> None:
    first = page(client, limit=5, status="unlabeled")
    assert (first["total"], names(first)) == (12, [f"{k:02}.jpg" for k in range(5)])
    image = store.images()[6]
    store.save_revision(image.id, 0, [], full_image(30, 40), "test")
    rest = page(client, limit=5, offset=5, status="unlabeled", listing=first["listing"])
    assert rest["listing"] == first["listing"]
    assert names(rest) == [f"{k:02}.jpg" for k in range(5, 10)]  # nothing jumps while scrolling
    assert rest["items"][1]["status"] == "verified"  # type: ignore[index]
    fresh = page(client, limit=5, offset=5, status="unlabeled")
    assert (fresh["total"], names(fresh)[1]) == (11, "07.jpg")


def test_a_listing_the_server_forgot_begins_anew(client: TestClient) -> None:
    answer = page(client, listing="gone", offset=10)
    assert answer["listing"] not in ("gone", "")
    assert names(answer) == ["10.jpg", "11.jpg"]
    first = page(client)["listing"]
    for _ in range(20):
        page(client)
    assert page(client, listing=first)["listing"] != first


def test_an_image_is_found_where_it_lies(client: TestClient, store: Store) -> None:
    image = store.images()[7]
    assert page(client, find=image.id)["place"] == 7
    assert page(client, find=image.id, sort="group")["place"] == 6
    assert page(client, find=image.id, group="pen-0")["place"] is None
    assert page(client)["place"] is None
    assert client.get("/api/gallery", params={"find": "nobody"}).status_code == 404


def test_odd_requests_get_a_sentence_or_nothing(client: TestClient) -> None:
    assert names(page(client, offset=500)) == []
    assert len(names(page(client, offset=-3, limit=-1))) == 1
    for query in ({"sort": "size"}, {"status": "finished"}):
        answer = client.get("/api/gallery", params=query)
        assert (answer.status_code, "use " in answer.json()["error"]) == (400, True)
    choices = client.get("/api/gallery/choices").json()
    assert choices["groups"][0] == {"name": "pen-0", "images": 4}
    assert choices["categories"] == []
