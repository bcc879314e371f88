"""What answers clicks, as the Train page stores it."""

from __future__ import annotations

import pytest

from app import settings
from app.context import Context
from app.pages import click_tool
from data_io.errors import DataError


@pytest.fixture
def pair(context: Context, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two files that can be opened."""
    monkeypatch.setattr(click_tool, "SamPair", lambda *files: files)
    files = [context.store.project / name for name in ("encoder.onnx", "decoder.onnx")]
    for file in files:
        file.write_bytes(b"x")
    return [str(file) for file in files]


def test_a_pair_is_stored_and_taken_back(context: Context, pair: list[str]):
    click_tool.change(context, False, f" {pair[0]} ", pair[1])
    chosen = settings.load(context.store.project)
    assert [chosen.sam_encoder, chosen.sam_decoder, chosen.refine] == [*pair, False]
    click_tool.change(context, True, "", None)
    assert settings.load(context.store.project) == settings.Settings()


def test_one_file_alone_is_refused(context: Context, pair: list[str]):
    with pytest.raises(DataError, match="name both"):
        click_tool.change(context, True, pair[0], "")


def test_files_that_cannot_be_opened_are_refused_and_nothing_is_stored(context: Context):
    broken = context.store.project / "broken.onnx"
    broken.write_bytes(b"rubbish")
    with pytest.raises(DataError, match="cannot be read by ONNX Runtime"):
        click_tool.change(context, True, str(broken), str(broken))
    with pytest.raises(DataError):
        click_tool.change(context, True, "/etc/passwd", str(broken))
    assert settings.load(context.store.project) == settings.Settings()
