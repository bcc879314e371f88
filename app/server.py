"""The web server: one FastAPI app with our routes and Gradio's page behind one gate."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

# Gradio asks the network for its newest version unless told not to before its first import.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from app import jobs, retention, settings, ui
from app.context import Context
from app.inference import Inference
from app.routes import add_routes
from app.security import (
    HEALTH_PATH,
    PathGuard,
    SecurityMiddleware,
    Sessions,
    check_host,
    session_key,
)
from data_io.store import Store

log = logging.getLogger("herdmark")
STATIC = Path(__file__).parent / "static"
GRACE_SECONDS = 3  # open event streams of a browser tab would else hold the shutdown for ever


@dataclass(frozen=True)
class ServerOptions:
    """How the server is reached.

    Attributes:
        host: address to listen on; anything but loopback needs a token.
        token: secret asked for by the login page.
        allow_roots: folders that imports may name, besides the project.
        allow_hosts: further names in the Host header (behind a reverse proxy).
    """

    host: str = "127.0.0.1"
    token: str | None = None
    allow_roots: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()


def build_app(store: Store, options: ServerOptions | None = None) -> FastAPI:
    """The whole application for an open project; the caller closes the store.

    Raises:
        StartError: a non-loopback host without a token.
    """
    options = options or ServerOptions()
    check_host(options.host, options.token)
    context = Context.of(store, PathGuard.of(store.project, options.allow_roots))
    app = FastAPI(title="Herdmark", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get(HEALTH_PATH)
    def health() -> JSONResponse:
        return JSONResponse({"ok": True})

    app.state.retrainer = context.retrainer  # runs where somebody serves, see `serve`
    add_routes(app, context)
    app.mount("/herdmark-static", StaticFiles(directory=STATIC), name="herdmark-static")
    app = ui.mount(app, context)  # last: it takes every remaining path
    app.add_middleware(
        SecurityMiddleware,
        sessions=Sessions(session_key(store.project), options.token),
        host=options.host,
        token=options.token,
        allow_hosts=options.allow_hosts,
    )
    return app


def recover(store: Store) -> int:
    """Mark jobs whose process is gone as interrupted; returns how many there were."""
    lost = jobs.recover(store)
    for job in lost:
        log.warning("job %s was interrupted; resume it on the Train page", job.id)
    return len(lost)


def tell_no_cancellation(record: logging.LogRecord) -> bool:
    """For a log's filter: pages that are open when the server ends are cut off, which is meant."""
    cut_off = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not cut_off and "graceful shutdown exceeded" not in record.getMessage()


def serve(
    project: Path, listener: socket.socket, options: ServerOptions, ready: Callable[[str], None]
) -> None:
    """Serve a project until Ctrl-C or SIGTERM.

    Args:
        project: its folder.
        listener: the socket of `app.listener.listen`.
        options: how the server is reached.
        ready: called once with the address to open.

    Raises:
        StartError: a non-loopback host without a token.
        StoreError: the project cannot be opened.
    """
    check_host(options.host, options.token)
    with Store.open(project) as store:
        recover(store)
        retention.tidy(store)
        app = build_app(store, options)
        app.state.retrainer.start()
        ready(address(options, listener))
        config = uvicorn.Config(
            app,
            log_level="warning",
            timeout_graceful_shutdown=GRACE_SECONDS,
            server_header=False,
            proxy_headers=False,  # a forged header must not change who a request seems to be from
        )
        logging.getLogger("uvicorn.error").addFilter(tell_no_cancellation)
        learning = (
            Inference(project) if settings.load(project).instant else contextlib.nullcontext()
        )
        try:
            with learning:
                uvicorn.Server(config).run(sockets=[listener])
        finally:
            app.state.retrainer.stop()


def address(options: ServerOptions, listener: socket.socket) -> str:
    """The URL to open, with the token where one is needed."""
    port = listener.getsockname()[1]
    host = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(
        options.host, options.host
    )
    shown = f"[{host}]" if ":" in host else host
    query = f"?token={quote(options.token, safe='')}" if options.token else ""
    return f"http://{shown}:{port}/{query}"
