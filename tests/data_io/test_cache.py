"""A cache folder stays within its limit and forgets what was used longest ago."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from data_io.cache import SizedCache, checked_name
from data_io.errors import DataError


def used_before(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def test_what_is_found_counts_as_used(tmp_path: Path) -> None:
    cache = SizedCache(tmp_path / "cache", limit=350)
    assert cache.find("a") is None
    paths = {name: cache.put(name, bytes(100)) for name in "abc"}
    for hours, name in enumerate("cba", start=1):
        used_before(paths[name], hours * 3600)
    assert cache.find("a") == paths["a"]  # the oldest by writing, the newest by use
    cache.put("d", bytes(100))
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["a", "c", "d"]


def test_another_process_counts_what_is_there(tmp_path: Path) -> None:
    for name in "abcdef":
        SizedCache(tmp_path, limit=350).put(name, bytes(100))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 350
    assert (tmp_path / "f").exists()


def test_replacing_a_file_keeps_one(tmp_path: Path) -> None:
    cache = SizedCache(tmp_path, limit=1000)
    cache.put("a", b"old")
    assert cache.put("a", b"new").read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", ".hidden", "x" * 200])
def test_a_name_is_a_file_name(name: str) -> None:
    with pytest.raises(DataError, match="cannot be a file name"):
        checked_name(name, "image")
