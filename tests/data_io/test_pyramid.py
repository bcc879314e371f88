"""Tile pyramids: every level shows the whole picture, one decode, one file, a bad file told."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_io import images, pyramid
from data_io.cache import SizedCache
from data_io.errors import DataError, StoreError
from data_io.pyramid import TILE, Pyramids, level_sizes, tiles_of
from data_io.types import ImageRecord

WIDTH, HEIGHT = 1301, 777  # odd, and no multiple of a tile


@pytest.fixture
def record(tmp_path: Path) -> ImageRecord:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    pixels = np.stack([x * 255 / WIDTH, y * 255 / HEIGHT, (x + y) % 256], -1).astype(np.uint8)
    path = tmp_path / "large.png"
    Image.fromarray(pixels).save(path)
    return ImageRecord("large", str(path), WIDTH, HEIGHT, "a" * 64, "north")


class Told(SizedCache):
    """A cache that says when a pyramid has been written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 1 << 30)
        self.written = threading.Event()

    def put(self, name: str, content: bytes) -> Path:
        path = super().put(name, content)
        self.written.set()
        return path


@pytest.fixture
def cache(tmp_path: Path) -> Told:
    return Told(tmp_path / "tiles")


@pytest.fixture
def pyramids(cache: Told) -> Pyramids:
    return Pyramids(cache)


def decoded(tile: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(tile)).convert("RGB"))


def test_levels_halve_until_one_tile_is_enough() -> None:
    assert level_sizes(8000, 6000)[-1] == (500, 375)
    assert level_sizes(WIDTH, HEIGHT) == [(1301, 777), (651, 389), (326, 195)]
    assert level_sizes(TILE, 1) == [(TILE, 1)]
    assert level_sizes(TILE + 1, 3)[1:] == [(257, 2)]


def test_the_tiles_of_a_level_are_the_picture(record: ImageRecord, pyramids: Pyramids) -> None:
    picture = Image.fromarray(images.read(record.path))
    for level, (wide, high) in enumerate(level_sizes(WIDTH, HEIGHT)):
        whole = np.zeros((high, wide, 3), np.uint8)
        for row in range(-(-high // TILE)):
            for column in range(-(-wide // TILE)):
                tile = decoded(pyramids.tile(record, level, column, row))
                y, x = row * TILE, column * TILE
                assert tile.shape[:2] == (min(TILE, high - y), min(TILE, wide - x))
                whole[y : y + TILE, x : x + TILE] = tile
        wanted = np.array(picture.resize((wide, high), Image.Resampling.BOX), float)
        assert np.abs(whole[..., :2] - wanted[..., :2]).mean() < 2


def test_one_decode_serves_everybody(
    record: ImageRecord, pyramids: Pyramids, cache: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    decodes: list[str] = []
    started, real = threading.Event(), images.read

    def slow(path: str) -> np.ndarray:
        decodes.append(path)
        started.wait(60)
        return real(path)

    monkeypatch.setattr(pyramid.images, "read", slow)
    asked = [(0, 0, 0), (0, 2, 1), (1, 1, 0), (2, 0, 0)] * 3
    with ThreadPoolExecutor(len(asked)) as pool:
        coming = [pool.submit(pyramids.tile, record, *key) for key in asked]
        started.set()
        tiles = [one.result(60) for one in coming]
    assert decodes == [record.path]
    assert tiles[0] != tiles[1]
    assert cache.written.wait(60)
    again = Pyramids(cache)  # as another process has it: nothing in memory
    assert again.tile(record, *asked[1]) == tiles[1]
    assert decodes == [record.path]


def test_a_damaged_or_evicted_file_is_made_again(
    record: ImageRecord, pyramids: Pyramids, cache: Told, tmp_path: Path
) -> None:
    first = pyramids.tile(record, 2, 0, 0)
    assert cache.written.wait(60)
    (file,) = (tmp_path / "tiles").iterdir()
    cut = file.read_bytes()[:600]  # the header is whole, the first tile is not
    for content in (b"", b"\xff" * 40, file.read_bytes()[:100], cut, None):
        cache.written.clear()
        file.unlink() if content is None else file.write_bytes(content)
        assert Pyramids(cache).tile(record, 2, 0, 0) == first
        assert cache.written.wait(60)


def test_no_tile_beyond_the_picture(record: ImageRecord, pyramids: Pyramids) -> None:
    for key in ((3, 0, 0), (-1, 0, 0), (0, 3, 0), (0, 0, 2), (0, -1, 0), (2, 0, 1)):
        with pytest.raises(DataError, match="no tile at level"):
            pyramids.tile(record, *key)


def test_an_unreadable_picture_is_told_to_everybody_and_tried_again(
    record: ImageRecord, pyramids: Pyramids
) -> None:
    content = Path(record.path).read_bytes()
    Path(record.path).write_bytes(content[: len(content) // 2])
    for _ in range(2):
        with pytest.raises(DataError, match="truncated or damaged"):
            pyramids.tile(record, 0, 0, 0)
    Path(record.path).write_bytes(content)
    assert pyramids.tile(record, 0, 0, 0)


def test_a_full_disk_hides_no_picture(
    record: ImageRecord, pyramids: Pyramids, cache: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = threading.Event()

    def full(*_: object) -> Path:
        refused.set()
        raise StoreError("the disk is full")

    monkeypatch.setattr(cache, "put", full)
    assert pyramids.tile(record, 0, 0, 0)
    assert refused.wait(60)
    assert pyramids.tile(record, 0, 1, 0)


def test_clahe_lifts_the_dark_and_keeps_the_place(record: ImageRecord, pyramids: Pyramids) -> None:
    plain = decoded(pyramids.tile(record, 2, 0, 0))
    lifted = decoded(pyramids.tile(record, 2, 0, 0, clip=3))
    assert lifted.shape == plain.shape
    assert np.abs(lifted.astype(int) - plain).mean() > 4


def test_coarse_levels_come_first() -> None:
    keys = [key for key, _ in tiles_of(np.zeros((HEIGHT, WIDTH, 3), np.uint8))]
    assert [level for level, _, _ in keys] == sorted((key[0] for key in keys), reverse=True)
    assert len(keys) == 1 + 2 + 6
