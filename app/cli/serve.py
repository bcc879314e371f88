"""``serve PROJECT`` -> {"project", "url"} once it listens; ends with Ctrl-C."""

from __future__ import annotations

import hashlib
import os
import shlex
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app import jobs
from app.cli.common import (
    DEMO,
    Failed,
    Json,
    command,
    counter,
    open_project,
    say,
    say_refused,
    tell,
)
from app.workflow.imports import import_source
from data_io.errors import StoreError
from data_io.store import Store
from data_io.types import JobKind

if TYPE_CHECKING:
    from app.server import ServerOptions

Token = Annotated[
    str | None, typer.Option(help="Password of the page; better given as HERDMARK_TOKEN.")
]

GOES_ON: Mapping[JobKind, str] = {
    "train": "A training goes on",
    "propose": "The computing of proposals goes on",
    "import": "An import goes on",
}


@command
def run(
    project: Annotated[
        Path | None,
        typer.Argument(metavar="[PROJECT]", help="Default: named after --photos, else the demo."),
    ] = None,
    photos: Annotated[Path | None, typer.Option(help="Folder of photos to import first.")] = None,
    labels: Annotated[Path | None, typer.Option(help="COCO file to import first.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 7860,
    token: Token = None,
    allow_root: Annotated[
        list[Path] | None, typer.Option(help="Folder the page may import from; repeatable.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Further host name of this server; repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Serve the project's pages on this machine."""
    from app.listener import listen
    from app.security import StartError, check_host

    folder = _default(photos, labels) if project is None else _absolute(project)
    secret = token or os.environ.get("HERDMARK_TOKEN") or None
    try:
        check_host(host, secret)
        # Before the import, which may take long and change much: a taken port must change nothing.
        with listen(host, port) as listener:
            with open_project(folder, create=True) as store:
                _bring(store, photos, labels)
                _begin(store)
            from app.server import ServerOptions  # late, since it loads the page's packages

            roots = [*(allow_root or []), *([photos] if photos else [])]
            options = ServerOptions(host, secret, tuple(map(str, roots)), tuple(allow_host or ()))
            _serve(folder, listener, options, as_json)
    except StartError as error:
        raise Failed(str(error)) from error


def _serve(folder: Path, listener: socket.socket, options: ServerOptions, as_json: bool) -> None:
    from app.server import serve

    def ready(url: str) -> None:
        answer = {"project": str(folder), "url": url}
        tell(answer, as_json, f"Herdmark serves {folder} at {url}")

    try:
        serve(folder, listener, options, ready)
    except KeyboardInterrupt:
        _say_what_goes_on(folder)
        raise
    _say_what_goes_on(folder)  # where a shell lets its children ignore Ctrl-C, it ends like this


def _say_what_goes_on(folder: Path) -> None:
    """Name the jobs that outlive the server, which look as if they had ended with it."""
    with open_project(folder, recover=False) as store:
        for job in jobs.running(store):
            if jobs.is_stopping(store, job):
                continue
            say(
                f"{GOES_ON[job.kind]} without the server; the Train page shows it when you serve"
                " the project again. To cancel it:"
                f" launch.py jobs {shlex.quote(str(folder))} --cancel {job.id}"
            )


def _default(photos: Path | None, labels: Path | None) -> Path:
    """The project to serve when none is named: of its own for each folder of photos."""
    if photos is None and labels is None:
        return DEMO
    source = _absolute(photos) if photos else _absolute(labels or Path()).parent
    name = source.name or "photos"
    digest = hashlib.sha256(str(source).encode()).hexdigest()[:6]
    own, plain = DEMO.parent / f"{name}-{digest}", DEMO.parent / name
    return plain if not own.exists() and _lies_in(plain, source) else own


def _lies_in(project: Path, source: Path) -> bool:
    """True when the images of an existing project lie in the folder, uploads left aside."""
    try:
        with Store.open(project, create=False) as store:
            paths = [Path(one.path) for one in store.images(include_excluded=True)]
    except StoreError:
        return False
    outside = [path for path in paths if not path.is_relative_to(project)]
    return bool(outside) and all(path.is_relative_to(source) for path in outside)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))


def _bring(store: Store, photos: Path | None, labels: Path | None) -> None:
    """Import what the command names; the demo's scenes when that is what is served."""
    if photos is None and labels is None:
        if store.project == DEMO:
            from app.workflow import demo

            demo.create(store, counter("demo scenes drawn"))
        return
    for source, images in ((labels, photos), (photos, None)):
        if source is None:
            continue
        report = import_source(store, source, images=images, progress=counter("images read"))
        say_refused(report.as_dict()["refused"])
        if not report.useful:
            raise Failed(f"nothing could be imported from {source}")
        say(f"{source}: {report.images} images and {report.instances} instances imported")


def _begin(store: Store) -> None:
    """What should be under way when the page opens: first training, missing proposals."""
    from app.workflow import demo, proposals

    job = demo.start_first_training(store) or proposals.ensure(store)
    if job is not None:
        say(f"job {job.id} ({job.kind}) is under way; see the Train page")
