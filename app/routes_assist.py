"""Routes that help a person along: what comes next, small pictures of it, carrying over."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import PurePath
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Body, Header
from fastapi.responses import Response
from numpy.typing import NDArray
from PIL import Image

from app.context import Context
from app.queue import Outlook
from app.quick_json import QuickRoute, quick_json
from app.workflow import carry, review
from app.workflow.client import base_of_client
from app.workflow.documents import region_json
from data_io import images
from data_io.errors import DataError

CROP = 72  # px: side of one picture of the strip
MAX_CROPS = 24
MARGIN = 0.35  # of a region's longer side, shown around it
Payload = Annotated[dict[str, Any], Body()]
IfMatch = Annotated[str | None, Header()]


def assist_routes(context: Context, author: str) -> APIRouter:
    """The routes below /api; `author` is who a revision is said to be from."""
    routes, store = APIRouter(route_class=QuickRoute), context.store

    @routes.get("/images/{image}/outlook")
    def outlook(image: str, top: int = 5) -> dict[str, Any]:
        return _outlook_json(context.queue.outlook(image, max(0, min(top, 10))))

    @routes.get("/images/{image}/proposal")
    def proposal(image: str) -> dict[str, Any]:
        one = store.image_states().get(store.image(image).id)
        return {"version": one.proposal_version if one else None}

    @routes.get("/images/{image}/crops")
    def crops(image: str, boxes: str) -> Response:
        pixels = images.read(store.image(image).path)
        headers = {"cache-control": "private, max-age=86400"}
        return Response(crops_jpeg(pixels, _boxes(boxes)), 200, headers, "image/jpeg")

    @routes.post("/images/{image}/reopen")
    def reopen(image: str, body: Payload, if_match: IfMatch = None) -> Response:
        base = base_of_client(if_match)
        return quick_json(review.reopen_image(store, image, base, body, author))

    @routes.get("/images/{image}/following")
    def following(image: str) -> dict[str, Any]:
        record = carry.following(store, image)
        return {"image": record.id if record else None}

    @routes.post("/images/{image}/carry")
    def carry_over(image: str, body: Payload) -> dict[str, Any]:
        return carry.carry(store, image, body)

    return routes


def crops_jpeg(pixels: NDArray[np.uint8], boxes: list[list[float]]) -> bytes:
    """One row of square pictures, one a box.

    Args:
        pixels: (H, W, 3) uint8.
        boxes: x, y, width, height in px; each is shown with some of its surroundings.

    Returns:
        A JPEG of `CROP` by `CROP` px a box.
    """
    row = Image.new("RGB", (CROP * len(boxes), CROP))
    picture = Image.fromarray(pixels)
    for place, box in enumerate(boxes):
        crop, (left, top) = _crop(picture, box)
        row.paste(crop, (CROP * place + left, top))
    sink = io.BytesIO()
    row.save(sink, "JPEG", quality=82)
    return sink.getvalue()


def _crop(picture: Image.Image, box: Sequence[float]) -> tuple[Image.Image, tuple[int, int]]:
    """The square around a box, as far as it lies in the picture, and its place in `CROP` px."""
    x, y, width, height = box
    side = max(width, height, 8.0) * (1 + 2 * MARGIN)
    x0, y0 = x + (width - side) / 2, y + (height - side) / 2
    left, top = max(x0, 0.0), max(y0, 0.0)
    right, bottom = min(x0 + side, picture.width), min(y0 + side, picture.height)
    if right - left < 1 or bottom - top < 1:
        raise DataError("the canvas", "a box lies outside the image", "reload it", field="boxes")
    scale = CROP / side
    size = max(round((right - left) * scale), 1), max(round((bottom - top) * scale), 1)
    crop = picture.resize(size, box=(left, top, right, bottom), reducing_gap=2.0)
    return crop, (round((left - x0) * scale), round((top - y0) * scale))


def _boxes(text: str) -> list[list[float]]:
    """Boxes of a query: numbers joined by commas, boxes by semicolons."""
    try:
        boxes = [[float(value) for value in box.split(",")] for box in text.split(";")]
    except ValueError:
        boxes = []
    limit = images.MAX_SIDE
    fits = 0 < len(boxes) <= MAX_CROPS and all(
        len(box) == 4 and all(0 <= value <= limit for value in box) for box in boxes
    )
    if not fits:
        remedy = f"send 1 to {MAX_CROPS} boxes x,y,width,height joined by semicolons"
        raise DataError("the canvas", "these are no boxes", remedy, field="boxes")
    return boxes


def _outlook_json(outlook: Outlook) -> dict[str, Any]:
    return {
        "images": outlook.images,
        "verified": outlook.verified,
        "regions": outlook.open_regions,
        "coming": [
            {
                "image": coming.image.id,
                "name": PurePath(coming.image.path).name,
                "regions": [region_json(region) for region in coming.regions],
            }
            for coming in outlook.coming
        ],
    }
