from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from app.run import Run, Stopped
from app.workflow import proposals
from data_io.artifacts import Artifacts
from data_io.errors import DataError
from data_io.geometry import area_of_rle, box_of_parts, rle_of_parts
from data_io.types import ReviewRegion


class Steady:
    """Predicts the same cow and region for every image, and counts."""

    def __init__(self, animal, box):
        self._animal, self._box, self.calls = animal, box, 0

    def predict(self, pixels):
        self.calls += 1
        area = self._box(10, 10, 20, 20)
        return SimpleNamespace(
            uncertainty=np.full((12, 16), 100, dtype=np.uint8),
            instances=(self._animal(8, 8, 16, 16, source="model", score=0.7),),
            regions=(ReviewRegion("x", "", "?", "edge", area, box_of_parts(area), 0.6, "unsure"),),
            score=0.8,
        )


@pytest.fixture
def steady(animal, box):
    return Steady(animal, box)


@pytest.fixture
def run(project, tmp_path, monkeypatch, steady):
    monkeypatch.setattr(proposals, "_load", lambda store, version: steady)
    job = project.create_job("propose", {"version": "v1", "images": None})
    return Run(project, job, tmp_path, threading.Event())


def test_every_image_gets_a_proposal_regions_and_a_map(run, project):
    result = proposals.run_proposals(run)
    assert (result["images"], result["instances"], result["refused"]) == (4, 4, [])
    made = project.proposals()
    assert {one.version for one in made.values()} == {"v1"}
    assert len({instance.id for one in made.values() for instance in one.instances}) == 4
    image = project.images()[0].id
    (region,) = project.regions(image, "open")
    assert (region.version, area_of_rle(rle_of_parts(region.parts, 48, 64))) == ("v1", 400)
    assert Artifacts(project.project).read_uncertainty(made[image].uncertainty).mean() == 100
    assert made[image].score == 0.8


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
    project.save_revision(first, 0, [], box(0, 0, 64, 48), "me")
    project.save_revision(second, 0, [], box(0, 0, 20, 48), "me")
    project.save_revision(third, 0, [], box(0, 0, 29, 48), "me")
    proposals.run_proposals(run)
    assert project.regions(first) == []
    assert len(project.proposal(first).instances) == 1
    assert project.proposal(first).score == 0
    (half,) = project.regions(second)
    assert area_of_rle(rle_of_parts(half.parts, 48, 64)) == 200
    assert half.box == (20, 10, 10, 20)
    map_ = Artifacts(project.project).read_uncertainty(project.proposal(second).uncertainty)
    assert (map_[:, :5] == 0).all()
    assert (map_[:, 5:] == 100).all()
    assert project.proposal(second).score == pytest.approx(0.8 * 11 / 16)
    assert project.regions(third) == []  # a sliver is not worth a question


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


def test_without_a_version_there_is_nothing_to_start(project):
    assert proposals.ensure(project) is None
    with pytest.raises(DataError, match="no trained version"):
        proposals.start_proposals(project)
