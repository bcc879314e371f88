"""The exported refiner answers as the network does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_io.errors import DataError
from model.assist.crops import FINEST, SIDE
from model.assist.network import Refiner
from model.assist.served import CHANNELS, Served, answer_file
from model.assist.training import save


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refiner")
    torch.manual_seed(0)
    network = Refiner().eval()
    save(network, folder / "weights.safetensors")
    return network, answer_file(folder / "weights.safetensors", folder / "cache")


@pytest.mark.parametrize("side", [SIDE, 288, FINEST])
def test_it_answers_as_the_network_does(exported, side):
    network, path = exported
    crop = np.random.default_rng(0).random((CHANNELS, side, side), np.float32)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(crop[None]))[0, 0].numpy()
    np.testing.assert_allclose(Served(path, 1)(crop), wanted, atol=2e-3)


def test_the_file_is_made_once_for_the_same_weights(exported, monkeypatch):
    _, path = exported
    monkeypatch.setattr("subprocess.run", None)
    assert answer_file(path.parents[1] / "weights.safetensors", path.parent) == path


def test_what_cannot_be_exported_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="no weights of the refiner"):
        answer_file(tmp_path / "none.safetensors", tmp_path)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"rubbish" * 99)
    with pytest.raises(DataError, match="could not be exported"):
        answer_file(broken, tmp_path)
    assert not list(tmp_path.glob("*.onnx"))


def test_a_damaged_file_is_one_sentence(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"rubbish")
    with pytest.raises(DataError, match="delete the file"):
        Served(tmp_path / "x.onnx")
