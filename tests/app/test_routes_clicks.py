"""What the click routes take, refuse and answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.assistant import SupersededError
from app.routes import add_errors
from app.routes_clicks import MOST, click_routes
from data_io.store import NewImage, Store
from data_io.types import Part
from model.assist.clicks import Click
from model.assist.engine import Change

SQUARE = (Part(np.array([[1, 1], [5, 1], [5, 5], [1, 5]], np.float64)),)
FLAT = [{"outer": [1.0, 1.0, 5.0, 1.0, 5.0, 5.0, 1.0, 5.0], "holes": []}]
WHO = {"client": "me", "number": 1}


class Played:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.newer = False

    def _note(self, *asked: Any) -> None:
        self.asked.append(asked[1:])
        if self.newer:
            raise SupersededError

    def click(self, *asked: Any) -> Change:
        self._note(*asked)
        return Change(SQUARE, ())

    def box(self, *asked: Any) -> Any:
        self._note(*asked)
        return SQUARE

    points = box

    def attend(self, record: Any, coming: Any) -> None:
        self.asked.append((record.width, coming))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SimpleNamespace]:
    played, app = Played(), FastAPI()
    with Store.open(tmp_path / "project") as store:
        record = store.add_images([NewImage(str(tmp_path / "a.jpg"), 80, 60, "s", "barn")])[0]
        app.include_router(click_routes(store, played, lambda image: [image]), prefix="/api")
        add_errors(app)
        client = TestClient(app, raise_server_exceptions=False)
        yield SimpleNamespace(
            played=played,
            post=lambda what, body: client.post(f"/api/images/{record.id}/{what}", json=body),
        )


def test_a_click_is_asked_and_answered(world):
    body = {
        **WHO,
        "parts": FLAT,
        "clicks": [[3, 4.5, True], [9, 9, False]],
        "usual": 40,
        "free": True,
    }
    answer = world.post("click", body)
    assert answer.status_code == 200
    assert answer.json() == {"add": FLAT, "subtract": []}
    parts, clicks, usual, free, client, number = world.played.asked[0]
    assert clicks == [Click(3, 4.5, True), Click(9, 9, False)]
    assert (len(parts), usual, free, client, number) == (1, 40.0, True, "me", 1)


def test_boxes_and_points(world):
    assert world.post("box", {**WHO, "box": [1, 2, 3, 4]}).json() == {"add": FLAT, "subtract": []}
    assert world.post("points", {**WHO, "points": [[1, 2]]}).json()["add"] == FLAT
    assert world.played.asked == [((1.0, 2.0, 3.0, 4.0), "me", 1), ([(1.0, 2.0)], "me", 1)]


def test_the_server_gets_ready_for_an_image_and_those_that_follow(world):
    assert world.post("attend", {}).json() == {}
    ((width, coming),) = world.played.asked
    assert (width, len(coming)) == (80, 1)


def test_a_request_that_came_too_late_is_told_so(world):
    world.played.newer = True
    answer = world.post("box", {**WHO, "box": [1, 2, 3, 4]})
    assert answer.status_code == 200
    assert answer.json() == {"superseded": True}


@pytest.mark.parametrize(
    ("what", "body", "told"),
    [
        ("click", {}, "clicks"),
        ("click", {"clicks": []}, "clicks"),
        ("click", {"clicks": [[1, 2, True]] * (MOST + 1)}, "clicks"),
        ("click", {"clicks": [[1, 2, 1]]}, "clicks"),
        ("click", {"clicks": [["1", 2, True]]}, "clicks"),
        ("click", {"clicks": [[1, 2, True]], "usual": "large"}, "usual"),
        ("click", {"clicks": [[1, 2, True]], "parts": [{"outer": [1, 2]}]}, "outer"),
        ("box", {"box": [1, 2, 3]}, "box"),
        ("box", {"box": [1, 2, 3, None]}, "box"),
        ("points", {"points": []}, "points"),
        ("points", {"points": [[1]]}, "points"),
    ],
)
def test_rubbish_is_one_sentence_with_its_field(world, what, body, told):
    answer = world.post(what, {**WHO, **body})
    assert answer.status_code == 400
    assert told in answer.json()["error"]
    assert world.played.asked == []


@pytest.mark.parametrize("who", [{}, {"client": "me"}, {"client": 3, "number": 1}])
def test_who_asks_must_say_so(world, who):
    answer = world.post("box", {**who, "box": [1, 2, 3, 4]})
    assert answer.status_code == 400
    assert "client and number" in answer.json()["error"]
