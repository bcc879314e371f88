"""The herd's refiner: who teaches, who judges, what is kept."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from data_io.geometry import (
    full_image,
    mask_of_rle,
    parts_of_mask,
    rle_of_mask,
    rle_of_parts,
)
from data_io.scenes import scene
from data_io.snapshot import SnapshotImage, write_content
from data_io.types import Category, Instance
from model.assist import ONNX, WEIGHTS, herd
from model.assist.crops import FINEST
from model.assist.herd import TOLD, Judged, animals_of, main, parted, quality, refine
from model.assist.network import Refiner
from model.assist.training import save
from model.prediction import Prediction


@pytest.fixture
def images(tmp_path):
    """Three synthetic herds, all of them verified."""
    found = []
    for number in range(3):
        made = scene(number + 20, "ceiling-straw", 0, 320, 240)
        path = tmp_path / f"{number}.png"
        Image.fromarray(made.image).save(path)
        labels = tuple((1, rle_of_mask(np.asarray(mask))) for mask in made.masks)
        whole = rle_of_parts(full_image(240, 320), 240, 320)
        row = (f"i{number}", str(path), 320, 240, str(number), "barn", None, labels, whole, True)
        found.append(SnapshotImage(*row))
    return found


@pytest.fixture
def job(tmp_path, images, monkeypatch):
    """A job of a few steps, whose general refiner knows nothing."""
    snapshot = write_content([Category("c", "cow", "#e69f00", 1)], images, tmp_path / "snapshots")
    folder = tmp_path / "job"
    (folder / "version").mkdir(parents=True)
    torch.manual_seed(0)
    save(Refiner(), tmp_path / WEIGHTS)
    monkeypatch.setattr(herd, "GENERAL", tmp_path / WEIGHTS)
    train = {"steps": 40, "seed": 0, "threads": 1}
    spec = {"snapshot": str(snapshot.folder), "version": "v1", "parent": None, "train": train}
    (folder / "config.json").write_text(json.dumps(spec))
    return folder


def test_a_fifth_of_the_animals_judges_and_never_teaches(images):
    teachers, judges = parted(images, None)
    count = sum(len(image.labels) for image in images)
    assert len(teachers) + len(judges) == count
    assert 0.1 < len(judges) / count < 0.35
    shown = {one.truth.tobytes() for one in teachers}
    assert not any(one.truth.tobytes() in shown for one in judges)
    fewer = parted(images[:2], None)[1]
    assert {one.truth.tobytes() for one in fewer} <= {one.truth.tobytes() for one in judges}


def test_validation_images_judge_where_there_are_any(images):
    held = SnapshotImage(**{**vars(images[1]), "split": "val"})
    teachers, judges = parted([images[0], held, images[2]], None)
    assert len(judges) == len(held.labels)
    assert len(teachers) == len(images[0].labels) + len(images[2].labels)


def test_not_more_animals_than_fit_into_memory(images, monkeypatch):
    monkeypatch.setattr(herd, "TEACHERS", 6)
    monkeypatch.setattr(herd, "JUDGES", 2)
    teachers, judges = parted(images, None)
    assert len(teachers) <= 6
    assert len(judges) <= 2


def test_large_animals_are_shrunk_to_what_a_crop_shows(tmp_path):
    pixels = np.zeros((1500, 2000, 3), np.uint8)
    mask = np.zeros((1500, 2000), np.bool_)
    mask[300:1200, 500:1700] = pixels[300:1200, 500:1700] = 200
    Image.fromarray(pixels).save(tmp_path / "large.png")
    whole = rle_of_parts(full_image(1500, 2000), 1500, 2000)
    labels = ((1, rle_of_mask(mask)),)
    row = ("i", str(tmp_path / "large.png"), 2000, 1500, "l", "barn", None, labels, whole, True)
    (one,) = animals_of(SnapshotImage(*row), [0], 9)
    assert max(one.picture.image.shape) < 3 * FINEST
    assert one.truth.sum() == pytest.approx(0.75 * FINEST**2, rel=0.03)
    assert (one.picture.image[..., 0][one.truth] > 100).mean() > 0.98


def test_proposals_that_can_be_mended_teach(images):
    class Half:
        def predict(self, pixels):
            truth = masks[0] & (np.arange(320) < middle)
            made = (Instance("p", "c", parts_of_mask(truth), "model", "v", 0.9),)
            return Prediction(np.zeros((2, 1, 1), np.float32), np.zeros((1, 1), np.uint8), made)

    masks = [mask_of_rle(rle) for _, rle in images[0].labels]
    middle = int(np.median(np.nonzero(masks[0])[1])) + 1
    found = animals_of(images[0], range(len(masks)), 99, Half())
    (mended,) = [one for one in found if one.before is not None]
    assert 0.3 < herd.iou(mended.before, mended.truth) < 0.95
    assert mended.truth.sum() == masks[0].sum()


def test_what_is_better_is_kept_with_its_export(job, monkeypatch):
    told = iter([0.5, 0.6])
    monkeypatch.setattr(herd, "quality", lambda *_: next(told))
    judged = refine(job)
    assert (judged.before, judged.after, judged.steps, judged.kept) == (0.5, 0.6, 8, True)
    assert (job / "version" / WEIGHTS).is_file()
    assert (job / "version" / ONNX).is_file()
    assert json.loads((job / "version" / TOLD).read_text()) == vars(judged)


def test_what_is_worse_is_dropped_and_the_parent_s_stays(job, tmp_path, monkeypatch):
    told = iter([0.5, 0.4, 0.5, 0.4])
    monkeypatch.setattr(herd, "quality", lambda *_: next(told))
    assert not refine(job).kept
    assert not (job / "version" / WEIGHTS).exists()
    parent = tmp_path / "parent"
    parent.mkdir()
    torch.manual_seed(5)
    save(Refiner(), parent / WEIGHTS)
    spec = json.loads((job / "config.json").read_text())
    (job / "config.json").write_text(json.dumps({**spec, "parent": str(parent)}))
    assert not refine(job).kept
    assert (job / "version" / WEIGHTS).read_bytes() == (parent / WEIGHTS).read_bytes()
    assert (job / "version" / ONNX).is_file()


@pytest.mark.parametrize(
    ("train", "steps"), [({"steps": 20}, 8), ({"steps": 100}, 20), ({"steps": 9000}, 300)]
)
def test_it_takes_its_share_of_a_job_s_steps(monkeypatch, train, steps):
    done = []

    class Counted:
        def __init__(self, network, draw, config, seed):
            done.append(config.steps)

        def run(self):
            return iter(())

    monkeypatch.setattr(herd, "RefinerTraining", Counted)
    assert herd.learn(Refiner(), [], train) == steps
    assert done == [steps]


@pytest.mark.parametrize(("minutes", "steps"), [(1.0, 30), (5.0, 30), (20.0, 120), (60.0, 150)])
def test_it_takes_its_share_of_a_job_s_minutes_and_a_minute_at_least(monkeypatch, minutes, steps):
    times = iter([10.0, 14.0])  # two steps take four seconds
    monkeypatch.setattr(herd.time, "monotonic", lambda: next(times))
    monkeypatch.setattr(herd.RefinerTraining, "run", lambda _: iter(()))
    assert herd.learn(Refiner(), [], {"minutes": minutes}) == steps


def test_without_an_animal_there_is_nothing_to_learn(job, images, tmp_path):
    bare = [SnapshotImage(**{**vars(image), "labels": ()}) for image in images]
    snapshot = write_content([Category("c", "cow", "#e69f00", 1)], bare, tmp_path / "bare")
    spec = json.loads((job / "config.json").read_text())
    (job / "config.json").write_text(json.dumps({**spec, "snapshot": str(snapshot.folder)}))
    assert refine(job) == Judged(None, None, 0, 0, False)


def test_done_once_it_is_not_done_again_and_a_bad_job_is_one_sentence(job, capsys, monkeypatch):
    (job / "version" / TOLD).write_text("{}")
    monkeypatch.setattr(herd, "refine", None)
    assert main([str(job)]) == 0
    monkeypatch.undo()
    (job / "version" / TOLD).unlink()
    (job / "config.json").unlink()
    assert main([str(job)]) == 1
    assert "config.json: cannot be read" in capsys.readouterr().err


def test_quality_is_one_for_who_knows(images):
    animals = animals_of(images[0], [0, 1], 2)
    blind = quality(lambda crop: np.full(crop.shape[1:], -1, np.float32), animals)
    assert 0 <= blind < 0.6
