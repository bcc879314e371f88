"""Routes of what the canvas shows below the outlines: pictures, tiles, thumbnails, heat-maps."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import FileResponse, Response
from PIL import Image

from app.context import Context
from app.heatmap import heat_png
from data_io import images
from data_io.errors import DataError
from data_io.types import ImageRecord

IMMUTABLE = "private, max-age=31536000, immutable"
REVALIDATE = "private, max-age=600"
EXIF_ORIENTATION = 0x0112
Clahe = Annotated[int, Query(ge=0, le=4)]  # contrast limit; few steps, since each is cached


def picture_routes(context: Context) -> APIRouter:
    """Everything that is pixels."""
    routes = APIRouter()
    _whole(routes, context)
    _pieces(routes, context)
    return routes


def _whole(routes: APIRouter, context: Context) -> None:
    store = context.store

    @routes.get("/images/{image}/pixels")
    def pixels(image: str, request: Request, clahe: Clahe = 0) -> Response:
        record = store.image(image)
        tag = f'"{record.sha256[:32]}-{clahe}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=_cached(tag))
        if clahe:
            file = context.artifacts.equalized(record, clahe)
            return FileResponse(file, media_type="image/jpeg", headers=_cached(tag))
        media = displayable(record)
        if media is not None:
            return FileResponse(record.path, media_type=media, headers=_cached(tag))
        return Response(images.web_jpeg(record.path), 200, _cached(tag), "image/jpeg")

    @routes.get("/images/{image}/heat")
    def heat(image: str, version: str | None = None) -> Response:
        proposal = store.proposal(image)
        if proposal is None or version not in {None, "", proposal.version}:
            raise HTTPException(404, "this version has proposed nothing for this image.")
        png = heat_png(context.artifacts.read_uncertainty(proposal.uncertainty))
        tag = f'"h-{hashlib.sha256(png).hexdigest()[:24]}"'
        caching = IMMUTABLE if version else "no-cache"
        return Response(png, 200, {"etag": tag, "cache-control": caching}, "image/png")


def _pieces(routes: APIRouter, context: Context) -> None:
    store = context.store

    @routes.get("/images/{image}/thumbnail")
    def thumbnail(image: str, request: Request) -> Response:
        record = store.image(image)
        tag = f'"t-{record.sha256[:32]}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=_cached(tag))
        file = context.artifacts.thumbnail(record)
        return FileResponse(file, media_type="image/jpeg", headers=_cached(tag))

    @routes.get("/images/{image}/tiles/{digest}/{level}/{column}/{row}")
    def tile(
        image: str, digest: str, level: int, column: int, row: int, clahe: Clahe = 0
    ) -> Response:
        record = store.image(image)
        if not digest or not record.sha256.startswith(digest):  # the address names the very bytes
            raise HTTPException(404, "the image's file has changed; reload the page.")
        content = context.artifacts.pyramids.tile(record, level, column, row, clahe)
        return Response(content, 200, {"cache-control": IMMUTABLE}, "image/jpeg")


def displayable(record: ImageRecord) -> str | None:
    """Media type when a browser shows the file's own bytes as we read them, else None."""
    try:
        with Image.open(record.path) as picture:
            plain = picture.mode in {"L", "RGB"}
            upright = picture.getexif().get(EXIF_ORIENTATION, 1) == 1
            kind = picture.format
    except OSError as error:
        why = "the image file cannot be read any more"
        raise DataError(record.path, why, "put it back or relink its folder") from error
    known = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
    return known.get(kind or "") if plain and upright else None


def _cached(tag: str) -> dict[str, str]:
    return {"etag": tag, "cache-control": REVALIDATE}
