"""Tile pyramids: large pictures in pieces, so that a browser loads only what it shows.

Level 0 is the picture itself, level k is ceil(size / 2^k); the last level fits into one tile. A
pyramid is made from ONE decode, coarse levels first, and kept as one file in a cache: a header
(JSON after its length) and the JPEG tiles one after the other. While it is made, and shortly
after, its tiles are served from memory.
"""

from __future__ import annotations

import contextlib
import json
import struct
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data_io import images
from data_io.cache import SizedCache, checked_name
from data_io.errors import DataError, StoreError
from data_io.types import ImageRecord

TILE = 512  # pixels on a side
TILED_FROM = 4096  # pixels; images with a longer side are shown as tiles
_QUALITY = 90
_LENGTH = struct.Struct("<Q")  # of the header
_IN_MEMORY = 2  # newest pyramids; a few megabytes each
Key = tuple[int, int, int]  # level, column, row
Span = tuple[int, int]  # first byte, bytes


def is_tiled(record: ImageRecord) -> bool:
    """Whether the canvas shows this image in tiles."""
    return max(record.width, record.height) > TILED_FROM


def level_sizes(width: int, height: int) -> list[tuple[int, int]]:
    """(width, height) in pixels of every level, the full size first."""
    sizes = [(width, height)]
    while max(sizes[-1]) > TILE:
        wide, high = sizes[-1]
        sizes.append(((wide + 1) // 2, (high + 1) // 2))
    return sizes


def tiles_of(picture: NDArray[np.uint8]) -> Iterator[tuple[Key, bytes]]:
    """JPEG tiles of a picture (H, W, 3) uint8 RGB, coarse levels first, row by row."""
    sizes = level_sizes(picture.shape[1], picture.shape[0])
    levels = [picture]
    for size in sizes[1:]:
        smaller = cv2.resize(levels[-1], size, interpolation=cv2.INTER_AREA)
        levels.append(np.asarray(smaller, dtype=np.uint8))
    for level in reversed(range(len(levels))):
        wide, high = sizes[level]
        for row in range(-(-high // TILE)):
            for column in range(-(-wide // TILE)):
                y, x = row * TILE, column * TILE
                yield (level, column, row), _jpeg(levels[level][y : y + TILE, x : x + TILE])


def _jpeg(tile: NDArray[np.uint8]) -> bytes:
    bgr = np.ascontiguousarray(tile[:, :, ::-1])
    done, coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done, "OpenCV could not encode a JPEG in memory"
    return bytes(coded)


class _Build:
    """One pyramid in the making; readers wait for the tile they need."""

    def __init__(self) -> None:
        self._tiles: dict[Key, bytes] = {}
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self.done = False

    def run(self, record: ImageRecord, clip: int) -> None:
        """Decode and cut; an error goes to everybody who waits."""
        try:
            picture = images.read(record.path)
            for key, tile in tiles_of(images.equalized(picture, clip) if clip else picture):
                with self._changed:
                    self._tiles[key] = tile
                    self._changed.notify_all()
        except Exception as error:  # whoever waits must not wait for ever
            self._error = error
        with self._changed:
            self.done = True
            self._changed.notify_all()

    @property
    def failed(self) -> bool:
        """True when it ended with an error."""
        return self._error is not None

    def wait(self, key: Key) -> bytes:
        """The tile, as soon as it is there; raises what the build raised."""
        with self._changed:
            self._changed.wait_for(lambda: self.done or key in self._tiles)
        if key in self._tiles:
            return self._tiles[key]
        raise self._error or KeyError(key)

    def packed(self) -> bytes:
        """The file: length of the header, header, tiles."""
        spans: dict[str, Span] = {}
        start = 0
        for (level, column, row), tile in self._tiles.items():
            spans[f"{level}/{column}/{row}"] = (start, len(tile))
            start += len(tile)
        header = json.dumps(spans).encode()
        return b"".join((_LENGTH.pack(len(header)), header, *self._tiles.values()))


class Pyramids:
    """Tiles of a project's large images, made when they are first asked for; thread-safe."""

    def __init__(self, cache: SizedCache) -> None:
        self._cache = cache
        self._builds: OrderedDict[str, _Build] = OrderedDict()
        self._lock = threading.Lock()
        self._one = threading.Lock()  # a decode of 100 megapixels takes 300 MB: one at a time

    def tile(self, record: ImageRecord, level: int, column: int, row: int, clip: int = 0) -> bytes:
        """One JPEG tile.

        Args:
            record: the image.
            level: 0 = full size, each further one halves it.
            column: from the left, in tiles of `TILE` pixels of this level.
            row: from the top.
            clip: contrast limit of `images.equalized`, 0 leaves the picture as it is.

        Raises:
            DataError: no such tile, or the picture cannot be read.
        """
        key = level, column, row
        self._check(record, key)
        name = f"{checked_name(record.sha256, 'sha256')}-{int(clip)}.tiles"
        with self._lock:
            build = self._running(name)
        if build is None:
            stored = self._stored(name, key)
            if stored is not None:
                return stored
            build = self._begin(name, record, clip)
        return build.wait(key)

    def _running(self, name: str) -> _Build | None:
        """The build to wait for, under the lock; a failed one is tried again."""
        build = self._builds.get(name)
        if build is None or build.failed:
            return None
        self._builds.move_to_end(name)
        return build

    @staticmethod
    def _check(record: ImageRecord, key: Key) -> None:
        level, column, row = key
        sizes = level_sizes(record.width, record.height)
        if 0 <= level < len(sizes):
            wide, high = sizes[level]
            if 0 <= column * TILE < wide and 0 <= row * TILE < high:
                return
        place = f"level {level}, column {column}, row {row}"
        raise DataError(f"image {record.id}", f"has no tile at {place}", "reload the page")

    def _begin(self, name: str, record: ImageRecord, clip: int) -> _Build:
        with self._lock:
            running = self._running(name)
            if running is not None:
                return running
            build = self._builds[name] = _Build()
        threading.Thread(target=self._make, args=(name, build, record, clip), daemon=True).start()
        return build

    def _make(self, name: str, build: _Build, record: ImageRecord, clip: int) -> None:
        with self._one:
            build.run(record, clip)
        if not build.failed:
            with contextlib.suppress(StoreError):  # a full disk must not hide the picture
                self._cache.put(name, build.packed())
        with self._lock:
            finished = [name for name, one in self._builds.items() if one.done]
            for old in finished[:-_IN_MEMORY]:
                del self._builds[old]

    def _stored(self, name: str, key: Key) -> bytes | None:
        path = self._cache.find(name)
        return None if path is None else _read(path, key)


def _read(path: Path, key: Key) -> bytes | None:
    """A tile of a stored pyramid; None when the file has just been evicted or is damaged."""
    try:
        with path.open("rb") as file:
            (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
            if length > path.stat().st_size:
                return None
            spans = json.loads(file.read(length))
            start, size = spans["/".join(map(str, key))]
            file.seek(_LENGTH.size + length + start)
            tile = file.read(size)
            return tile if len(tile) == size else None
    except (OSError, struct.error, ValueError, KeyError):
        return None
