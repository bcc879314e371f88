"""Splits of a project: written once, as a whole, and never redrawn in silence."""

from __future__ import annotations

import json
import shutil

import pytest

from app.workflow import splits
from app.workflow.imports import import_source
from app.workflow.splits import split_project
from data_io.errors import DataError, StoreError
from data_io.geometry import full_image
from data_io.splits import Shares

SHARES = Shares(val=0.25, test=0.25)
WHOLE = full_image(48, 64)


@pytest.fixture
def herd(store, photos, animal):
    """Four cameras with three images each, all verified with 0, 1 or 2 cows."""
    for camera in ("east", "west"):
        shutil.copytree(photos / "north", photos / camera)
    for folder in photos.iterdir():
        shutil.copy(folder / "0.png", folder / "2.png")
    import_source(store, photos)
    for record in store.images():
        number = int(record.path[-5])
        instances = [animal(x, 2, 10, 10) for x in (2, 30)[:number]]
        store.save_revision(record.id, 0, instances, WHOLE, "me")
    return store


def read(project, name):
    return json.loads((project.project / "splits" / name).read_text())


def parts(project):
    return {record.id: record.split for record in project.images()}


def test_a_split_is_in_the_project_and_in_coco_files(herd):
    answer = split_project(herd, SHARES)
    assert (answer["train"], answer["val"], answer["test"], answer["unused"]) == (6, 3, 3, 0)
    assert (answer["by"], answer["seed"], answer["warnings"]) == ("group", 0, [])
    assert answer["animals"] == {part: [1.0, 0, 1, 2] for part in splits.PARTS}
    assert answer["files"] == ["splits/train.json", "splits/val.json", "splits/test.json"]
    for part in ("train", "val", "test"):
        stored = {one.coco_id for one in herd.images() if one.split == part}
        content = read(herd, f"{part}.json")
        assert {row["id"] for row in content["images"]} == stored
        assert len(content["annotations"]) == len(stored)
    assert all(
        len({one.split for one in herd.images() if one.group == group}) == 1
        for group in {one.group for one in herd.images()}
    )


def test_a_frozen_split_is_redrawn_only_when_told(herd):
    split_project(herd, SHARES)
    before, file = parts(herd), read(herd, "val.json")
    with pytest.raises(DataError, match=r"6 of its images .*--again"):
        split_project(herd, SHARES, seed=1)
    assert (parts(herd), read(herd, "val.json")) == (before, file)
    split_project(herd, Shares(0.25, 0), by="block", again=True)
    assert parts(herd) != before
    assert sorted(path.name for path in (herd.project / "splits").iterdir()) == [
        "train.json",
        "val.json",
    ]


def test_the_same_seed_gives_the_same_split_and_files(herd):
    split_project(herd, SHARES, seed=3, partitions=(2,))
    before, file = parts(herd), (herd.project / "splits" / "train.json").read_bytes()
    split_project(herd, SHARES, seed=3, partitions=(2,), again=True)
    assert parts(herd) == before
    assert (herd.project / "splits" / "train.json").read_bytes() == file


def test_partitions_list_every_image_of_train(herd):
    record = next(one for one in herd.images() if one.group.endswith("north"))
    herd.save_revision(record.id, 1, [], (), "me")  # unlabeled again
    answer = split_project(herd, SHARES, partitions=(2, 16))
    assert answer["files"][-2:] == ["splits/partition-1-2.json", "splits/partition-1-16.json"]
    train = {one.coco_id for one in herd.images() if one.split == "train"}
    labeled = {row["id"] for row in read(herd, "train.json")["images"]}
    half, least = read(herd, "partition-1-2.json"), read(herd, "partition-1-16.json")
    assert (half["seed"], half["fraction"], least["fraction"]) == (0, "1/2", "1/16")
    for content in (half, least):
        kept, rest = ({row["id"] for row in content[key]} for key in ("labeled", "unlabeled"))
        assert kept <= labeled
        assert (kept | rest, kept & rest) == (train, set())
    assert (len(half["labeled"]), len(least["labeled"])) == (-(-len(labeled) // 2), 1)
    assert least["labeled"][0] in half["labeled"]
    assert all("/" in row["file_name"] for row in half["labeled"])


def test_drafts_and_partly_verified_images_are_told(herd, animal, box):
    first, second, _ = (one for one in herd.images() if one.group.endswith("north"))
    herd.save_revision(first.id, 1, [animal(1, 1, 9, 9)], (), "me")
    herd.save_revision(second.id, 1, [animal(1, 1, 9, 9)], box(0, 0, 20, 20), "me")
    answer = split_project(herd, SHARES)
    told = " ".join(answer["warnings"])
    assert "1 images are drafts" in told
    assert "verified in part only" in told
    names = {row["id"] for part in answer["files"] for row in read(herd, part[7:])["images"]}
    assert first.coco_id not in names
    assert second.coco_id in names


def test_a_project_can_be_split_before_anything_is_labeled(project):
    answer = split_project(project, Shares(0.5, 0))
    assert (answer["train"], answer["val"], answer["files"]) == (2, 2, [])
    assert answer["animals"] == {"train": [], "val": [], "test": []}
    assert "val has no labeled image" in answer["warnings"]


def test_excluded_images_take_part_in_nothing(herd):
    split_project(herd, SHARES)
    gone = next(one for one in herd.images() if one.split == "val")
    herd.set_excluded(gone.id, True)
    answer = split_project(herd, SHARES, again=True)
    assert answer["train"] + answer["val"] + answer["test"] == 11
    assert herd.image(gone.id).split is None


@pytest.mark.parametrize("room", ["export", "database"])
def test_a_failure_changes_nothing(herd, monkeypatch, room):
    split_project(herd, SHARES)
    before, file = parts(herd), (herd.project / "splits" / "train.json").read_bytes()

    def fail(*_, **__):
        raise StoreError("the disk is full")

    if room == "export":
        monkeypatch.setattr(splits, "export_labels", fail)
    else:
        monkeypatch.setattr(herd, "set_splits", fail)
    with pytest.raises(StoreError):
        split_project(herd, Shares(0.25, 0), by="block", again=True)
    assert parts(herd) == before
    assert (herd.project / "splits" / "train.json").read_bytes() == file
    assert sorted(path.name for path in herd.project.glob("splits*")) == ["splits"]


def test_a_full_disk_is_a_sentence(herd, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(splits, "whole_folder", full)
    with pytest.raises(StoreError, match="the disk is full"):
        split_project(herd, SHARES)
    assert set(parts(herd).values()) == {None}


def test_nothing_to_split_is_a_sentence(store):
    with pytest.raises(DataError, match="no images to split"):
        split_project(store, SHARES)
