"""``import PROJECT SOURCE`` -> {"images", "instances", "known", "refused"}."""

from __future__ import annotations

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
    say_refused,
    tell,
)
from app.workflow.imports import import_source


class Format(str, Enum):
    """Formats of a source."""

    auto = "auto"
    images = "images"
    coco = "coco"


class Vouched(str, Enum):
    """What labels count as."""

    verified = "verified"
    draft = "draft"


@command
def run(
    project: Project,
    source: Annotated[Path, typer.Argument(help="A folder of photos, a photo or a COCO file.")],
    format: Annotated[Format, typer.Option(help="What the source is.")] = Format.auto,
    images: Annotated[Path | None, typer.Option(help="Folder of the label file's images.")] = None,
    group_by: Annotated[
        str, typer.Option(help="folder, none, or regex:PATTERN on the path.")
    ] = "folder",
    vouched: Annotated[
        Vouched, typer.Option("--as", help="Whether labels count as verified.")
    ] = Vouched.verified,
    as_json: Json = False,
) -> None:
    """Import photos or labels; importing the same again adds nothing."""
    with open_project(project, create=True) as store:
        report = import_source(
            store,
            source,
            format=format.value,
            images=images,
            group_by=group_by,
            vouched="verified" if vouched is Vouched.verified else "draft",
            progress=counter("images read"),
        )
    answer = report.as_dict()
    if not as_json or not report.useful:
        say_refused(answer["refused"])
    if not report.useful:
        tell(answer, as_json, "nothing was imported")
        first = report.refused[0].sentence() if report.refused else f"{source} lists no image."
        raise Failed(f"nothing was imported: {first}")
    tell(
        answer,
        as_json,
        f"{report.images} images and {report.instances} instances imported,"
        f" {report.known} images were there already, {len(report.refused)} entries refused",
    )
