from __future__ import annotations

import shutil
import threading
from datetime import datetime, timezone
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from app import jobs
from app.run import Run, Stopped
from app.workflow import proposals
from app.workflow.imports import import_source
from app.workflow.training import version_folder
from data_io.artifacts import Artifacts
from data_io.errors import DataError
from data_io.geometry import full_image, mask_of_parts
from data_io.types import ModelVersion
from model.uncertainty import image_score

WIDTH, HEIGHT = 320, 240
DOUBT = (slice(10, 18), slice(10, 18))  # rows, columns of the map; pixels 40 to 72


@pytest.fixture
def photos(tmp_path):
    """Two folders (cameras) with two photos each, large enough for regions."""
    folder = tmp_path / "photos"
    for number in range(4):
        camera = folder / ("north", "south")[number // 2]
        camera.mkdir(parents=True, exist_ok=True)
        picture = Image.new("RGB", (WIDTH, HEIGHT), (60 * number, 0, 0))
        picture.save(camera / f"{number % 2}.png")
    return folder


class Steady:
    """Predicts the same cow and the same doubt for every image, and counts."""

    def __init__(self, animal):
        self._animal, self.calls = animal, 0
        self.unsure = np.zeros((HEIGHT // 4, WIDTH // 4), np.uint8)
        self.unsure[DOUBT] = 255

    def predict(self, pixels):
        self.calls += 1
        return SimpleNamespace(
            probability=np.zeros((2, *self.unsure.shape), np.float32),
            uncertainty=self.unsure.copy(),
            instances=(self._animal(8, 8, 16, 16, source="model", score=0.7),),
            doubts=None,
        )


@pytest.fixture(autouse=True)
def no_checks(project):
    """No random check unless a test wants some."""
    project.project.joinpath("settings.json").write_text('{"audit": 0}')


@pytest.fixture
def steady(animal):
    return Steady(animal)


@pytest.fixture
def run(project, tmp_path, monkeypatch, steady):
    monkeypatch.setattr(proposals, "_load", lambda store, version: steady)
    job = project.create_job("propose", {"version": "v1", "images": None})
    return Run(project, job, tmp_path, threading.Event())


def pixels_of(regions):
    """(HEIGHT, WIDTH) bool: what the regions cover."""
    return mask_of_parts(sum((one.parts for one in regions), ()), HEIGHT, WIDTH)


def map_of(project, image):
    path = project.proposal(image).uncertainty
    return Artifacts(project.project).read_uncertainty(path)


def test_every_image_gets_a_proposal_regions_and_a_map(run, project, steady):
    result = proposals.run_proposals(run)
    assert (result["images"], result["instances"], result["refused"]) == (4, 4, [])
    made = project.proposals()
    assert {one.version for one in made.values()} == {"v1"}
    assert len({instance.id for one in made.values() for instance in one.instances}) == 4
    image = project.images()[0].id
    (region,) = project.regions(image, "open")
    assert region.version == "v1"
    assert pixels_of([region])[40:72, 40:72].mean() > 0.9
    np.testing.assert_array_equal(map_of(project, image), steady.unsure)
    assert made[image].score == image_score(steady.unsure, 2) > 0


def test_random_checks_are_asked_like_other_regions(run, project, steady, box):
    project.project.joinpath("settings.json").write_text('{"audit": 0.5}')
    first, second, *_ = (record.id for record in project.images())
    project.save_revision(first, 0, [], full_image(HEIGHT, WIDTH), "me")
    project.save_revision(second, 0, [], box(0, 0, 160, HEIGHT), "me")
    proposals.run_proposals(run)
    kinds = [[one.kind for one in project.regions(i.id, "open")] for i in project.images()]
    assert kinds[0] == []
    assert kinds[1] == ["audit"]  # what is unsure lies in the verified half
    assert all(sorted(own) == ["audit", "possible miss"] for own in kinds[2:])
    (check,) = project.regions(second)
    assert not pixels_of([check])[:, :160].any()
    assert check.reason.startswith("A random check")
    assert check.weight > 1


def test_what_has_this_versions_proposal_is_not_computed_again(run, project, steady):
    proposals.run_proposals(run)
    ids = project.annotation_ids(i.id for p in project.proposals().values() for i in p.instances)
    again = proposals.run_proposals(run)
    assert (steady.calls, again["images"]) == (4, 4)
    assert ids == project.annotation_ids(ids)


def test_a_stopped_run_goes_on_where_it_was(run, project, steady, monkeypatch):
    predict = steady.predict

    def stop_after_two(pixels):
        if steady.calls == 1:
            run.stop.set()
        return predict(pixels)

    monkeypatch.setattr(steady, "predict", stop_after_two)
    with pytest.raises(Stopped):
        proposals.run_proposals(run)
    assert len(project.proposals()) == 2
    run.stop.clear()
    assert proposals.run_proposals(run)["images"] == 4
    assert steady.calls == 4


def test_the_verified_area_is_taken_out(run, project, box):
    first, second, third, _ = (record.id for record in project.images())
    project.save_revision(first, 0, [], full_image(HEIGHT, WIDTH), "me")
    half, most = box(0, 0, 56, HEIGHT), box(0, 0, 68, HEIGHT)
    project.save_revision(second, 0, [], half, "me")
    project.save_revision(third, 0, [], most, "me")
    proposals.run_proposals(run)
    assert project.regions(first) == []
    assert len(project.proposal(first).instances) == 1
    assert project.proposal(first).score == 0
    covered = pixels_of(project.regions(second))
    assert covered[48:64, 62:70].all()
    assert not (covered & mask_of_parts(half, HEIGHT, WIDTH)).any()
    left = map_of(project, second)
    assert (left[:, :14] == 0).all()
    assert (left[10:18, 14:18] == 255).all()
    assert project.proposal(second).score == image_score(left, 2)
    assert project.regions(third) == []  # a sliver is not worth a question


def test_a_cell_that_is_verified_in_part_is_answered(run, project, box):
    image = project.images()[0].id
    # Column 14 of the map is pixels 56 to 60: its top-left pixels stay unverified.
    project.save_revision(image, 0, [], box(58, 0, WIDTH - 58, HEIGHT), "me")
    proposals.run_proposals(run)
    left = map_of(project, image)
    assert (left[:, 14:] == 0).all()
    assert (left[10:18, 10:14] == 255).all()


def test_answered_ground_takes_no_budget_from_the_rest(run, project, steady, box):
    steady.unsure[:, :40] = 255
    steady.unsure[30:38, 60:68] = 200  # less unsure than all of the left half
    open_, half = (record.id for record in project.images()[:2])
    project.save_revision(half, 0, [], box(0, 0, 160, HEIGHT), "me")
    proposals.run_proposals(run)
    assert not pixels_of(project.regions(open_))[120:152, 240:272].any()
    (region,) = project.regions(half)
    assert pixels_of([region])[120:152, 240:272].mean() > 0.7


def test_after_a_roll_back_what_was_open_is_asked_again(run, project, steady):
    """The second region moves up a place once the first is answered."""
    steady.unsure[30:36, 50:56] = 255
    record = project.images()[0]
    proposals.propose(project, steady, "v1", record)
    first, second = project.regions(record.id)
    project.save_revision(
        record.id, 0, [], first.parts, "me", answer=(first.id, "accepted"), proposal="v1"
    )
    for version in ("v2", "v1"):
        proposals.propose(project, steady, version, record)
    states = {one.id: one.state for one in project.regions(record.id) if one.version == "v1"}
    assert states == {first.id: "accepted", second.id: "open"}


def test_what_was_skipped_is_not_asked_again_after_a_roll_back(run, project, steady):
    record = project.images()[0]
    proposals.propose(project, steady, "v1", record)
    (region,) = project.regions(record.id)
    project.answer_region(region.id, "skipped")
    for version in ("v2", "v1"):
        proposals.propose(project, steady, version, record)
    assert project.regions(record.id, "open") == []


def test_an_image_that_is_gone_is_listed_and_the_rest_done(run, project, photos):
    photos.joinpath("north", "0.png").unlink()
    result = proposals.run_proposals(run)
    assert result["images"] == 3
    assert [row["file"].rpartition("/")[2] for row in result["refused"]] == ["0.png"]


def test_only_the_images_asked_for(run, project):
    wanted = [project.images()[2].id]
    job = project.create_job("propose", {"version": "v1", "images": wanted})
    result = proposals.run_proposals(Run(project, job, run.folder, run.stop))
    assert list(project.proposals()) == wanted
    assert result["images"] == 1


def test_images_that_come_while_it_runs_are_done_too(run, project, steady, photos, monkeypatch):
    predict = steady.predict

    def upload(pixels):
        if steady.calls == 0:
            shutil.copy(photos / "north" / "0.png", photos / "north" / "late.png")
            import_source(project, photos)
        return predict(pixels)

    monkeypatch.setattr(steady, "predict", upload)
    result = proposals.run_proposals(run)
    assert (result["images"], steady.calls) == (5, 5)
    assert run.progress["message"] == "5 of 5 images have a proposal"


def test_a_refused_image_is_named_and_tried_once(run, project, steady, monkeypatch):
    def refuse(*_):
        raise DataError("image x", "has odd geometry", "report it")

    monkeypatch.setattr(project, "put_proposal", refuse)
    result = proposals.run_proposals(run)
    assert steady.calls == 4
    paths = {record.path for record in project.images()}
    assert {row["file"] for row in result["refused"]} == paths


@pytest.fixture
def promoted(project):
    """The version v1 in use, its files empty."""
    folder = version_folder(project, "v1")
    folder.mkdir(parents=True)
    for name in ("weights.safetensors", "version.json"):
        folder.joinpath(name).touch()
    now = datetime.now(timezone.utc)
    project.add_version(ModelVersion("v1", None, "j", "", {}, (), "s", {}, "promoted", now))


@pytest.fixture
def running(project, promoted, monkeypatch):
    """Starts runs that have no process and live on; `cancelled` are ids and whether it waited."""
    monkeypatch.setattr(jobs, "_launch", lambda store, job: job)
    monkeypatch.setattr(jobs, "is_alive", lambda job: True)

    class Running:
        def __init__(self):
            self.cancelled = []

        def start(self, images=None, version="v1"):
            return project.create_job("propose", {"version": version, "images": images})

    made = Running()
    monkeypatch.setattr(
        jobs, "cancel_job", lambda store, id, wait=True: made.cancelled.append((id, wait))
    )
    return made


def test_a_run_for_all_is_enough(project, running):
    job = running.start()
    running.start([project.images()[0].id])
    assert proposals.ensure(project) == job
    assert running.cancelled == []


def test_a_run_for_some_images_does_not_stand_for_all(project, running):
    some = running.start([project.images()[0].id])
    job = proposals.ensure(project)
    assert job.id != some.id
    assert job.config == {"version": "v1", "images": None}
    assert running.cancelled == []  # it may finish: somebody waits for it


def test_a_run_that_is_being_stopped_does_not_count(project, running):
    job = running.start()
    folder = jobs.job_folder(project, job)
    folder.mkdir(parents=True)
    folder.joinpath(jobs.CANCEL_MARK).touch()
    assert proposals.ensure(project).id != job.id


def test_a_run_for_all_makes_way_without_being_waited_for(project, running):
    everything = running.start()
    job = proposals.start_proposals(project, images=[project.images()[0].id])
    assert running.cancelled == [(everything.id, False)]
    assert job.config["images"] == [project.images()[0].id]


def test_images_that_were_just_refused_are_no_reason_to_start(project, running):
    paths = [record.path for record in project.images()]
    assert proposals.ensure(project, paths) is None
    assert proposals.ensure(project, paths[1:]) is not None


def test_without_a_version_there_is_nothing_to_start(project):
    assert proposals.ensure(project) is None
    with pytest.raises(DataError, match="no trained version"):
        proposals.start_proposals(project)
