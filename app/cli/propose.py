"""``propose PROJECT`` -> {"images", "instances", "seconds", "version", "refused"}."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.common import Json, Project, command, follow, open_project, say_refused, tell
from app.workflow.proposals import start_proposals


@command
def run(
    project: Project,
    version: Annotated[str | None, typer.Option(help="Default: the promoted version.")] = None,
    image: Annotated[list[str] | None, typer.Option(help="Id of an image; repeatable.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All images, the default.")] = False,
    as_json: Json = False,
) -> None:
    """Compute the proposals that a version has not made yet, and wait for them."""
    if image and everything:
        raise typer.BadParameter("give --image or --all, not both")
    with open_project(project) as store:
        result = dict(follow(store, start_proposals(store, version, image or None)).result)
    say_refused(result.get("refused", []))
    tell(
        result,
        as_json,
        f"{result['images']} images have proposals of {result['version']} with"
        f" {result['instances']} instances ({result['seconds']} s)",
    )
