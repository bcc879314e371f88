"""Bodies and answers through orjson: the same values, and the same refusals in a sentence."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Body, FastAPI
from fastapi.responses import Response
from fastapi.testclient import TestClient

from app.quick_json import QuickRoute, quick_json
from app.routes import add_errors


@pytest.fixture
def client() -> TestClient:
    routes = APIRouter(route_class=QuickRoute)

    @routes.put("/echo")
    def echo(body: Annotated[dict[str, Any], Body()]) -> Response:
        return quick_json(body)

    app = FastAPI()
    app.include_router(routes)
    add_errors(app)
    return TestClient(app)


def test_what_is_sent_comes_back(client: TestClient) -> None:
    sent = {"ring": [0.1 + 0.2, 5e-324, -3, 1e300], "name": "größe", "none": None, "yes": [True]}
    sent["long"] = 2**70
    answer = client.put("/echo", json=sent)
    assert answer.json() == sent
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("body", [b'{"ring": [NaN]}', b'{"ring": [1', b"\xff", b""])
def test_what_is_no_json_is_refused_in_a_sentence(client: TestClient, body: bytes) -> None:
    answer = client.put("/echo", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert set(answer.json()) == {"error"}
