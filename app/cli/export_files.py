"""``export PROJECT TARGET`` -> {"images", "instances", "sha256"}."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import Json, Project, command, open_project, tell
from app.workflow.exports import answer, export_coco


class Format(str, Enum):
    """Formats of an export."""

    coco = "coco"


class Origin(str, Enum):
    """What is exported."""

    revisions = "revisions"
    proposals = "proposals"


class Only(str, Enum):
    """Which images are exported."""

    verified = "verified"


class Geometry(str, Enum):
    """How outlines are written."""

    exact = "exact"


@command
def run(
    project: Project,
    target: Annotated[Path, typer.Argument(help="The file to write.")],
    format: Annotated[Format, typer.Option(help="Format of the file.")] = Format.coco,
    origin: Annotated[
        Origin, typer.Option("--from", help="A person's labels or the model's proposals.")
    ] = Origin.revisions,
    only: Annotated[Only | None, typer.Option(help="Only images verified whole.")] = None,
    geometry: Annotated[
        Geometry, typer.Option(help="exact: the raster of every instance is kept.")
    ] = Geometry.exact,
    as_json: Json = False,
) -> None:
    """Export labels or proposals; the file is put in place once it has been read back."""
    with open_project(project) as store:
        report = export_coco(store, target, origin.value, only is Only.verified)
    tell(
        answer(report),
        as_json,
        f"{report.images} images and {report.instances} instances written to {target}",
    )
