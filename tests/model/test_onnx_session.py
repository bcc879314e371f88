"""Files that cannot be opened or made are the sentence that was asked for."""

from __future__ import annotations

import pytest

from data_io.errors import DataError
from model.onnx_session import export_aside, open_session


def test_an_unreadable_file_is_refused_as_asked(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"rubbish")
    refusal = DataError(tmp_path / "x.onnx", "is rubbish", "make it again")
    with pytest.raises(DataError) as told:
        open_session(tmp_path / "x.onnx", 1, refusal)
    assert told.value is refusal


def test_an_export_that_makes_no_file_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match=r"the sun could not be exported \(no reason given\)"):
        export_aside("this", [], tmp_path / "x.onnx", "the sun")
