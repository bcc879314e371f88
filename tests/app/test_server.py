"""The whole application: our routes and Gradio's behind one gate, and how it starts."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app import server
from app.pages import data_view, train_view, words
from app.security import StartError
from app.server import ServerOptions, build_app
from app.uploads import safe_name, take_photos
from data_io.errors import DataError
from data_io.store import Store

BASE = "http://127.0.0.1:7860"
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(tmp_path_factory.mktemp("server") / "project") as opened:
        yield opened


@pytest.fixture(scope="module")
def client(store: Store) -> Iterator[TestClient]:
    with TestClient(build_app(store), base_url=BASE) as opened:
        yield opened


@pytest.fixture
def visitor(client: TestClient) -> TestClient:
    client.cookies.clear()
    assert client.get("/").status_code == 200
    return client


def test_the_page_loads_and_names_no_other_host(visitor: TestClient) -> None:
    page = visitor.get("/").text
    assert "gradio" in page
    theme = visitor.get("/theme.css").text
    assert "fonts.googleapis" not in theme
    assert "url(http" not in theme.replace('"', "").replace("'", "")
    assert "@import" not in theme


@pytest.mark.parametrize(
    "path", ["/config", "/gradio_api/info", "/gradio_api/heartbeat/x", "/api/queue", "/theme.css"]
)
def test_no_route_of_either_answers_without_a_session(client: TestClient, path: str) -> None:
    client.cookies.clear()
    assert client.get(path).status_code == 401


def test_a_foreign_origin_cannot_call_a_page_handler(visitor: TestClient) -> None:
    headers = {"origin": "http://evil.example"}
    body = {"data": [], "fn_index": 0, "session_hash": "x"}
    assert visitor.post("/gradio_api/queue/join", json=body, headers=headers).status_code == 403


@pytest.mark.parametrize("name", ["herdmark.db", ".session-key"])
def test_gradio_hands_out_no_file_of_the_project(
    visitor: TestClient, store: Store, name: str
) -> None:
    assert (store.project / name).exists()
    answer = visitor.get(f"/gradio_api/file={store.project / name}")
    assert answer.status_code in {403, 404}


def test_static_files_and_health_are_served(visitor: TestClient) -> None:
    assert visitor.get("/herdmark-static/pages.css").status_code == 200
    assert visitor.get("/healthz").json() == {"ok": True}


def test_an_unknown_api_path_is_no_page(visitor: TestClient) -> None:
    assert visitor.get("/api/unknown").status_code == 404


def test_an_open_host_without_a_token_builds_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StartError, match="--token"):
        build_app(store, ServerOptions(host="0.0.0.0"))
    open_host = ServerOptions(host="0.0.0.0")
    with socket.socket() as listener, pytest.raises(StartError, match="--token"):
        server.serve(tmp_path / "new", listener, open_host, lambda url: None)
    assert not (tmp_path / "new").exists()


def test_the_printed_address_carries_the_token() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        plain = server.address(ServerOptions(), listener)
        secret = server.address(ServerOptions(token="a b"), listener)
    assert plain == f"http://127.0.0.1:{port}/"
    assert secret == f"{plain}?token=a%20b"


def test_jobs_of_a_dead_server_are_marked(tmp_path: Path) -> None:
    with Store.open(tmp_path / "project") as store:
        job = store.create_job("train", {})
        store.update_job(job.id, state="running", pid=2**22 - 1, pid_started=1.0)
        assert server.recover(store) == 1
        assert store.job(job.id).state == "interrupted"


def test_a_script_in_a_name_stays_text(store: Store) -> None:
    category = store.add_category(SCRIPT)
    shown = data_view.categories([category])
    assert SCRIPT not in shown
    assert "&lt;script&gt;" in shown
    refusal = data_view.refused([{"file": SCRIPT, "why": SCRIPT, "index": "", "field": ""}])
    assert "<script" not in refusal


def test_empty_pages_say_the_next_step(tmp_path: Path) -> None:
    with Store.open(tmp_path / "project") as store:
        assert "Upload" in data_view.gallery(store, data_view.Filter()).html
    assert "first training" in train_view.versions_table([])
    assert "first training" in train_view.jobs_table([])


def test_the_gallery_shows_one_page_and_filters(tmp_path: Path) -> None:
    with Store.open(tmp_path / "project") as store:
        photos(tmp_path / "in", data_view.PAGE + 3)
        take_photos(store, sorted((tmp_path / "in").iterdir()))
        first = data_view.gallery(store, data_view.Filter())
        last = data_view.gallery(store, data_view.Filter(page=99))
        none = data_view.gallery(store, data_view.Filter(status="verified"))
    assert first.html.count("<img") == data_view.PAGE
    assert (first.page, first.pages, last.page, last.html.count("<img")) == (0, 2, 1, 3)
    assert none.found == 0


def photos(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for k in range(count):
        Image.fromarray(np.full((8, 8, 3), k, np.uint8)).save(folder / f"{k:03d}.png")


def test_uploads_keep_images_and_say_why_not_the_others(tmp_path: Path) -> None:
    photos(tmp_path / "in", 2)
    (tmp_path / "in" / "text.jpg").write_text("no image")
    (tmp_path / "in" / "page.html").write_text(SCRIPT)
    with Store.open(tmp_path / "project") as store:
        done = take_photos(store, sorted((tmp_path / "in").iterdir()))
        kept = [Path(record.path) for record in store.images()]
    assert done.images == 2
    assert sorted(row["file"] for row in done.refused) == ["page.html", "text.jpg"]
    assert all(path.parent.name.startswith("uploads-") for path in kept)
    assert list((tmp_path / "in").iterdir()) == []


def test_too_large_or_too_many_uploads_are_refused_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos(tmp_path / "in", 3)
    files = sorted((tmp_path / "in").iterdir())
    with Store.open(tmp_path / "project") as store:
        monkeypatch.setattr("app.uploads.MAX_UPLOAD_BYTES", 10)
        assert all("MB" in row["why"] for row in take_photos(store, files[:1]).refused)
        monkeypatch.setattr("app.uploads.MAX_FILES", 1)
        with pytest.raises(DataError, match="too many"):
            take_photos(store, files[1:])
        assert store.images() == []
        assert not (store.project / "images").exists() or not list(
            (store.project / "images").iterdir()
        )


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd.jpg", "passwd.jpg"),
        ("a\\b\\c.png", "c.png"),
        (".hidden.jpg", "hidden.jpg"),
        ('x"><img>.jpg', "x___img_.jpg"),
        ("Kuh 7.jpg", "Kuh 7.jpg"),
    ],
)
def test_upload_names_become_harmless(name: str, safe: str) -> None:
    assert safe_name(name) == safe
    assert not re.search(r"[/\\\0]", safe_name(name))


def test_colors_from_a_picker_become_hex() -> None:
    assert data_view.hex_color("rgba(255, 16.4, 0, 1)") == "#ff1000"
    assert data_view.hex_color("#a1b2c3") == "#a1b2c3"


def test_durations_are_words() -> None:
    assert [words.duration(s) for s in (3, 65, 120, 7500)] == [
        "3 s",
        "1 min 5 s",
        "2 min",
        "2 h 5 min",
    ]
