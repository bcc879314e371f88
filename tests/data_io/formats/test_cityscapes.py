"""Cityscapes folders in: the format's own files, ours, and what is wrong with a file."""

from __future__ import annotations

import copy
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
from data_io.formats.cityscapes import read_cityscapes
from data_io.formats.labels import FileImage, LabelFile, Picture, PicturesInFolders
from data_io.types import Part
from tests.data_io.formats.herds import Shelf, read_or_refuse
from tests.data_io.formats.painted_herds import (
    ANYTHING,
    BROKEN_JSON,
    check_verified,
    dump,
    replace_somewhere,
)

PICTURES = Shelf(Picture("aachen_1_leftImg8bit.png", 60, 40), Picture("b.jpg", 60, 40))
SQUARE = [[5, 5], [25, 5], [25, 25], [5, 25]]
CITY = "gtFine/train/aachen"


def tree(*objects: Any) -> dict[str, Any]:
    """The polygon file of a picture of 60 x 40 pixels."""
    return {"imgHeight": 40, "imgWidth": 60, "objects": list(objects)}


def folder_of(folder: Path, content: Any, name: str = "aachen_1") -> Path:
    (folder / CITY).mkdir(parents=True, exist_ok=True)
    dump(folder / CITY / f"{name}_gtFine_polygons.json", content)
    return folder


def only(file: LabelFile) -> FileImage:
    (image,) = file.images
    return image


def only_sentence(file: LabelFile) -> str:
    (error,) = file.refused
    return error.sentence()


# --- in -------------------------------------------------------------------------------------------


def test_cityscapes_own_files(tmp_path: Path) -> None:
    content = tree(
        {"label": "road", "polygon": [[0, 0], [59, 0], [59, 39], [0, 39]]},
        {"label": "car", "polygon": SQUARE},
        {"label": "cargroup", "polygon": SQUARE, "deleted": 0},
        {"label": "polegroup", "polygon": SQUARE},
        {"label": "car", "polygon": SQUARE, "deleted": 1},
        {"label": "out of roi", "polygon": [[0, 30], [60, 30], [60, 40], [0, 40]]},
        {"label": "ego vehicle", "polygon": [[0, 0], [10, 0], [10, 2], [0, 2]]},
    )
    found = read_cityscapes(folder_of(tmp_path, content), PICTURES)
    assert found.refused == found.repaired == ()
    image = only(found)
    assert (image.file_name, image.complete) == ("aachen_1_leftImg8bit.png", True)
    shown = [(one.category, one.iscrowd) for one in image.instances]
    assert shown == [("road", False), ("car", False), ("car", True), ("polegroup", False)]
    expected = np.ones((40, 60), bool)
    expected[30:] = expected[:2, :10] = False
    check_verified(image, expected)
    assert [one.name for one in found.categories] == ["road", "car", "polegroup"]


def test_instance_numbers_are_read_where_there_are_no_polygons(tmp_path: Path) -> None:
    numbers = np.zeros((40, 60), np.uint16)
    for row, value in enumerate([26_000, 26_001, 26, 7, 3, 40_002, 23]):
        numbers[row] = value
    png.write_png(tmp_path / CITY / "b_gtFine_instanceIds.png", numbers)
    found = read_cityscapes(tmp_path, PICTURES)
    shown = [(one.category, one.iscrowd) for one in only(found).instances]
    assert shown == [("car", True), ("car", False), ("car", False), ("class 40", False)]
    check_verified(only(found), numbers != 3)
    dump(tmp_path / "labels.json", {"goat": 40, "road": 7})
    found = read_cityscapes(tmp_path, PICTURES)
    shown = [(one.category, one.iscrowd) for one in only(found).instances]
    assert shown == [("road", True), ("car", True), ("car", False), ("car", False), ("goat", False)]
    assert [one.name for one in found.categories] == ["goat", "road", "car"]


def test_label_ids_alone_are_refused(tmp_path: Path) -> None:
    folder_of(tmp_path, tree())
    png.write_png(tmp_path / CITY / "b_gtFine_labelIds.png", np.zeros((40, 60), np.uint8))
    found = read_cityscapes(tmp_path, PICTURES)
    assert len(found.images) == 1
    assert "label ids alone" in only_sentence(found)


def test_pictures_by_name_city_and_index(tmp_path: Path) -> None:
    folder_of(tmp_path, tree(), "aachen_1")
    folder_of(tmp_path, tree(), "c")
    (tmp_path / "other").mkdir()
    for name in ("aachen_1_leftImg8bit.png", "z.jpg", "other/c.jpg", "c.jpg"):
        Image.new("RGB", (60, 40)).save(tmp_path / name)
    dump(tmp_path / "images.json", {f"{CITY}/c_gtFine_polygons.json": "other/c.jpg"})
    found = read_cityscapes(tmp_path, PicturesInFolders([tmp_path]))
    assert [image.file_name for image in found.images] == [
        "aachen_1_leftImg8bit.png",
        "other/c.jpg",
    ]
    found = read_cityscapes(tmp_path, Shelf())
    assert found.images == ()
    assert [("--images" in error.sentence()) for error in found.refused] == [True, True]


# --- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ({"label": "cow"}, "no polygon"),
        ({"label": "cow", "polygon": []}, "no polygon"),
        ({"label": "cow", "polygon": [[1, 1], [9, 9]]}, "fewer than 3"),
        ({"label": "cow", "polygon": [[1, 1], [9, 9], [5]]}, "two finite numbers"),
        ({"label": "cow", "polygon": [1, 1, 9, 9, 5, 5]}, "two finite numbers"),
        ({"label": "cow", "polygon": [[1, 1], [9, 9], [float("nan"), 2]]}, "two finite numbers"),
        ({"label": "cow", "polygon": [[1, 1], [9, 9], [10**400, 2]]}, "two finite numbers"),
        ({"label": "cow", "polygon": [[1, 1], [9, 9], [1e12, 2]]}, "longer than"),
        ({"label": "cow", "polygon": [[1, 1], [5, 5], [9, 9]]}, "no area"),
        ({"label": "cow", "polygon": [[1.1, 1.1], [1.2, 1.1], [1.2, 1.2]]}, "no pixel"),
        ({"label": "cow", "polygon": [[90, 1], [95, 1], [95, 9]]}, "outside the image"),
        ({"label": 7, "polygon": SQUARE}, "not a text"),
        ({"label": "c" * 90, "polygon": SQUARE}, "more than 85"),
        ({"polygon": SQUARE}, "not a text"),
        ("cow", "not an object"),
    ],
)
def test_bad_objects_cost_a_sentence_each(tmp_path: Path, row: Any, word: str) -> None:
    content = tree({"label": "cow", "polygon": SQUARE}, row, {"label": "cow", "polygon": SQUARE})
    found = read_cityscapes(folder_of(tmp_path, content), PICTURES)
    assert word in only_sentence(found)
    assert "object 1" in only_sentence(found)
    assert len(only(found).instances) == 2
    assert not only(found).complete


def test_what_can_be_put_right_is_noted(tmp_path: Path) -> None:
    bow = [[5, 5], [25, 25], [25, 5], [5, 25]]
    content = tree(
        {"label": "cow", "polygon": bow},
        {"label": "cow", "polygon": [[50, 10], [70, 10], [70, 30], [50, 30]]},
    )
    found = read_cityscapes(folder_of(tmp_path, content), PICTURES)
    assert found.refused == ()
    assert ["crosses itself" in one.why for one in found.repaired] == [True, False]
    raster = geo.rle_of_parts(only(found).instances[0].parts, 40, 60)
    drawn = (Part(np.array(bow, np.float64)),)
    assert geo.same_raster(raster, geo.rle_of_parts(drawn, 40, 60))


def test_endless_outlines_are_cut_off(tmp_path: Path) -> None:
    far = [[0, 0], [1_900_000, 1], [0, 2], [0, 39], [40, 39]]
    rows = [{"label": "cow", "polygon": far}] * 40
    found = read_cityscapes(folder_of(tmp_path, tree(*rows)), PICTURES)
    assert 0 < len(only(found).instances) < 20
    assert any("too long" in error.sentence() for error in found.refused)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (tree() | {"imgWidth": 61}, "61 x 40 pixels, their picture has 60 x 40"),
        (tree() | {"imgHeight": "40"}, "not an integer"),
        ({"objects": []}, "missing"),
        ({"imgHeight": 40, "imgWidth": 60}, "list objects"),
        ([], "list objects"),
    ],
)
def test_bad_files_cost_a_sentence_each(tmp_path: Path, content: Any, word: str) -> None:
    folder_of(tmp_path, tree(), "b")
    found = read_cityscapes(folder_of(tmp_path, content), PICTURES)
    assert only(found).file_name == "b.jpg"
    assert word in only_sentence(found)


@pytest.mark.parametrize("text", BROKEN_JSON)
@pytest.mark.parametrize("name", ["labels.json", "images.json", f"{CITY}/b_gtFine_polygons.json"])
def test_broken_json_costs_its_file_only(tmp_path: Path, text: str, name: str) -> None:
    folder = folder_of(tmp_path, tree())
    (folder / name).write_text(text)
    found = read_or_refuse(lambda: read_cityscapes(folder, PICTURES))
    assert found is not None
    assert only(found).file_name == "aachen_1_leftImg8bit.png"
    assert found.refused or text.startswith('{"x"')


def test_names_in_the_index_cannot_lead_out(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, tree(), "x")
    dump(folder / "images.json", {f"{CITY}/x_gtFine_polygons.json": "../b.jpg"})
    found = read_cityscapes(folder, PICTURES)
    assert found.images == ()
    assert "leads out" in found.refused[0].sentence()


def test_what_is_no_cityscapes_folder_raises_one_sentence(tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "gtFine"):
        with pytest.raises(DataError, match="no folder gtFine"):
            read_cityscapes(source, PICTURES)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_hostile_values_anywhere(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = tree(
        {"label": "cow", "polygon": copy.deepcopy(SQUARE)},  # which would change for all tests
        {"label": "out of roi", "polygon": [[0, 30], [60, 30], [60, 40], [0, 40]]},
    )
    replace_somewhere(data, content)
    folder = folder_of(tmp_path_factory.mktemp("cityscapes"), content)
    for name in ("labels.json", "images.json"):
        if data.draw(st.booleans()):
            dump(
                folder / name, data.draw(ANYTHING | st.dictionaries(st.text(max_size=9), ANYTHING))
            )
    assert read_or_refuse(lambda: read_cityscapes(folder, PICTURES)) is not None


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_hostile_bytes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("cityscapes")
    file = folder / CITY / "b_gtFine_instanceIds.png"
    png.write_png(file, np.arange(2400, dtype=np.uint16).reshape(40, 60) // 300 * 5_000)
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    found = read_or_refuse(lambda: read_cityscapes(folder, PICTURES))
    assert found is not None
    assert len(found.images) + len(found.refused) == 1
