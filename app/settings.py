"""Typed settings of a project: defaults, overridden by ``settings.json``, overridden by options."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from data_io.atomic import write_atomic
from data_io.errors import DataError
from model.config import METHODS, PRESETS, STARTS

FILE = "settings.json"
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Settings:
    """What a project may change; every field has a default that works.

    Attributes:
        device: ``auto`` takes CUDA where there is one, else the CPU; or ``cpu``, ``cuda``, ``mps``.
        threads: CPU threads of training and proposals; None = all cores of this machine.
        method: training method when none is asked for.
        preset: training preset when none is asked for.
        minutes: time budget of a training job when none is asked for, in (0, 1440].
        steps: exact length of a training instead when neither is asked for, 0 = by `minutes`.
        nice: niceness of background jobs, 0..19, so that the page stays quick.
        instant: whether a light model learns at every save until a trained version is in use.
        sam_encoder, sam_decoder: ONNX files of a SAM-style pair that answers clicks; "" = the
            herd's own refiner does.
        refine: whether each training also teaches the click tool this herd.
        retrain_images: newly accepted images after which a training starts by itself, 0 = off.
        retrain_regions: newly answered regions after which one starts, 0 = off.
        retrain_idle: minutes without a click or save until new labels are trained on, 0 = off.
        retrain_start: weights a training begins with: ``scratch`` takes the published encoder,
            ``warm`` the version in use.
        scratch_every: of the trainings that may start warm, every Nth starts from scratch.
        spare_cores: cores that a training leaves to the page where it may have more than those.
        gpu_share: share of a CUDA device's memory that a training may take, in (0, 1].
        audit: share of review regions that are random checks, in [0, 0.5].
        worse: IoU by which a new version may be worse on validation images and still be promoted.
        level: probability, in [0.5, 0.999], of the interval of the difference of two versions; its
            lower end must not lie below -worse.
        validation: images that the app sets aside at most to judge versions by; 0 = none.
    """

    device: str = "auto"
    threads: int | None = None
    method: str = "u2pl"
    preset: str = "cpu"
    minutes: float = 5.0
    steps: int = 0
    nice: int = 10
    retrain_images: int = 10
    retrain_regions: int = 50
    retrain_idle: float = 15.0
    retrain_start: str = "scratch"
    scratch_every: int = 4
    spare_cores: int = 0
    gpu_share: float = 0.8
    audit: float = 0.15
    worse: float = 0.02
    instant: bool = True
    sam_encoder: str = ""
    sam_decoder: str = ""
    refine: bool = True
    level: float = 0.9
    validation: int = 20

    def __post_init__(self) -> None:
        _check(self.device in DEVICES, "device", f"must be one of {', '.join(DEVICES)}")
        _check(
            self.threads is None or _whole(self.threads, 1, 1024),
            "threads",
            "must be a whole number from 1 to 1024",
        )
        _check(self.method in METHODS, "method", f"must be one of {', '.join(METHODS)}")
        _check(self.preset in PRESETS, "preset", f"must be one of {', '.join(PRESETS)}")
        _check(_real(self.minutes, 0, 1440) and self.minutes > 0, "minutes", "must be in (0, 1440]")
        _check(_whole(self.nice, 0, 19), "nice", "must be a whole number from 0 to 19")
        for name in ("sam_encoder", "sam_decoder"):
            _check(isinstance(getattr(self, name), str), name, "must be a file's path, or empty")
        both = bool(self.sam_encoder) == bool(self.sam_decoder)
        _check(both, "sam_decoder" if self.sam_encoder else "sam_encoder", "is missing: name both")
        for name in ("instant", "refine"):
            _check(isinstance(getattr(self, name), bool), name, "must be true or false")
        _check(_real(self.audit, 0, 0.5), "audit", "must be in [0, 0.5]")
        _check(_real(self.worse, 0, 1), "worse", "must be in [0, 1]")
        _check(_real(self.level, 0.5, 0.999), "level", "must be in [0.5, 0.999]")
        _check(
            _whole(self.validation, 0, 1000),
            "validation",
            "must be a whole number from 0 to 1000",
        )
        for name in ("steps", "retrain_images", "retrain_regions"):
            _check(_whole(getattr(self, name), 0, 10**6), name, "must be a whole number, 0 = off")
        _check(_real(self.retrain_idle, 0, 1440), "retrain_idle", "must be in [0, 1440] minutes")
        _check(self.retrain_start in STARTS, "retrain_start", f"must be {' or '.join(STARTS)}")
        _check(_whole(self.scratch_every, 1, 1000), "scratch_every", "must be from 1 to 1000")
        _check(_whole(self.spare_cores, 0, 1024), "spare_cores", "must be from 0 to 1024")
        good = _real(self.gpu_share, 0, 1) and self.gpu_share > 0
        _check(good, "gpu_share", "must be in (0, 1]")

    @property
    def thread_count(self) -> int:
        """CPU threads to use, at least 1."""
        return self.threads or os.cpu_count() or 1

    @property
    def training_threads(self) -> int:
        """CPU threads of a training, at least 1: without the cores that the page keeps."""
        return self.threads or max(1, self.thread_count - self.spare_cores)


def load(project: Path) -> Settings:
    """The project's settings; the defaults where it has no file.

    Raises:
        DataError: the file is not JSON, or a value does not fit.
    """
    file = project / FILE
    if not file.is_file():
        return Settings()
    try:
        values: Any = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(file, f"is not JSON ({error})", "correct or delete it") from error
    if not isinstance(values, dict):
        raise DataError(file, "is not a JSON object", "correct or delete it")
    known = {field.name for field in fields(Settings)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise DataError(
            file,
            f"has the unknown setting {unknown[0]!r}",
            f"use only {', '.join(sorted(known))}",
            field=unknown[0],
        )
    return Settings(**values)


def change(project: Path, **values: Any) -> Settings:
    """Replace some of the project's settings, for every later job and page.

    Raises:
        DataError: a value does not fit, or the file that is there does not; it stays as it is.
        StoreError: the file cannot be written; it stays as it is.
    """
    changed = replace(load(project), **values)
    usual = Settings()
    own = {name: value for name, value in vars(changed).items() if value != getattr(usual, name)}
    write_atomic(project / FILE, json.dumps(own, indent=1).encode())
    return changed


def _check(good: bool, field: str, why: str) -> None:
    if not good:
        raise DataError("settings", why, "choose another value", field=field)


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _real(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
