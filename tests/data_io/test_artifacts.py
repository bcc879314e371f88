"""Artifacts: atomic maps, thumbnails within a limit, nothing outside the folder."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_io import atomic
from data_io.artifacts import Artifacts
from data_io.atomic import write_atomic
from data_io.errors import DataError, StoreError
from data_io.types import ImageRecord


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path)


def picture(folder: Path, name: str, seed: int = 0) -> ImageRecord:
    path = folder / f"{name}.png"
    pixels = np.random.default_rng(seed).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return ImageRecord(name, str(path), 128, 96, f"hash-{name}", "north")


def age(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def test_a_map_comes_back_exactly(artifacts: Artifacts, tmp_path: Path) -> None:
    values = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16)
    relative = artifacts.write_uncertainty("image-1", "v1", values)
    assert (tmp_path / relative).is_file()
    assert not Path(relative).is_absolute()
    read = artifacts.read_uncertainty(relative)
    assert read.dtype == np.uint8
    assert np.array_equal(read, values)
    artifacts.write_uncertainty("image-1", "v1", 255 - values)
    assert np.array_equal(artifacts.read_uncertainty(relative), 255 - values)
    assert [path.name for path in (tmp_path / relative).parent.iterdir()] == ["image-1.png"]


@pytest.mark.parametrize("name", ["../escape", "a/b", "", ".", "..", "/etc/passwd", "a\\b"])
def test_names_cannot_leave_the_folder(artifacts: Artifacts, tmp_path: Path, name: str) -> None:
    blank = np.zeros((2, 2), np.uint8)
    with pytest.raises(DataError):
        artifacts.write_uncertainty(name, "v1", blank)
    with pytest.raises(DataError):
        artifacts.write_uncertainty("image-1", name, blank)
    assert not list(tmp_path.rglob("*.png"))


@pytest.mark.parametrize(
    "path", ["herdmark.db", "../x.png", "/etc/passwd", "artifacts/uncertainty/../../secret.png"]
)
def test_only_maps_can_be_read(artifacts: Artifacts, tmp_path: Path, path: str) -> None:
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "secret.png")
    with pytest.raises(DataError, match="no uncertainty map"):
        artifacts.read_uncertainty(path)


@pytest.mark.parametrize("keep", [0, 20])
def test_missing_and_damaged_maps_are_told(artifacts: Artifacts, tmp_path: Path, keep: int) -> None:
    relative = artifacts.write_uncertainty("image-1", "v1", np.zeros((2, 2), np.uint8))
    path = tmp_path / relative
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="damaged"):
        artifacts.read_uncertainty(relative)
    path.unlink()
    with pytest.raises(DataError, match="missing"):
        artifacts.read_uncertainty(relative)


@pytest.mark.parametrize(
    "values", [np.zeros((2, 2)), np.zeros((2, 2, 3), np.uint8), np.zeros((0, 2), np.uint8)]
)
def test_only_eight_bit_maps_are_stored(artifacts: Artifacts, values: np.ndarray) -> None:
    with pytest.raises(DataError, match="8-bit"):
        artifacts.write_uncertainty("image-1", "v1", values)


def test_stale_maps_are_dropped_and_the_rest_stays(artifacts: Artifacts, tmp_path: Path) -> None:
    blank = np.zeros((2, 2), np.uint8)
    kept, stale, fresh = (
        artifacts.write_uncertainty("image-1", version, blank) for version in ("v2", "v1", "v3")
    )
    for relative in (kept, stale):
        age(tmp_path / relative, 3600)
    assert artifacts.drop_stale({kept}) == 1
    assert (tmp_path / kept).is_file()
    assert (tmp_path / fresh).is_file()  # its proposal may be on the way to the database
    assert not (tmp_path / stale).parent.exists()
    assert artifacts.drop_stale({kept}, grace=0) == 1
    assert artifacts.drop_stale({kept}, grace=0) == 0


def test_a_project_without_maps_has_nothing_to_drop(artifacts: Artifacts) -> None:
    assert artifacts.drop_stale(set()) == 0


def test_a_thumbnail_is_made_once_and_named_by_the_bytes(
    artifacts: Artifacts, tmp_path: Path
) -> None:
    record = picture(tmp_path, "a")
    path = artifacts.thumbnail(record)
    with Image.open(path) as made:
        assert made.format == "JPEG"
        assert max(made.size) <= 256
    written = path.read_bytes()
    Path(record.path).unlink()
    assert artifacts.thumbnail(record) == path
    assert path.read_bytes() == written


def test_an_unreadable_picture_leaves_no_thumbnail(artifacts: Artifacts, tmp_path: Path) -> None:
    record = picture(tmp_path, "a")
    Path(record.path).write_text("no picture")
    with pytest.raises(DataError):
        artifacts.thumbnail(record)
    assert not list(tmp_path.rglob("*.jpg"))


def test_the_thumbnails_used_longest_ago_go_first(tmp_path: Path) -> None:
    records = [picture(tmp_path, f"p{n}", n) for n in range(5)]
    roomy = Artifacts(tmp_path)
    paths = [roomy.thumbnail(record) for record in records[:4]]
    size = sum(path.stat().st_size for path in paths)
    for hours, path in zip((3, 4, 2, 1), paths, strict=True):
        age(path, hours * 3600)
    tight = Artifacts(tmp_path, thumbnail_limit=size)
    tight.thumbnail(records[1])  # used again: now the newest
    newest = tight.thumbnail(records[4])
    left = {path for path in paths if path.exists()}
    assert newest.exists()
    assert paths[1] in left
    assert paths[0] not in left
    total = sum(path.stat().st_size for path in newest.parent.iterdir())
    assert total <= size


def test_the_limit_holds_over_many_writes(tmp_path: Path) -> None:
    records = [picture(tmp_path, f"p{n}", n) for n in range(12)]
    one = Artifacts(tmp_path).thumbnail(records[0]).stat().st_size
    tight = Artifacts(tmp_path, thumbnail_limit=4 * one)
    for record in records:
        path = tight.thumbnail(record)
        assert path.exists()
        assert sum(file.stat().st_size for file in path.parent.iterdir()) <= 4 * one


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder" / "file"
    write_atomic(path, b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(StoreError, match="disk is full"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in path.parent.iterdir()] == ["file"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match="could not be written"):
        write_atomic(tmp_path / "file" / "below", b"new")
