from __future__ import annotations

import json

import pytest
from pycocotools.coco import COCO

from app.workflow.exports import Options, export_labels
from app.workflow.imports import import_source
from data_io.errors import DataError
from data_io.geometry import full_image, rle_of_parts


@pytest.fixture
def labeled(project, animal, propose):
    """Images: verified with a cow, draft with a cow, verified empty, proposal only."""
    first, second, third, fourth = (record.id for record in project.images())
    whole = full_image(48, 64)
    project.save_revision(first, 0, [animal(2, 2, 10, 10)], whole, "me")
    project.save_revision(second, 0, [animal(5, 5, 9, 9)], (), "me")
    project.save_revision(third, 0, [], whole, "me")
    propose(fourth, (animal(1, 1, 8, 8, source="model", version="v1", score=0.5),), {})
    return project


def names(file):
    return {row["file_name"] for row in json.loads(file.read_text())["images"]}


def test_revisions_hold_every_image_a_person_spoke_about(labeled, tmp_path):
    target = tmp_path / "out" / "labels.json"
    report = export_labels(labeled, target).report
    assert (report.images, report.instances) == (3, 2)
    assert names(target) == {"north/0.png", "north/1.png", "south/0.png"}


def test_only_verified_leaves_drafts_out(labeled, tmp_path):
    target = tmp_path / "labels.json"
    assert export_labels(labeled, target, Options(only_verified=True)).report.images == 2
    assert names(target) == {"north/0.png", "south/0.png"}


def test_proposals_hold_the_proposed_instances(labeled, tmp_path):
    target = tmp_path / "proposals.json"
    report = export_labels(labeled, target, Options(origin="proposals")).report
    assert (report.images, report.instances) == (1, 1)
    (row,) = json.loads(target.read_text())["annotations"]
    assert row["score"] == 0.5


def test_pycocotools_reads_the_same_rasters_under_stable_ids(labeled, tmp_path):
    target = tmp_path / "labels.json"
    export_labels(labeled, target)
    before = target.read_bytes()
    coco = COCO(str(target))
    stored = {
        number: rle_of_parts(one.parts, 48, 64)["counts"]
        for revision in labeled.latest_revisions().values()
        for one in revision.instances
        for number in labeled.annotation_ids([one.id]).values()
    }
    read = {id: coco.annToRLE(coco.anns[id])["counts"] for id in coco.anns}
    assert read == stored
    assert min(read) >= 1
    export_labels(labeled, target)
    assert target.read_bytes() == before


def test_an_export_imported_again_adds_nothing(labeled, tmp_path, photos):
    target = tmp_path / "labels.json"
    export_labels(labeled, target)
    report = import_source(labeled, target, images=photos)
    assert (report.images, report.instances, report.refused) == (0, 0, [])


def test_excluded_images_stay_out(labeled, tmp_path):
    labeled.set_excluded(labeled.images()[0].id, True)
    assert export_labels(labeled, tmp_path / "labels.json").report.images == 2


def test_nothing_to_export_is_a_sentence_and_leaves_the_old_file(project, tmp_path):
    target = tmp_path / "labels.json"
    target.write_text("{}")
    with pytest.raises(DataError, match="no labels"):
        export_labels(project, target)
    with pytest.raises(DataError, match="no proposals"):
        export_labels(project, target, Options(origin="proposals"))
    assert target.read_text() == "{}"
    with pytest.raises(DataError, match="folder"):
        export_labels(project, tmp_path)
