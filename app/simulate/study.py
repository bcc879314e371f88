"""All runs of a study, one folder each, and what they say together."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from app.simulate.annotator import Annotator, Traits
from app.simulate.arms import ARMS
from app.simulate.models import Models, TrainedModels
from app.simulate.run import Record, Run
from app.simulate.score import ceiling
from app.simulate.truth import Hidden
from data_io.atomic import write_atomic
from data_io.errors import DataError
from data_io.store import Store

CEILING = "ceiling"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What all runs of a study share; another choice is another study.

    Attributes:
        train: settings of every training, see `model.config.train_config`.
        trainings: how many a run has; `after`: the rounds they follow, () = spread evenly.
    """

    train: Mapping[str, Any]
    trainings: int = 3
    after: tuple[int, ...] = ()
    traits: Traits = field(default_factory=Traits)


def records_of(
    hidden: Hidden,
    arms: Sequence[str],
    seeds: Sequence[int],
    options: Options,
    folder: Path,
    say: Say,
) -> Iterator[Record]:
    """The records of all runs, the finished ones from disk; the rest is done now.

    Raises:
        DataError: no such arm, the folder holds a study with other options, or a training failed.
    """
    for arm in arms:
        if arm not in ARMS:
            raise DataError("simulate", f"there is no arm {arm}", f"use {', '.join(ARMS)}")
    _claim(folder, hidden, options)
    for seed in seeds:
        for arm in (CEILING, *arms):
            yield from run_records(hidden, arm, seed, options, folder, say)


def run_records(
    hidden: Hidden, arm: str, seed: int, options: Options, folder: Path, say: Say
) -> Iterator[Record]:
    """The records of one arm (or the ceiling) with one seed."""
    place = folder / f"{arm}-{seed}"
    if arm == CEILING:
        yield _ceiling(hidden, seed, TrainedModels(options.train), place)
        return
    models = TrainedModels(options.train, ARMS[arm].clicks, ARMS[arm].gate)
    annotator = Annotator(seed, options.traits)
    run = Run(hidden, ARMS[arm], annotator, models, place, options.trainings, options.after)
    yield from run.records()
    for record in run.rounds():
        told = f"{record['left']} images left"
        say(f"{arm}, seed {seed}, round {record['round']}: {record['seconds']:.0f} s, {told}")
        yield record


def _ceiling(hidden: Hidden, seed: int, models: Models, folder: Path) -> Record:
    file = folder / "round-01.json"
    if not file.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        with Store.open(folder / "project") as store:
            record = ceiling(hidden, models, store, seed)
        write_atomic(file, json.dumps(record).encode())
    made: Record = json.loads(file.read_text(encoding="utf-8"))
    return made


def _claim(folder: Path, hidden: Hidden, options: Options) -> None:
    """Refuse a folder that another study has begun in."""
    folder.mkdir(parents=True, exist_ok=True)
    images = sorted(image.sha256 for image in (*hidden.pool, *hidden.test))
    mine = json.dumps({"options": asdict(options), "images": images}, sort_keys=True)
    file = folder / "study.json"
    if not file.is_file():
        write_atomic(file, mine.encode())
    elif file.read_text(encoding="utf-8") != mine:
        why = "holds a study with other images or options"
        raise DataError(folder, why, "choose another --out, or remove that folder")
