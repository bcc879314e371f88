"""Typed settings of a project: defaults, overridden by ``settings.json``, overridden by options."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from data_io.errors import DataError
from model.config import METHODS, PRESETS

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
        nice: niceness of background jobs, 0..19, so that the page stays quick.
        audit: share of review regions that are random checks, in [0, 0.5].
        worse: IoU by which a new version may be worse on validation images and still be promoted.
    """

    device: str = "auto"
    threads: int | None = None
    method: str = "u2pl"
    preset: str = "cpu"
    minutes: float = 5.0
    nice: int = 10
    audit: float = 0.15
    worse: float = 0.02

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
        _check(_real(self.audit, 0, 0.5), "audit", "must be in [0, 0.5]")
        _check(_real(self.worse, 0, 1), "worse", "must be in [0, 1]")

    @property
    def thread_count(self) -> int:
        """CPU threads to use, at least 1."""
        return self.threads or os.cpu_count() or 1


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


def _check(good: bool, field: str, why: str) -> None:
    if not good:
        raise DataError("settings", why, "choose another value", field=field)


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _real(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
