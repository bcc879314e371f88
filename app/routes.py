"""Our own routes under /api: documents, saves, pictures, queue and jobs, for the canvas.

Every route is a plain function, so that FastAPI runs it in a thread and one slow disk never stops
the others. Errors are ``{"error": "<sentence>"}``.
"""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, FastAPI, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from app import jobs
from app.context import Context
from app.quick_json import QuickRoute, quick_json
from app.routes_assist import assist_routes
from app.routes_clicks import click_routes
from app.routes_gallery import gallery_routes
from app.routes_insight import insight_routes
from app.routes_pictures import picture_routes
from app.workflow import documents, review
from app.workflow.client import base_of_client
from app.workflow.documents import StaleError
from data_io.errors import ConflictError, DataError, StoreError
from data_io.types import ImageRecord, Job

log = logging.getLogger("herdmark")
EXPORT_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,120}")
AHEAD = 3  # images of the queue that the click tool gets ready for
AUTHOR = "person"  # one project, one token: the server cannot tell people apart
Payload = Annotated[dict[str, Any], Body()]
IfMatch = Annotated[str | None, Header()]


def add_routes(app: FastAPI, context: Context) -> None:
    """Put the routes of the contract and the error answers on `app`."""
    own = (_documents(context), picture_routes(context), _lists(context), gallery_routes(context))
    for routes in (*own, assist_routes(context, AUTHOR), insight_routes(context)):
        app.include_router(routes, prefix="/api", dependencies=[Depends(_noticed(context))])
    asked = click_routes(context.store, context.assistant, _coming(context))
    notes = Depends(_noticed(context, saves=False))
    app.include_router(asked, prefix="/api", dependencies=[notes])
    add_errors(app)


def _noticed(context: Context, saves: bool = True) -> Callable[[Request], Awaitable[None]]:
    """Notes that somebody works; a look at the jobs is none.

    Args:
        saves: what is sent there is saved.
    """

    async def noticed(request: Request) -> None:  # in the event loop: it never waits
        if not request.url.path.startswith("/api/jobs"):
            context.retrainer.acted(saved=saves and request.method != "GET")

    return noticed


def _coming(context: Context) -> Callable[[str], list[ImageRecord]]:
    """The images that come next when this one is left."""

    def coming(image: str) -> list[ImageRecord]:
        best = [item.image for item in context.queue.ranked(AHEAD + 1)]
        return [context.store.image(one) for one in best if one != image][:AHEAD]

    return coming


def _documents(context: Context) -> APIRouter:
    routes, store = APIRouter(route_class=QuickRoute), context.store

    @routes.get("/images/{image}/document")
    def document(image: str) -> Response:
        return quick_json(documents.document(store, image))

    @routes.put("/images/{image}/document")
    def save(image: str, body: Payload, if_match: IfMatch = None) -> dict[str, Any]:
        return documents.save(store, image, base_of_client(if_match), body, AUTHOR)

    @routes.post("/images/{image}/regions/{region}")
    def answer(image: str, region: str, body: Payload, if_match: IfMatch = None) -> Response:
        base = base_of_client(if_match)
        return quick_json(review.answer_region(store, image, region, base, body, AUTHOR))

    @routes.post("/images/{image}/accept")
    def accept(image: str, body: Payload, if_match: IfMatch = None) -> Response:
        base = base_of_client(if_match)
        return quick_json(documents.accept_image(store, image, base, body, AUTHOR))

    return routes


def _lists(context: Context) -> APIRouter:
    routes, store = APIRouter(), context.store

    @routes.get("/queue")
    def ranked(top: int = 20) -> dict[str, Any]:
        picked = context.queue.ranked(max(1, min(top, 1000)))
        return {"items": [item.as_dict() for item in picked]}

    @routes.get("/next")
    def following(after: str = "", dir: int = 1) -> dict[str, Any]:
        return {"image": context.queue.next_image(after or None, 1 if dir >= 0 else -1)}

    @routes.get("/jobs")
    def job_list() -> dict[str, Any]:
        return {"jobs": [job_row(job) for job in store.jobs()]}

    @routes.get("/jobs/{job}/log")
    def job_log(job: str, tail: int = 200) -> dict[str, Any]:
        found = store.job(job)
        lines = jobs.read_log(store, found, max(1, min(tail, 5000)))
        return {"job": job_row(found), "lines": lines}

    @routes.get("/exports/{name}")
    def export(name: str) -> Response:
        file = context.exports / name
        if not EXPORT_NAME.fullmatch(name) or not file.is_file() or not context.guard.allows(file):
            raise HTTPException(404, "there is no such export; make it again on the Data page.")
        return FileResponse(file, filename=name)

    return routes


def job_row(job: Job) -> dict[str, Any]:
    """A job as JSON."""
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "created": job.created.isoformat(),
        "updated": job.updated.isoformat(),
        "progress": dict(job.progress),
        "result": dict(job.result),
        "error": job.error,
    }


def _answer(status: int, sentence: object, **more: Any) -> JSONResponse:
    return JSONResponse({"error": str(sentence), **more}, status)


def add_errors(app: FastAPI) -> None:
    """Every failure is one sentence; what nobody foresaw goes to the log, not to the page."""

    @app.exception_handler(DataError)
    def bad_data(request: Request, error: DataError) -> JSONResponse:
        missing = "is not in this project" in error.why or "project has no such" in error.why
        return _answer(404 if missing else 400, error)

    @app.exception_handler(StaleError)
    def stale(request: Request, error: StaleError) -> JSONResponse:
        return _answer(409, error, stale=True)

    @app.exception_handler(ConflictError)
    def conflict(request: Request, error: ConflictError) -> JSONResponse:
        return _answer(409, error, revision=error.current)

    @app.exception_handler(StoreError)
    def store_failed(request: Request, error: StoreError) -> JSONResponse:
        return _answer(503, error)

    @app.exception_handler(OSError)
    def disk_failed(request: Request, error: OSError) -> JSONResponse:
        if error.errno == errno.ENOSPC:
            return _answer(507, "the disk is full; nothing was lost: free space and try again.")
        log.error("a file could not be read or written", exc_info=error)
        return _answer(503, "a file could not be read or written; the server's log says which.")

    @app.exception_handler(StarletteHTTPException)
    def refused(request: Request, error: StarletteHTTPException) -> JSONResponse:
        return _answer(error.status_code, error.detail)

    @app.exception_handler(RequestValidationError)
    def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        place = ".".join(str(part) for part in error.errors()[0].get("loc", ()))
        return _answer(422, f"the request is malformed at {place}; reload the page.")

    @app.exception_handler(Exception)
    def unforeseen(request: Request, error: Exception) -> JSONResponse:
        return _answer(500, "something went wrong here; the server's log says what.")
