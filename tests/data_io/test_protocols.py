"""Benchmark folders become snapshots, or one sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_io import protocols
from data_io.errors import DataError
from data_io.geometry import mask_of_rle
from data_io.protocols import LabeledPart, Study
from data_io.snapshot import VOID, SnapshotImage
from tests.data_io.benchmark_folders import (
    city_labels,
    make_cityscapes,
    make_voc,
    voc_ids,
    voc_labels,
)

OWN, ADDED, JUDGED = voc_ids(8), voc_ids(8, 100), voc_ids(2, 200)


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    return make_voc(tmp_path / "VOC2012")


@pytest.fixture
def city(tmp_path: Path) -> Path:
    return make_cityscapes(tmp_path / "cityscapes")


def ids(items: tuple[protocols.Item, ...]) -> list[str]:
    return [item.id for item in items]


def painted(image: SnapshotImage) -> np.ndarray:
    """Class indices of an image's labels."""
    found = np.zeros((image.height, image.width), np.uint8)
    for index, rle in image.labels:
        found[mask_of_rle(rle)] = index
    return found


def test_classic_labels_come_from_train_and_the_rest_is_unlabeled(voc: Path) -> None:
    study = protocols.voc(voc, "classic", LabeledPart(4, seed=1))
    assert len(study.labeled) == 2
    assert set(ids(study.labeled)) <= set(OWN)
    assert set(ids(study.labeled + study.unlabeled)) == {*OWN, *ADDED}
    assert not set(ids(study.labeled)) & set(ids(study.unlabeled))
    assert ids(study.validation) == JUDGED
    assert {item.labels.parent.name for item in study.labeled} == {"SegmentationClass"}  # type: ignore[union-attr]


def test_blender_labels_come_from_the_augmented_list(voc: Path) -> None:
    study = protocols.voc(voc, "blender", LabeledPart(2))
    assert len(study.labeled) == len(study.unlabeled) == 8
    assert set(ids(study.labeled)) & set(ADDED)
    assert {item.labels.parent.name for item in study.labeled} == {"SegmentationClassAug"}  # type: ignore[union-attr]


def test_classic_works_without_the_augmented_list(voc: Path) -> None:
    (voc / "ImageSets" / "Segmentation" / "train_aug.txt").unlink()
    study = protocols.voc(voc, "classic", LabeledPart(2))
    assert set(ids(study.labeled + study.unlabeled)) == set(OWN)


def test_partitions_follow_from_the_seed_and_lie_in_each_other(voc: Path) -> None:
    parts = {n: set(ids(protocols.voc(voc, "blender", LabeledPart(n)).labeled)) for n in (1, 2, 16)}
    assert [len(part) for part in parts.values()] == [16, 8, 1]
    assert parts[16] < parts[2] < parts[1]
    seeds = {tuple(ids(protocols.voc(voc, "blender", LabeledPart(2, s)).labeled)) for s in range(4)}
    assert len(seeds) > 1


def test_a_list_names_the_labeled_images(voc: Path, city: Path, tmp_path: Path) -> None:
    listed = tmp_path / "ids.txt"
    listed.write_text(f"JPEGImages/{OWN[3]}.jpg SegmentationClass/{OWN[3]}.png\n\n{OWN[1]}\n")
    study = protocols.voc(voc, "classic", LabeledPart(listed=listed))
    assert ids(study.labeled) == [OWN[1], OWN[3]]
    listed.write_text("leftImg8bit/train/ulm/ulm_000001_000019_leftImg8bit.png\n")
    part = LabeledPart(listed=listed)
    assert ids(protocols.cityscapes(city, part).labeled) == ["ulm_000001_000019"]


def test_a_voc_snapshot_holds_the_labels(voc: Path, tmp_path: Path) -> None:
    study = protocols.voc(voc, "classic", LabeledPart(2))
    snapshot = protocols.write_study(study, tmp_path / "snapshots")
    assert [category.name for category in snapshot.categories][:10][-1] == "cow"
    assert len(snapshot.categories) == 20
    images = {image.id: image for image in snapshot.images}
    k = OWN.index(study.labeled[0].id)
    labeled = images[OWN[k]]
    np.testing.assert_array_equal(painted(labeled), voc_labels(k))
    assert (labeled.whole, labeled.split) == (True, "train")
    unlabeled = images[study.unlabeled[0].id]
    assert (unlabeled.labels, unlabeled.verified, unlabeled.split) == ((), None, "train")
    assert images[JUDGED[0]].split == "val"
    again = protocols.write_study(study, tmp_path / "snapshots")
    assert again.hash == snapshot.hash


def test_cityscapes_reads_both_kinds_of_numbers(city: Path, tmp_path: Path) -> None:
    study = protocols.cityscapes(city, LabeledPart())
    assert (len(study.labeled), len(study.unlabeled), len(study.validation)) == (6, 0, 3)
    snapshot = protocols.write_study(study, tmp_path / "snapshots")
    assert len(snapshot.categories) == 19
    expected = np.select([city_labels(True) == n for n in (255, 0, 13, 18)], [VOID, 1, 14, 19])
    for image in snapshot.images:
        np.testing.assert_array_equal(painted(image), expected)
    assert {image.group for image in snapshot.images} == {"aachen", "ulm", "bonn"}


def refused(work: object) -> str:
    with pytest.raises(DataError) as caught:
        work()  # type: ignore[operator]
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize(
    ("missing", "variant"),
    [
        ("JPEGImages", "classic"),
        ("SegmentationClass", "classic"),
        ("SegmentationClassAug", "blender"),
        ("ImageSets/Segmentation", "classic"),
        ("ImageSets/Segmentation/train.txt", "classic"),
        ("ImageSets/Segmentation/val.txt", "blender"),
        ("ImageSets/Segmentation/train_aug.txt", "blender"),
    ],
)
def test_what_a_voc_folder_lacks_is_named(voc: Path, missing: str, variant: str) -> None:
    gone = voc / missing
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    assert missing in refused(lambda: protocols.voc(voc, variant, LabeledPart()))  # type: ignore[arg-type]


@pytest.mark.parametrize("missing", ["leftImg8bit/train", "leftImg8bit/val", "gtFine/val"])
def test_what_a_cityscapes_folder_lacks_is_named(city: Path, missing: str) -> None:
    shutil.rmtree(city / missing)
    assert missing in refused(lambda: protocols.cityscapes(city, LabeledPart()))


def test_no_folder_and_no_picture_are_told(tmp_path: Path, city: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert "no such folder" in refused(lambda: protocols.voc(nowhere, "classic", LabeledPart()))
    for picture in (city / "leftImg8bit" / "val").rglob("*.png"):
        picture.unlink()
    assert "leftImg8bit" in refused(lambda: protocols.cityscapes(city, LabeledPart()))


def written(study: Study, tmp_path: Path) -> str:
    return refused(lambda: protocols.write_study(study, tmp_path / "snapshots"))


@pytest.mark.parametrize(
    "file", ["JPEGImages/2007_000003.jpg", "SegmentationClass/2007_000003.png"]
)
def test_a_missing_file_of_a_list_is_named(voc: Path, tmp_path: Path, file: str) -> None:
    (voc / file).unlink()
    study = protocols.voc(voc, "classic", LabeledPart())
    assert file in written(study, tmp_path)


def test_numbers_of_another_benchmark_are_refused(voc: Path, city: Path, tmp_path: Path) -> None:
    for root, file, number, study in (
        (voc, f"SegmentationClass/{OWN[0]}.png", 21, "voc"),
        (city, "gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png", 19, "city"),
        (city, "gtFine/train/ulm/ulm_000000_000019_gtFine_labelIds.png", 34, "city"),
    ):
        before = (root / file).read_bytes()
        size = Image.open(root / file).size
        Image.new("L", size, number).save(root / file)
        found = (
            protocols.voc(root, "classic", LabeledPart())
            if study == "voc"
            else protocols.cityscapes(root, LabeledPart())
        )
        sentence = written(found, tmp_path)
        assert file in sentence
        assert f"the number {number} " in sentence
        (root / file).write_bytes(before)


def test_labels_of_another_size_and_unknown_ids_are_refused(voc: Path, tmp_path: Path) -> None:
    listed = tmp_path / "ids.txt"
    listed.write_text("2008_000001\n")
    part = LabeledPart(listed=listed)
    assert "2008_000001" in refused(lambda: protocols.voc(voc, "classic", part))
    listed.write_text("\n")
    assert "names no image" in refused(lambda: protocols.voc(voc, "classic", part))
    Image.new("L", (5, 5)).save(voc / "SegmentationClass" / f"{OWN[0]}.png")
    study = protocols.voc(voc, "classic", LabeledPart())
    assert "5 x 5" in written(study, tmp_path)
