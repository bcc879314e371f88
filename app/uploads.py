"""Uploaded photos become files of the project: limited in number, size and pixels."""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from app.security import MAX_UPLOAD_BYTES
from app.workflow.imports import import_source
from data_io.errors import DataError, refused_rows
from data_io.images import EXTENSIONS, inspect
from data_io.store import Store

MAX_FILES = 1000  # in one upload
MAX_TOTAL_BYTES = 4 * 2**30  # of one upload
SPARE_BYTES = 2**28  # the database must stay writable


@dataclass(frozen=True)
class Uploaded:
    """What an upload did; `refused` rows have the keys file, index, field and why."""

    images: int
    refused: list[dict[str, str]] = field(default_factory=list)


def take_photos(store: Store, files: Sequence[Path]) -> Uploaded:
    """Move uploaded files into the project and import those that are images.

    Args:
        store: the project.
        files: temporary files of the upload; they are moved away or deleted.

    Raises:
        DataError: too many files, too many bytes or too little free disk; nothing was imported.
    """
    try:
        _check(store, files)
        folder = _folder(store.project)
        return _take(store, files, folder)
    finally:
        for file in files:
            file.unlink(missing_ok=True)


def safe_name(name: str) -> str:
    """A file name without path, control or shell-confusing characters, at most 100 long."""
    plain = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    plain = re.sub(r"[^\w.() +-]", "_", plain).lstrip(". ")
    stem, dot, suffix = plain.rpartition(".")
    return f"{(stem or 'image')[:90]}{dot}{suffix[:9]}" if dot else (plain[:100] or "image")


def _check(store: Store, files: Sequence[Path]) -> None:
    if not files:
        raise DataError("upload", "no file was chosen", "choose some photos first")
    if len(files) > MAX_FILES:
        why = f"{len(files)} files are too many at once"
        raise DataError("upload", why, f"upload at most {MAX_FILES}, or import a server folder")
    total = sum(file.stat().st_size for file in files)
    if total > MAX_TOTAL_BYTES:
        why = f"{total / 2**30:.1f} GB are too much at once"
        raise DataError("upload", why, "upload fewer photos at a time")
    if total + SPARE_BYTES > shutil.disk_usage(store.project).free:
        raise DataError("upload", "the disk of the project is nearly full", "free some space")


def _folder(project: Path) -> Path:
    """A new folder named after today, so that two uploads never mix."""
    day = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    for number in range(1, 10_000):
        folder = project / "images" / (f"uploads-{day}" + (f"-{number}" if number > 1 else ""))
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise DataError("upload", "there are too many uploads of today", "import a server folder")


def _take(store: Store, files: Sequence[Path], folder: Path) -> Uploaded:
    refused: list[DataError] = []
    for file in files:
        try:
            _keep(file, folder)
        except DataError as error:
            refused.append(DataError(file.name, error.why, error.remedy))
    if not any(folder.iterdir()):
        folder.rmdir()
        return Uploaded(0, refused_rows(refused))
    report = import_source(store, folder, format="images")
    return Uploaded(report.images, refused_rows([*refused, *report.refused]))


def _keep(file: Path, folder: Path) -> None:
    """Move one file into the folder under a safe, free name, if it is a readable image."""
    if file.suffix.lower() not in EXTENSIONS:
        raise DataError(file.name, "is no image", f"use {', '.join(sorted(EXTENSIONS))}")
    if file.stat().st_size > MAX_UPLOAD_BYTES:
        why = f"is larger than {MAX_UPLOAD_BYTES // 2**20} MB"
        raise DataError(file.name, why, "make it smaller or import it from a server folder")
    inspect(file)
    name = safe_name(file.name)
    target, number = folder / name, 1
    while target.exists():
        number += 1
        target = folder / f"{Path(name).stem}-{number}{Path(name).suffix}"
    shutil.move(str(file), target)
