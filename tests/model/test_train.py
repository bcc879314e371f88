"""Whole jobs on tiny pictures: what is written, what survives kills, full disks, nonsense."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from data_io.atomic import file_sha256
from data_io.geometry import full_image, parts_of_mask
from data_io.images import read
from data_io.snapshot import read_snapshot, write_snapshot
from data_io.store import NewImage, Store
from data_io.types import Instance
from model import agreement, checkpoint, glances, methods, train, training_state, validation
from model.calibrate import Calibration, calibration, samples
from model.dataset import label_map
from model.methods import StepLosses
from model.predictor import Predictor
from model.training_log import KEYS

pytestmark = pytest.mark.usefixtures("as_before")  # trainings run inside the test process
REPOSITORY = Path(train.__file__).parents[1]
TINY: dict[str, Any] = {
    "steps": 6,
    "crop": 64,
    "batch": 2,
    "batch_unlabeled": 2,
    "max_side": 128,
    "decoder_channels": 8,
    "representation_channels": 4,
    "bank": 50,
    "threads": 1,
    "device": "cpu",
    "checkpoint_seconds": 0.0,
}


def write_picture(folder: Path, k: int) -> tuple[NewImage, np.ndarray]:
    """Green noise with one brown rectangle, and the rectangle's mask."""
    rng = np.random.default_rng(k)
    pixels = rng.integers(60, 120, (96, 128, 3), dtype=np.uint8)
    mask = np.zeros((96, 128), bool)
    x, y = int(rng.integers(80)), int(rng.integers(56))
    mask[y : y + 40, x : x + 40] = True
    pixels[mask] = (150, 90, 40)
    path = folder / f"{k}.png"
    cv2.imwrite(str(path), pixels[..., ::-1])
    return NewImage(str(path), 128, 96, file_sha256(path), "barn"), mask


def make_snapshot(
    folder: Path, verified: int, total: int, animals: bool = True, held_out: int = 0
) -> Path:
    """The pictures are ``0.png`` and so on; the first `verified` ones are labeled.

    The first `held_out` ones are validation images.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [write_picture(folder, k) for k in range(total)]
    with Store.open(folder / "project") as store:
        cow = store.add_category("cow")
        records = store.add_images([picture for picture, _ in pictures])
        for found, (_, mask) in list(zip(records, pictures, strict=True))[:verified]:
            instance = Instance(id=f"i{found.id}", category=cow.id, parts=parts_of_mask(mask))
            area = full_image(96, 128)
            store.save_revision(found.id, 0, [instance] if animals else [], area, "test")
        for found in records[:held_out]:
            store.set_split(found.id, "val")
        return write_snapshot(store, folder / "project" / "snapshots").folder


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_snapshot(tmp_path_factory.mktemp("snapshot"), verified=2, total=4)


def make_job(folder: Path, snapshot: Path, **overrides: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    spec = {"snapshot": str(snapshot), "version": "v1", "parent": None}
    spec["train"] = {**TINY, **overrides}  # type: ignore[assignment]
    (folder / "config.json").write_text(json.dumps(spec))
    return folder


def rows(job: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (job / "log.jsonl").read_text().splitlines()]


def messages(job: Path) -> str:
    return "\n".join(row["message"] for row in rows(job) if row["message"])


def result(job: Path) -> dict[str, Any]:
    return json.loads((job / "result.json").read_text())


def error(job: Path) -> str:
    sentence = json.loads((job / "error.json").read_text())["error"]
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    return sentence


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, snapshot: Path) -> Path:
    """An uninterrupted u2pl job."""
    job = make_job(tmp_path_factory.mktemp("finished"), snapshot)
    assert train.main([str(job)]) == train.DONE
    return job


def test_a_version_is_calibrated_on_validation_images_alone(finished: Path, tmp_path: Path) -> None:
    """What its predictor says of them, and nothing where there are none."""
    assert "not calibrated" in messages(finished)
    assert checkpoint.read_meta(finished / "version")["calibration"]["images"] == 0
    validated = make_snapshot(tmp_path / "data", verified=3, total=3, held_out=1)
    job = make_job(tmp_path / "job", validated, method="supervised", steps=2)
    assert train.main([str(job)]) == train.DONE
    made = Calibration.of_dict(checkpoint.read_meta(job / "version")["calibration"])
    assert made.images == 1
    assert made.words in messages(job)
    predictor = Predictor.load(job / "version", device="cpu", threads=1)
    assert predictor.calibration == made
    predictor.calibration = Calibration()
    (record,) = (i for i in read_snapshot(validated).images if i.split == "val")
    said, _ = predictor.maps(read(Path(record.path)))
    again = calibration([samples(said, label_map(record))])
    assert again.temperature == pytest.approx(made.temperature, rel=1e-3)


def test_a_job_ends_with_a_version_a_result_and_a_log(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names == {"config.json", "log.jsonl", "log.csv", "result.json", "version"}
    network, meta = checkpoint.load_version(finished / "version")
    assert network.config.classes == 2
    assert network.config.aspp_rates == (1, 2, 3)
    assert (meta["id"], meta["max_side"], meta["train"]["steps"]) == ("v1", 128, 6)
    told = result(finished)
    assert told["weights_sha256"] == meta["weights_sha256"]
    assert told["steps"] == 6
    assert told["kept"] in ("supervised", "semi")
    assert set(told["metrics"]["phases"]) == {"supervised", "semi"}
    lines = rows(finished)
    assert all(set(line) == set(KEYS) for line in lines)
    assert [line["steps"] for line in lines] == [6] * len(lines)
    assert {line["phase"] for line in lines} == {"supervised", "semi"}
    assert any(line["loss_contrastive"] is not None for line in lines)
    assert lines[-1]["eta"] is not None
    last = table(finished)[-1]
    assert (last["step"], last["phase"]) == ("6", "semi")
    assert float(last["images_per_second"]) > 0
    assert 0 < float(last["lr_encoder"]) < float(last["lr_heads"])


def test_a_finished_job_is_left_alone(finished: Path) -> None:
    before = (finished / "log.jsonl").read_text()
    assert train.main([str(finished)]) == train.DONE
    assert (finished / "log.jsonl").read_text() == before


def weights(job: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load_version(job / "version")[0].state_dict()


def assert_same_weights(job: Path, other: Path) -> None:
    ours, theirs = weights(job), weights(other)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def table(job: Path) -> list[dict[str, str]]:
    with (job / "log.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_death_of_the_parent_stops_the_job(
    tmp_path: Path, snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path, snapshot)
    parents = iter([os.getppid()] * 3 + [1] * 100)
    monkeypatch.setattr(training_state.os, "getppid", lambda: next(parents))
    assert train.main([str(job)]) == train.STOPPED
    assert training_state.recover_folder(job / "checkpoint")


def test_a_full_disk_is_a_sentence_and_the_checkpoint_stays(
    tmp_path: Path, snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path, snapshot)
    real, count = training_state.torch.save, iter(range(1, 100))

    def save(stored: Any, stream: Any) -> None:
        if next(count) == 3:
            raise OSError(28, "No space left on device")
        real(stored, stream)

    monkeypatch.setattr(training_state.torch, "save", save)
    assert train.main([str(job)]) == 1
    assert "disk is full" in error(job)
    progress = json.loads((job / "checkpoint" / training_state.PROGRESS).read_text())["progress"]
    assert progress["step"] == 2
    monkeypatch.undo()
    assert train.main([str(job)]) == train.DONE
    assert not (job / "error.json").exists()


def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(
    tmp_path: Path, snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path, snapshot)
    real, count = methods.supervised, iter(range(1, 100))

    def step(*arguments: Any) -> StepLosses:
        losses = real(*arguments)
        return StepLosses(losses.total * float("nan"), 0.0) if next(count) == 3 else losses

    monkeypatch.setattr(methods, "supervised", step)
    assert train.main([str(job)]) == 1
    assert "not a finite number" in error(job)
    state = torch.load(job / "checkpoint" / training_state.STATE, weights_only=True)
    assert all(torch.isfinite(v).all() for v in state["student"].values() if v.is_floating_point())


@pytest.mark.parametrize("method", ["supervised", "mean_teacher", "cutmix"])
def test_other_methods_run(tmp_path: Path, snapshot: Path, method: str) -> None:
    job = make_job(tmp_path, snapshot, method=method, steps=2)
    assert train.main([str(job)]) == train.DONE
    phases = set(result(job)["metrics"]["phases"])
    assert phases == ({"supervised"} if method == "supervised" else {"supervised", "semi"})


def test_the_curve_of_the_validation_iou_grows_while_a_phase_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glances, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(glances, "COST", 1e9)
    make_snapshot(tmp_path, verified=2, total=2)
    with Store.open(tmp_path / "project") as store:
        store.set_split(store.images()[0].id, "val")
        snapshot = write_snapshot(store, tmp_path / "project" / "snapshots").folder
    job = make_job(tmp_path / "job", snapshot, method="supervised", steps=3)
    assert train.main([str(job)]) == train.DONE
    assert [0 <= float(row["val_iou"]) <= 1 for row in table(job)] == [True] * 3


def test_a_warm_start_begins_with_the_parent_and_says_so(tmp_path: Path, finished: Path) -> None:
    spec = json.loads((finished / "config.json").read_text())
    spec["parent"] = str(finished / "version")
    spec["train"] |= {"start": "warm", "method": "supervised", "steps": 1, "lr_encoder": 0.0}
    spec["train"] |= {"lr_heads": 0.0, "seed": 5}
    job = tmp_path / "job"
    job.mkdir()
    (job / "config.json").write_text(json.dumps(spec))
    assert train.main([str(job)]) == train.DONE
    assert "starts from version version" in messages(job)
    assert_same_weights(job, finished)


def test_without_unlabeled_images_it_trains_supervised_and_says_so(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", make_snapshot(tmp_path / "s", 2, 2), steps=2)
    assert train.main([str(job)]) == train.DONE
    assert "no image is unlabeled" in messages(job)
    assert result(job)["kept"] == "supervised"


def test_lost_unlabeled_images_do_not_end_a_training(tmp_path: Path) -> None:
    folder = make_snapshot(tmp_path / "s", verified=2, total=5)
    (tmp_path / "s" / "3.png").unlink()
    (tmp_path / "s" / "4.png").write_bytes(b"half a picture")
    job = make_job(tmp_path / "job", folder, steps=8)
    assert train.main([str(job)]) == train.DONE
    assert messages(job).count("passed over") == 2
    assert messages(job).count("3.png") == messages(job).count("4.png") == 1


@pytest.mark.parametrize(
    ("lost", "words"), [(["0.png"], "0.png"), (["2.png", "3.png"], "no unlabeled image")]
)
def test_a_lost_labeled_image_or_all_unlabeled_ones_end_it_with_a_sentence(
    tmp_path: Path, lost: list[str], words: str
) -> None:
    folder = make_snapshot(tmp_path / "s", verified=2, total=4)
    for name in lost:
        (tmp_path / "s" / name).unlink()
    job = make_job(tmp_path / "job", folder, steps=4)
    assert train.main([str(job)]) == 1
    assert words in error(job)


def test_what_is_judged_is_spread_over_the_labeled_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_snapshot(tmp_path / "s", verified=9, total=9)
    judged: list[list[str]] = []
    real = validation.judge

    def judge(network: Any, records: Any, *rest: Any) -> dict[str, Any]:
        judged.append([Path(record.path).stem for record in records])
        return real(network, records, *rest)

    monkeypatch.setattr(validation, "judge", judge)
    job = make_job(tmp_path / "job", folder, method="supervised", steps=1)
    assert train.main([str(job)]) == train.DONE
    assert judged == [["0", "2", "3", "5", "6", "8"]]


def test_a_second_phase_that_went_astray_is_dropped_with_its_figures(
    tmp_path: Path, snapshot: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert result(finished)["metrics"]["agreement"]["images"] == 2
    job = make_job(tmp_path, snapshot)
    real = agreement.compare

    def compare(pairs: Any, share: float) -> agreement.Agreement:
        return replace(real(pairs, share), iou=0.1, share_before=share, share_after=0.0)

    monkeypatch.setattr(agreement, "compare", compare)
    monkeypatch.setattr(validation, "choose_phase", lambda *_: (1, "so few steps find nothing"))
    assert train.main([str(job)]) == train.DONE
    assert result(job)["kept"] == "supervised"
    assert "unlabeled images" in result(job)["message"]
    first = result(job)["metrics"]["phases"]["supervised"]
    assert result(job)["metrics"]["iou"] == first["iou"]


def test_minutes_become_a_schedule(tmp_path: Path, snapshot: Path) -> None:
    job = make_job(tmp_path, snapshot, steps=0, minutes=1e-4, method="supervised")
    assert train.main([str(job)]) == train.DONE
    assert result(job)["steps"] == 6  # no time at all still measures and trains a little
    assert "6 steps fit" in messages(job)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"backbone": "resnet_of_cows"}, "timm knows no backbone"),
        ({"crop": 256}, "larger than images scaled to 128"),
        ({"device": "abacus"}, "there is no device abacus"),
        ({"surprise": 1}, "no such training setting"),
    ],
)
def test_bad_settings_are_one_sentence(
    tmp_path: Path, snapshot: Path, overrides: dict[str, Any], words: str
) -> None:
    job = make_job(tmp_path, snapshot, **overrides)
    assert train.main([str(job)]) == 1
    assert words in error(job)
    assert not (job / "version").exists()


@pytest.mark.parametrize(
    ("verified", "animals", "words"),
    [(0, True, "no image is labeled"), (2, False, "show no animal")],
)
def test_nothing_to_learn_from_is_one_sentence(
    tmp_path: Path, verified: int, animals: bool, words: str
) -> None:
    job = make_job(tmp_path / "job", make_snapshot(tmp_path / "s", verified, 2, animals))
    assert train.main([str(job)]) == 1
    assert words in error(job)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_broken_job_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert train.main([str(tmp_path)]) == 1
    assert "start a new job" in error(tmp_path)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path, snapshot: Path) -> None:
    job = make_job(tmp_path, snapshot)
    shutil.rmtree(job / "checkpoint", ignore_errors=True)
    (job / "checkpoint").mkdir()
    text = json.dumps({"progress": {}, "identity": {"snapshot": "another"}})
    (job / "checkpoint" / training_state.PROGRESS).write_text(text)
    assert train.main([str(job)]) == 1
    assert "start a new job" in error(job)
