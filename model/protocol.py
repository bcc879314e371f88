"""The paper's benchmarks from a folder to a figure: ``python -m model.protocol voc --root ...``.

Writes a snapshot and a job into the run's folder, trains it as `model.train` does, and compares the
version with the validation images. The last line of stdout is one JSON object; everything else goes
to stderr. Exit codes as in `model.train`; the same command again resumes or, when the training has
ended, evaluates again.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_io import protocols
from data_io.errors import DataError, StoreError
from data_io.protocols import LabeledPart, Study
from data_io.snapshot import Snapshot, read_snapshot
from model import train
from model.backbone import normalization
from model.checkpoint import load_version
from model.config import PIXEL_METHODS, PRESETS, TrainConfig, train_config
from model.dataset import Frames, pools
from model.scale import Scaling
from model.semantic_eval import SCHEMES, Scheme, score
from model.training_job import DONE, FAILED, read_spec
from model.training_setup import choose_device

EPOCHS = {"voc": 80, "cityscapes": 200}  # over the unlabeled images, as published
SCHEME: dict[str, Scheme] = {"voc": "center_crop", "cityscapes": "sliding_window"}


def main(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        prepared = prepare(options)
        if options.prepare:
            print(json.dumps(prepared))
            return DONE
        code = train.main([str(options.out)])
        if code == DONE:
            print(json.dumps({**prepared, **evaluate(options)}))
    except (DataError, StoreError) as error:
        print(error, file=sys.stderr)
        return FAILED
    return code


def prepare(options: argparse.Namespace) -> dict[str, Any]:
    """Write the snapshot and the job, or find those of the same command; counts of the images.

    Raises:
        DataError: bad folders or settings, or the folder belongs to another run.
    """
    overrides = {"preset": options.preset or f"paper_{options.benchmark}", **dict(options.set)}
    overrides |= {"method": options.method, "seed": options.seed}
    settings = train_config(overrides)
    study = _study(options)
    overrides["steps"] = options.steps or _steps(options.benchmark, study, settings)
    snapshot = protocols.write_study(study, options.out / "snapshots")
    pools(snapshot)  # refuses what cannot be trained before anything is started
    spec = {
        "snapshot": str(snapshot.folder.resolve()),
        "version": options.out.resolve().name,
        "parent": None,
        "train": overrides,
    }
    file = options.out / "config.json"
    begun = any((options.out / name).exists() for name in ("checkpoint", "result.json"))
    if begun and read_spec(options.out) != spec:
        raise DataError(options.out, "the folder belongs to another run", "choose another --out")
    file.write_text(json.dumps(spec, indent=1), encoding="utf-8")
    return {
        "benchmark": options.benchmark,
        "variant": options.variant if options.benchmark == "voc" else None,
        "partition": None if options.labeled else f"1/{options.partition}",
        "seed": options.seed,
        "labeled": len(study.labeled),
        "unlabeled": len(study.unlabeled),
        "validation": len(study.validation),
        "train": overrides,
    }


def _study(options: argparse.Namespace) -> Study:
    part = LabeledPart(options.partition, options.seed, options.labeled)
    if options.benchmark == "voc":
        return protocols.voc(options.root, options.variant, part)
    return protocols.cityscapes(options.root, part)


def _steps(benchmark: str, study: Study, settings: TrainConfig) -> int:
    """Steps of the published number of epochs."""
    images, batch = len(study.unlabeled), settings.batch_unlabeled
    if not images or settings.method == "supervised":
        images, batch = len(study.labeled), settings.batch
    return EPOCHS[benchmark] * math.ceil(images / batch)


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Score the version of a run that has ended.

    Raises:
        DataError: the version cannot be read.
    """
    job = options.out
    snapshot = read_snapshot(read_spec(job)["snapshot"])
    result = json.loads((job / "result.json").read_text(encoding="utf-8"))
    config = train_config(result["config"])
    network = load_version(job / "version")[0].to(choose_device(config))
    scheme: Scheme = options.evaluate or SCHEME[options.benchmark]
    mean, std = normalization(config.backbone)
    found = score(
        network,
        pools(snapshot).validation,
        Frames(Scaling(config.max_side), config.cache_mb, config.encoding),
        mean,
        std,
        scheme,
        config.crop,
        options.padding_is_background,
    )
    found["ious"] = _named(found["ious"], snapshot)
    return {"scheme": scheme, "kept": result["kept"], "steps": result["steps"], **found}


def _named(ious: Sequence[float | None], snapshot: Snapshot) -> dict[str, float]:
    """IoU by name, without the classes that no image shows."""
    names = ["background", *(category.name for category in snapshot.categories)]
    return {name: iou for name, iou in zip(names, ious, strict=True) if iou is not None}


# --- the command line -----------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model.protocol", description=__doc__)
    commands = parser.add_subparsers(dest="benchmark", required=True)
    for name in EPOCHS:
        _add_options(commands.add_parser(name))
    voc = commands.choices["voc"]
    voc.add_argument("--variant", choices=protocols.VARIANTS, default="classic")
    return parser


def _add_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--root", type=Path, required=True, help="folder of the benchmark")
    add("--out", type=Path, required=True, help="folder of the run")
    add("--partition", type=_denominator, default=1, metavar="1/N", help="of the labels are kept")
    add("--labeled", type=Path, metavar="FILE", help="list of the ids that keep labels instead")
    add("--seed", type=int, default=0, help="of the partition and of the training")
    add("--method", choices=PIXEL_METHODS, default="u2pl")
    add("--preset", choices=tuple(PRESETS), help="default: the paper's for this benchmark")
    add("--steps", type=int, default=0, help="default: as many as the published epochs have")
    add("--set", type=_setting, action="append", default=[], metavar="NAME=VALUE")
    add("--evaluate", choices=SCHEMES, help="default: as published for this benchmark")
    add("--padding-is-background", action="store_true", help="score padding as U2PL's code does")
    add("--prepare", action="store_true", help="write snapshot and job only, e.g. for torchrun")


def _denominator(text: str) -> int:
    match = re.fullmatch(r"1/([1-9]\d{0,3})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no partition like 1/8")
    return int(match[1])


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
