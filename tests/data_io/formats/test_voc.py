"""Pascal VOC folders: what a pixel can hold comes back, and bad files cost a sentence each."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats import png
from data_io.formats.labels import Export, LabelFile, Picture, PicturesInFolders
from data_io.formats.voc import read_voc, write_voc
from data_io.formats.voc_names import COLOR_MAP, PALETTE
from data_io.types import Category
from tests.data_io.formats.herds import (
    CALF,
    COW,
    HOLED,
    Shelf,
    box_part,
    export_of,
    instance,
    read_or_refuse,
)
from tests.data_io.formats.painted_herds import (
    ANYTHING,
    BROKEN_JSON,
    check_painted,
    dump,
    verified_herds,
)

PICTURES = Shelf(Picture("a.jpg", 6, 4))
CLASSES, OBJECTS = "SegmentationClass", "SegmentationObject"
# A cow (10) above a sheep (17), background, and a rim of void.
CLASS_ROWS = [[10, 10, 255, 0, 0, 0], [10, 10, 255, 0, 0, 0], [255] * 6, [17, 17, 0, 0, 17, 17]]
OBJECT_ROWS = [[1, 1, 255, 0, 0, 0], [1, 1, 255, 0, 0, 0], [255] * 6, [2, 2, 0, 0, 2, 2]]


def folder_of(
    folder: Path, classes: Any = CLASS_ROWS, objects: Any = None, name: str = "a.png"
) -> Path:
    """A VOC folder of the picture a.jpg."""
    png.write_png(folder / CLASSES / name, np.array(classes, np.uint8), PALETTE)
    if objects is not None:
        png.write_png(folder / OBJECTS / name, np.array(objects, np.uint8), PALETTE)
    return folder


def names_and_boxes(file: LabelFile) -> list[tuple[str, geo.Box]]:
    names = {category.key: category.name for category in file.categories}
    return [
        (names[one.category], geo.box_of_parts(one.parts))
        for image in file.images
        for one in image.instances
    ]


# --- round trips ----------------------------------------------------------------------------------


@given(verified_herds())
@settings(max_examples=60, deadline=None)
def test_a_herd_comes_back_as_far_as_pixels_hold_it(
    tmp_path_factory: pytest.TempPathFactory, export: Export
) -> None:
    target = tmp_path_factory.mktemp("voc")
    written = write_voc(target, export)
    check_painted(export, written, read_voc(target, export.pictures()))


@pytest.mark.parametrize("count", [254, 255, 300])
def test_more_than_254_instances_take_16_bits(tmp_path: Path, count: int) -> None:
    rows = [instance((box_part(x, 0, x + 1, 2),)) for x in range(count)]
    export = export_of([(count + 1, 3, rows)])
    images = [dataclasses.replace(export.images[0], verified=(box_part(0, 0, count + 1, 2),))]
    export = dataclasses.replace(export, images=images)
    written = write_voc(tmp_path, export)
    with Image.open(tmp_path / OBJECTS / "cam 1/0.png") as image:
        assert image.mode == ("P" if count == 254 else "I;16")
    check_painted(export, written, read_voc(tmp_path, export.pictures()))


def test_other_tools_find_what_they_look_for(tmp_path: Path) -> None:
    export = export_of([(16, 12, [instance(HOLED, category=CALF.id)])] * 4)
    images = [
        dataclasses.replace(image, record=dataclasses.replace(image.record, split=split))
        for image, split in zip(export.images, ["train", "val", None, "test"], strict=True)
    ]
    write_voc(tmp_path, dataclasses.replace(export, images=images))
    lists = {file.stem: file.read_text().split("\n") for file in tmp_path.glob("ImageSets/*/*.txt")}
    assert lists == {
        "trainval": ["cam 1/0", "cam 1/1", "cam 1/2", ""],
        "train": ["cam 1/0", ""],
        "val": ["cam 1/1", ""],
        "test": ["cam 1/3", ""],
    }
    lines = (tmp_path / "labelmap.txt").read_text(encoding="utf-8").split("\n")
    assert lines[1] == "background:0,0,0::"
    assert lines[2] == "cow:128,0,0::"
    with Image.open(tmp_path / CLASSES / "cam 1/0.png") as image:
        assert image.mode == "P"
        colors = {color for _, color in image.convert("RGB").getcolors() or []}
    assert colors == {(0, 0, 0), (0, 128, 0)}


def test_the_same_export_gives_the_same_bytes(tmp_path: Path) -> None:
    export = export_of([(16, 12, [instance(HOLED)])])
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_voc(tmp_path / name, export)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        found.append([(file.relative_to(tmp_path / name), file.read_bytes()) for file in files])
    assert found[0] == found[1]


def test_losses_are_said_with_numbers_and_only_when_they_happen(tmp_path: Path) -> None:
    rich = instance(HOLED, score=0.5, attributes={"lying": True}, source="edited", iscrowd=True)
    over = instance((box_part(0, 0, 16, 12),))
    (tmp_path / "a").mkdir()
    losses = write_voc(tmp_path / "a", export_of([(16, 12, [rich, over])])).losses
    assert losses[0] == "Pascal VOC cannot hold 1 instance that others hide wholly"
    words = ("scores of 1 ", "attributes of 1 ", "crowd mark of 1 ", "model helped in 1 ")
    assert all(any(word in sentence for sentence in losses) for word in words)
    assert len(losses) == 5
    (tmp_path / "b").mkdir()
    assert write_voc(tmp_path / "b", export_of([(16, 12, [instance(HOLED)])])).losses == ()


def test_what_has_no_room_is_refused(tmp_path: Path) -> None:
    many = tuple(Category(f"c{k}", f"name {k}", "#000000", k + 1) for k in range(255))
    export = export_of([(16, 12, [instance(HOLED, category="c253")])], categories=many[:254])
    written = write_voc(tmp_path, export)
    check_painted(export, written, read_voc(tmp_path, export.pictures()))
    with pytest.raises(DataError, match=r"254 categories and there are 255.*merge"):
        write_voc(tmp_path, dataclasses.replace(export, categories=many))
    export = export_of([(16, 12, []), (16, 12, [])])
    for names in (["a.jpg", "a.png"], ["a.jpg", "a.jpg.png"]):
        (tmp_path / names[1]).mkdir()
        with pytest.raises(DataError, match=f"a.jpg and {names[1]}"):
            write_voc(tmp_path / names[1], dataclasses.replace(export, names=names))


@pytest.mark.parametrize(
    "name", ["a:1,2,3:b::c", "#1 cow", "background", "ignored", "_background_"]
)
def test_odd_names_come_back(tmp_path: Path, name: str) -> None:
    categories = (COW, dataclasses.replace(CALF, name=name))
    export = export_of([(16, 12, [instance(HOLED, category=CALF.id)])], categories=categories)
    written = write_voc(tmp_path, export)
    check_painted(export, written, read_voc(tmp_path, export.pictures()))


# --- in -------------------------------------------------------------------------------------------


def test_vocs_own_files(tmp_path: Path) -> None:
    file = read_voc(folder_of(tmp_path, objects=OBJECT_ROWS), PICTURES)
    assert file.refused == file.repaired == ()
    assert names_and_boxes(file) == [("cow", (0, 0, 2, 2)), ("sheep", (0, 3, 6, 1))]
    (image,) = file.images
    assert (image.file_name, image.complete) == ("a.jpg", True)
    assert image.verified is not None
    expected = np.array(CLASS_ROWS) != 255
    assert (geo.mask_of_parts(image.verified, 4, 6) == expected).all()


def test_without_objects_each_area_of_a_class_is_an_instance(tmp_path: Path) -> None:
    file = read_voc(folder_of(tmp_path), PICTURES)
    boxes = [("cow", (0, 0, 2, 2)), ("sheep", (0, 3, 2, 1)), ("sheep", (4, 3, 2, 1))]
    assert names_and_boxes(file) == boxes


@pytest.mark.parametrize(
    ("file", "text", "names"),
    [
        ("labelmap.txt", "# a:b:c:d\nbackground:0,0,0::\nox:1,2,3::\nyak:4,5,6::\n", "ox yak"),
        ("labelmap.txt", "ox:1,2,3::\nbackground:9,9,9::\r\nyak:::\nvoid:224,224,192::", "ox yak"),
        ("labelmap.txt", "ox\nyak\n", "ox yak"),
        ("classes.txt", "_background_\nox\n\nyak\n", "ox yak"),
        ("classes.txt", "ox\nyak\n", "ox yak"),
        ("classes.json", '["background", "ox", "yak"]', "ox yak"),
        ("classes.json", '{"1": "ox", "2": "yak"}', "ox yak"),
        ("classes.json", '{"0": "ground", "1": "ox", "2": "yak"}', "ground ox yak"),
        ("classes.json", '{"classes": ["ground", "ox", "yak"], "void": 255}', "ground ox yak"),
        ("classes.json", '{"1": "ox"}', "ox class_2"),
        ("labelmap.txt", "background:0,0,0::\n\x07:1,2,3::\nyak:4,5,6::\n", "yak class_1"),
        ("classes.json", "{", "class_1 class_2"),
        ("none.txt", "", "aeroplane bicycle"),
    ],
)
def test_names_in_all_the_files_tools_write(
    tmp_path: Path, file: str, text: str, names: str
) -> None:
    classes = [[0, 0, 1, 1, 0, 0], [0] * 6, [0] * 6, [2, 2, 2, 255, 255, 255]]
    (tmp_path / file).write_text(text, encoding="utf-8")
    found = read_voc(folder_of(tmp_path, classes), PICTURES)
    assert [one.name for one in found.categories] == [n.replace("_", " ") for n in names.split()]
    by_box = {box: name for name, box in names_and_boxes(found)}
    listed = {one.key: one.name for one in found.categories}
    assert by_box[2, 0, 2, 1] == listed["1"]
    assert by_box[0, 3, 3, 1] == listed["2"]
    assert len(by_box) == (3 if "ground" in names else 2)
    assert len(found.refused) == ("\x07" in text) + (text == "{")


def test_a_list_without_background_counts_from_0_unless_it_is_too_short(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("grass\nox\n")
    found = read_voc(folder_of(tmp_path, [[0, 0, 1, 1, 0, 0]] * 4), PICTURES)
    assert sorted(name for name, _ in names_and_boxes(found)) == ["grass", "grass", "ox"]
    assert "index 0 was taken for it" in found.repaired[0].sentence()
    png.write_png(tmp_path / CLASSES / "b.png", np.full((4, 6), 2, np.uint8))
    found = read_voc(tmp_path, Shelf(Picture("a.jpg", 6, 4), Picture("b.jpg", 6, 4)))
    assert [name for name, _ in names_and_boxes(found)] == ["grass", "ox"]
    assert found.repaired == ()


def test_indices_beyond_vocs_have_no_names(tmp_path: Path) -> None:
    found = read_voc(folder_of(tmp_path, [[21, 0, 0, 0, 0, 1]] * 4), PICTURES)
    assert [one.name for one in found.categories] == ["class 1", "class 21"]


def test_colors_as_cvat_writes_them(tmp_path: Path) -> None:
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\nox:10,20,30::\nyak:40,50,60::\n")
    colors = {0: (0, 0, 0), 1: (10, 20, 30), 2: (40, 50, 60), 255: (224, 224, 192)}
    classes = [[1, 1, 255, 0, 2, 2]] * 4
    objects = [[1, 1, 255, 0, 2, 2]] * 4
    for name, rows, table in (
        (CLASSES, classes, colors),
        (OBJECTS, objects, {k: tuple(COLOR_MAP[k].tolist()) for k in colors}),
    ):
        (tmp_path / name).mkdir()
        pixels = [[table[value] for value in row] for row in rows]
        Image.fromarray(np.array(pixels, np.uint8)).save(tmp_path / name / "a.png")
    found = read_voc(tmp_path, PICTURES)
    assert found.refused == ()
    assert names_and_boxes(found) == [("ox", (0, 0, 2, 4)), ("yak", (4, 0, 2, 4))]
    assert found.images[0].verified is not None


# --- what is wrong --------------------------------------------------------------------------------


def only_sentence(file: LabelFile) -> str:
    (error,) = file.refused
    return error.sentence()


def test_objects_and_classes_that_disagree(tmp_path: Path) -> None:
    objects = [[1, 1, 0, 0, 0, 3], *OBJECT_ROWS[1:3], [1, 2, 0, 0, 2, 2]]
    found = read_voc(folder_of(tmp_path, objects=objects), PICTURES)
    assert "object 3" in only_sentence(found)
    assert "no class" in only_sentence(found)
    assert not found.images[0].complete
    assert "object 1: the object covers pixels of several" in found.repaired[0].sentence()
    assert [name for name, _ in names_and_boxes(found)] == ["cow", "sheep"]


def test_animals_without_a_number_leave_the_image_incomplete(tmp_path: Path) -> None:
    objects = [[0] * 6, *OBJECT_ROWS[1:]]
    found = read_voc(folder_of(tmp_path, objects=objects), PICTURES)
    assert "2 pixels with a class belong to no object" in only_sentence(found)
    assert not found.images[0].complete


def test_label_files_without_picture_size_or_partner(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    folder_of(tmp_path, name="absent.png")
    folder_of(tmp_path, [[1, 1]], name="b.png")
    png.write_png(tmp_path / OBJECTS / "c.png", np.zeros((4, 6), np.uint8))
    pictures = Shelf(Picture("a.jpg", 6, 4), Picture("b.jpg", 6, 4), Picture("c.jpg", 6, 4))
    found = read_voc(folder, pictures)
    assert [image.file_name for image in found.images] == ["a.jpg"]
    sentences = [error.sentence() for error in found.refused]
    assert len(sentences) == 3
    assert "no picture called absent; give the folder of the images with --images" in sentences[0]
    assert "2 x 1 pixels, its picture 6 x 4" in sentences[1]
    assert "no PNG of this name in SegmentationClass" in sentences[2]


def test_two_label_files_of_one_picture(tmp_path: Path) -> None:
    folder_of(tmp_path)
    folder_of(tmp_path, name="A/a.png")
    Image.new("RGB", (6, 4)).save(tmp_path / "a.jpg")
    found = read_voc(tmp_path, PicturesInFolders([tmp_path]))
    assert len(found.images) == 1
    assert "same picture" in only_sentence(found)


def test_a_checkerboard_is_no_label_file(tmp_path: Path) -> None:
    board = np.indices((300, 300)).sum(axis=0) % 2
    found = read_voc(folder_of(tmp_path, board), Shelf(Picture("a.jpg", 300, 300)))
    assert found.images == ()
    assert "more than 20000 areas" in only_sentence(found)


def test_what_is_no_voc_folder_raises_one_sentence(tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match="no folder SegmentationClass"):
            read_voc(source, PICTURES)
    (tmp_path / CLASSES).mkdir()
    assert read_voc(tmp_path, PICTURES).images == ()


@pytest.mark.parametrize("text", BROKEN_JSON)
def test_broken_names_cost_the_names_only(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes.json").write_text(text)
    found = read_or_refuse(lambda: read_voc(folder_of(tmp_path), PICTURES))
    assert found is not None
    assert len(found.images) == 1


@given(ANYTHING)
@settings(max_examples=100, deadline=None)
def test_hostile_names(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    folder = folder_of(tmp_path_factory.mktemp("voc"))
    dump(folder / "classes.json", value)
    assert read_or_refuse(lambda: read_voc(folder, PICTURES)) is not None


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_hostile_bytes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = folder_of(tmp_path_factory.mktemp("voc"), objects=OBJECT_ROWS)
    (folder / "labelmap.txt").write_text("background:0,0,0::\nox:128,0,0::\n")
    name = data.draw(st.sampled_from(["labelmap.txt", f"{CLASSES}/a.png", f"{OBJECTS}/a.png"]))
    content = bytearray((folder / name).read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / name).write_bytes(content[: data.draw(st.integers(0, len(content)))])
    found = read_or_refuse(lambda: read_voc(folder, PICTURES))
    assert found is not None
    assert len(found.images) + len(found.refused) >= 1


# --- real files -----------------------------------------------------------------------------------

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.mark.parametrize("name", ["msrc_v2", "camvid_small"])
def test_real_files_go_through_unchanged(tmp_path: Path, name: str) -> None:
    if not (SHARED / name / CLASSES).is_dir():
        pytest.skip(f"../shared/data/{name} is missing")
    source, target = tmp_path / "source", tmp_path / "target"
    target.mkdir()
    files = sorted((SHARED / name / CLASSES).glob("*.png"))[::40]
    for original in (
        SHARED / name / folder / one.name for folder in (CLASSES, OBJECTS) for one in files
    ):
        if original.is_file():
            copy = source / original.relative_to(SHARED / name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(original.read_bytes())
    if (SHARED / name / "classes.json").is_file():
        (source / "classes.json").write_bytes((SHARED / name / "classes.json").read_bytes())
    pictures = PicturesInFolders([SHARED / name / "images"])
    first = read_voc(source, pictures)
    assert first.refused == ()
    assert len(first.images) == len(files)
    export = export_of_file(first)
    written = write_voc(target, export)
    assert written.losses == ()
    check_painted(export, written, read_voc(target, pictures))


def export_of_file(file: LabelFile) -> Export:
    numbers = iter(range(1, 100_000))
    export = export_of([(image.width, image.height, []) for image in file.images])
    images = [
        dataclasses.replace(
            image,
            instances=[(next(numbers), one) for one in read.instances],
            verified=read.verified,
        )
        for image, read in zip(export.images, file.images, strict=True)
    ]
    return Export(
        images,
        [image.file_name for image in file.images],
        [Category(c.key, c.name, "#000000", k) for k, c in enumerate(file.categories, start=1)],
    )
