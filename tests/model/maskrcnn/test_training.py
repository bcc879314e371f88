"""Whole jobs: from a snapshot to a version; killed, stopped, refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from data_io.errors import DataError
from data_io.images import read
from data_io.snapshot import read_snapshot
from model import memory, train, training_state
from model.config import train_config
from model.maskrcnn import network
from model.maskrcnn import training as module
from model.maskrcnn.network import network_config
from model.maskrcnn.training import MaskRcnnTraining, check_memory
from model.methods import StepLosses
from model.predictor import Predictor
from model.training_log import KEYS
from tests.model import test_train
from tests.model.maskrcnn.tiny import CHANNELS, JOB, SWIN
from tests.model.test_train import REPOSITORY, error, make_snapshot, messages, result, rows, table

pytestmark = pytest.mark.usefixtures("as_before")  # trainings run inside the test process


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_snapshot(tmp_path_factory.mktemp("snapshot"), verified=2, total=3)


def make_job(folder: Path, snapshot: Path, **overrides: Any) -> Path:
    return test_train.make_job(folder, snapshot, **{**JOB, **overrides})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, snapshot: Path) -> Path:
    """An uninterrupted job."""
    job = make_job(tmp_path_factory.mktemp("finished"), snapshot)
    assert train.main([str(job)]) == train.DONE
    return job


def test_a_job_ends_with_a_version_a_result_and_a_log(finished: Path, snapshot: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names == {"config.json", "log.jsonl", "log.csv", "result.json", "version"}
    told, lines = result(finished), rows(finished)
    assert (told["steps"], told["kept"], told["config"]["method"]) == (3, "supervised", "maskrcnn")
    assert told["metrics"]["on"] == "training"
    assert told["metrics"]["images"] == 2
    assert told["metrics"]["phases"]["supervised"]["iou"] == told["metrics"]["iou"]
    assert all(set(line) == set(KEYS) for line in lines)
    assert any(line["loss"] is not None and line["loss"] > 0 for line in lines)
    assert lines[-1]["eta"] is not None
    assert "learns from 2 labeled images" in messages(finished)
    last = table(finished)[-1]
    assert (last["step"], last["phase"]) == ("3", "supervised")
    predictor = Predictor.load(finished / "version", device="cpu", threads=1)
    categories = read_snapshot(snapshot).categories
    assert predictor.categories == tuple(category.id for category in categories)
    assert predictor.version == "v1"
    made = predictor.predict(read(Path(read_snapshot(snapshot).images[0].path)))
    assert made.probability.shape == (2, 24, 32)


def test_the_version_knows_what_other_versions_know(finished: Path) -> None:
    meta = json.loads((finished / "version" / "version.json").read_text())
    assert meta["weights_sha256"] == result(finished)["weights_sha256"]
    assert "onnx_sha256" not in meta
    assert (meta["id"], meta["max_side"], meta["kept"]) == ("v1", 128, "supervised")
    assert meta["small_animal"] == pytest.approx(40)
    assert meta["network"]["classes"] == 2
    assert meta["mean"] == pytest.approx([0.485, 0.456, 0.406])


def test_a_finished_job_is_left_alone(finished: Path) -> None:
    before = (finished / "log.jsonl").read_text()
    assert train.main([str(finished)]) == train.DONE
    assert (finished / "log.jsonl").read_text() == before


def assert_same_weights(job: Path, other: Path) -> None:
    ours, theirs = (load_file(one / "version" / "weights.safetensors") for one in (job, other))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


KILLER = """
import os, signal, sys
from model import train
from model.maskrcnn import network, training
network.CHANNELS, network.SWIN = {channels}, {swin}
real, calls = training.MaskRcnnTraining._step, 0
def step(self, batch):
    global calls
    calls += 1
    if calls == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, batch)
training.MaskRcnnTraining._step = step
train.main([sys.argv[1]])
"""


def test_kill_9_loses_nothing_but_time(tmp_path: Path, snapshot: Path, finished: Path) -> None:
    job = make_job(tmp_path / "job", snapshot)
    code = KILLER.format(channels=CHANNELS, swin=SWIN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(job)]
    ended = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False).returncode
    assert ended == -signal.SIGKILL
    assert not (job / "result.json").exists()
    assert train.main([str(job)]) == train.DONE
    assert "resumed after step 2" in messages(job)
    assert_same_weights(job, finished)
    assert [row["step"] for row in table(job)][-1] == "3"


def test_sigterm_stops_with_a_checkpoint_and_the_job_resumes(
    tmp_path: Path, snapshot: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path, snapshot)
    real = MaskRcnnTraining._step

    def step(self: MaskRcnnTraining, *batch: Any) -> StepLosses:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(MaskRcnnTraining, "_step", step)
        assert train.main([str(job)]) == train.STOPPED
    progress = json.loads((job / "checkpoint" / training_state.PROGRESS).read_text())["progress"]
    assert (progress["phase"], progress["step"]) == (0, 1)
    assert "can be resumed" in messages(job)
    assert train.main([str(job)]) == train.DONE
    assert_same_weights(job, finished)


def test_minutes_become_a_schedule(tmp_path: Path, snapshot: Path) -> None:
    job = make_job(tmp_path, snapshot, steps=0, minutes=0.01)
    assert train.main([str(job)]) == train.DONE
    assert result(job)["steps"] == 6
    assert "6 steps fit" in messages(job)


def test_weights_that_cannot_be_had_are_told_once_and_it_goes_on(
    tmp_path: Path, snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path, snapshot, pretrained=True, steps=2)
    real, asked, stopping = network.timm.create_model, [], [True]

    def offline(name: str, **options: Any) -> Any:
        asked.append(options["pretrained"])
        if options["pretrained"]:
            raise OSError("no way out")
        return real(name, **options)

    monkeypatch.setattr(network.timm, "create_model", offline)
    real_step = MaskRcnnTraining._step

    def step(self: MaskRcnnTraining, *batch: Any) -> StepLosses:
        self.stop.asked = stopping[0]
        return real_step(self, *batch)

    monkeypatch.setattr(MaskRcnnTraining, "_step", step)
    assert train.main([str(job)]) == train.STOPPED
    stopping[0] = False
    assert train.main([str(job)]) == train.DONE
    assert asked.count(True) == 1
    assert messages(job).count("starts from random ones") == 1


def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(
    tmp_path: Path, snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path, snapshot)
    real, count = network.MaskRcnn.forward, iter(range(1, 100))

    def forward(self: Any, *arguments: Any) -> Any:
        losses = real(self, *arguments)
        return {**losses, "nan": torch.tensor(float("nan"))} if next(count) == 2 else losses

    monkeypatch.setattr(network.MaskRcnn, "forward", forward, raising=False)
    assert train.main([str(job)]) == 1
    assert "not a finite number" in error(job)
    state = torch.load(job / "checkpoint" / training_state.STATE, weights_only=True)
    assert all(torch.isfinite(v).all() for v in state["network"].values() if v.is_floating_point())


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"encoding": "contact_band"}, "encoding: Mask R-CNN tells animals apart without a band"),
        ({"instances": True}, "instances: Mask R-CNN tells animals apart without this head"),
        ({"compat": "official"}, "compat: the published losses are U2PL's"),
        ({"backbone": "resnet50"}, "backbone: Mask R-CNN has a Swin backbone and resnet50 is none"),
        ({"backbone": "swin_of_cows"}, "timm knows no backbone"),
    ],
)
def test_bad_settings_are_one_sentence(
    tmp_path: Path, snapshot: Path, overrides: dict[str, Any], words: str
) -> None:
    job = make_job(tmp_path, snapshot, **overrides)
    assert train.main([str(job)]) == 1
    assert words in error(job)
    assert not (job / "version").exists()


def test_what_cannot_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    config = train_config({**JOB, "crop": 64, "max_side": 128, "batch": 2})
    small = network_config(config, 1)
    monkeypatch.setattr(module, "device_bytes", lambda device, share: 1 << 40)
    check_memory(config, small, torch.device("cpu"))
    monkeypatch.setattr(module, "device_bytes", lambda device, share: 1 << 20)
    with pytest.raises(DataError, match=r"2 crops of 64 pixels need about .* GB of memory"):
        check_memory(config, small, torch.device("cpu"))


def test_memory_grows_with_the_network() -> None:
    large = network.MaskRcnnConfig(2, "swin_tiny_patch4_window7_224")
    weights, kept = memory.kept_bytes(
        lambda: network.MaskRcnn(large), lambda net, image: net.backbone(image), module.PROBE
    )
    assert 150 < weights / 2**20 < 200
    assert 150 < kept / 2**20 < 400
