"""Cityscapes folders out: polygons keep any raster, order and overlap; the PNGs agree."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from PIL import Image

from data_io import geometry as geo
from data_io import shapes
from data_io.errors import DataError
from data_io.formats import png
from data_io.formats.cityscapes import read_cityscapes, write_cityscapes
from data_io.formats.labels import Export, FileImage, LabelFile
from data_io.types import Category, Instance
from tests.data_io.formats.herds import (
    CATEGORIES,
    COW,
    HOLED,
    TWO_PARTS,
    box_part,
    check_round_trip,
    export_of,
    instance,
)
from tests.data_io.formats.painted_herds import (
    check_verified,
    painted,
    verified_herds,
)


def pixels(file: Path) -> png.Numbers:
    with Image.open(file) as image:
        return np.asarray(image).astype(np.int64)


def only(file: LabelFile) -> FileImage:
    (image,) = file.images
    return image


def same_crowd(stored: Instance, read: Instance) -> None:
    assert read.iscrowd == stored.iscrowd


@given(verified_herds(), st.randoms())
@settings(max_examples=60, deadline=None)
def test_a_herd_comes_back_pixel_for_pixel_overlaps_included(
    tmp_path_factory: pytest.TempPathFactory, export: Export, chance: Any
) -> None:
    images = [
        dataclasses.replace(
            image,
            instances=[
                (number, dataclasses.replace(one, iscrowd=chance.random() < 0.3))
                for number, one in image.instances
            ],
        )
        for image in export.images
    ]
    export = dataclasses.replace(export, images=images)
    target = tmp_path_factory.mktemp("cityscapes")
    written = write_cityscapes(target, export)
    file = read_cityscapes(target, export.pictures())
    check_round_trip(export, written, file, lambda category: category.name, same_crowd)
    assert [one.name for one in file.categories] == [one.name for one in CATEGORIES]
    read = {image.file_name: image for image in file.images}
    for image, name in zip(export.images, export.names, strict=True):
        check_verified(read[name], painted(image)[1])


@given(verified_herds())
@settings(max_examples=40, deadline=None)
def test_the_pngs_hold_what_is_on_top(
    tmp_path_factory: pytest.TempPathFactory, export: Export
) -> None:
    target = tmp_path_factory.mktemp("cityscapes")
    write_cityscapes(target, export)
    for file in target.rglob("*_polygons.json"):
        stem = str(file).removesuffix("polygons.json")
        numbers, labels = (
            pixels(Path(f"{stem}instanceIds.png")),
            pixels(Path(f"{stem}labelIds.png")),
        )
        assert (np.where(numbers < 1000, numbers, numbers // 1000) == labels).all()
        assert set(np.unique(labels).tolist()) <= {0, 3, 34, 35}
        file.unlink()
    names = {category.id: category.name for category in export.categories}
    found = {one.file_name: one for one in read_cityscapes(target, export.pictures()).images}
    for image, name in zip(export.images, export.names, strict=True):
        rows, verified = painted(image)
        check_verified(found[name], verified)
        shown = {(names[one.category], geo.rle_of_mask(mask)["counts"]) for one, mask in rows}
        size = image.record.height, image.record.width
        assert shown == {
            (one.category, geo.rle_of_parts(one.parts, *size)["counts"])
            for one in found[name].instances
        }


@given(npst.arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14))))
@settings(max_examples=60, deadline=None)
def test_bridges_and_slits_are_no_fault(
    tmp_path_factory: pytest.TempPathFactory, mask: NDArray[np.bool_]
) -> None:
    target = tmp_path_factory.mktemp("cityscapes")
    export = export_of([(*mask.shape[::-1], [instance(geo.parts_of_mask(mask))])])
    write_cityscapes(target, export)
    found = read_cityscapes(target, export.pictures())
    assert found.refused == found.repaired == ()
    for one in only(found).instances:
        assert shapes.invalid([one.parts]) == []
        assert (geo.mask_of_parts(one.parts, *mask.shape) == mask).all()


def test_holes_and_parts_hang_on_bridges_and_come_back_as_such(tmp_path: Path) -> None:
    export = export_of([(16, 12, [instance(HOLED), instance(TWO_PARTS, iscrowd=True)])])
    written = write_cityscapes(tmp_path, export)
    assert written.losses == ()
    found = read_cityscapes(tmp_path, export.pictures())
    assert found.repaired == ()
    holed, two = only(found).instances
    assert [len(part.holes) for part in holed.parts] == [1]
    assert len(two.parts) == 2
    rows = json.loads((tmp_path / "gtFine/train/g/0_gtFine_polygons.json").read_text())["objects"]
    assert [row["label"] for row in rows] == ["cow", "cowgroup"]
    assert set(np.unique(pixels(tmp_path / "gtFine/train/g/0_gtFine_instanceIds.png"))) == {
        *(0, 34, 34_000)
    }


def test_folders_ids_and_names(tmp_path: Path) -> None:
    names = ("yak", "person", "road", "goat")
    listed = tuple(Category(name, name, "#000000", k + 1) for k, name in enumerate(names))
    row = [instance((box_part(k, 0, k + 1, 4),), category=name) for k, name in enumerate(names)]
    export = export_of([(16, 12, [*row, row[0]]), (16, 12, [])], categories=listed)
    changes = [
        {"group": "Stall 1/Kamera_übersicht", "split": "val"},
        {"group": "///", "split": None},
    ]
    images = [
        dataclasses.replace(image, record=dataclasses.replace(image.record, **change))
        for image, change in zip(export.images, changes, strict=True)
    ]
    names_of_files = ["x/aachen_1_leftImg8bit.png", "y/b.c.jpg"]
    export = dataclasses.replace(export, images=images, names=names_of_files)
    write_cityscapes(tmp_path, export)
    first = "gtFine/val/Stall-1-Kamera-übersicht/aachen_1"
    assert json.loads((tmp_path / "labels.json").read_text()) == {
        "yak": 34,
        "person": 24,
        "road": 7,
        "goat": 35,
    }
    assert json.loads((tmp_path / "images.json").read_text(encoding="utf-8")) == {
        f"{first}_gtFine_polygons.json": "x/aachen_1_leftImg8bit.png",
        "gtFine/train/city/b.c_gtFine_polygons.json": "y/b.c.jpg",
    }
    numbers = pixels(tmp_path / f"{first}_gtFine_instanceIds.png")
    assert numbers[0, :5].tolist() == [34_001, 24_000, 7_000, 35_000, 0]
    found = read_cityscapes(tmp_path / "gtFine", export.pictures())
    assert [image.file_name for image in found.images] == names_of_files[::-1]


def test_losses_are_said_with_numbers_and_only_when_they_happen(tmp_path: Path) -> None:
    group = dataclasses.replace(CATEGORIES[1], name="cowgroup")
    tiny = instance((box_part(2.1, 2.1, 2.2, 2.2),))
    many = [instance((box_part(k % 40, k // 40, k % 40 + 1, k // 40 + 1),)) for k in range(1002)]
    rich = instance(HOLED, iscrowd=True, attributes={"lying": True})
    export = export_of([(40, 30, [])], categories=(COW, group))
    other = instance(HOLED, category=group.id)
    rows = list(enumerate([*many, tiny, rich, other], start=1))
    images = [dataclasses.replace(export.images[0], instances=rows)]
    export = dataclasses.replace(export, images=images)
    written = write_cityscapes(tmp_path, export)
    losses = "\n".join(written.losses)
    for word in ("1 instance without a pixel", "mark 1 crowd", "3 instances beyond 1000"):
        assert word in losses
    assert "attributes of 1 instance" in losses
    assert len(written.losses) == 4
    found = only(read_cityscapes(tmp_path, export.pictures()))
    assert [one.category for one in found.instances] == ["cow"] * 1003 + ["cowgroup"]
    assert not any(one.iscrowd for one in found.instances)


def test_what_has_no_room_is_refused(tmp_path: Path) -> None:
    listed = tuple(Category(f"c{k}", f"name {k}", "#000000", k + 1) for k in range(32))
    export = export_of([(16, 12, [instance(HOLED, category="c30")])], categories=listed[:31])
    write_cityscapes(tmp_path, export)
    assert pixels(tmp_path / "gtFine/train/g/0_gtFine_instanceIds.png").max() == 64_000
    with pytest.raises(DataError, match=r"31 categories of your own and there are 32"):
        write_cityscapes(tmp_path / "a", dataclasses.replace(export, categories=listed))
    void = (dataclasses.replace(listed[30], name="out of roi"),)
    with pytest.raises(DataError, match="rename the category"):
        write_cityscapes(tmp_path / "b", dataclasses.replace(export, categories=void))
    clash = dataclasses.replace(export_of([(16, 12, [])] * 2), names=["x/a.jpg", "y/a.jpg"])
    with pytest.raises(DataError, match=r"x/a\.jpg and y/a\.jpg"):
        write_cityscapes(tmp_path / "c", clash)
