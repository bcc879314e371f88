"""A folder of files that can be computed again, with a size limit: oldest use first out.

Thread-safe, and safe beside other processes: every file is there whole or not at all, and a file
that another process evicts between two steps is simply missing.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from pathlib import Path

from data_io.atomic import PARTIAL, write_atomic
from data_io.errors import DataError

KEEP = 0.9  # an eviction goes down to this share, so that it does not run at every write
GRACE_SECONDS = 600.0
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def checked_name(name: str, what: str) -> str:
    """Ids become file names in artifacts, so they must not be able to leave the folder.

    Raises:
        DataError: the name cannot be a file name.
    """
    if not _NAME.fullmatch(name):
        remedy = "use letters, digits, dots, dashes and underscores"
        raise DataError(f"{what} {name!r}", "cannot be a file name", remedy)
    return name


class SizedCache:
    """Files of one folder, at most `limit` bytes together."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._used: int | None = None  # bytes, unknown until the first write
        self._lock = threading.Lock()

    def find(self, name: str) -> Path | None:
        """The cached file, which counts as used now; None when it has to be made."""
        path = self._folder / name
        try:
            os.utime(path)  # the time of the last use decides what is evicted
        except FileNotFoundError:
            return None
        return path

    def put(self, name: str, content: bytes) -> Path:
        """Store a file and evict others when the limit is passed.

        Raises:
            StoreError: the disk is full or cannot be written.
        """
        path = self._folder / name
        write_atomic(path, content)
        self._account(path, len(content))
        return path

    def _account(self, path: Path, size: int) -> None:
        with self._lock:
            if self._used is None:
                self._used = sum(used for _, used, _ in self._listing())
            else:
                self._used += size
            if self._used > self._limit:
                self._used = self._evict(keep=path)

    def _listing(self) -> list[tuple[float, int, Path]]:
        """(time of last use, bytes, path) of every file, oldest first."""
        found = []
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # evicted by another process
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        return sorted(found)

    def _evict(self, keep: Path) -> int:
        listing = self._listing()
        used = sum(size for _, size, _ in listing)
        for moment, size, path in listing:
            if used <= self._limit * KEEP:
                break
            # What another process is writing right now goes only when it is clearly abandoned.
            fresh = path.name.startswith(PARTIAL) and moment > time.time() - GRACE_SECONDS
            if path != keep and not fresh:
                path.unlink(missing_ok=True)
                used -= size
        return used
