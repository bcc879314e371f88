"""What a project does not keep for ever: files of old versions, snapshots, checkpoints, logs.

Only files go. Every row stays, so that the history can be read, and so does everything of a job
that runs or can be gone on with.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from app import jobs
from data_io.errors import StoreError
from data_io.store import Store
from data_io.store.database import DATABASE_NAME
from data_io.types import Job, ModelVersion

KEPT_VERSIONS = 10  # the newest keep their files, beside the promoted one and its parent
RESUMABLE = timedelta(days=14)  # then a failed or cancelled job loses its checkpoint
LOGGED = timedelta(days=90)  # then a job that ended loses its folder
YOUNG = timedelta(days=1)  # a snapshot is there before the job that reads it
KEPT_COPIES = 3  # newest copies of the database, made before migrations
LOG = "log.jsonl"
_ASIDE = ".removed-"
_PLACES = ("", "versions/", "snapshots/", "jobs/", "jobs/*/")
_SNAPSHOT = re.compile(r"[0-9a-f]{64}")


def tidy(store: Store, now: datetime | None = None) -> list[Path]:
    """Remove what is not kept. Never raises: what cannot be removed stays for the next time.

    Args:
        store: the project.
        now: aware moment that ages are measured from; None = the present.

    Returns:
        The files and folders that were removed.
    """
    moment = now or datetime.now(timezone.utc)
    try:
        with jobs.starting(store):  # only for the renaming, since deleting may take its time
            removed = [path for path in _doomed(store, moment) if _set_aside(path)]
        for place in _PLACES:
            for path in store.project.glob(f"{place}{_ASIDE}*"):
                _delete(path)
    except (OSError, StoreError) as error:
        logging.warning("old files were not removed: %s", error)
        return []
    return removed


def _doomed(store: Store, now: datetime) -> list[Path]:
    rows, versions = store.jobs(), store.versions()
    over = [job for job in rows if _is_over(job, now)]
    needed = [job for job in rows if not _is_over(job, now)]
    kept = _kept_versions(versions, needed)
    return [
        *_versions(store, {version.id for version in versions} | _named(over, "version"), kept),
        *_snapshots(
            store,
            {one.snapshot for one in versions if one.id in kept} | _named(needed, "snapshot"),
            now,
        ),
        *_job_files(store, over, {one.job for one in versions if one.id in kept}, now),
        *_copies(store),
    ]


def _is_over(job: Job, now: datetime) -> bool:
    """It ended and nobody will go on with it; an interrupted job waits for somebody who does."""
    if job.state == "done":
        return True
    return job.state in ("failed", "cancelled") and now - job.updated > RESUMABLE


def _named(rows: Iterable[Job], key: str) -> set[str]:
    """Names of the folders that the configurations of jobs give under a key."""
    return {Path(str(job.config[key])).name for job in rows if job.config.get(key)}


def _kept_versions(versions: Sequence[ModelVersion], needed: Iterable[Job]) -> set[str]:
    """Ids of the versions (newest first) whose files stay."""
    kept = {version.id for version in versions[:KEPT_VERSIONS]} | _named(needed, "version")
    for version in versions:
        if version.state == "promoted":
            kept |= {version.id, version.parent or version.id}
    return kept


def _versions(store: Store, known: set[str], kept: set[str]) -> Iterator[Path]:
    """Folders of the known versions that are not kept; strange folders are not ours to remove."""
    for folder in sorted(store.project.glob("versions/*")):
        if folder.name in known - kept:
            yield folder


def _snapshots(store: Store, read: set[str], now: datetime) -> Iterator[Path]:
    """Snapshots that no kept version was made from and no job reads or is about to read."""
    latest = (now - YOUNG).timestamp()
    for folder in sorted(store.project.glob("snapshots/*")):
        ours = _SNAPSHOT.fullmatch(folder.name) and folder.name not in read
        if ours and folder.stat().st_mtime < latest:
            yield folder


def _job_files(
    store: Store, over: Iterable[Job], logged: set[str], now: datetime
) -> Iterator[Path]:
    """Checkpoints of jobs that are over, then their folders; the logs of `logged` ones stay."""
    for job in over:
        folder = jobs.job_folder(store, job)
        if now - job.updated <= LOGGED:
            yield from sorted(folder.glob("checkpoint*"))
        elif job.id in logged:
            yield from sorted(path for path in folder.glob("*") if path.name != LOG)
        else:
            yield folder


def _copies(store: Store) -> list[Path]:
    """The older copies of the database."""
    copies = store.project.glob(f"{DATABASE_NAME}.bak-*")
    return sorted(copies, key=lambda path: (path.stat().st_mtime, path.name))[:-KEPT_COPIES]


def _set_aside(path: Path) -> bool:
    """Give it a name nobody looks for; a half deleted version would pass for a whole one."""
    try:
        os.rename(path, path.with_name(f"{_ASIDE}{uuid.uuid4().hex}"))
    except FileNotFoundError:
        return False
    except OSError as error:
        logging.warning("%s could not be removed: %s", path, error)
        return False
    return True


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
