"""Which files answer clicks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

import pytest

from app import click_engines, settings
from app.click_engines import open_engine, source_of
from app.settings import Settings
from data_io.errors import DataError
from data_io.store import Store
from data_io.types import ModelVersion
from model.assist import ONNX
from model.assist.served import GENERAL


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "project") as opened:
        yield opened


def add(store: Store, name: str, state: Literal["promoted", "aside"] = "promoted") -> Path:
    now = datetime.now(timezone.utc)
    store.add_version(ModelVersion(name, None, "j", "", {}, ("c",), "s", {}, state, now))
    folder = store.project / "versions" / name
    folder.mkdir(parents=True)
    return folder / ONNX


def test_the_refiner_of_the_version_in_use_answers_else_the_general_one(store):
    assert source_of(store, Settings()) == (GENERAL,)
    own = add(store, "v1")
    assert source_of(store, Settings()) == (GENERAL,)
    own.write_bytes(b"x")
    assert source_of(store, Settings()) == (own,)
    newer = add(store, "v2")
    newer.write_bytes(b"x")
    assert source_of(store, Settings()) == (newer,)
    store.promote("v1")
    assert source_of(store, Settings()) == (own,)


def test_a_refiner_is_used_although_its_version_was_kept_aside(store):
    first, second = add(store, "v1", "aside"), add(store, "v2", "aside")
    assert source_of(store, Settings()) == (GENERAL,)
    first.write_bytes(b"x")
    assert source_of(store, Settings()) == (first,)
    second.write_bytes(b"x")
    assert source_of(store, Settings()) == (second,)
    add(store, "v3")  # in use, and has none
    assert source_of(store, Settings()) == (second,)


def test_a_pair_of_the_settings_answers_instead(store):
    chosen = Settings(sam_encoder="a.onnx", sam_decoder="b.onnx")
    assert source_of(store, chosen) == (Path("a.onnx"), Path("b.onnx"))
    for half in ({"sam_encoder": "a.onnx"}, {"sam_decoder": "b.onnx"}):
        with pytest.raises(DataError, match="is missing: name both"):
            Settings(**half)


def test_files_that_are_missing_or_damaged_are_one_sentence(store, tmp_path):
    missing = (tmp_path / "none.onnx", tmp_path / "none.onnx")
    with pytest.raises(DataError, match="there is no such file"):
        open_engine(store, missing, 1)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"rubbish")
    with pytest.raises(DataError, match=r"broken\.onnx"):
        open_engine(store, (broken, broken), 1)
    with pytest.raises(DataError, match=r"broken\.onnx"):
        open_engine(store, (broken,), 1)


def test_the_general_one_is_exported_once_into_the_project(store, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(click_engines, "answer_file", lambda *args: asked.append(args) or args[1])
    assert click_engines.served_file(store, GENERAL) == store.project / "artifacts"
    assert click_engines.served_file(store, tmp_path / ONNX) == tmp_path / ONNX
    assert asked == [(GENERAL, store.project / "artifacts")]


def test_paths_of_a_pair_are_text(store):
    with pytest.raises(DataError, match="sam_encoder"):
        settings.change(store.project, sam_encoder=3)
    changed = settings.change(store.project, sam_encoder="a", sam_decoder="b")
    assert settings.load(store.project) == changed
