"""Files that cannot be opened or made are the sentence that was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from data_io.errors import DataError
from model import onnx_session
from model.onnx_session import CACHE, export_aside, export_once, open_session


@pytest.fixture
def network():
    """The bytes of a network that does nothing."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    node = helper.make_node("Identity", ["x"], ["y"])
    graph = helper.make_graph([node], "same", ends[:1], ends[1:])
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()


@pytest.fixture
def exports(tmp_path, monkeypatch, network):
    """Where exports go, the newest last; each takes its source's place in the arguments."""
    made = []

    def export(module, arguments, path, what):
        made.append((module, arguments, path))
        Path(path).write_bytes(network)

    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.setattr(onnx_session, "export_aside", export)
    return made


def test_a_second_project_gets_what_the_first_has_exported(tmp_path, exports, network):
    source = tmp_path / "weights"
    for project in ("one", "two", "two"):
        path = tmp_path / project / "x.onnx"
        assert export_once("this", [source], path, "the sun") == path
        assert path.read_bytes() == network
    kept = tmp_path / "cache" / "x.onnx"
    assert exports == [("this", [source, kept], kept)]


def test_what_was_kept_and_is_damaged_is_exported_anew(tmp_path, exports, network):
    export_once("this", [], tmp_path / "one" / "x.onnx", "the sun")
    (tmp_path / "cache" / "x.onnx").write_bytes(network[:-9])
    assert export_once("this", [], tmp_path / "two" / "x.onnx", "the sun").read_bytes() == network
    assert len(exports) == 2


def test_where_nothing_can_be_kept_a_project_makes_its_own(tmp_path, exports, network):
    (tmp_path / "cache").write_text("no folder")
    (tmp_path / "one").mkdir()
    path = export_once("this", [], tmp_path / "one" / "x.onnx", "the sun")
    assert path.read_bytes() == network
    assert exports == [("this", [path], path)]


def test_an_unreadable_file_is_refused_as_asked(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"rubbish")
    refusal = DataError(tmp_path / "x.onnx", "is rubbish", "make it again")
    with pytest.raises(DataError) as told:
        open_session(tmp_path / "x.onnx", 1, refusal)
    assert told.value is refusal


def test_an_export_that_makes_no_file_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match=r"the sun could not be exported \(no reason given\)"):
        export_aside("this", [], tmp_path / "x.onnx", "the sun")
