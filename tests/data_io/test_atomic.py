"""Files and folders that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_io import atomic


def test_folder_is_whole_or_absent(tmp_path: Path) -> None:
    folder = tmp_path / "v"

    def fail() -> None:
        with atomic.whole_folder(folder) as draft:
            (draft / "half").write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fail()
    assert list(tmp_path.iterdir()) == []
    with atomic.whole_folder(folder) as draft:
        (draft / "file").write_text("first")
    with pytest.raises(OSError, match="No space"):
        fail()
    assert (folder / "file").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


def test_killed_replacement_is_recovered(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    (tmp_path / "c.old").mkdir()
    (tmp_path / "c.old" / "file").write_text("previous")
    (tmp_path / "c.new").mkdir()
    assert atomic.recover_folder(folder)
    assert (folder / "file").read_text() == "previous"
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_killed_first_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "c.new").mkdir()
    assert not atomic.recover_folder(tmp_path / "c")
    assert list(tmp_path.iterdir()) == []
