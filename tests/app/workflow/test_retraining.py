"""When trainings start by themselves, with the jobs caught instead of started."""

from __future__ import annotations

import pytest

from app import jobs, settings
from app.workflow import retraining
from app.workflow.labels import Labels
from data_io.geometry import full_image

NOTHING = Labels()


@pytest.fixture
def started(project, monkeypatch):
    """Jobs that would start; their rows are ended at once, in the state that `ends` names."""
    caught = []

    def catch(store, kind, config):
        job = store.create_job(kind, config)
        caught.append(store.update_job(job.id, state="failed"))
        return caught[-1]

    monkeypatch.setattr(jobs, "start_job", catch)
    return caught


@pytest.fixture
def accept(project, animal):
    """Accepts so many more of the project's four images."""
    waiting = [record.id for record in project.images()]

    def take(count):
        for image in [waiting.pop() for _ in range(count)]:
            project.save_revision(image, 0, [animal(2, 2, 9, 9)], full_image(48, 64), "me")

    return take


def look(store, idle=0.0, since=NOTHING):
    return retraining.outlook(store, since, idle)


def test_it_says_what_it_waits_for(project, accept):
    settings.change(project.project, retrain_images=3, retrain_regions=7)
    told = look(project).sentence
    assert "3 more accepted images" in told
    assert "7 more answered regions" in told
    assert "15 min without work once there are new labels" in told
    accept(2)
    assert "after 1 more accepted image, or" in look(project).sentence
    assert look(project).reason == ""


def test_all_triggers_can_be_off(project, accept):
    settings.change(project.project, retrain_images=0, retrain_regions=0, retrain_idle=0)
    accept(4)
    assert look(project, idle=9999) == retraining.Outlook("", (), False)
    assert look(project).sentence == "Trainings start by hand alone."


def test_enough_accepted_images_start_one_training(project, accept, started):
    settings.change(project.project, retrain_images=2)
    accept(2)
    found = look(project)
    assert found.reason == "2 newly accepted images"
    retraining.begin(project, found)
    (job,) = started
    assert job.config["reason"] == "2 newly accepted images"
    assert job.config["labels"]["images"] == 2


def test_a_training_that_failed_is_not_repeated_without_new_labels(project, accept, started):
    settings.change(project.project, retrain_images=2)
    accept(2)
    retraining.begin(project, look(project))
    for idle in (0, 9999):
        assert retraining.begin(project, look(project, idle)) is None
    accept(2)
    assert retraining.begin(project, look(project)) is not None
    assert len(started) == 2


def test_answered_regions_start_one(project, propose, box):
    settings.change(project.project, retrain_regions=2)
    image = project.images()[0].id
    propose(image, (), {"a": box(1, 1, 5, 5), "b": box(9, 9, 5, 5)})
    project.save_revision(image, 0, [], box(1, 1, 5, 5), "me", answer=("a", "accepted"))
    assert look(project).reason == ""
    project.save_revision(image, 1, [], box(1, 1, 15, 15), "me", answer=("b", "fixed"))
    assert look(project).reason == "2 newly answered regions"


def test_an_idle_machine_trains_on_new_labels_and_on_nothing_else(project, accept, started):
    assert look(project, idle=9999).reason == ""
    accept(1)
    assert look(project, idle=14.9).reason == ""
    found = look(project, idle=15)
    assert found.reason == "new labels, and nobody has worked for 15 min"
    retraining.begin(project, found)
    assert look(project, idle=9999).reason == ""
    image = next(name for name, one in project.image_states().items() if one.revision)
    project.save_revision(image, 1, [], full_image(48, 64), "me")  # a correction
    assert look(project, idle=15).reason


def test_labels_from_before_the_first_training_are_no_trigger_by_themselves(project, accept):
    settings.change(project.project, retrain_images=1)
    accept(2)
    since = retraining.labels.count(project)
    assert look(project, idle=9999, since=since).reason == ""
    accept(1)
    assert look(project, since=since).reason


def test_a_trigger_during_a_training_is_acted_on_afterwards(project, accept, started, monkeypatch):
    settings.change(project.project, retrain_images=1)
    accept(1)
    retraining.begin(project, look(project))
    project.update_job(started[0].id, state="running")
    monkeypatch.setattr(jobs, "is_alive", lambda job: True)
    accept(1)
    found = look(project)
    assert found.running
    assert "when the present one has ended: 1 newly accepted image" in found.sentence
    assert retraining.begin(project, found) is None
    project.update_job(started[0].id, state="done")
    assert retraining.begin(project, look(project)) is not None


def test_a_training_that_was_killed_goes_on_but_not_for_ever(project, monkeypatch):
    resumed = []
    monkeypatch.setattr(jobs, "resume_job", lambda store, id: resumed.append(id))
    job = project.create_job("train", {})
    project.update_job(job.id, state="running", pid=2**22 - 1, pid_started=1.0)
    for _ in range(5):
        retraining.go_on(project)
    assert resumed == [job.id] * retraining.RESUMES


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
def test_what_ended_of_itself_or_was_cancelled_is_left_alone(project, monkeypatch, state):
    monkeypatch.setattr(jobs, "resume_job", lambda store, id: pytest.fail("it was resumed"))
    project.update_job(project.create_job("train", {}).id, state=state)
    assert retraining.go_on(project) is None
