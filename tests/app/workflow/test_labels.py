"""What counts as labeled for a training."""

from __future__ import annotations

from app.workflow import labels
from app.workflow.labels import Labels
from data_io.geometry import full_image

WHOLE = full_image(48, 64)


def test_accepted_images_answered_regions_and_corrections_count(project, animal, propose, box):
    first, second = (record.id for record in project.images()[:2])
    assert labels.count(project) == Labels(0, 0, 0)
    project.save_revision(first, 0, [animal(2, 2, 9, 9)], (), "me")
    assert labels.count(project) == Labels(0, 0, 0)  # a draft teaches nothing
    project.save_revision(first, 1, [animal(2, 2, 9, 9)], WHOLE, "me")
    assert labels.count(project) == Labels(1, 0, 2)
    propose(second, (), {"a": box(1, 1, 5, 5), "b": box(9, 9, 5, 5)})
    project.save_revision(second, 0, [], box(1, 1, 5, 5), "me", answer=("a", "accepted"))
    assert labels.count(project) == Labels(1, 1, 3)
    project.answer_region("b", "skipped")
    assert labels.count(project) == Labels(1, 1, 3)


def test_images_that_no_training_takes_do_not_count(project):
    first, second = (record.id for record in project.images()[:2])
    for image in (first, second):
        project.save_revision(image, 0, [], WHOLE, "me")
    project.set_split(first, "test")
    project.set_excluded(second, True)
    assert labels.count(project) == Labels(0, 0, 0)


def test_counts_survive_the_row_of_a_job(project):
    job = project.create_job("train", {"labels": Labels(3, 4, 5).as_dict()})
    assert Labels.of_dict(project.job(job.id).config["labels"]) == Labels(3, 4, 5)
