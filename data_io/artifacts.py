"""Artifacts: files that can be computed again, below ``<project>/artifacts``.

Uncertainty maps belong to a proposal and live as long as it does. Thumbnails, tiles, pictures
with equalized contrast and the instant model's features are caches with a size limit, oldest use
first out; they are named by the picture's bytes, so a replaced picture never shows an old one.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from data_io import images
from data_io.atomic import write_atomic
from data_io.cache import GRACE_SECONDS, SizedCache, checked_name
from data_io.errors import DataError
from data_io.pyramid import Pyramids
from data_io.types import ImageRecord

THUMBNAIL_LIMIT = 512 * 1024 * 1024  # bytes
TILE_LIMIT = 2 * 1024 * 1024 * 1024  # some hundred pictures of 50 megapixels
EQUALIZED_LIMIT = 256 * 1024 * 1024
FEATURE_LIMIT = 1024 * 1024 * 1024  # some 500 images


class Artifacts:
    """The artifact files of one project; thread-safe, and safe beside other processes."""

    def __init__(self, project: str | Path, thumbnail_limit: int = THUMBNAIL_LIMIT) -> None:
        self.project = Path(os.path.abspath(project))
        base = self.project / "artifacts"
        self._maps = base / "uncertainty"
        self._thumbnails = SizedCache(base / "thumbnails", thumbnail_limit)
        self._equalized = SizedCache(base / "equalized", EQUALIZED_LIMIT)
        self.features = SizedCache(base / "features", FEATURE_LIMIT)
        self.pyramids = Pyramids(SizedCache(base / "tiles", TILE_LIMIT))

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
        folder = self._maps / checked_name(version, "version")
        path = folder / f"{checked_name(image, 'image')}.png"
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

    # --- pictures ---------------------------------------------------------------------------------

    def thumbnail(self, record: ImageRecord) -> Path:
        """The cached JPEG thumbnail of an image, made when it is missing.

        Raises:
            DataError: the picture cannot be read.
            StoreError: the disk is full or cannot be written.
        """
        name = f"{checked_name(record.sha256, 'sha256')}.jpg"
        found = self._thumbnails.find(name)
        return found or self._thumbnails.put(name, images.thumbnail_jpeg(record.path))

    def equalized(self, record: ImageRecord, clip: int) -> Path:
        """The cached full-size JPEG of an image with `images.equalized` contrast.

        Raises:
            DataError: the picture cannot be read.
            StoreError: the disk is full or cannot be written.
        """
        name = f"{checked_name(record.sha256, 'sha256')}-{int(clip)}.jpg"
        found = self._equalized.find(name)
        return found or self._equalized.put(name, images.equalized_jpeg(record.path, clip))
