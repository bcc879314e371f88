"""The REST routes of the canvas, without the page around them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from app.context import Context
from app.routes import add_routes
from app.security import PathGuard
from data_io.images import inspect
from data_io.store import NewImage, Store
from data_io.types import ImageRecord, Instance, Part, Proposal, ReviewRegion

SQUARE = [10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0]


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    with Store.open(tmp_path / "project") as store:
        yield Context.of(store, PathGuard.of(store.project))


@pytest.fixture
def client(context: Context) -> TestClient:
    app = FastAPI()
    add_routes(app, context)
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture
def image(context: Context) -> ImageRecord:
    return add_image(context.store, "barn.jpg")


def add_image(store: Store, name: str, **saving: object) -> ImageRecord:
    folder = store.project / "images"
    folder.mkdir(exist_ok=True)
    pixels = np.random.default_rng(len(name)).integers(0, 255, (60, 80, 3), np.uint8)
    Image.fromarray(pixels).save(folder / name, **saving)
    info = inspect(folder / name)
    new = NewImage(info.path, info.width, info.height, info.sha256, "barn")
    return store.add_images([new])[0]


def cow(store: Store, id: str = "a") -> dict[str, object]:
    category = store.add_category("cow").id
    return {"id": id, "category": category, "parts": [{"outer": SQUARE, "holes": []}]}


def propose(context: Context, image: ImageRecord) -> ReviewRegion:
    category = context.store.add_category("cow").id
    part = Part(np.array(SQUARE).reshape(-1, 2))
    instance = Instance("p1", category, (part,), "model", "v1", 0.8)
    uncertainty = np.full((15, 20), 200, np.uint8)
    path = context.artifacts.write_uncertainty(image.id, "v1", uncertainty)
    box = (10.0, 10.0, 20.0, 20.0)
    region = ReviewRegion("r1", image.id, "v1", "unsure", (part,), box, 0.7, "unsure")
    context.store.put_proposal(Proposal(image.id, "v1", (instance,), path, 0.5), [region])
    return context.store.regions(image.id)[0]


def put(client: TestClient, image: str, base: int, *instances: dict[str, object]) -> object:
    headers = {"If-Match": f'"{base}"', "X-Herdmark": "1"}
    body = {"instances": list(instances), "rejected": []}
    return client.put(f"/api/images/{image}/document", json=body, headers=headers)


def test_a_save_is_what_the_document_shows_next(
    client: TestClient, context: Context, image: ImageRecord
) -> None:
    answer = put(client, image.id, 0, cow(context.store))
    assert answer.json() == {"revision": 1}  # type: ignore[attr-defined]
    document = client.get(f"/api/images/{image.id}/document").json()
    assert (document["revision"], document["status"]) == (1, "draft")
    assert document["instances"][0]["parts"][0]["outer"] == SQUARE


def test_a_save_on_an_old_revision_is_a_conflict(
    client: TestClient, context: Context, image: ImageRecord
) -> None:
    put(client, image.id, 0, cow(context.store))
    answer = put(client, image.id, 0, cow(context.store, "b"))
    assert answer.status_code == 409  # type: ignore[attr-defined]
    assert answer.json()["revision"] == 1  # type: ignore[attr-defined]
    assert context.store.revision_numbers(image.id) == [1]


def test_an_answer_to_a_replaced_proposal_says_so(
    client: TestClient, context: Context, image: ImageRecord
) -> None:
    propose(context, image)
    body = {"action": "accept", "instances": [], "rejected": [], "version": None}
    for route in ("accept", "regions/gone"):
        url = f"/api/images/{image.id}/{route}"
        answer = client.post(url, json=body, headers={"If-Match": '"0"'})
        assert (answer.status_code, answer.json()["stale"]) == (409, True)
        assert "new proposals arrived" in answer.json()["error"]
    assert context.store.revision(image.id) is None


@pytest.mark.parametrize("header", [None, '"x"', "", '"-1"'])
def test_a_save_without_its_revision_is_refused(
    client: TestClient, context: Context, image: ImageRecord, header: str | None
) -> None:
    headers = {} if header is None else {"If-Match": header}
    answer = client.put(f"/api/images/{image.id}/document", json={}, headers=headers)
    assert answer.status_code == 400
    assert "revision" in answer.json()["error"]
    assert context.store.revision(image.id) is None


def test_accepting_an_image_verifies_it_whole(
    client: TestClient, context: Context, image: ImageRecord
) -> None:
    headers = {"If-Match": '"0"'}
    body = {"instances": [cow(context.store)], "rejected": [], "version": None}
    answer = client.post(f"/api/images/{image.id}/accept", json=body, headers=headers)
    assert answer.json()["status"] == "verified"
    assert context.store.image_states()[image.id].verified == "whole"


def test_a_region_is_accepted_once_for_all(
    client: TestClient, context: Context, image: ImageRecord
) -> None:
    region = propose(context, image)
    body = {"action": "accept", "instances": [], "rejected": []}
    url = f"/api/images/{image.id}/regions/{region.id}"
    document = client.post(url, json=body, headers={"If-Match": '"0"'}).json()
    assert [one["id"] for one in document["instances"] if not one["proposed"]] == ["p1"]
    assert document["regions"][0]["state"] == "accepted"
    body["action"] = "burn"
    assert client.post(url, json=body, headers={"If-Match": '"1"'}).status_code == 400


def test_the_heat_map_is_a_picture_of_the_proposal(
    client: TestClient, context: Context, image: ImageRecord
) -> None:
    assert client.get(f"/api/images/{image.id}/heat").status_code == 404
    propose(context, image)
    answer = client.get(f"/api/images/{image.id}/heat?version=v1")
    assert answer.headers["content-type"] == "image/png"
    assert "immutable" in answer.headers["cache-control"]
    assert client.get(f"/api/images/{image.id}/heat?version=v0").status_code == 404


def test_pixels_are_the_file_itself_and_cached(client: TestClient, image: ImageRecord) -> None:
    answer = client.get(f"/api/images/{image.id}/pixels")
    assert answer.content == Path(image.path).read_bytes()
    tag = answer.headers["etag"]
    again = client.get(f"/api/images/{image.id}/pixels", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_pixels_a_browser_cannot_show_become_jpeg(client: TestClient, context: Context) -> None:
    record = add_image(context.store, "barn.tiff")
    answer = client.get(f"/api/images/{record.id}/pixels")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content[:2] == b"\xff\xd8"


def test_a_thumbnail_is_a_small_cached_jpeg(client: TestClient, image: ImageRecord) -> None:
    answer = client.get(f"/api/images/{image.id}/thumbnail")
    assert answer.content[:2] == b"\xff\xd8"
    assert "max-age" in answer.headers["cache-control"]


def test_an_image_that_left_the_disk_is_a_sentence(client: TestClient, image: ImageRecord) -> None:
    Path(image.path).unlink()
    answer = client.get(f"/api/images/{image.id}/pixels")
    assert answer.status_code == 400
    assert "relink" in answer.json()["error"]


def test_unknown_images_and_jobs_are_sentences(client: TestClient) -> None:
    for url in ("images/none/document", "images/none/pixels", "jobs/none/log", "exports/none"):
        answer = client.get(f"/api/{url}")
        assert answer.status_code == 404
        assert answer.json()["error"].endswith(".")


def test_queue_and_next_walk_the_same_order(client: TestClient, context: Context) -> None:
    for name in ("a.jpg", "bb.jpg", "ccc.jpg"):
        add_image(context.store, name)
    order = [item["image"] for item in client.get("/api/queue?top=9").json()["items"]]
    assert len(order) == 3
    following = client.get(f"/api/next?after={order[0]}&dir=1").json()["image"]
    assert following == order[1]
    assert client.get(f"/api/next?after={following}&dir=-1").json()["image"] == order[0]
    assert client.get(f"/api/next?after={order[2]}&dir=1").json()["image"] is None


def test_jobs_are_listed_with_their_words(client: TestClient, context: Context) -> None:
    job = context.store.create_job("train", {"train": {"method": "u2pl"}})
    context.store.update_job(job.id, state="failed", error="no labels.")
    rows = client.get("/api/jobs").json()["jobs"]
    assert [(row["id"], row["state"], row["error"]) for row in rows] == [
        (job.id, "failed", "no labels.")
    ]
    assert client.get(f"/api/jobs/{job.id}/log").json()["lines"] == []


def test_exports_are_downloads_and_nothing_else_is(client: TestClient, context: Context) -> None:
    context.exports.mkdir()
    (context.exports / "labels.json").write_text("{}")
    secret = context.store.project.parent / "secret.json"
    secret.write_text("secret")
    (context.exports / "link.json").symlink_to(secret)
    answer = client.get("/api/exports/labels.json")
    assert "attachment" in answer.headers["content-disposition"]
    for name in ("link.json", "..%2Fherdmark.db", "%2e%2e/herdmark.db"):
        answer = client.get(f"/api/exports/{name}")
        assert answer.status_code == 404
        assert "secret" not in answer.text


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"'])
def test_a_malformed_body_is_a_sentence(
    client: TestClient, image: ImageRecord, body: bytes
) -> None:
    headers = {"If-Match": '"0"', "content-type": "application/json"}
    answer = client.put(f"/api/images/{image.id}/document", content=body, headers=headers)
    assert answer.status_code == 422
    assert "malformed" in answer.json()["error"]


def test_an_unforeseen_failure_shows_no_traceback(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("inner detail")

    monkeypatch.setattr("app.queue.Queue.ranked", broken)
    answer = client.get("/api/queue")
    assert answer.status_code == 500
    assert "inner detail" not in answer.text


def test_a_full_disk_is_a_sentence(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.queue.Queue.ranked", full)
    answer = client.get("/api/queue")
    assert answer.status_code == 507
    assert "nothing was lost" in answer.json()["error"]


def test_saves_and_looks_are_work_and_a_look_at_the_jobs_is_none(
    client: TestClient, context: Context, image: ImageRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    noticed: list[bool] = []
    monkeypatch.setattr(context.retrainer, "acted", lambda saved: noticed.append(saved))
    client.get("/api/jobs")
    client.get(f"/api/images/{image.id}/document")
    put(client, image.id, 0, cow(context.store))
    assert noticed == [False, True]


def test_a_click_is_work_but_no_save(context: Context, client: TestClient, image: ImageRecord):
    noted: list[bool] = []
    context.retrainer.acted = lambda saved=False: noted.append(saved)  # type: ignore[method-assign]
    refused = client.post(f"/api/images/{image.id}/click", json={})
    assert refused.status_code == 400
    client.post(f"/api/images/{image.id}/accept", json={})
    assert noted == [False, True]
