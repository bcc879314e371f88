"""The paper's protocols on tiny made-up folders: from the folder to the figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model import methods, protocol
from model.checkpoint import load_version
from model.config import IGNORE, train_config
from model.dataset import LabeledBatch, UnlabeledBatch
from model.training_setup import create_learner, create_optimizer
from tests.data_io.benchmark_folders import make_cityscapes, make_voc, voc_ids

pytestmark = pytest.mark.usefixtures("as_before")  # trainings run inside the test process

# The paper's settings on a network that trains in a second.
SMALL = {
    "backbone": "resnet10t",
    "pretrained": False,
    "crop": 64,
    "max_side": 128,
    "decoder_channels": 8,
    "low_channels": 8,
    "representation_channels": 4,
    "aspp": [1, 2, 3],
    "bank": 50,
    "batch": 2,
    "batch_unlabeled": 2,
    "threads": 1,
    "device": "cpu",
}


def command(benchmark: str, root: Path, out: Path, *more: str) -> list[str]:
    settings = [f"--set={name}={json.dumps(value)}" for name, value in SMALL.items()]
    return [benchmark, "--root", str(root), "--out", str(out), "--steps=2", *settings, *more]


def answer(text: str) -> dict[str, Any]:
    return json.loads(text.splitlines()[-1])


def test_voc_from_the_folder_to_the_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command("voc", make_voc(tmp_path / "VOC2012"), tmp_path / "run", "--partition=1/4")
    assert protocol.main(arguments) == 0
    found = answer(capsys.readouterr().out)
    assert (found["labeled"], found["unlabeled"], found["validation"]) == (2, 14, 2)
    assert (found["variant"], found["partition"], found["scheme"]) == (
        "classic",
        "1/4",
        "center_crop",
    )
    assert found["steps"] == 2
    assert 0 <= found["miou"] <= 1
    assert found["ious"].keys() == {"background", "sheep", "sofa"}
    network, meta = load_version(tmp_path / "run" / "version")
    assert network.config.classes == 21
    assert (network.config.decoder, network.config.encoder_statistics) == ("full", True)
    assert meta["train"]["optimizer"] == "sgd"

    assert protocol.main([*arguments, "--evaluate=whole"]) == 0  # trains nothing again
    assert answer(capsys.readouterr().out)["scheme"] == "whole"
    assert protocol.main([*arguments, "--seed=1"]) == 1
    assert "belongs to another run" in capsys.readouterr().err


def test_cityscapes_from_the_folder_to_the_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_cityscapes(tmp_path / "cityscapes")
    assert protocol.main(command("cityscapes", root, tmp_path / "run", "--partition=1/2")) == 0
    found = answer(capsys.readouterr().out)
    assert (found["labeled"], found["unlabeled"], found["validation"]) == (3, 3, 3)
    assert found["scheme"] == "sliding_window"
    assert found["ious"].keys() == {"road", "car", "bicycle"}  # no background, no void
    network, _ = load_version(tmp_path / "run" / "version")
    assert (network.config.classes, network.config.auxiliary) == (20, True)


@pytest.mark.parametrize("benchmark", [pytest.param("voc", marks=pytest.mark.long), "cityscapes"])
def test_two_steps_of_the_published_network(benchmark: str) -> None:
    """All of the preset but the size of the crops and the downloaded weights."""
    preset = {"preset": f"paper_{benchmark}", "crop": 64, "pretrained": False, "batch": 2}
    config = train_config({**preset, "batch_unlabeled": 2, "device": "cpu", "bank": 50})
    categories = {"voc": 20, "cityscapes": 19}[benchmark]
    learner = create_learner(config, categories, torch.device("cpu"))
    optimizer = create_optimizer(learner.student, config)
    assert (learner.student.config.backbone, config.method) == ("resnet101s", "u2pl")
    image = torch.randn(2, 3, 64, 64)
    label = torch.randint(1, categories + 1, (2, 64, 64))
    label[:, :8] = IGNORE
    unlabeled = UnlabeledBatch(image, image, torch.ones(2, 64, 64, dtype=torch.bool))
    for first in (True, False):
        labeled = LabeledBatch(image, label)
        losses = (
            methods.supervised(learner, labeled)
            if first
            else methods.u2pl(learner, labeled, unlabeled, np.random.default_rng(0))
        )
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        assert torch.isfinite(losses.total)
    assert losses.unsupervised > 0
    assert all(torch.isfinite(p).all() for p in learner.student.parameters())


@pytest.mark.long
@pytest.mark.parametrize("benchmark", ["voc", "cityscapes"])
def test_a_whole_run_of_the_published_network(
    benchmark: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = {"voc": make_voc, "cityscapes": make_cityscapes}[benchmark]
    own = {name: SMALL[name] for name in ("pretrained", "crop", "threads", "device")}
    more = [f"--set={name}={json.dumps(value)}" for name, value in own.items()]
    arguments = [benchmark, "--root", str(make(tmp_path / "data")), "--out", str(tmp_path / "run")]
    assert protocol.main([*arguments, "--partition=1/2", "--steps=2", *more]) == 0
    assert answer(capsys.readouterr().out)["steps"] == 2


def test_the_published_epochs_decide_the_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_voc(tmp_path / "VOC2012")
    arguments = ["voc", "--root", str(root), "--out", str(tmp_path / "run"), "--partition=1/2"]
    assert protocol.main([*arguments, "--prepare"]) == 0
    spec = json.loads((tmp_path / "run" / "config.json").read_text())
    assert spec["train"] == {"preset": "paper_voc", "method": "u2pl", "seed": 0, "steps": 80 * 3}
    assert answer(capsys.readouterr().out)["unlabeled"] == 12


def test_bad_commands_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = make_voc(tmp_path / "VOC2012"), tmp_path / "run"
    listed = tmp_path / "ids.txt"
    listed.write_text(voc_ids(1, 900)[0])
    for more, words in (
        ([f"--labeled={listed}"], "2007_000900"),
        (["--set=crop=100"], "100 is no usable crop"),
        (["--set=cow=1"], "no such training setting"),
        (["--set=backbone=resnet_of_cows"], "timm knows no backbone"),
    ):
        assert protocol.main(command("voc", root, out, *more)) == 1
        sentence = capsys.readouterr().err
        assert words in sentence
        assert sentence.count("\n") == 1
    for wrong in ("--partition=8", "--set=crop"):
        with pytest.raises(SystemExit) as usage:
            protocol.main(command("voc", root, out, wrong))
        assert usage.value.code == 2
