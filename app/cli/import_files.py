"""``import PROJECT SOURCE`` -> {"images", "instances", "known", "refused", ...}; see `Imported`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import (
    Failed,
    Json,
    Project,
    command,
    counter,
    open_project,
    say,
    say_refused,
    tell,
)
from app.workflow.imports import FPS, FRAMES, Imported, import_source
from data_io.errors import DataError, StoreError
from data_io.formats.registry import SOURCES
from data_io.store import Store
from data_io.store.database import DATABASE_NAME

Format = Enum("Format", {name: name for name in ("auto", *SOURCES)}, type=str)  # type: ignore[misc]
_DEFAULT = Format("auto")


class Vouched(str, Enum):
    """What labels count as."""

    verified = "verified"
    draft = "draft"


@command
def run(
    project: Project,
    source: Annotated[
        Path,
        typer.Argument(help="A folder of photos, a photo, a video, or labels.", readable=False),
    ],
    format: Annotated[Format, typer.Option(help="What the source is.")] = _DEFAULT,
    images: Annotated[Path | None, typer.Option(help="Folder of the labels' images.")] = None,
    fps: Annotated[
        float, typer.Option(min=0, max=1000, help="Frames a second from a video; 0 = every frame.")
    ] = FPS,
    group_by: Annotated[
        str, typer.Option(help="folder, none, or regex:PATTERN on the path.")
    ] = "folder",
    vouched: Annotated[
        Vouched, typer.Option("--as", help="Whether labels count as verified.")
    ] = Vouched.verified,
    rename: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="NAME=NAME", help="Category in the file = in the project."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Import photos, videos or labels; importing the same again adds nothing."""
    names = _renamed(rename or [])
    with _kept_if_useful(project), open_project(project, create=True) as store:
        report = import_source(
            store,
            source,
            format=format.value,
            images=images,
            fps=fps,
            group_by=group_by,
            vouched="verified" if vouched is Vouched.verified else "draft",
            rename=names,
            progress=counter("images read"),
        )
        answer = report.as_dict()
        if not as_json:
            say_refused(answer["refused"])
            _say_repaired(report)
            for hint in report.hints:
                say(f"{hint}.")
        if not report.useful:
            first = report.refused[0].sentence() if report.refused else f"{source} lists no image."
            raise Failed(f"nothing was imported: {first}", answer)
        tell(
            answer,
            as_json,
            f"{report.images} images and {report.instances} instances imported,"
            f" {report.known} images were there already, {len(report.repaired)} entries repaired,"
            f" {len(report.refused)} refused",
        )


@contextmanager
def _kept_if_useful(project: Path) -> Iterator[None]:
    """Remove a project that this command made when nothing was imported into it."""
    folder = project.expanduser()
    fresh = not folder.exists()
    try:
        yield
    except (DataError, Failed):
        if fresh and _is_empty(folder):
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _is_empty(project: Path) -> bool:
    if project.joinpath(FRAMES).exists():  # of a video that broke off
        return False
    try:
        with Store.open(project) as store:
            return not store.images(include_excluded=True)
    except (DataError, StoreError):
        return not project.joinpath(DATABASE_NAME).exists()


def _renamed(pairs: Sequence[str]) -> dict[str, str]:
    names = {}
    for pair in pairs:
        old, equals, new = pair.partition("=")
        if not (equals and old and new):
            raise typer.BadParameter(f"--map {pair!r} is not NAME=NAME")
        names[old] = new
    return names


def _say_repaired(report: Imported, most: int = 20) -> None:
    for one in report.repaired[:most]:
        say(f"repaired {one.sentence()}")
    if len(report.repaired) > most:
        say(f"... and {len(report.repaired) - most} more; --json lists them all.")
