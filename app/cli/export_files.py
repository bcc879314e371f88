"""``export PROJECT TARGET`` -> {"images", "instances", "sha256", ...}; see `ExportReport`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.common import Json, Project, command, counter, open_project, say, tell
from app.workflow.exports import Options, export_labels
from data_io.formats.registry import FORMATS

Format = Enum("Format", {name: name for name in FORMATS}, type=str)  # type: ignore[misc]
_DEFAULT = Format("coco")


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
    compact = "compact"
    rle = "rle"


@command
def run(
    project: Project,
    target: Annotated[Path, typer.Argument(help="The file or folder to write.")],
    format: Annotated[Format, typer.Option(help="Format to write.")] = _DEFAULT,
    origin: Annotated[
        Origin, typer.Option("--from", help="A person's labels or the model's proposals.")
    ] = Origin.revisions,
    only: Annotated[Only | None, typer.Option(help="Only images verified whole.")] = None,
    geometry: Annotated[
        Geometry,
        typer.Option(help="exact keeps every raster; compact IoU .99 with few vertices; rle."),
    ] = Geometry.exact,
    no_overlap: Annotated[
        bool, typer.Option("--no-overlap", help="Pixels of several animals go to the one on top.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Let pycocotools evaluate the file against itself.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Export labels or proposals; put in place once it has been read back and compared."""
    options = Options(
        format=format.value,
        origin=origin.value,
        only_verified=only is Only.verified,
        geometry=geometry.value,
        no_overlap=no_overlap,
        verify=verify,
    )
    with open_project(project) as store:
        exported = export_labels(store, target, options, counter("images prepared"))
    answer = exported.as_dict()
    if not as_json:
        for sentence in exported.report.losses:
            say(f"{sentence}.")
    tell(answer, as_json, _text(answer, target))


def _text(answer: dict[str, Any], target: Path) -> str:
    rows = [f"{answer['images']} images and {answer['instances']} instances written to {target}"]
    if answer["iou_min"] is not None:
        rows.append(
            f"raster IoU with what is stored: {answer['iou_mean']:.4f} in the mean,"
            f" {answer['iou_min']:.4f} at worst"
        )
        rows.append(
            f"{answer['parts']} parts, {answer['holes']} holes, vertices an instance:"
            f" {answer['vertices_median']:.0f} in the median, {answer['vertices_p90']:.0f} at p90"
        )
    if "verify" in answer and answer["verify"]["ap"] is not None:
        rows.append(f"pycocotools against itself: AP {answer['verify']['ap']:.4f}")
    return "\n".join([*rows, f"sha256 {answer['sha256']}"])
