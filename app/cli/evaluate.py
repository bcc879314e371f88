"""``evaluate PROJECT --coco FILE --images DIR`` -> measures of one version; writes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from app import settings
from app.cli.common import Json, Project, command, counter, open_project, say_refused, tell
from app.workflow.training import usable_version, version_folder

_SHOWN = (
    *("iou", "miou", "boundary_iou", "ap", "ap50", "pq", "count_mae", "merges", "splits"),
    "error_auroc",
)


@command
def run(
    project: Project,
    coco: Annotated[Path | None, typer.Option(help="COCO file with the truth.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of its images.")] = None,
    points: Annotated[Path | None, typer.Option(help="JSON file of human points.")] = None,
    version: Annotated[str | None, typer.Option(help="Default: the promoted version.")] = None,
    as_json: Json = False,
) -> None:
    """Measure a version on labeled images that need not be in the project."""
    if images is None or (coco is None and points is None):
        raise typer.BadParameter("give --images and --coco (or --points)")
    with open_project(project, recover=False) as store:
        chosen = usable_version(store, version)
        names = store.category_names()
        defaults = settings.load(store.project)
        folder = version_folder(store, chosen.id)
    # Late: these load torch, which the other commands do without.
    from model.evaluate import evaluate
    from model.predictor import Predictor

    predictor = Predictor.load(folder, device=defaults.device, threads=defaults.threads)
    measures = evaluate(
        predictor, coco, images, points, progress=counter("images measured"), names=names
    )
    if not as_json:
        say_refused(measures.get("refused", []))
    tell({"version": chosen.id, **measures}, as_json, _text(chosen.id, measures))


def _text(version: str, measures: dict[str, Any]) -> str:
    known = [(name, measures[name]) for name in _SHOWN if measures.get(name) is not None]
    shown = [
        f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in known
    ]
    return f"version {version}: {', '.join(shown)}"
