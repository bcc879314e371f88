"""The gate in front of every route, ours and Gradio's."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app import security
from app.security import PathGuard, SecurityMiddleware, Sessions, StartError
from data_io.errors import DataError

BASE = "http://127.0.0.1:7860"
KEY = b"k" * 32


async def _page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("page")


async def _change(request: Request) -> JSONResponse:
    return JSONResponse({"bytes": len(await request.body())})


def _client(base: str = BASE, **options: object) -> TestClient:
    app = Starlette(
        routes=[
            Route("/", _page),
            Route("/gradio_api/info", _page),
            Route("/gradio_api/upload", _change, methods=["POST"]),
            Route("/api/thing", _change, methods=["GET", "PUT"]),
        ]
    )
    token = options.get("token")
    sessions = Sessions(KEY, token if isinstance(token, str) else None)
    return TestClient(SecurityMiddleware(app, sessions, **options), base_url=base)  # type: ignore[arg-type]


def _entered(**options: object) -> TestClient:
    client = _client(**options)
    assert client.get("/").status_code == 200
    return client


def _pass(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the clock go forward."""
    later = security.time.time() + seconds
    monkeypatch.setattr(security.time, "time", lambda: later)


def test_start_page_gives_a_strict_session_cookie() -> None:
    cookie = _client().get("/").headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


def test_an_entered_visitor_may_change_things() -> None:
    answer = _entered().put("/api/thing", content=b"abc", headers={"X-Herdmark": "1"})
    assert (answer.status_code, answer.json()) == (200, {"bytes": 3})


@pytest.mark.parametrize("path", ["/api/thing", "/gradio_api/info"])
def test_no_route_answers_without_a_session(path: str) -> None:
    answer = _client().get(path)
    assert answer.status_code == 401
    assert "session" in answer.json()["error"]


@pytest.mark.parametrize("value", ["", "x", "1.a.b", "99999999999.abc.00"])
def test_a_made_up_session_is_refused(value: str) -> None:
    client = _client()
    client.cookies.set(Sessions(KEY).cookie, value)
    assert client.get("/api/thing").status_code == 401


def test_a_session_of_another_token_is_refused() -> None:
    old = Sessions(KEY, "old")
    assert old.age(old.issue()) < 60
    assert Sessions(KEY, "new").age(old.issue()) == math.inf


def test_a_session_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(KEY)
    value = sessions.issue()
    _pass(monkeypatch, security.SESSION_SECONDS + 1)
    assert sessions.age(value) == math.inf


@pytest.mark.parametrize("token", [None, "hay"])
def test_opening_the_page_renews_a_session_older_than_a_day(
    monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    client = _client(token=token)
    client.get("/?token=hay")
    assert "set-cookie" not in client.get("/").headers
    _pass(monkeypatch, security.RENEW_SECONDS + 1)
    assert "set-cookie" not in client.get("/api/thing").headers
    assert "HttpOnly" in client.get("/").headers["set-cookie"]
    _pass(monkeypatch, security.SESSION_SECONDS - 1)  # the first cookie has run out by now
    assert client.get("/api/thing").status_code == 200


def test_a_session_that_ran_out_is_not_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    client = _client(token="hay")
    client.cookies.set(Sessions(KEY).cookie, Sessions(KEY, "hay").issue())
    assert client.get("/").status_code == 200
    _pass(monkeypatch, security.SESSION_SECONDS + 1)
    answer = client.get("/")
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "192.168.1.5", "a@b", ""])
def test_a_foreign_host_is_refused(host: str) -> None:
    answer = _entered().get("/", headers={"host": host})
    assert answer.status_code == 421
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("host", ["localhost:1234", "127.0.0.1", "[::1]:7860"])
def test_every_loopback_name_is_known(host: str) -> None:
    assert _client().get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999"])
@pytest.mark.parametrize("path", ["/api/thing", "/gradio_api/upload"])
def test_a_foreign_origin_does_nothing(origin: str, path: str) -> None:
    method = "PUT" if path.startswith("/api") else "POST"
    headers = {"origin": origin, "X-Herdmark": "1"}
    assert _entered().request(method, path, headers=headers).status_code == 403


def test_our_own_origin_passes() -> None:
    headers = {"origin": BASE, "X-Herdmark": "1", "sec-fetch-site": "same-origin"}
    assert _entered().put("/api/thing", headers=headers).status_code == 200


def test_a_cross_site_request_without_origin_is_refused() -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert _entered().get("/api/thing", headers=headers).status_code == 403


def test_a_change_without_our_header_is_refused() -> None:
    assert _entered().put("/api/thing").status_code == 403


def test_too_large_bodies_are_refused_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "MAX_JSON_BYTES", 2**20)
    monkeypatch.setattr(security, "MAX_REQUEST_BYTES", 2**20)
    client, body = _entered(), b"x" * (2**20 + 1)
    told = client.put("/api/thing", content=body, headers={"X-Herdmark": "1"})
    assert told.status_code == 413
    assert "1 MB" in told.json()["error"]

    def chunks() -> object:
        yield body

    assert client.post("/gradio_api/upload", content=chunks()).status_code == 413  # type: ignore[arg-type]


def test_pages_carry_security_headers() -> None:
    headers = _client().get("/").headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "barn.example"])
def test_another_host_without_a_token_refuses_to_start(host: str) -> None:
    with pytest.raises(StartError, match="--token"):
        security.check_host(host, None)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_loopback_needs_no_token(host: str) -> None:
    security.check_host(host, None)


def _open_server() -> TestClient:
    return _client("http://192.168.1.5:7860", host="0.0.0.0", token="hay")


def test_the_token_opens_the_page() -> None:
    client = _open_server()
    asked = client.get("/")
    assert asked.status_code == 401
    assert 'name="token"' in asked.text
    wrong = client.post(security.LOGIN_PATH, data={"token": "straw"})
    assert wrong.status_code == 401
    assert client.get("/gradio_api/info").status_code == 401
    right = client.post(security.LOGIN_PATH, data={"token": "hay"})
    assert (right.status_code, right.text) == (200, "page")


def test_the_token_in_the_address_opens_the_page_and_leaves_it() -> None:
    answer = _open_server().get("/?token=hay")
    assert answer.status_code == 200
    assert "token" not in str(answer.url)


def test_guessing_tokens_is_slowed_down() -> None:
    client = _open_server()
    for _ in range(security.ATTEMPTS):
        client.post(security.LOGIN_PATH, data={"token": "straw"})
    assert client.post(security.LOGIN_PATH, data={"token": "hay"}).status_code == 429


def test_an_open_server_knows_addresses_but_not_names() -> None:
    client = _open_server()
    assert client.get("/?token=hay").status_code == 200
    assert client.get("/", headers={"host": "rebound.example"}).status_code == 421


def test_paths_outside_the_roots_are_refused(tmp_path: Path) -> None:
    project, secret, root = tmp_path / "project", tmp_path / "secret", tmp_path / "photos"
    for folder in (project, secret, root):
        folder.mkdir()
    (project / "link").symlink_to(secret)
    guard = PathGuard.of(project, [root])
    assert guard.resolve(str(root)) == root.resolve()
    assert guard.resolve(".") == project.resolve()
    for path in (str(secret), "../secret", "link", str(tmp_path / "absent"), "a\0b", "/etc"):
        with pytest.raises(DataError, match="--allow-root"):
            guard.resolve(path)
    with pytest.raises(DataError, match="spelling"):
        guard.resolve("absent")
    with pytest.raises(DataError, match="type the path"):
        guard.resolve(" ")


def test_a_root_whose_name_merely_starts_alike_is_no_root(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "ab").mkdir()
    assert not PathGuard.of(tmp_path / "a").allows(tmp_path / "ab")


def test_the_session_key_is_private_and_kept(tmp_path: Path) -> None:
    key = security.session_key(tmp_path)
    assert security.session_key(tmp_path) == key
    assert len(key) == 32
    if os.name == "posix":
        assert (tmp_path / ".session-key").stat().st_mode & 0o077 == 0


def test_a_torn_session_key_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".session-key").write_bytes(b"short")
    assert len(security.session_key(tmp_path)) == 32
