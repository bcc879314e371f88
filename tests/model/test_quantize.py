"""A version gets a network in eight bits that answers nearly as the original does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from data_io.atomic import file_sha256
from data_io.scenes import CAMERAS, scene
from model import quantize, quantized
from model.checkpoint import ONNX, save_version
from model.config import NetworkConfig, TrainConfig
from model.network import SegmentationNetwork
from model.predictor import Predictor
from model.quantized import QUANTIZED, TOLD, quantized_file

CAMERA, SIZE = next(iter(CAMERAS)), {"width": 160, "height": 96}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained version with an instance head."""
    torch.manual_seed(0)
    config = NetworkConfig(
        classes=2, norm="group", instances=True, decoder_channels=16, low_channels=8
    )
    folder = tmp_path_factory.mktemp("versions") / "v1"
    state, train = SegmentationNetwork(config).state_dict(), TrainConfig(max_side=160, crop=64)
    save_version(folder, state, config, train, ["cow"], {}, version="v1")
    return folder


@pytest.fixture(scope="module")
def shrunk(original: Path) -> bytes:
    """Its network in eight bits."""
    target = original.parent / QUANTIZED
    predictor = Predictor.load(original, "cpu", 1)
    quantize.shrink(original / ONNX, target, [predictor.batch(one) for one in pictures(2)])
    return target.read_bytes()


@pytest.fixture
def version(original: Path, shrunk: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy whose network in eight bits is not made anew, on a processor that can use it."""
    monkeypatch.setattr(quantize, "shrink", lambda _, target, __: target.write_bytes(shrunk))
    monkeypatch.setattr(quantized, "sums_are_exact", lambda: True)
    return Path(shutil.copytree(original, tmp_path / "v1"))


def pictures(count: int) -> list[np.ndarray]:
    return [scene(seed, CAMERA, **SIZE).image for seed in range(count)]


def limits(monkeypatch: pytest.MonkeyPatch, alike: float, sooner: float) -> None:
    monkeypatch.setattr(quantize, "ALIKE", alike)
    monkeypatch.setattr(quantize, "SOONER", sooner)


def test_the_version_answers_in_eight_bits_and_nearly_the_same(
    version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits(monkeypatch, 0.0, 99.0)
    before = Predictor.load(version, "cpu", 1)
    assert quantize.add(version, pictures(3)).kept
    after = Predictor.load(version, "cpu", 1)
    image = pictures(4)[3]
    one, other = before.maps(image), after.maps(image)
    assert not np.array_equal(one[0], other[0])
    assert np.abs(one[0] - other[0]).mean() < 0.03
    assert other[1] is not None


def test_a_quarter_of_the_encoder_is_left(original: Path, shrunk: bytes) -> None:
    assert len(shrunk) < 0.35 * (original / ONNX).stat().st_size


@pytest.mark.parametrize(("alike", "sooner"), [(1.1, 99.0), (0.0, 0.0)])
def test_one_that_differs_or_saves_no_time_is_dropped(
    version: Path, monkeypatch: pytest.MonkeyPatch, alike: float, sooner: float
) -> None:
    # Animals there must be, or there is nothing to differ in.
    limits(monkeypatch, alike, sooner)
    monkeypatch.setattr(quantize.Panoptic, "value", lambda _: 0.5)
    assert not quantize.add(version, pictures(2)).kept
    assert not (version / QUANTIZED).exists()
    assert json.loads((version / TOLD).read_text())["kept"] is False
    assert quantized_file(version) is None


def test_a_damaged_one_leaves_the_answer_to_the_original(
    version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits(monkeypatch, 0.0, 99.0)
    image = pictures(1)[0]
    right = Predictor.load(version, "cpu", 1).maps(image)[0]
    quantize.add(version, pictures(2))
    (version / QUANTIZED).write_bytes(b"no network")
    assert np.array_equal(Predictor.load(version, "cpu", 1).maps(image)[0], right)
    told = json.loads((version / TOLD).read_text())
    told["onnx_sha256"] = file_sha256(version / QUANTIZED)  # as if of a newer runtime
    (version / TOLD).write_text(json.dumps(told))
    assert np.array_equal(Predictor.load(version, "cpu", 1).maps(image)[0], right)


def test_animals_that_move_are_no_longer_alike(original: Path) -> None:
    """The same network looking at the mirror image finds other animals."""

    class Mirrored(Predictor):
        def maps(self, image: np.ndarray) -> tuple[np.ndarray, None]:
            probability = np.full((2, image.shape[0] // 4, image.shape[1] // 4), 0.1, np.float32)
            probability[0, :, : 3 * probability.shape[2] // 4] = 0.9
            probability[1] = 1 - probability[0]
            return (probability[..., ::-1].copy() if self.turned else probability), None

    plain, turned = (Mirrored.load(original, "cpu", 1) for _ in range(2))
    plain.turned, turned.turned = False, True  # type: ignore[attr-defined]
    assert quantize.judge(plain, plain, pictures(1)).alike == 1.0
    judged = quantize.judge(plain, turned, pictures(1))
    assert judged.alike == 0.0
    assert not judged.kept


def test_a_job_without_a_snapshot_fails_with_a_sentence(
    version: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = version.parent / "job"
    shutil.copytree(version, job / "version")
    (job / "config.json").write_text("{}")
    assert quantize.main([str(job)]) == 1
    assert "names no snapshot" in capsys.readouterr().err
    assert not (job / "version" / TOLD).exists()


def test_what_the_runtime_refuses_leaves_the_version_as_it_is(
    version: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise Exception("no range for a map")

    job = version.parent / "job"
    shutil.copytree(version, job / "version")
    monkeypatch.setattr(quantize, "of_job", refuse)
    assert quantize.main([str(job)]) == 1
    assert capsys.readouterr().err == "no range for a map\n"


def test_a_judged_version_is_not_judged_again(version: Path) -> None:
    job = version.parent / "job"
    shutil.copytree(version, job / "version")
    (job / "version" / TOLD).write_text("{}")
    assert quantize.main([str(job)]) == 0  # there is not even a config.json
