"""Where a network in eight bits is used, and where the original answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_io.atomic import file_sha256
from model import quantized
from model.quantized import QUANTIZED, TOLD, quantized_file, sums_are_exact


@pytest.fixture
def version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a whole network, on a processor whose sums are exact."""
    monkeypatch.setattr(quantized, "sums_are_exact", lambda: True)
    (tmp_path / QUANTIZED).write_bytes(b"network")
    told = {"kept": True, "onnx_sha256": file_sha256(tmp_path / QUANTIZED)}
    (tmp_path / TOLD).write_text(json.dumps(told))
    return tmp_path


def test_a_whole_one_is_used(version: Path) -> None:
    assert quantized_file(version) == version / QUANTIZED


def test_none_is_used_where_sums_overflow(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantized, "sums_are_exact", lambda: False)
    assert quantized_file(version) is None


def test_a_changed_one_is_not_used(version: Path) -> None:
    (version / QUANTIZED).write_bytes(b"other")
    assert quantized_file(version) is None


def test_one_that_was_judged_too_different_is_not_used(version: Path) -> None:
    told = json.loads((version / TOLD).read_text())
    (version / TOLD).write_text(json.dumps({**told, "kept": False}))
    assert quantized_file(version) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"kept": true}', "nonsense"])
def test_a_damaged_record_means_the_original(version: Path, content: str) -> None:
    (version / TOLD).write_text(content)
    assert quantized_file(version) is None


@pytest.mark.parametrize("name", [QUANTIZED, TOLD])
def test_a_missing_file_means_the_original(version: Path, name: str) -> None:
    (version / name).unlink()
    assert quantized_file(version) is None


def test_an_overflowing_sum_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a processor with pairs of products in 16 bits would answer."""

    class Session:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def run(self, *_: object) -> list[list[list[int]]]:
            return [quantized.np.array([[quantized.TERMS // 2 * 32767]])]

    sums_are_exact.cache_clear()
    monkeypatch.setattr(quantized.onnxruntime, "InferenceSession", Session)
    try:
        assert not sums_are_exact()
    finally:
        sums_are_exact.cache_clear()
