from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from data_io.atomic import file_sha256
from data_io.errors import DataError
from model import checkpoint
from model.calibrate import Calibration
from model.config import NetworkConfig, TrainConfig
from model.network import SegmentationNetwork

CONFIG = NetworkConfig(classes=3, decoder_channels=16, low_channels=8, representation_channels=4)


@pytest.fixture(scope="module")
def network() -> SegmentationNetwork:
    torch.manual_seed(0)
    return SegmentationNetwork(CONFIG).eval()


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory, network: SegmentationNetwork) -> Path:
    folder = tmp_path_factory.mktemp("versions") / "v1"
    checkpoint.save_version(
        folder, network.state_dict(), CONFIG, TrainConfig(), ["a", "b"], {"iou": 0.5}, kept="semi"
    )
    return folder


def test_version_round_trip(version: Path, network: SegmentationNetwork) -> None:
    loaded, meta = checkpoint.load_version(version)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded(image), network(image))
    assert meta["categories"] == ["a", "b"]
    assert meta["max_side"] == TrainConfig().max_side
    assert meta["mean"] == [0.5, 0.5, 0.5]
    assert meta["kept"] == "semi"
    assert Calibration.of_dict(meta["calibration"]) == Calibration()
    assert NetworkConfig.of_dict(meta["network"]) == CONFIG
    assert meta["weights_sha256"] == file_sha256(version / checkpoint.WEIGHTS)
    names = {file.name for file in version.iterdir()}
    assert names == {checkpoint.WEIGHTS, checkpoint.ONNX, checkpoint.META}
    assert [file.name for file in version.parent.iterdir()] == ["v1"]


def test_changed_weights_are_refused(version: Path, tmp_path: Path) -> None:
    for file in version.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    data = bytearray((tmp_path / checkpoint.WEIGHTS).read_bytes())
    data[-1] ^= 1
    (tmp_path / checkpoint.WEIGHTS).write_bytes(bytes(data))
    with pytest.raises(DataError, match="were changed"):
        checkpoint.load_version(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", json.dumps({"format": 99})])
def test_no_version_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    if text:
        (tmp_path / checkpoint.META).write_text(text)
    with pytest.raises(DataError, match="choose another version"):
        checkpoint.load_version(tmp_path)
