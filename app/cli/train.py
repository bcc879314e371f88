"""``train PROJECT`` -> {"job", "version", "promoted", "steps", "metrics"}, null while it trains."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from app.cli.common import Json, Project, command, follow, open_project, tell
from app.workflow import training


class Method(str, Enum):
    """How unlabeled images are learned from."""

    u2pl = "u2pl"
    cutmix = "cutmix"
    mean_teacher = "mean_teacher"
    supervised = "supervised"
    maskrcnn = "maskrcnn"


class Preset(str, Enum):
    """Sizes of a training."""

    cpu = "cpu"
    gpu = "gpu"
    paper_voc = "paper_voc"
    paper_cityscapes = "paper_cityscapes"


@command
def run(
    project: Project,
    method: Annotated[Method | None, typer.Option(help="Default: the project's.")] = None,
    preset: Annotated[Preset | None, typer.Option(help="Default: the project's.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.05, help="Time budget.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Exactly so many steps.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until it has ended.")] = False,
    as_json: Json = False,
) -> None:
    """Train a new version in the background on everything verified."""
    if minutes is not None and steps is not None:
        raise typer.BadParameter("give --minutes or --steps, not both")
    with open_project(project) as store:
        options = training.TrainOptions(
            method=method.value if method else None,
            preset=preset.value if preset else None,
            minutes=minutes,
            steps=steps,
            seed=seed,
            device=device,
            threads=threads,
        )
        job = training.start_training(store, options)
        version = str(job.config["version"])
        if not wait:
            unknown = dict.fromkeys(("promoted", "steps", "metrics"))
            tell(
                {"job": job.id, "version": version, **unknown},
                as_json,
                f"job {job.id} trains version {version}; follow it with: jobs {project}",
            )
            return
        result = dict(follow(store, job).result)
    tell({"job": job.id, **result}, as_json, f"version {version} {result['why']}")
