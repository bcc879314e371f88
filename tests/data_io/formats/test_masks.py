"""Folders of mask PNGs: what a pixel can hold comes back, with all that an instance has."""

from __future__ import annotations

import copy
import dataclasses
import json
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
from data_io.formats.masks import read_masks, write_masks
from data_io.types import Instance
from tests.data_io.formats.herds import (
    HOLED,
    Shelf,
    box_part,
    export_of,
    instance,
    read_or_refuse,
)
from tests.data_io.formats.painted_herds import (
    BROKEN_JSON,
    check_painted,
    dump,
    replace_somewhere,
    verified_herds,
)

PICTURES = Shelf(Picture("a.jpg", 6, 4), Picture("b.jpg", 6, 4))
ROWS = [[1, 1, 0, 2, 2, 65535], [1, 1, 0, 2, 2, 65535], [0] * 6, [0, 0, 0, 7, 0, 7]]
ATTRIBUTES = st.dictionaries(
    st.text(max_size=3), st.booleans() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
)


def tree() -> dict[str, Any]:
    """The `masks.json` of ROWS."""
    row = {"category": "cow", "id": 1, "score": 0.5, "attributes": {"lying": True}}
    listed = {"1": row, "2": {"category": "calf", "id": 9}, "7": {"category": "cow", "id": 3}}
    image = {"file": "m/a.png", "instances": listed}
    return {"categories": ["cow", "calf"], "images": {"a.jpg": image}}


def folder_of(folder: Path, content: Any = None, rows: Any = ROWS, name: str = "m/a.png") -> Path:
    png.write_png(folder / name, np.array(rows, np.uint16))
    if content is not None:
        dump(folder / "masks.json", content)
    return folder


def boxes(file: LabelFile) -> list[geo.Box]:
    return [geo.box_of_parts(one.parts) for image in file.images for one in image.instances]


def only_sentence(file: LabelFile) -> str:
    (error,) = file.refused
    return error.sentence()


# --- round trips ----------------------------------------------------------------------------------


def same_record(stored: Instance, read: Instance) -> None:
    for key in ("iscrowd", "score", "source", "version", "attributes", "extras"):
        assert getattr(read, key) == getattr(stored, key)


@given(verified_herds(ATTRIBUTES))
@settings(max_examples=60, deadline=None)
def test_a_herd_comes_back_as_far_as_pixels_hold_it(
    tmp_path_factory: pytest.TempPathFactory, export: Export
) -> None:
    target = tmp_path_factory.mktemp("masks")
    written = write_masks(target, export)
    check_painted(export, written, read_masks(target, export.pictures()), same_record)


def test_all_that_an_instance_has_comes_back(tmp_path: Path) -> None:
    rich = instance(
        HOLED,
        iscrowd=True,
        score=0.25,
        source="edited",
        version="v3",
        attributes={"lying": True},
        extras={"mood": [1, {"x": None}]},
    )
    export = export_of([(16, 12, [rich])])
    written = write_masks(tmp_path, export)
    assert written.losses == ()
    check_painted(export, written, read_masks(tmp_path, export.pictures()), same_record)
    row = json.loads((tmp_path / "masks.json").read_text())["images"]["cam 1/0.jpg"]
    assert row["file"] == "cam 1/0.png"
    assert row["instances"]["1"]["id"] == 1
    with Image.open(tmp_path / "cam 1/0.png") as image:
        assert image.mode == "I;16"
        assert sorted(np.unique(np.asarray(image)).tolist()) == [0, 1]


def test_losses_are_overlaps_and_what_is_not_verified(tmp_path: Path) -> None:
    rows = [instance(HOLED), instance((box_part(0, 0, 4, 4),))]
    export = export_of([(16, 12, rows)])
    image = dataclasses.replace(export.images[0], verified=(box_part(0, 0, 16, 3),))
    losses = write_masks(tmp_path, dataclasses.replace(export, images=[image])).losses
    assert losses == (
        "Mask PNGs cannot hold 2 instances whole, because the verified area cuts each",
    )


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    export = export_of([(16, 12, [instance(HOLED, attributes={"x": object()})])])
    with pytest.raises(DataError, match=r"masks\.json, attributes: .*JSON"):
        write_masks(tmp_path / "a", export)
    export = dataclasses.replace(export_of([(16, 12, [])] * 2), names=["a.jpg", "a.png"])
    with pytest.raises(DataError, match=r"a\.jpg and a\.png"):
        write_masks(tmp_path / "b", export)


# --- in, with masks.json --------------------------------------------------------------------------


def test_numbers_are_read_in_stacking_order(tmp_path: Path) -> None:
    found = read_masks(folder_of(tmp_path, tree()), PICTURES)
    assert found.refused == found.repaired == ()
    assert boxes(found) == [(0, 0, 2, 2), (3, 0, 2, 2), (3, 3, 3, 1)]
    (image,) = found.images
    assert [one.category for one in image.instances] == ["cow", "calf", "cow"]
    assert len(image.instances[2].parts) == 2
    assert image.instances[0].attributes == {"lying": True}
    assert image.verified is not None
    assert (geo.mask_of_parts(image.verified, 4, 6) == (np.array(ROWS) != 65535)).all()


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"category": "yak"}, "not listed"),
        ({"category": 7}, "not a text"),
        ({"iscrowd": 1}, "neither true nor false"),
        ({"source": "cow"}, "source is unknown"),
        ({"source": ["human"]}, "source is unknown"),
        ({"version": 3}, "source is unknown"),
        ({"attributes": []}, "not an object"),
        ({"attributes": {"a": json.loads("[" * 50 + "]" * 50)}}, "too deep"),
    ],
)
def test_bad_instances_cost_a_sentence_each(
    tmp_path: Path, keys: dict[str, Any], word: str
) -> None:
    content = tree()
    content["images"]["a.jpg"]["instances"]["2"].update(keys)
    found = read_masks(folder_of(tmp_path, content), PICTURES)
    assert word in only_sentence(found)
    assert "image a.jpg, instance 2" in only_sentence(found)
    assert len(found.images[0].instances) == 2
    assert not found.images[0].complete


def test_numbers_and_entries_that_miss_each_other(tmp_path: Path) -> None:
    content = tree()
    rows = content["images"]["a.jpg"]["instances"]
    rows["12"] = rows.pop("7")
    rows["07"] = rows["2"]
    found = read_masks(folder_of(tmp_path, content), PICTURES)
    words = ("instance 12 covers no", "instance 07 covers no", "instance 7 of a.png is not listed")
    assert len(found.refused) == 3
    assert all(any(word in error.sentence() for error in found.refused) for word in words)
    assert len(found.images[0].instances) == 2


def test_odd_values_of_instances_are_made_storable(tmp_path: Path) -> None:
    content = tree()
    row = content["images"]["a.jpg"]["instances"]["1"]
    row.update(score=float("nan"), extras={"weight": float("inf"), "note": "\ud800"})
    found = read_masks(folder_of(tmp_path, content), PICTURES)
    assert found.refused == ()
    assert found.images[0].instances[0].score is None
    assert found.images[0].instances[0].extras == {"weight": None, "note": "?"}


@pytest.mark.parametrize(
    ("name", "row", "word"),
    [
        ("../b.jpg", {"file": "m/a.png", "instances": {}}, "leads out"),
        ("b.jpg", {"file": "../a.png", "instances": {}}, "leads out"),
        ("b.jpg", {"file": "link/a.png", "instances": {}}, "outside the folder"),
        ("b.jpg", {"file": "absent.png", "instances": {}}, "missing"),
        ("b.jpg", {"file": "m/a.png", "instances": []}, "not an object"),
        ("b.jpg", {"instances": {}}, "file is not a text"),
        ("b.jpg", 3, "not an object"),
        ("c.jpg", {"file": "m/a.png", "instances": {}}, "no picture called c.jpg"),
        ("a", {"file": "m/a.png", "instances": tree()["images"]["a.jpg"]["instances"]}, "same pic"),
    ],
)
def test_bad_images_cost_a_sentence_each(tmp_path: Path, name: str, row: Any, word: str) -> None:
    content = tree()
    content["images"][name] = row
    folder = folder_of(tmp_path / "x", content)
    folder_of(tmp_path)
    (folder / "link").symlink_to(tmp_path / "m")
    found = read_masks(folder, PICTURES)
    assert word in only_sentence(found)
    assert len(found.images) == 1
    assert found.images[0].complete


@pytest.mark.parametrize("text", [*BROKEN_JSON, '{"images": {}}', '{"categories": []}'])
def test_what_is_no_index_raises_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "masks.json").write_text(text)
    with pytest.raises(DataError, match=r"masks\.json"):
        read_masks(tmp_path, PICTURES)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_hostile_values_anywhere(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = copy.deepcopy(tree())
    replace_somewhere(data, content)
    folder = folder_of(tmp_path_factory.mktemp("masks"), content)
    found = read_or_refuse(lambda: read_masks(folder, PICTURES))
    for image in found.images if found else ():
        for one in image.instances:
            json.dumps([one.attributes, one.extras], allow_nan=False).encode("utf-8")


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_hostile_bytes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    indexed = data.draw(st.booleans())
    folder = folder_of(tmp_path_factory.mktemp("masks"), tree() if indexed else None)
    content = bytearray((folder / "m/a.png").read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "m/a.png").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    found = read_or_refuse(lambda: read_masks(folder, Shelf(Picture("m/a.jpg", 6, 4))))
    assert found is not None
    assert len(found.images) + len(found.refused) >= 1


# --- in, without ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a_mask.png", "a-mask.png"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_each_number_is_an_animal(tmp_path: Path, name: str, kind: type) -> None:
    rows = np.array([[1, 1, 0, 2, 2, 255], [0] * 6, [0] * 6, [0, 0, 0, 7, 0, 7]], kind)
    png.write_png(tmp_path / name, rows)
    found = read_masks(tmp_path, PICTURES)
    assert found.refused == ()
    assert [one.name for one in found.categories] == ["animal"]
    assert boxes(found) == [(0, 0, 2, 1), (3, 0, 2, 1), (3, 3, 3, 1), (5, 0, 1, 1)]
    assert found.images[0].file_name == "a.jpg"
    assert found.images[0].verified is None


@pytest.mark.parametrize("top", [1, 255, 65535])
def test_a_mask_of_one_number_is_taken_apart(tmp_path: Path, top: int) -> None:
    rows = np.array([[1, 1, 0, 1], [1, 1, 0, 1], [0, 0, 1, 0]]) * top
    folder_of(tmp_path, rows=rows, name="a.png")
    found = read_masks(tmp_path, Shelf(Picture("a.jpg", 4, 3)))
    assert boxes(found) == [(0, 0, 2, 2), (3, 0, 1, 2), (2, 2, 1, 1)]
    assert found.images[0].verified is None


def test_65535_among_others_is_not_verified(tmp_path: Path) -> None:
    folder_of(tmp_path, rows=ROWS, name="a.png")
    found = read_masks(tmp_path, PICTURES)
    assert boxes(found) == [(0, 0, 2, 2), (3, 0, 2, 2), (3, 3, 3, 1)]
    (image,) = found.images
    assert image.verified is not None
    assert (geo.mask_of_parts(image.verified, 4, 6) == (np.array(ROWS) != 65535)).all()


def test_masks_beside_their_pictures(tmp_path: Path) -> None:
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
    Image.new("RGB", (6, 4)).save(tmp_path / "b.jpg")
    for name in ("a_mask.png", "b.png", "c/b-mask.png"):
        folder_of(tmp_path, rows=ROWS, name=name)
    found = read_masks(tmp_path, PicturesInFolders([tmp_path]))
    assert [image.file_name for image in found.images] == ["a.png", "b.jpg"]
    assert "c/b-mask.png" in only_sentence(found)
    assert "same picture" in only_sentence(found)


def test_photos_and_noise_are_no_masks(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 65536, (400, 400)).astype(np.uint16)
    png.write_png(tmp_path / "a.png", noise)
    Image.fromarray(noise.astype(np.uint8)).convert("RGB").save(tmp_path / "b.png")
    board = np.indices((400, 400)).sum(axis=0) % 2
    png.write_png(tmp_path / "c.png", board.astype(np.uint8))
    pictures = Shelf(*(Picture(f"{name}.jpg", 400, 400) for name in "abc"))
    found = read_masks(tmp_path, pictures)
    assert found.images == ()
    words = ["change too often", "colors instead of numbers", "more than 20000 areas"]
    for error, word in zip(found.refused, words, strict=True):
        assert word in error.sentence()


def test_what_is_no_folder_of_masks_raises_one_sentence(tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match="no PNG in this folder"):
            read_masks(source, PICTURES)
