"""``simulate PROJECT --out FILE`` -> {"set", "arms", "clocks", "records", "plots"}, in FILE too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.common import Json, command, open_project, say, tell
from data_io.atomic import write_atomic
from data_io.errors import DataError
from data_io.store import Store

_CLOCK = "x1"


@command
def run(
    project: Annotated[
        Path | None,
        typer.Argument(metavar="[PROJECT]", help="Its verified images are the hidden truth."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Labels in any format `import` reads, instead.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of their images.")] = None,
    arms: Annotated[
        str, typer.Option(help="Ways of working, with commas: A0, A2, A3, A4, A9, A9g, A9c.")
    ] = "A0,A2,A4,A9,A9c",
    seeds: Annotated[
        str, typer.Option(help="One run of each arm for each, with commas.")
    ] = "0,1,2",
    out: Annotated[Path, typer.Option(help="The report; runs go into FILE.runs.")] = Path(
        "simulate.json"
    ),
    trainings: Annotated[int, typer.Option(min=1, help="Trainings of a run.")] = 3,
    minutes: Annotated[
        float, typer.Option(min=0.05, help="Processor minutes of a training.")
    ] = 1.0,
    steps: Annotated[int | None, typer.Option(min=1, help="Exactly so many, instead.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    as_json: Json = False,
) -> None:
    """Let a simulated person label images again in several ways, and tell what each costs.

    Stopped at any moment, the same command goes on where it was.
    """
    if (project is None) == (data is None):
        raise typer.BadParameter("give PROJECT or --data")
    if not all(seed.isdecimal() for seed in _split(seeds)):
        raise typer.BadParameter("--seeds takes whole numbers, for instance 0,1,2")
    draws = [int(seed) for seed in _split(seeds)]
    folder = out.with_name(f"{out.name}.runs")
    settings: dict[str, Any] = {"threads": threads, "clock": "processor"}
    settings |= {"minutes": minutes} if steps is None else {"steps": steps}
    # Late: these load torch, which the other commands do without.
    from app.simulate import plots, report, study, truth

    with _truth(project, data, images, folder) as store:
        hidden = truth.of_project(store)
    options = study.Options(settings, trainings)
    records = list(study.records_of(hidden, _split(arms), draws, options, folder, say))
    answer = report.summary(records)
    write_atomic(out, json.dumps({**answer, "records": records}, allow_nan=False).encode())
    made = plots.draw(answer, out.with_suffix(""))
    told = {**answer, "out": out, "plots": made, "records": len(records)}
    tell(told, as_json, "\n".join(report.table(answer, _CLOCK)))


def _truth(project: Path | None, data: Path | None, images: Path | None, folder: Path) -> Store:
    """The project that holds the truth: the user's, or one made from label files."""
    if project is not None:
        return open_project(project, recover=False)
    from app.workflow.imports import import_source

    if data is None or not data.exists():
        raise DataError(data or "--data", "there is no such file or folder", "check the path")
    store = Store.open(folder / "truth")
    import_source(store, data, images=images)
    return store


def _split(text: str) -> list[str]:
    return [word for word in text.replace(",", " ").split() if word]
