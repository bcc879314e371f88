"""The web server: one FastAPI app with our routes and Gradio's page behind one gate."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Sequence
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

from app import jobs, ui
from app.context import Context
from app.routes import add_routes
from app.security import (
    HEALTH_PATH,
    PathGuard,
    SecurityMiddleware,
    Sessions,
    StartError,
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
        port: TCP port; 0 takes a free one.
        token: secret asked for by the login page.
        allow_roots: folders that imports may name, besides the project.
        allow_hosts: further names in the Host header (behind a reverse proxy).
    """

    host: str = "127.0.0.1"
    port: int = 7860
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


def serve(
    project: Path,
    host: str = "127.0.0.1",
    port: int = 7860,
    token: str | None = None,
    allow_roots: Sequence[str | Path] = (),
    allow_hosts: Sequence[str] = (),
) -> None:
    """Serve a project until Ctrl-C or SIGTERM; prints the address to open.

    Raises:
        StartError: a non-loopback host without a token, or a port that is taken.
        StoreError: the project cannot be opened.
    """
    token = token or os.environ.get("HERDMARK_TOKEN") or None
    check_host(host, token)
    roots = tuple(str(root) for root in allow_roots)
    options = ServerOptions(host, port, token, roots, tuple(allow_hosts))
    with _listen(host, port) as listener, Store.open(Path(project)) as store:
        recover(store)
        app = build_app(store, options)
        print(f"Herdmark serves {store.project} at {address(options, listener)}", flush=True)
        config = uvicorn.Config(
            app,
            log_level="warning",
            timeout_graceful_shutdown=GRACE_SECONDS,
            server_header=False,
            proxy_headers=False,  # a forged header must not change who a request seems to be from
        )
        uvicorn.Server(config).run(sockets=[listener])


def address(options: ServerOptions, listener: socket.socket) -> str:
    """The URL to open, with the token where one is needed."""
    port = listener.getsockname()[1]
    host = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(
        options.host, options.host
    )
    shown = f"[{host}]" if ":" in host else host
    query = f"?token={quote(options.token, safe='')}" if options.token else ""
    return f"http://{shown}:{port}/{query}"


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket, bound before the slow imports of the page are paid for nothing."""
    bare = host.strip("[]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    # asyncio switches Nagle's delay off (40 ms a reply) only where the protocol is named.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((bare, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise StartError(
            f"port {port} on {host} cannot be used ({error.strerror or error}); another Herdmark"
            " may be running: open it, stop it, or choose another --port."
        ) from error
    return listener
