"""``serve PROJECT``: the web page; ends with Ctrl-C."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import (
    DEMO,
    Failed,
    command,
    counter,
    open_project,
    say,
    say_refused,
)
from app.workflow.imports import import_source
from data_io.store import Store

Token = Annotated[
    str | None, typer.Option(help="Password of the page; better given as HERDMARK_TOKEN.")
]


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
) -> None:
    """Serve the project's pages on this machine."""
    # Late, since they are slow; the host first, since one that is refused must change nothing.
    from app.security import StartError, check_host

    folder = project or _default(photos, labels)
    try:
        check_host(host, token or os.environ.get("HERDMARK_TOKEN") or None)
        with open_project(folder, create=True) as store:
            _bring(store, photos, labels)
            _begin(store)
        roots = [*(allow_root or []), *([photos] if photos else [])]
        _serve(folder, host, port, token, roots, allow_host or [])
    except StartError as error:
        raise Failed(str(error)) from error


def _serve(
    project: Path,
    host: str,
    port: int,
    token: str | None,
    roots: list[Path],
    hosts: list[str],
) -> None:
    from app.server import serve

    serve(project, host=host, port=port, token=token, allow_roots=roots, allow_hosts=hosts)


def _default(photos: Path | None, labels: Path | None) -> Path:
    """The project to serve when none is named."""
    source = photos or (labels.absolute().parent if labels else None)
    return DEMO if source is None else DEMO.parent / (source.absolute().name or "photos")


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
