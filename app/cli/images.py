"""``images PROJECT`` -> {"images": [{"id", "path", "group", "split", ...}], "relinked", "job"}."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.common import Json, Project, command, open_project, say, tell
from app.workflow import images, proposals
from data_io.types import ImageRecord


@command
def run(
    project: Project,
    relink: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="OLD NEW", help="The images below OLD lie below NEW now."),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Leave this image out; repeatable.")
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Take it back in; repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the images, excluded and missing ones too; relink a moved folder, exclude, include."""
    if both := set(exclude or ()) & set(include or ()):
        raise typer.BadParameter(f"image {min(both)} cannot be both excluded and included")
    if relink and any(str(folder).startswith("-") for folder in relink):
        raise typer.BadParameter("--relink takes two folders, OLD and NEW")
    with open_project(project) as store:
        moved = images.relink(store, *relink) if relink else 0
        images.set_excluded(store, exclude or (), True)
        images.set_excluded(store, include or (), False)
        # Images that are back have no proposal of the version in use yet.
        job = proposals.ensure(store) if relink or include else None
        rows = [_row(record) for record in store.images(include_excluded=True)]
    if moved:
        say(f"{moved} images relinked")
    answer = {"images": rows, "relinked": moved, "job": job.id if job else None}
    tell(answer, as_json, "\n".join(map(_line, rows)) or "no images yet")


def _row(record: ImageRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "path": record.path,
        "group": record.group,
        "split": record.split,
        "excluded": record.excluded,
        "missing": not Path(record.path).is_file(),
    }


def _line(row: dict[str, Any]) -> str:
    marks = [row["split"], *(name for name in ("excluded", "missing") if row[name])]
    return f"{row['id']}  {row['path']}  {', '.join(filter(None, marks))}".rstrip()
