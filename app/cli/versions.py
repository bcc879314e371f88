"""``versions PROJECT`` -> {"versions": [{"id", "state", "metrics", ...}], "promoted", "job"}."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from app.cli.common import Json, Project, command, open_project, tell
from app.workflow import training
from data_io.types import ModelVersion


@command
def run(
    project: Project,
    promote: Annotated[
        str | None, typer.Option(metavar="ID", help="Use this version; also rolls back.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the model versions, newest first; promote one or roll back to it."""
    with open_project(project) as store:
        job = training.promote(store, promote) if promote is not None else None
        rows, promoted = store.versions(), store.promoted()
    answer = {
        "versions": [_row(version) for version in rows],
        "promoted": promoted.id if promoted else None,
        "job": job.id if job else None,
    }
    tell(answer, as_json, "\n".join(map(_line, rows)) or "no versions yet")


def _row(version: ModelVersion) -> dict[str, Any]:
    return {
        "id": version.id,
        "state": version.state,
        "parent": version.parent,
        "job": version.job,
        "snapshot": version.snapshot,
        "weights_sha256": version.weights_sha256,
        "categories": list(version.categories),
        "created": version.created.isoformat(),
        "metrics": dict(version.metrics),
    }


def _line(version: ModelVersion) -> str:
    iou = version.metrics.get("val_iou")
    told = f"validation IoU {iou:.3f}" if isinstance(iou, int | float) else ""
    return f"{version.id}  {version.state:9} {version.created:%Y-%m-%d %H:%M} {told}".rstrip()
