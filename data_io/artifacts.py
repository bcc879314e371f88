"""Artifacts: files that can be computed again, below ``<project>/artifacts``.

Uncertainty maps belong to a proposal and live as long as it does. Thumbnails are a cache with a
size limit, oldest use first out; they are named by the picture's bytes, so a replaced picture
never shows an old thumbnail.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import threading
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from data_io import images
from data_io.atomic import PARTIAL, write_atomic
from data_io.errors import DataError
from data_io.types import ImageRecord

THUMBNAIL_LIMIT = 512 * 1024 * 1024  # bytes
THUMBNAIL_KEEP = 0.9  # an eviction goes down to this share, so that it does not run at every write
GRACE_SECONDS = 600.0
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def _checked(name: str, what: str) -> str:
    """Ids become file names here, so they must not be able to leave the folder."""
    if not _NAME.fullmatch(name):
        remedy = "use letters, digits, dots, dashes and underscores"
        raise DataError(f"{what} {name!r}", "cannot be a file name", remedy)
    return name


class Artifacts:
    """The artifact files of one project; thread-safe, and safe beside other processes."""

    def __init__(self, project: str | Path, thumbnail_limit: int = THUMBNAIL_LIMIT) -> None:
        self.project = Path(os.path.abspath(project))
        self._maps = self.project / "artifacts" / "uncertainty"
        self._thumbnails = self.project / "artifacts" / "thumbnails"
        self._limit = thumbnail_limit
        self._used: int | None = None  # bytes of thumbnails, unknown until the first write
        self._lock = threading.Lock()

    # --- uncertainty maps -------------------------------------------------------------------------

    def write_uncertainty(self, image: str, version: str, map: NDArray[np.uint8]) -> str:
        """Store a map as an 8-bit grey PNG.

        Args:
            image: id of the image.
            version: id of the model version.
            map: (h, w) uint8 at stride 4 of the image; 255 means entropy / ln C = 1.

        Returns:
            The path relative to the project, with ``/``, as `Proposal.uncertainty` wants it.

        Raises:
            DataError: not an (h, w) uint8 array, or an id that cannot be a file name.
            StoreError: the disk is full or cannot be written.
        """
        if map.ndim != 2 or map.dtype != np.uint8 or map.size == 0:
            why = f"the uncertainty map is {map.dtype} {map.shape}, not 8-bit (h, w)"
            raise DataError(f"image {image}", why, "propose for this image again")
        folder = self._maps / _checked(version, "version")
        path = folder / f"{_checked(image, 'image')}.png"
        buffer = io.BytesIO()
        Image.fromarray(map).save(buffer, "PNG", compress_level=3)
        write_atomic(path, buffer.getvalue())
        return path.relative_to(self.project).as_posix()

    def read_uncertainty(self, relative: str) -> NDArray[np.uint8]:
        """The (h, w) uint8 map that `write_uncertainty` stored at this relative path.

        Raises:
            DataError: the file is missing or damaged, or the path leads elsewhere.
        """
        path = Path(os.path.normpath(self.project / relative))
        if not path.is_relative_to(self._maps):
            raise DataError(relative, "is no uncertainty map", "propose for this image again")
        try:
            with Image.open(path) as picture:
                return np.array(picture.convert("L"), dtype=np.uint8)
        except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
            why = "is missing" if not path.exists() else "is damaged"
            raise DataError(relative, f"the uncertainty map {why}", "propose again") from error

    def drop_stale(self, keep: set[str], grace: float = GRACE_SECONDS) -> int:
        """Delete the uncertainty maps that no proposal refers to any more.

        Args:
            keep: relative paths to keep: `Proposal.uncertainty` of the current proposals.
            grace: seconds a map stays anyway, since another process writes a map shortly before
                it stores the proposal that refers to it.

        Returns:
            How many maps were deleted.
        """
        newest = time.time() - grace
        dropped = 0
        for path in self._maps.glob("*/*"):
            if path.relative_to(self.project).as_posix() in keep:
                continue
            with contextlib.suppress(OSError):  # another process may be cleaning too
                if path.stat().st_mtime <= newest:
                    path.unlink()
                    dropped += path.suffix == ".png"
        for folder in self._maps.glob("*"):
            with contextlib.suppress(OSError):  # only an empty folder can be removed
                folder.rmdir()
        return dropped

    # --- thumbnails -------------------------------------------------------------------------------

    def thumbnail(self, record: ImageRecord) -> Path:
        """The cached JPEG thumbnail of an image, made when it is missing.

        Raises:
            DataError: the picture cannot be read.
            StoreError: the disk is full or cannot be written.
        """
        path = self._thumbnails / f"{_checked(record.sha256, 'sha256')}.jpg"
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)  # the time of the last use decides what is evicted
            return path
        content = images.thumbnail_jpeg(record.path)
        write_atomic(path, content)
        self._account(path, len(content))
        return path

    def _account(self, path: Path, size: int) -> None:
        """Add a file to the running total and evict when it passes the limit."""
        with self._lock:
            if self._used is None:
                self._used = sum(used for _, used, _ in self._listing())
            else:
                self._used += size
            if self._used > self._limit:
                self._used = self._evict(keep=path)

    def _listing(self) -> list[tuple[float, int, Path]]:
        """(time of last use, bytes, path) of every cached thumbnail, oldest first."""
        found = []
        for path in self._thumbnails.iterdir():
            with contextlib.suppress(FileNotFoundError):  # evicted by another process
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        return sorted(found)

    def _evict(self, keep: Path) -> int:
        listing = self._listing()
        used = sum(size for _, size, _ in listing)
        for moment, size, path in listing:
            if used <= self._limit * THUMBNAIL_KEEP:
                break
            # What another process is writing right now goes only when it is clearly abandoned.
            fresh = path.name.startswith(PARTIAL) and moment > time.time() - GRACE_SECONDS
            if path != keep and not fresh:
                path.unlink(missing_ok=True)
                used -= size
        return used
