"""YOLO-seg folders: one ring an instance keeps any raster, and bad lines cost a sentence each."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats.labels import Export, LabelFile, Picture, PicturesInFolders
from data_io.formats.yolo import read_yolo, write_yolo
from data_io.formats.yolo_names import class_names, yaml_text
from data_io.types import Part
from tests.data_io.formats.herds import (
    CATEGORIES,
    HOLED,
    PICTURES,
    TWO_PARTS,
    Shelf,
    box_part,
    check_round_trip,
    export_of,
    herds,
    instance,
    read_or_refuse,
)

SQUARE = "0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5"


def folder_of(folder: Path, *lines: str, names: str = "names:\n  0: cow\n  1: calf\n") -> Path:
    """A dataset with one label file for a.jpg, which has 60 x 40 pixels."""
    (folder / "labels").mkdir(parents=True)
    (folder / "data.yaml").write_text(names, encoding="utf-8")
    (folder / "labels" / "a.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


# --- round trips ----------------------------------------------------------------------------------


@given(herds())
@settings(max_examples=60, deadline=None)
def test_a_herd_comes_back_pixel_for_pixel(
    tmp_path_factory: pytest.TempPathFactory, export: Export
) -> None:
    target = tmp_path_factory.mktemp("yolo")
    written = write_yolo(target, export)
    file = read_yolo(target, export.pictures())
    positions = {category.id: str(k) for k, category in enumerate(CATEGORIES)}
    check_round_trip(export, written, file, lambda category: positions[category.id])
    assert [category.name for category in file.categories] == [one.name for one in CATEGORIES]
    assert file.repaired == ()
    for label in target.glob("labels/**/*.txt"):
        for line in label.read_text().splitlines():
            assert all(0 <= float(word) <= 1 for word in line.split()[1:])


def test_holes_and_parts_hang_on_bridges_and_come_back_as_such(tmp_path: Path) -> None:
    # 1 / 49 * 49 is not 1 in floating point numbers.
    drawn = (Part(np.array([[1, 1.5], [12.5, 2.25], [6.75, 9.5]])),)
    export = export_of([(49, 49, [instance(HOLED), instance(TWO_PARTS), instance(drawn)])])
    write_yolo(tmp_path, export)
    assert len((tmp_path / "labels/cam 1/0.txt").read_text().splitlines()) == 3
    holed, two, kept = read_yolo(tmp_path, export.pictures()).images[0].instances
    assert [(len(holed.parts), len(holed.parts[0].holes))] == [(1, 1)]
    assert len(two.parts) == 2
    assert (kept.parts[0].outer == drawn[0].outer).all()


def test_what_yolo_looks_for_is_where_it_looks(tmp_path: Path) -> None:
    export = export_of([(16, 12, [instance(HOLED)])] * 4)
    names = ["a.jpg", "barn 1/b.c.png", "cam/images/c.jpg", "labels/d.jpg"]
    splits = ["train", "val", None, "test"]
    images = [
        dataclasses.replace(image, record=dataclasses.replace(image.record, split=split))
        for image, split in zip(export.images, splits, strict=True)
    ]
    export = dataclasses.replace(export, images=images, names=names)
    written = write_yolo(tmp_path, export)
    for line in (tmp_path / "train.txt").read_text().splitlines():
        # Ultralytics takes the last folder `images` of a listed picture for `labels`.
        head, tail = line.rsplit("/images/", 1)
        assert (tmp_path / f"{head}/labels/{tail}").with_suffix(".txt").is_file()
    assert (tmp_path / "train.txt").read_text() == "./images/a.jpg\n./images/cam/images/c.jpg\n"
    assert (tmp_path / "val.txt").read_text() == "./images/barn 1/b.c.png\n"
    assert (tmp_path / "test.txt").read_text() == "./images/labels/d.jpg\n"
    config = (tmp_path / "data.yaml").read_text()
    assert "train: train.txt\nval: val.txt\ntest: test.txt\nnames:\n" in config
    file = read_yolo(tmp_path / "data.yaml", export.pictures())
    assert {image.file_name for image in file.images} == set(names) == set(written.expected)
    assert written.losses == ()


def test_without_a_val_split_yolo_measures_on_train(tmp_path: Path) -> None:
    write_yolo(tmp_path, export_of([(16, 12, [])]))
    assert "train: train.txt\nval: train.txt\nnames" in (tmp_path / "data.yaml").read_text()
    assert (tmp_path / "labels/cam 1/0.txt").read_text() == ""
    assert not (tmp_path / "val.txt").exists()


def test_losses_are_said_with_numbers_and_only_when_they_happen(tmp_path: Path) -> None:
    nothing = instance((box_part(2.1, 2.1, 2.2, 2.2),))
    rich = instance(HOLED, score=0.5, attributes={"lying": True}, source="edited", iscrowd=True)
    export = export_of([(16, 12, [rich, nothing]), (16, 12, [rich]), (16, 12, []), (16, 12, [])])
    areas = [(box_part(0, 0, 9, 9),), (), geo.full_image(12, 16), None]
    images = [
        dataclasses.replace(image, verified=area)
        for image, area in zip(export.images, areas, strict=True)
    ]
    names = ["a.jpg", "b.jpg", "c.jpg", "c.png"]
    export = dataclasses.replace(export, images=images, names=names)
    written = write_yolo(tmp_path, export)
    assert list(written.expected) == ["a.jpg", "c.jpg"]
    assert sorted(path.name for path in tmp_path.glob("labels/*")) == ["a.txt", "c.txt"]
    losses = "\n".join(written.losses)
    for words in (
        "1 image without verified area",
        "1 image that differ",
        "1 image verified in part",
        "1 instance without a pixel",
        "scores of 1 instance",
        "attributes of 1 instance",
        "crowd mark of 1 instance",
        "model helped in 1 instance",
    ):
        assert words in losses
    assert len(written.losses) == 8


@pytest.mark.parametrize("name", ["../a.jpg", "/a.jpg", "a\n.jpg", "\udcff.jpg"])
def test_names_that_lead_out_are_not_written(tmp_path: Path, name: str) -> None:
    export = dataclasses.replace(export_of([(16, 12, [])]), names=[name])
    with pytest.raises(DataError, match="rename"):
        write_yolo(tmp_path / "out", export)


# --- reading --------------------------------------------------------------------------------------


def test_reads_what_others_write(tmp_path: Path) -> None:
    (tmp_path / "train/labels").mkdir(parents=True)
    (tmp_path / "train/images").mkdir()
    (tmp_path / "data.yaml").write_text("train: ../train/images\nnc: 1\nnames: ['cow']\n")
    (tmp_path / "train/labels/a.txt").write_text("0.0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.1\r\n\r\n")
    shelf = Shelf(Picture("train/images/a.jpg", 60, 40))
    (image,) = read_yolo(tmp_path, shelf).images
    assert (image.file_name, image.verified, image.complete) == ("train/images/a.jpg", None, True)
    (one,) = image.instances
    assert one.parts[0].outer.tolist() == [[6, 4], [30, 4], [30, 20]]


def test_the_last_folder_called_labels_counts(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "x")
    (folder / "labels/set/labels").mkdir(parents=True)
    (folder / "labels/set/labels/b.txt").write_text(SQUARE)
    beside = Picture("labels/set/images/b.jpg", 60, 40)
    file = read_yolo(folder, Shelf(Picture("set/labels/b.jpg", 6, 4), beside))
    assert [image.file_name for image in file.images] == [beside.name]


def test_pictures_beside_the_labels_are_found(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("one", "two"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "labels" / name).mkdir(parents=True)
        Image.new("RGB", (60, 40)).save(tmp_path / "images" / name / "a.jpg")
        (tmp_path / "labels" / name / "a.txt").write_text(SQUARE)
    (tmp_path / "data.yaml").write_text("names: [cow]\n")
    for folder, prefix in ((tmp_path, "images/"), (tmp_path / "images", "")):
        file = read_yolo(tmp_path, PicturesInFolders([folder]))
        assert file.refused == ()
        names = [image.file_name for image in file.images]
        assert names == [f"{prefix}one/a.jpg", f"{prefix}two/a.jpg"]


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("0 0.5 0.5 0.1 0.1", "a box alone is no outline"),
        ("0 0.5 0.5 0.1 0.1 0.2", "no outline"),
        ("0 0.5 0.5 0.1 0.1 0.2 0.3 0.4", "no outline"),
        ("0 0.1 0.1 0.5 nan 0.5 0.5", "finite"),
        ("0 0.1 0.1 0.5 1e309 0.5 0.5", "finite"),
        ("0 0.1 0.1 0.5 1_0 0.5 0.5", "finite"),
        ("0 0.1 0.1 0.5 1e300 0.5 0.5", "finite"),
        ("cow 0.1 0.1 0.5 0.1 0.5 0.5", "finite"),
        ("0 6 4 30 4 30 20", "divided"),
        ("0 1e14 4 30 4 30 20", "divided"),
        ("5 0.1 0.1 0.5 0.1 0.5 0.5", "class"),
        ("-1 0.1 0.1 0.5 0.1 0.5 0.5", "class"),
        ("0.5 0.1 0.1 0.5 0.1 0.5 0.5", "class"),
        ("1e14 0.1 0.1 0.5 0.1 0.5 0.5", "class"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3", "no area"),
        ("0 2.1 0.1 2.5 0.1 2.5 0.5", "outside the image"),
        ("0 0.1 0.1 0.101 0.1 0.101 0.101", "no pixel"),
        ("0 " + "9" * 10_000, "finite"),
    ],
)
def test_bad_lines_cost_a_sentence_each(tmp_path: Path, line: str, word: str) -> None:
    file = read_yolo(folder_of(tmp_path / "x", SQUARE, line, SQUARE), PICTURES)
    (image,) = file.images
    assert len(image.instances) == 2
    assert not image.complete
    (error,) = file.refused
    assert error.index == "line 2"
    assert word in error.sentence()


def test_an_outline_that_leaves_the_image_is_cut_with_a_repair(tmp_path: Path) -> None:
    file = read_yolo(folder_of(tmp_path / "x", "0 -0.2 0.1 0.5 0.1 0.5 1.4 -0.2 1.4"), PICTURES)
    (one,) = file.images[0].instances
    assert one.parts[0].outer.tolist() == [[0, 4], [30, 4], [30, 40], [0, 40]]
    (repair,) = file.repaired
    assert "leaves the image" in repair.sentence()
    assert file.images[0].complete


def test_label_files_without_a_picture_are_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "x", SQUARE)
    (folder / "labels/b.txt").write_text(SQUARE)
    (folder / "labels/more").mkdir()
    (folder / "labels/more/a.txt").write_text(SQUARE)
    (folder / "labels/c.txt").write_bytes(b"\xff\xd8\xff")
    (folder / "labels/d.txt").write_text("\n" * 50_000)
    shelf = Shelf(*(Picture(f"{name}.jpg", 60, 40) for name in "acd"))
    shelf.find = lambda name, find=shelf.find: find(name.rsplit("/")[-1])  # type: ignore[method-assign]
    file = read_yolo(folder, shelf)
    assert [image.key for image in file.images] == ["labels/a.txt"]
    words = ["no picture called b", "not UTF-8", "50000 lines", "same picture"]
    assert all(word in error.sentence() for word, error in zip(words, file.refused, strict=True))


@pytest.mark.parametrize("missing", ["data.yaml", "labels", "names"])
def test_what_is_no_yolo_folder_raises_one_sentence(tmp_path: Path, missing: str) -> None:
    if missing != "labels":
        (tmp_path / "labels").mkdir()
    if missing != "data.yaml":
        (tmp_path / "data.yaml").write_text("names: [cow]" if missing == "labels" else "nc: 1")
    with pytest.raises(DataError, match=missing):
        read_yolo(tmp_path, PICTURES)


# --- data.yaml ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names:\n  0: cow\n  1: 'a ''b'''  # c\n", ["cow", "a 'b'"]),
        ("names: # all\n\n# x\n- cow\n-  calf # y\nnc: 2\n", ["cow", "calf"]),
        ("names:\n    - C#\n    - a:b\ntrain: x\n", ["C#", "a:b"]),
        ('path: .\nnames: [cow, \'big, calf\', "\\u00e4\\""]\n', ["cow", "big, calf", 'ä"']),
        ("names: [cow,\n  calf,\n]\nnc: 2\n", ["cow", "calf"]),
        ("names: {0: cow, 1: big calf}\n", ["cow", "big calf"]),
        ("names: []\n", []),
        ("names: {}\n", []),
        ("names:\r\n  0: cow\r\n", ["cow"]),
    ],
)
def test_the_ways_to_write_names(tmp_path: Path, text: str, names: list[str]) -> None:
    config = tmp_path / "data.yaml"
    config.write_bytes(text.encode())
    assert class_names(config) == dict(enumerate(names))


def test_class_numbers_need_no_order(tmp_path: Path) -> None:
    config = tmp_path / "data.yaml"
    config.write_text("names:\n  7: cow\n  2: calf\n")
    assert class_names(config) == {7: "cow", 2: "calf"}


@pytest.mark.parametrize(
    "text",
    [
        "nc: 3\n",
        "names: cow\n",
        "names: [cow\n",
        "names: [cow calf: 3, {\n",
        "names: [[cow]]\n",
        "names: {cow: 0}\n",
        "names: {0: cow, 0: calf}\n",
        "names: {0 cow}\n",
        "names: &a [cow]\n",
        "names:\n  - &a cow\n  - *a\n",
        "names:\n  -\n  - cow\n",
        "names:\n-\n- cow\n",
        "names:\n  0: !!python/object:os.system cow\n",
        "names:\n  0:\n    deep: 1\n",
        "names:\n  0: |\n    cow\n",
        "names: [cow]\nnames: [calf]\n",
        'names: ["cow]\n',
        "names: " + "[" * 100_000,
        "names: [" + "a," * 400_000 + "]",
        "names:\n  " + "9" * 5000 + ": cow\n",
    ],
)
def test_other_yaml_is_refused(tmp_path: Path, text: str) -> None:
    config = tmp_path / "data.yaml"
    config.write_text(text)
    with pytest.raises(DataError, match="names"):
        class_names(config)


def test_a_bad_class_name_costs_itself(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "x", SQUARE, "1" + SQUARE[1:], names='names: [cow, "\\u0007"]\n')
    file = read_yolo(folder, PICTURES)
    assert [category.name for category in file.categories] == ["cow"]
    assert [error.index for error in file.refused] == ["class 1", "line 2"]


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8))
@settings(max_examples=200, deadline=None)
def test_any_name_in_quotes_comes_back(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    config = tmp_path_factory.mktemp("yaml") / "data.yaml"
    config.write_bytes(f"names:\n  0: {yaml_text(name)}\n".encode())
    assert class_names(config) == {0: name}
    with contextlib.suppress(ImportError):
        import yaml

        assert yaml.safe_load(config.read_bytes()) == {"names": {0: name}}


# --- hostile --------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["0", "1", "0.5", "nan", "-inf", "1e309", "1e-400", "9" * 400, "-0.0", "1.0", "0x1", "\x00"]
)
NAMES = st.sampled_from(
    ["names:", "names: [", "]", "{", "0: cow", "- cow", "'", '"', "#", "&a", ","]
)


@given(st.lists(st.lists(WORDS, max_size=9).map(" ".join), max_size=6))
@settings(max_examples=100, deadline=None)
def test_hostile_lines(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    folder = folder_of(tmp_path_factory.mktemp("fuzz") / "x", *lines)
    file = read_or_refuse(lambda: read_yolo(folder, PICTURES))
    assert file is not None
    full = sum(bool(line.strip()) for line in lines)
    assert len(file.refused) + len(file.images[0].instances) == full


@given(st.lists(st.lists(NAMES, max_size=4).map(" ".join), max_size=5) | st.binary(max_size=60))
@settings(max_examples=100, deadline=None)
def test_hostile_yaml(tmp_path_factory: pytest.TempPathFactory, content: list[str] | bytes) -> None:
    folder = folder_of(tmp_path_factory.mktemp("fuzz") / "x", SQUARE)
    data = content if isinstance(content, bytes) else "\n".join(content).encode()
    (folder / "data.yaml").write_bytes(data)
    file: LabelFile | None = read_or_refuse(lambda: read_yolo(folder, PICTURES))
    assert file is None or len(file.images) == 1


@given(st.binary(max_size=80))
@settings(max_examples=50, deadline=None)
def test_binary_labels(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = folder_of(tmp_path_factory.mktemp("fuzz") / "x")
    (folder / "labels/a.txt").write_bytes(data)
    read_or_refuse(lambda: read_yolo(folder, PICTURES))
