"""Whole runs with a model that needs no training: equal seconds, resumption, what labels are."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from app.click_engines import weights_in_use
from app.simulate.annotator import Annotator
from app.simulate.arms import ARMS
from app.simulate.clock import STANDARD, total
from app.simulate.run import Plan, Run, plan
from app.simulate.session import Session, actions_of
from app.workflow.views import view
from data_io.geometry import rle_iou, rle_of_parts
from data_io.store import Store
from data_io.types import ModelVersion
from model.assist import ONNX


def test_rounds_double_what_was_spent_up_to_the_full_cost():
    assert plan(1000, 3) == Plan((60, 120, 240, 480, 1000), frozenset({2, 4, 5}))
    assert plan(1500, 1).ends == (60, 120, 240, 480, 960, 1500)
    assert plan(30, 3).ends == (30,)
    assert plan(1000, 3, (1, 2)).trained == {1, 2}


def run(hidden, models, folder, arm="A9", seed=0):
    return Run(hidden, ARMS[arm], Annotator(seed), models, folder)


@pytest.mark.parametrize("arm", ["A0", "A2", "A3", "A4", "A9", "A9c"])
def test_every_arm_labels_all_of_it_in_rounds_of_equal_seconds(hidden, models, tmp_path, arm):
    records = list(run(hidden, models, tmp_path / "run", arm).rounds())
    full = STANDARD.price(records[0]["full"])
    ends = plan(full, 3).ends
    starts = (0.0, *ends[:-1])
    for record, start, end in zip(records[:-1], starts, ends, strict=False):
        assert record["seconds"] == pytest.approx(end - start)
    assert records[-1]["done"]
    assert records[-1]["seconds"] <= ends[len(records) - 1] - starts[len(records) - 1] + 1e-6
    images = [image for record in records for image in record["images"]]
    priced = sum(STANDARD.price(record["spent"]) for record in records)
    if not records[-1]["left"]:
        assert len(images) == len(hidden.pool)
        actions = [row for image in images for row in image["other"]]
        actions += [row for i in images for animal in i["animals"] for row in animal["actions"]]
        assert STANDARD.price(total(actions_of(actions))) == pytest.approx(priced)
    assert models.trainings >= 1


def test_help_makes_it_cheaper(hidden, models, tmp_path):
    spent = {
        arm: sum(r["seconds"] for r in run(hidden, models, tmp_path / arm, arm).rounds())
        for arm in ("A0", "A4")
    }
    assert spent["A4"] < 0.9 * spent["A0"]


def test_a_killed_run_goes_on_as_if_nothing_had_happened(hidden, models, tmp_path):
    whole = list(run(hidden, models, tmp_path / "whole").rounds())
    assert len(whole) >= 3
    for finished in (1, 2):
        folder = tmp_path / f"killed-{finished}"
        begun = run(hidden, models, folder).rounds()
        for _ in range(finished):
            next(begun)
        begun.close()
        # A kill in the middle of a round leaves labels of it in the project.
        with Store.open(folder / "project") as store:
            left = [one for one in store.images() if view(store, one.id).status != "verified"]
            store.save_revision(left[-1].id, view(store, left[-1].id).number, (), (), "killed")
            store.project.joinpath("versions", "half").mkdir()
        again = run(hidden, models, folder)
        assert again.records() == whole[:finished]
        assert [*again.records(), *again.rounds()] == whole
        assert list(run(hidden, models, folder).rounds()) == []
        assert not (folder / "project/versions/half").exists()


def test_the_project_holds_what_the_person_accepted_and_nothing_of_the_truth(
    hidden, models, tmp_path
):
    list(run(hidden, models, tmp_path / "run").rounds())
    by_path = {image.path: image for image in hidden.pool}
    with Store.open(tmp_path / "run/project") as store:
        records = store.images()
        assert {one.path for one in records} == set(by_path)  # no image of the test
        for record in records:
            truths = [rle for _, rle in by_path[record.path].animals]
            revision = store.revision(record.id)
            for instance in revision.instances:
                made = rle_of_parts(instance.parts, record.height, record.width)
                assert all(rle_iou(made, truth) < 1 for truth in truths)


def test_labels_stay_when_the_truth_changes_but_not_what_the_person_sees(
    hidden, models, tmp_path, monkeypatch
):
    """Nothing but the target carries the truth into the project."""
    monkeypatch.setattr(Annotator, "target", _blind(hidden))
    labels = []
    for name in ("one", "other"):
        list(run(hidden, models, tmp_path / name, "A4").rounds())
        with Store.open(tmp_path / name / "project") as store:
            revisions = [store.revision(one.id) for one in store.images()]
            labels.append(
                [[p.outer.tolist() for i in r.instances for p in i.parts] for r in revisions if r]
            )
        for image in hidden.pool:  # the truth moves, targets do not
            object.__setattr__(image, "animals", image.animals[::-1])
    assert labels[0] == labels[1]


def _blind(hidden):
    original = Annotator.target
    first = {
        f"{image.name}/{place}": truth
        for image in hidden.pool
        for place, (_, truth) in enumerate(image.animals)
    }
    return lambda self, key, category, truth: original(self, key, category, first[key])


def test_unfinished_animals_are_kept_as_drafts(hidden, models, tmp_path):
    begun = run(hidden, models, tmp_path / "run", "A0").rounds()
    record = next(begun)
    begun.close()
    with Store.open(tmp_path / "run/project") as store:
        states = store.image_states().values()
        drafts = [one for one in states if one.revision and one.verified == "none"]
        verified = [one for one in states if one.verified == "whole"]
    assert len(verified) == len(record["images"])
    state = json.loads((tmp_path / "run/round-01.state.json").read_text())
    assert len(drafts) == (1 if Session.of_dict(state["session"]).labels() else 0)
    assert Session.of_dict(state["session"]).as_dict() == state["session"]


def test_highlights_are_answered(hidden, models, tmp_path):
    records = list(run(hidden, models, tmp_path / "run").rounds())
    kinds = {row[0] for r in records for i in r["images"] for row in i["other"]}
    kinds |= {
        row[0] for r in records for i in r["images"] for a in i["animals"] for row in a["actions"]
    }
    assert "glance" in kinds
    with Store.open(tmp_path / "run/project") as store:
        states = {region.state for one in store.images() for region in store.regions(one.id)}
    assert states <= {"fixed", "accepted"}
    assert "fixed" in states


@pytest.mark.parametrize(("arm", "looks"), [("A4", 0), ("A9", 1)])
def test_only_the_queue_takes_first_looks_and_once_a_run(hidden, models, tmp_path, arm, looks):
    next(run(hidden, models, tmp_path / "run", arm).rounds())
    again = run(hidden, models, tmp_path / "run", arm)
    next(again.rounds())
    assert models.looked == looks


def test_the_refiner_of_a_version_that_was_kept_aside_stays(hidden, models, tmp_path):
    """As in the app: clicks are answered by it until another training has taught a newer one."""
    made = []

    def trained(store, method, seed, number):
        cow = store.categories()[0].id
        now = datetime.now(timezone.utc)
        id = f"v{number}"
        store.add_version(ModelVersion(id, None, "j", "", {}, (cow,), "s", {}, "aside", now))
        folder = store.project / "versions" / id
        folder.mkdir(parents=True)
        folder.joinpath("model.onnx").write_bytes(b"network")
        folder.joinpath(ONNX).write_bytes(b"refiner")
        made.append(id)
        return models.instant(store)

    models.trained = trained
    for record in run(hidden, models, tmp_path / "run", "A9c").rounds():
        with Store.open(tmp_path / "run" / "project") as store:
            kept = [folder.name for folder in (store.project / "versions").iterdir()]
            assert kept == made[-1:], record["round"]
            if made:
                assert weights_in_use(store).parent.name == made[-1]
    assert len(made) > 1
