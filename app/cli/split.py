"""``split PROJECT --val F --test F`` -> {"train", "val", "test", "unused", "by", "seed", ...}."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from app.cli.common import Json, Project, command, open_project, say, tell
from app.workflow.splits import split_project
from data_io.errors import DataError
from data_io.splits import Shares


class By(str, Enum):
    """What stays together."""

    group = "group"
    block = "block"
    image = "image"


class Partition(str, Enum):
    """Share of train's labels that a partition keeps."""

    half = "1/2"
    quarter = "1/4"
    eighth = "1/8"
    sixteenth = "1/16"

    @property
    def denominator(self) -> int:
        """8 for 1/8."""
        return int(self.value.removeprefix("1/"))


@command
def run(
    project: Project,
    val: Annotated[float, typer.Option(min=0, max=1, help="Share of validation images.")],
    test: Annotated[float, typer.Option(min=0, max=1, help="Share of test images.")],
    by: Annotated[
        By,
        typer.Option(
            help="group: whole groups; block: blocks of time inside each group, with unused images"
            " between them; image: single images, which leaks near-duplicates."
        ),
    ] = By.group,
    partition: Annotated[
        list[Partition] | None,
        typer.Option(help="Also list which labels of train to keep; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    again: Annotated[
        bool, typer.Option("--again", help="Draw anew although there are val or test images.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Divide the images into train, val and test, and write their labels to PROJECT/splits."""
    shares = _shares(val, test)
    with open_project(project) as store:
        answer = split_project(
            store,
            shares,
            by.value,
            sorted({one.denominator for one in partition or ()}),
            seed,
            again,
        )
    if not as_json:
        for warning in answer["warnings"]:
            say(f"note: {warning}.")
    counts = ", ".join(f"{part} {answer[part]}" for part in ("train", "val", "test", "unused"))
    tell(answer, as_json, f"images: {counts}; written: {', '.join(answer['files']) or 'no file'}")


def _shares(val: float, test: float) -> Shares:
    try:
        return Shares(val, test)
    except DataError as error:
        raise typer.BadParameter(f"{error.why}; {error.remedy}") from error
