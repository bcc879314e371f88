"""``queue PROJECT`` -> {"strategy", "items": [...]} in the queue's order; see `app.queue.Item`."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.common import Json, Project, command, open_project, tell
from app.queue import Queue


@command
def run(
    project: Project,
    top: Annotated[int, typer.Option(min=1, help="Length of the list.")] = 20,
    as_json: Json = False,
) -> None:
    """List the images worth looking at next, and why."""
    with open_project(project) as store:
        queue = Queue(store)
        items, strategy = [item.as_dict() for item in queue.ranked(top)], queue.strategy()
    lines = [
        f"{place:3d}. {item['name']} ({item['image']}): {item['why']}"
        for place, item in enumerate(items, 1)
    ]
    told = "\n".join([strategy, *lines]) if lines else "the queue is empty"
    tell({"strategy": strategy, "items": items}, as_json, told)
