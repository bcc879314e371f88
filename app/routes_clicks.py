"""Routes that outline an animal: by clicks, by a box, by points in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body

from app.assistant import Assistant, SupersededError
from app.quick_json import QuickRoute
from data_io.errors import DataError
from data_io.geometry import parts_of_json, parts_to_json
from data_io.store import Store
from data_io.types import ImageRecord
from model.assist.clicks import Click

FARTHEST = 1e7  # pixels; comparing refuses what is not finite as well
MOST = 500  # clicks on one animal, and points of a scribble
SEND = "reload the page"
Payload = Annotated[dict[str, Any], Body()]


def click_routes(
    store: Store, assistant: Assistant, coming: Callable[[str], Sequence[ImageRecord]]
) -> APIRouter:
    """The routes below /api.

    A body has ``client`` (who asks) and ``number`` (of the request). Answers are ``add`` and
    ``subtract``, parts of the outline, or ``superseded`` where a newer request came before it was
    its turn. `coming` tells the images that are likely to follow one.
    """
    routes = APIRouter(route_class=QuickRoute)

    @routes.post("/images/{image}/attend")
    def attend(image: str) -> dict[str, Any]:
        assistant.attend(store.image(image), coming(image))
        return {}

    @routes.post("/images/{image}/click")
    def click(image: str, body: Payload) -> dict[str, Any]:
        record = store.image(image)
        parts = parts_of_json(body.get("parts") or [], record.path)
        clicks = _clicks(body.get("clicks"), record)
        usual = _usual(body, record)
        free = body.get("free") is True

        def work(client: str, number: int) -> dict[str, Any]:
            made = assistant.click(record, parts, clicks, usual, free, client, number)
            return {"add": parts_to_json(made.added), "subtract": parts_to_json(made.removed)}

        return _answered(work, body, record)

    @routes.post("/images/{image}/box")
    def box(image: str, body: Payload) -> dict[str, Any]:
        record = store.image(image)
        sides = body.get("box")
        if not isinstance(sides, list) or len(sides) != 4:
            raise _bad(record, "box", "a box is not four numbers")
        left, top, right, bottom = (_number(side, "box", record) for side in sides)

        def work(client: str, number: int) -> dict[str, Any]:
            made = assistant.box(record, (left, top, right, bottom), client, number)
            return {"add": parts_to_json(made), "subtract": []}

        return _answered(work, body, record)

    @routes.post("/images/{image}/points")
    def points(image: str, body: Payload) -> dict[str, Any]:
        record = store.image(image)
        sent = body.get("points")
        if not isinstance(sent, list) or not 1 <= len(sent) <= MOST:
            raise _bad(record, "points", f"points are not a list of 1 to {MOST}")
        places = [_point(one, "points", record) for one in sent]

        def work(client: str, number: int) -> dict[str, Any]:
            made = assistant.points(record, places, client, number)
            return {"add": parts_to_json(made), "subtract": []}

        return _answered(work, body, record)

    return routes


def _answered(
    work: Callable[[str, int], dict[str, Any]], body: Mapping[str, Any], record: ImageRecord
) -> dict[str, Any]:
    client, number = body.get("client"), body.get("number")
    if not isinstance(client, str) or not isinstance(number, int) or isinstance(number, bool):
        raise _bad(record, "number", "the request has no client and number")
    try:
        return work(client, number)
    except SupersededError:
        return {"superseded": True}


def _clicks(sent: object, record: ImageRecord) -> list[Click]:
    if not isinstance(sent, list) or not 1 <= len(sent) <= MOST:
        raise _bad(record, "clicks", f"clicks are not a list of 1 to {MOST}")
    found = []
    for one in sent:
        if not isinstance(one, list) or len(one) != 3 or not isinstance(one[2], bool):
            raise _bad(record, "clicks", "a click is not [x, y, true or false]")
        found.append(Click(*_point(one[:2], "clicks", record), one[2]))
    return found


def _point(sent: object, field: str, record: ImageRecord) -> tuple[float, float]:
    if not isinstance(sent, list) or len(sent) != 2:
        raise _bad(record, field, "a point is not [x, y]")
    return _number(sent[0], field, record), _number(sent[1], field, record)


def _usual(body: Mapping[str, Any], record: ImageRecord) -> float:
    """Size of an animal, no larger than the image; 0 = not known."""
    largest = float(max(record.width, record.height))
    return min(max(0.0, _number(body.get("usual", 0), "usual", record)), largest)


def _number(sent: object, field: str, record: ImageRecord) -> float:
    if isinstance(sent, bool) or not isinstance(sent, int | float) or not abs(sent) <= FARTHEST:
        raise _bad(record, field, "a number is not finite, or far from any image")
    return float(sent)


def _bad(record: ImageRecord, field: str, why: str) -> DataError:
    return DataError(record.path, why, SEND, field=field)
