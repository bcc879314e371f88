"""The instant model on photos of a drawn herd, with the real encoder."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.queue import Queue
from app.workflow import instant as instant_learning
from app.workflow import teaching
from app.workflow.imports import import_source
from app.workflow.instant import InstantLearning
from app.workflow.sharpening import Sharpening
from app.workflow.teaching import is_instant, teachers
from app.workflow.training import version_folder
from data_io.geometry import full_image, mask_of_parts, parts_of_mask, parts_to_json
from data_io.scenes import scene
from data_io.store import Store
from data_io.types import Instance, ModelVersion, Proposal
from model.features import encoder_file
from model.first_look import first_look_file

WIDTH, HEIGHT, FRAMES = 320, 240, 4


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """The encoder, and the network of first looks."""
    folder = tmp_path_factory.mktemp("networks")
    return encoder_file(folder), first_look_file(folder)


@pytest.fixture
def herd(tmp_path, networks):
    """A project of drawn frames without labels, and the animals' masks by image id."""
    folder = tmp_path / "photos"
    folder.mkdir()
    drawn = {}
    for frame in range(FRAMES):
        made = scene(5, "ceiling-straw", frame, WIDTH, HEIGHT)
        Image.fromarray(made.image).save(folder / f"{frame}.png")
        drawn[f"{frame}.png"] = made
    with Store.open(tmp_path / "project") as store:
        import_source(store, folder, format="images")
        store.add_category("cow")
        artifacts = store.project / "artifacts"
        artifacts.mkdir(exist_ok=True)
        for network in networks:
            (artifacts / network.name).write_bytes(network.read_bytes())
        yield store, {one.id: drawn[Path(one.path).name] for one in store.images()}


def cows(store, made, most=None):
    """The frame's animals as instances."""
    cow = store.categories()[0].id
    masks = sorted(made.masks, key=lambda mask: -int(mask.sum()))
    return [
        Instance(id=uuid.uuid4().hex, category=cow, parts=parts_of_mask(mask))
        for mask in masks[:most]
    ]


def save(store, made, image, most=None, verified=(), split=None):
    revision = store.revision(image)
    number = revision.number if revision else 0
    return store.save_revision(image, number, cows(store, made[image], most), verified, "me")


def run_out(learning, steps=200):
    """Let it do all there is to do; how many steps that took."""
    for done in range(steps):
        if not learning.step():
            return done
    raise AssertionError("it never comes to rest")


def versions(store):
    return {image: one.version for image, one in store.proposals().items()}


def everything():
    return full_image(HEIGHT, WIDTH)


def test_without_labels_nothing_is_proposed_and_every_image_is_looked_at(herd):
    store, made = herd
    assert run_out(InstantLearning(store, 1)) == 1 + FRAMES  # first it reads what is known
    assert versions(store) == {}
    assert set(store.embeddings().images) == set(made)


def test_the_encoder_waits_for_the_first_animal(herd):
    store, _ = herd
    (encoder,) = (store.project / "artifacts").glob("encoder-*")
    encoder.unlink()
    run_out(InstantLearning(store, 1))
    assert encoder.is_file()


def test_what_somebody_has_begun_is_proposed_for_first(herd, monkeypatch):
    store, made = herd
    begun = list(store.image_states())[-1]
    monkeypatch.setattr(Queue, "ranked", lambda *_: [])  # far behind, or not in the front at all
    save(store, made, begun, most=1)
    learning = InstantLearning(store, 1)
    while not versions(store):
        assert learning.step()
    assert list(versions(store)) == [begun]


def test_one_animal_brings_proposals_on_every_image(herd):
    store, made = herd
    first, *others = made
    save(store, made, first, most=1)
    run_out(InstantLearning(store, 1))
    assert set(versions(store)) == set(made)
    assert all(is_instant(version) for version in versions(store).values())
    found = [mask_of_parts(one.parts, HEIGHT, WIDTH) for one in store.proposal(others[0]).instances]
    truth = np.any(made[others[0]].masks, axis=0)
    union = np.any(found, axis=0)
    assert (union & truth).sum() / (union | truth).sum() > 0.4


def test_the_queue_hears_what_images_look_like(herd):
    store, made = herd
    first, *others = made
    save(store, made, first, most=1)
    run_out(InstantLearning(store, 1))
    known = store.embeddings()
    assert set(others) <= set(known.images)
    assert all(store.image_states()[image].foreground > 0.5 for image in others)


def test_the_model_itself_proposes_what_the_project_was_told(herd):
    store, made = herd
    first, second, *_ = made
    learning = InstantLearning(store, 1)
    assert learning.model() is None
    save(store, made, first, verified=everything())
    model = learning.model()
    run_out(learning)
    told = store.proposal(second)
    assert model.version == told.version
    found = model.predict(made[second].image).instances
    assert [parts_to_json(one.parts) for one in found] == [
        parts_to_json(one.parts) for one in told.instances
    ]


def test_every_save_makes_a_new_version_for_what_nobody_has_begun(herd):
    store, made = herd
    first, second, *rest = made
    learning = InstantLearning(store, 1)
    save(store, made, first, verified=everything())
    run_out(learning)
    before = versions(store)
    save(store, made, second, most=1)
    run_out(learning)
    after = versions(store)
    assert first not in after
    assert after[second] == before[second]  # it must not change under the hand
    assert all(after[image] != before[image] for image in rest)


def test_a_restart_has_nothing_to_do(herd):
    store, made = herd
    save(store, made, next(iter(made)), verified=everything())
    run_out(InstantLearning(store, 1))
    before = versions(store)
    assert run_out(InstantLearning(store, 1)) == 1  # it learns again, and proposes nothing new
    assert versions(store) == before


def test_many_labels_are_learned_a_portion_at_a_time(herd, monkeypatch):
    """Proposals come when all has been learned, of the version that all of it makes."""
    store, made = herd
    images = list(made)
    for image in images[:3]:
        save(store, made, image, verified=everything())
    whole = InstantLearning(store, 1).model().version
    monkeypatch.setattr(instant_learning, "PORTION", 1)
    learning = InstantLearning(store, 1)
    for _ in range(3):
        assert versions(store) == {}
        assert learning.step()
    run_out(learning)
    assert set(versions(store).values()) == {whole}


def test_deleting_the_only_animal_ends_the_proposing(herd):
    store, made = herd
    first, second, *_ = made
    learning = InstantLearning(store, 1)
    save(store, made, first, most=1)
    run_out(learning)
    store.save_revision(first, 1, [], everything(), "me")
    before = versions(store)
    run_out(learning)
    assert versions(store)[second] == before[second]


def test_a_version_in_use_ends_it(herd):
    store, made = herd
    first, *_ = made
    learning = InstantLearning(store, 1)
    folder = version_folder(store, "v1")
    folder.mkdir(parents=True)
    now = datetime.now(timezone.utc)
    cow = store.categories()[0].id
    store.add_version(ModelVersion("v1", None, "j", "", {}, (cow,), "s", {}, "aside", now))
    store.promote("v1")
    save(store, made, first, verified=everything())
    assert run_out(learning) == 0
    assert versions(store) == {}


def test_proposals_that_somebody_asked_for_stay(herd):
    store, made = herd
    first, second, *_ = made
    store.put_proposal(Proposal(second, "v1", (), "artifacts/none.png", 0.5))
    save(store, made, first, verified=everything())
    run_out(InstantLearning(store, 1))
    assert versions(store)[second] == "v1"


def test_an_image_that_cannot_be_read_keeps_nobody_waiting(herd, caplog):
    store, made = herd
    first, second, *rest = made
    Path(store.image(second).path).write_bytes(b"no picture")
    save(store, made, first, verified=everything())
    run_out(InstantLearning(store, 1))
    assert set(versions(store)) == set(rest)


def test_a_damaged_cache_is_made_again(herd):
    store, made = herd
    save(store, made, next(iter(made)), verified=everything())
    run_out(InstantLearning(store, 1))
    before = versions(store)
    for file in (store.project / "artifacts" / "features").iterdir():
        file.write_bytes(b"cut short")
    save(store, made, next(iter(made)), most=2, verified=everything())
    run_out(InstantLearning(store, 1))
    assert versions(store) != before


@pytest.mark.parametrize("split", ["val", "test"])
def test_images_set_aside_never_teach(herd, split):
    store, made = herd
    first, *_ = made
    save(store, made, first, verified=everything())
    assert [one.id for one in teachers(store.image_states())] == [first]
    store.set_splits({first: split})
    assert teachers(store.image_states()) == []


def test_a_merged_category_is_learned_as_its_target(herd):
    store, made = herd
    first, second, *_ = made
    learning = InstantLearning(store, 1)
    calf = store.add_category("calf")
    animals = cows(store, made[first])
    store.save_revision(first, 0, animals, everything(), "me")
    run_out(learning)
    store.merge_categories(calf.id, store.categories()[0].id)
    run_out(learning)
    cow = store.categories()[0].id
    assert {one.category for one in store.proposal(second).instances} == {cow}


def test_of_many_images_always_the_same_few_teach(herd, monkeypatch):
    store, made = herd
    for image in list(made)[:3]:
        save(store, made, image)
    monkeypatch.setattr(teaching, "MOST", 2)
    few = {one.id for one in teachers(store.image_states())}
    assert few == set(sorted(list(made)[:3])[:2])
    save(store, made, list(made)[3])
    assert len(few & {one.id for one in teachers(store.image_states())}) >= 1


def test_only_the_front_of_the_queue_gets_outlines_drawn_again(herd, monkeypatch):
    store, made = herd
    monkeypatch.setattr(instant_learning, "SHARP", 1)

    class Twice:
        name = "herd"

        def __call__(self, image, made):
            return replace(made, instances=made.instances[:1])

    monkeypatch.setattr(Sharpening, "sharpener", lambda self, taught, animals: Twice())
    save(store, made, next(iter(made)), verified=everything())
    learning = InstantLearning(store, 1)
    run_out(learning)
    front, *rest = [item.image for item in Queue(store).ranked()]
    drawn = versions(store)
    assert drawn[front] == learning.model().version
    assert drawn[front].endswith("-herd")
    assert is_instant(drawn[front])
    assert not any(drawn[image].endswith("-herd") for image in rest)
    assert len(store.proposal(front).instances) == 1
    plain = InstantLearning(store, 1, sharp=False).model()
    assert drawn[rest[0]] == plain.version
    assert run_out(InstantLearning(store, 1)) == 1  # nothing is proposed a second time


def test_the_refiner_is_tried_on_an_image_that_its_head_has_not_learned(herd, monkeypatch):
    store, made = herd
    first, second, *_ = made
    tries, proposals = [], []

    def tried(self, taught, animals):
        tries.append((animals, [(len(one.drawn), one.pixels().shape) for one in taught()]))
        proposals.append([parts_to_json(i.parts) for one in taught() for i in one.propose()])

    monkeypatch.setattr(Sharpening, "sharpener", tried)
    save(store, made, first, verified=everything())
    learning = InstantLearning(store, 1)
    alone = learning.model()
    assert proposals[-1] == [
        parts_to_json(i.parts) for i in alone.predict(made[first].image).instances
    ]
    save(store, made, second, verified=everything())
    both = learning.model()
    counts = [len(cows(store, made[image])) for image in (first, second)]
    assert tries[-1] == (sum(counts), [(counts[1], made[second].image.shape)])
    by_all = [parts_to_json(i.parts) for i in both.predict(made[second].image).instances]
    before = [parts_to_json(i.parts) for i in alone.predict(made[second].image).instances]
    assert proposals[-1] not in ([], by_all)
    assert len(proposals[-1]) == pytest.approx(len(before), abs=2)
