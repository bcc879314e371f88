from __future__ import annotations

import shutil
import threading
from datetime import datetime, timezone

import pytest

from app import gate, jobs, settings
from app.run import Run
from app.workflow import trainer, training
from app.workflow.training import TrainOptions
from data_io.errors import DataError
from data_io.geometry import full_image
from data_io.images import inspect
from data_io.store import NewImage, Store
from data_io.types import ModelVersion


@pytest.fixture
def started(project, monkeypatch):
    """Catches the job that would start, since these tests need no trainer."""
    caught = []

    def catch(store, kind, config):
        caught.append(config)
        return store.create_job(kind, config)

    monkeypatch.setattr(jobs, "start_job", catch)
    return caught


def test_training_needs_a_verified_area(project, animal, started):
    with pytest.raises(DataError, match="no image has a verified area"):
        training.start_training(project)
    image = project.images()[0].id
    project.save_revision(image, 0, [animal(2, 2, 9, 9)], (), "me")
    with pytest.raises(DataError, match="no image has a verified area"):
        training.start_training(project)
    project.set_split(image, "test")
    project.save_revision(image, 1, [], full_image(48, 64), "me")
    with pytest.raises(DataError, match="no image has a verified area"):
        training.start_training(project)
    assert started == []


def test_a_training_gets_a_snapshot_a_version_and_the_options(project, animal, started):
    image = project.images()[0].id
    project.save_revision(image, 0, [animal(2, 2, 9, 9)], full_image(48, 64), "me")
    training.start_training(project, TrainOptions(steps=7, seed=3, method="cutmix", threads=1))
    training.start_training(project, TrainOptions(minutes=2.5))
    first, second = started
    assert first["version"].startswith("v1-")
    assert second["version"].startswith("v2-")
    assert first["snapshot"].startswith(str(project.project))
    assert first["train"]["steps"] == 7
    assert "minutes" not in first["train"]
    assert (first["train"]["seed"], first["train"]["method"]) == (3, "cutmix")
    assert second["train"]["minutes"] == 2.5


def test_the_project_may_set_the_length_in_steps_unless_minutes_are_asked_for(
    project, animal, started
):
    image = project.images()[0].id
    project.save_revision(image, 0, [animal(2, 2, 9, 9)], full_image(48, 64), "me")
    settings.change(project.project, steps=12)
    for options in (TrainOptions(), TrainOptions(steps=7), TrainOptions(minutes=2.5)):
        training.start_training(project, options)
    lengths = [(one["train"].get("steps"), one["train"].get("minutes")) for one in started]
    assert lengths == [(12, None), (7, None), (None, 2.5)]


@pytest.mark.parametrize(
    "options",
    [
        TrainOptions(steps=0),
        TrainOptions(method="magic"),
        TrainOptions(preset="tiny"),
        TrainOptions(device="tpu"),
    ],
)
def test_options_that_do_not_fit_start_nothing(project, started, options):
    with pytest.raises(DataError):
        training.start_training(project, options)
    assert started == []


def test_a_version_without_validation_is_promoted_and_told(project, trained):
    result = training.finalise(project, *trained("v1-a"))
    assert result["promoted"]
    assert "no validation images" in result["why"]
    version = project.promoted()
    assert (version.id, version.weights_sha256, version.snapshot) == ("v1-a", "abc", "hash")
    assert version.categories == ("cow",)
    assert training.usable_version(project).id == "v1-a"


def test_finishing_may_be_repeated(project, trained):
    job, folder = trained("v1-a")
    first = training.finalise(project, job, folder)
    assert not folder.joinpath("checkpoint").exists()
    assert training.finalise(project, job, folder) == first
    assert len(project.versions()) == 1


def test_a_version_that_was_judged_is_not_promoted_again(project, trained):
    """A job may be resumed long after its worker was killed, when a person has gone back."""
    training.finalise(project, *trained("v1-a"))
    job, folder = trained("v2-b")
    training.finalise(project, job, folder)
    project.promote("v1-a")
    assert training.finalise(project, job, folder)["promoted"]
    assert project.promoted().id == "v1-a"


def test_a_version_is_judged_against_the_one_in_use_at_its_end(project, trained, monkeypatch):
    """A person goes back to another version while the candidate is being judged."""
    training.finalise(project, *trained("v1-a"))
    training.finalise(project, *trained("v2-b"))
    judge, against = gate.judge, []

    def slow(store, new, ahead, *rest):
        against.append(ahead.id)
        verdict = judge(store, new, ahead, *rest)
        if len(against) == 1:
            store.promote("v1-a")
        return verdict

    monkeypatch.setattr(gate, "judge", slow)
    training.finalise(project, *trained("v3-c"))
    assert against == ["v2-b", "v1-a"]
    assert project.version("v3-c").metrics["gate"]["against"] == "v1-a"


def test_a_training_sets_validation_images_aside_before_its_snapshot(project, started):
    project.add_images(
        [NewImage(f"/a/{n}.png", 64, 48, str(n), "a") for n in range(20)]
    )  # pictures that are not there are left out of a snapshot
    for record in project.images()[:4]:
        project.save_revision(record.id, 0, [], full_image(48, 64), "me")
    image = project.images()[4]
    project.save_revision(image.id, 0, [], (), "me")
    training.start_training(project)
    assert not any(record.split for record in project.images())
    shutil.copy(project.images()[0].path, project.project / "images" / "more.png")
    info = inspect(project.project / "images" / "more.png")
    (more,) = project.add_images([NewImage(info.path, info.width, info.height, info.sha256, "b")])
    project.save_revision(more.id, 0, [], full_image(48, 64), "me")
    training.start_training(project)
    assert [record.split for record in project.images()].count("val") == 3


@pytest.mark.parametrize(("left", "again"), [("version", True), ("version and result", False)])
def test_a_trainer_killed_before_its_result_goes_on_and_after_it_does_not(
    project, trained, monkeypatch, left, again
):
    job, folder = trained("v1-a")
    told = folder.joinpath("result.json").read_text()
    if left == "version":  # perhaps of an older attempt, and no word about what it is
        folder.joinpath("result.json").unlink()
    calls = []

    def train(run, lock):
        calls.append(run.job.id)
        folder.joinpath("result.json").write_text(told)

    monkeypatch.setattr(trainer, "train", train)
    training.run_training(Run(project, job, folder, threading.Event()))
    assert calls == ([job.id] if again else [])
    assert project.promoted().id == "v1-a"


class Killed(BaseException):
    """What a kill -9 looks like from within."""


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("owner", "name"), [(training.os, "replace"), (Store, "add_version")])
def test_a_kill_while_finishing_shows_no_half_version(
    project, trained, monkeypatch, owner, name, late
):
    job, folder = trained("v1-a")
    real = getattr(owner, name)

    def kill(*arguments):
        if late:
            real(*arguments)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, kill)
        with pytest.raises(Killed):
            training.finalise(project, job, folder)
    for version in project.versions():  # whatever is known stands whole on the disk
        assert training.missing_files(training.version_folder(project, version.id)) == []
    assert project.proposals() == {}
    assert training.finalise(project, job, folder)["promoted"]
    assert (len(project.versions()), project.promoted().id) == (1, "v1-a")


def test_a_training_remembers_the_labels_it_was_started_on(project, animal, started):
    image = project.images()[0].id
    project.save_revision(image, 0, [animal(2, 2, 9, 9)], full_image(48, 64), "me")
    training.start_training(project, TrainOptions(reason="2 newly accepted images"))
    (config,) = started
    assert config["labels"] == {"images": 1, "regions": 0, "edits": 1}
    assert config["reason"] == "2 newly accepted images"
    assert (config["train"]["start"], config["train"]["gpu_share"]) == ("scratch", 0.8)


def test_a_training_leaves_cores_to_the_page(project, animal, started, monkeypatch):
    image = project.images()[0].id
    project.save_revision(image, 0, [animal(2, 2, 9, 9)], full_image(48, 64), "me")
    monkeypatch.setattr(settings.os, "cpu_count", lambda: 4)
    for spare, options in ((0, None), (1, None), (9, None), (1, TrainOptions(threads=3))):
        settings.change(project.project, spare_cores=spare)
        training.start_training(project, options)
    assert [config["train"]["threads"] for config in started] == [4, 3, 1, 3]


def test_a_degenerate_version_is_kept_aside(project, trained):
    job, folder = trained("v1-a", degenerate=True, metrics={"iou": 0.012, "on": "validation"})
    result = training.finalise(project, job, folder)
    why = "kept aside: it finds next to no animal: IoU 0.012 on validation images"
    assert (result["promoted"], result["why"]) == (False, why)
    assert project.promoted() is None
    assert training.usable_version(project).id == "v1-a"


@pytest.mark.parametrize(
    ("width", "promoted"), [(16, True), (17, False), (32, False)], ids=["same", "worse", "bad"]
)
def test_validation_decides_within_a_margin(project, trained, animal, sees, width, promoted):
    for record in project.images()[:2]:
        project.set_split(record.id, "val")
        project.save_revision(record.id, 0, [animal(8, 8, 16, 16)], full_image(48, 64), "me")
    sees["v2-b"] = (8, 8, width, 16)
    first = training.finalise(project, *trained("v1-a"))
    assert first["why"] == "promoted: the first version, validation IoU 1.000 on 2 images"
    result = training.finalise(project, *trained("v2-b"))
    assert result["promoted"] is promoted
    assert project.promoted().id == ("v2-b" if promoted else "v1-a")
    assert f"{16 / width:.3f} against 1.000 of v1-a" in result["why"]
    assert project.version("v2-b").metrics["val_iou"] == pytest.approx(16 / width)


def test_an_incomplete_version_is_refused(project, trained):
    job, folder = trained("v1-a")
    folder.joinpath("version", "weights.safetensors").unlink()
    with pytest.raises(DataError, match="lacks"):
        training.finalise(project, job, folder)
    assert project.versions() == []


def test_a_training_tidies_the_project(project, trained):
    settings.change(project.project, refine=False)
    for number in range(1, 13):
        job, folder = trained(f"v{number}-a")
        training.finalise(project, job, folder)
        project.update_job(job.id, state="done")
    job, folder = trained("v13-a")
    training.run_training(Run(project, job, folder, threading.Event()))
    left = sorted(path.name for path in (project.project / "versions").iterdir())
    assert left == sorted(f"v{number}-a" for number in range(4, 14))
    assert project.promoted().id == "v13-a"


def test_rolling_back_recomputes_the_proposals(project, trained, started):
    training.finalise(project, *trained("v1-a"))
    training.finalise(project, *trained("v2-b"))
    job = training.promote(project, "v1-a")
    assert project.promoted().id == "v1-a"
    assert (job.kind, job.config["version"]) == ("propose", "v1-a")


def test_a_version_whose_files_are_gone_is_not_promoted(project):
    moment = datetime.now(timezone.utc)
    version = ModelVersion("v1-a", None, "j", "", {}, ("cow",), "s", {}, "aside", moment)
    project.add_version(version)
    with pytest.raises(DataError, match="files are gone"):
        training.promote(project, "v1-a")
    with pytest.raises(DataError, match="no trained version"):
        training.usable_version(project)
    with pytest.raises(DataError, match="not in this project"):
        training.promote(project, "v9")
