"""Labelme files: polygons as drawn, masks with holes, groups; bad shapes cost a sentence each."""

from __future__ import annotations

import base64
import copy
import dataclasses
import io
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
from data_io.formats.labelme import read_labelme, write_labelme
from data_io.formats.labels import Export, LabelFile, Picture
from data_io.types import Instance
from tests.data_io.formats.herds import (
    CALF,
    COW,
    HOLED,
    PICTURES,
    TWO_PARTS,
    Shelf,
    box_part,
    check_round_trip,
    export_of,
    herds,
    instance,
    json_values,
    read_or_refuse,
)

KEEPS = st.dictionaries(st.sampled_from(["lying", 'ä "b"', "c"]), st.booleans(), max_size=2)
ATTRIBUTES = st.builds(
    lambda flags, text: flags | ({"description": text} if text else {}),
    KEEPS,
    st.text(st.characters(codec="utf-8"), max_size=5),
)
POLYGON = [[5, 5], [25, 5], [25, 25], [5, 25]]


def png(mask: Any, mode: str = "L") -> str:
    stream = io.BytesIO()
    Image.fromarray(np.asarray(mask, np.uint8)).convert(mode).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def shape(**keys: Any) -> dict[str, Any]:
    base = {"label": "cow", "points": POLYGON, "group_id": None, "description": ""}
    return {**base, "shape_type": "polygon", "flags": {}, "mask": None, **keys}


def tree(*shapes: Any, **keys: Any) -> dict[str, Any]:
    base = {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": "a.jpg"}
    return {**base, "imageData": None, "imageHeight": 40, "imageWidth": 60, **keys}


def read(folder: Path, content: Any) -> LabelFile:
    path = folder / "a.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_labelme(path, PICTURES)


# --- round trips ----------------------------------------------------------------------------------


@given(herds(ATTRIBUTES))
@settings(max_examples=60, deadline=None)
def test_a_herd_comes_back_pixel_for_pixel(
    tmp_path_factory: pytest.TempPathFactory, export: Export
) -> None:
    target = tmp_path_factory.mktemp("labelme")
    written = write_labelme(target, export)
    file = read_labelme(target, export.pictures())

    def check(stored: Instance, one: Instance) -> None:
        assert one.attributes == stored.attributes

    check_round_trip(export, written, file, lambda category: category.name, check)


def test_polygons_keep_their_vertices_and_holes_become_a_mask(tmp_path: Path) -> None:
    parts = (TWO_PARTS[0], HOLED[0])
    export = export_of([(16, 12, [instance(parts), instance(TWO_PARTS[1:], category=CALF.id)])])
    write_labelme(tmp_path, export)
    content = json.loads((tmp_path / "cam 1/0.json").read_text())
    one, two, three = content["shapes"]
    assert (content["imagePath"], content["imageData"]) == ("0.jpg", None)
    assert (content["imageWidth"], content["imageHeight"]) == (16, 12)
    assert [row["group_id"] for row in content["shapes"]] == [1, 1, None]
    assert [row["label"] for row in content["shapes"]] == [COW.name, COW.name, CALF.name]
    assert one["points"] == TWO_PARTS[0].outer.tolist()
    assert (two["shape_type"], two["points"]) == ("mask", [[1, 1], [12, 10]])
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(two["mask"]))))
    assert set(np.unique(mask)) == {0, 1}
    assert mask.astype(bool).tolist() == geo.mask_of_parts(HOLED, 12, 16)[1:11, 1:13].tolist()
    keys = "label points group_id description shape_type flags mask"
    assert sorted(three) == sorted(keys.split())
    first, second = read_labelme(tmp_path, export.pictures()).images[0].instances
    assert (first.parts[0].outer == TWO_PARTS[0].outer).all()
    assert [len(part.holes) for part in first.parts] == [0, 1]
    assert (second.parts[0].outer == TWO_PARTS[1].outer).all()


def test_the_verified_flag_says_whole_or_not(tmp_path: Path) -> None:
    export = export_of([(16, 12, [])] * 4)
    areas = [None, geo.full_image(12, 16), (box_part(0, 0, 9, 9),), ()]
    images = [
        dataclasses.replace(image, verified=area)
        for image, area in zip(export.images, areas, strict=True)
    ]
    export = dataclasses.replace(export, images=images)
    written = write_labelme(tmp_path, export)
    file = read_labelme(tmp_path, export.pictures())
    assert [image.verified for image in file.images] == [None, None, (), ()]
    assert written.losses == ("Labelme cannot hold the verified area of 1 image verified in part",)
    assert read(tmp_path, tree()).images[0].verified is None


def test_losses_are_said_with_numbers_and_only_when_they_happen(tmp_path: Path) -> None:
    nothing = instance((box_part(2.1, 2.1, 2.2, 2.2),))
    kept = {"lying": True, "description": "brown"}
    rich = instance(HOLED, score=0.5, attributes={**kept, "age": 3}, version="v1", iscrowd=True)
    other = instance(HOLED, attributes={"description": 5}, extras={"mood": 1})
    written = write_labelme(tmp_path, export_of([(16, 12, [rich, other, nothing])]))
    losses = "\n".join(written.losses)
    for words in (
        "attributes of 2 instances that are neither",
        "1 instance without a pixel",
        "scores of 1 instance",
        "version of 1 instance",
        "crowd mark of 1 instance",
        "keys of 1 instance",
    ):
        assert words in losses
    assert len(written.losses) == 6
    written = write_labelme(
        tmp_path / "two", export_of([(16, 12, [instance(HOLED, attributes=kept)])])
    )
    assert written.losses == ()


def test_pictures_that_differ_in_suffix_only_get_a_file_each(tmp_path: Path) -> None:
    export = export_of([(16, 12, [instance(HOLED)]), (16, 12, [])])
    export = dataclasses.replace(export, names=["x/a.jpg", "x/a.png"])
    write_labelme(tmp_path, export)
    assert sorted(path.name for path in tmp_path.rglob("*.json")) == ["a.json", "a.png.json"]
    file = read_labelme(tmp_path, export.pictures())
    found = {image.file_name: len(image.instances) for image in file.images}
    assert found == {"x/a.jpg": 1, "x/a.png": 0}
    with pytest.raises(DataError, match="no image"):
        write_labelme(tmp_path / "none", export_of([]))


# --- reading --------------------------------------------------------------------------------------


def test_reads_what_labelme_writes(tmp_path: Path) -> None:
    mask = np.zeros((4, 5))
    mask[1:3, 1:4] = 255
    content = tree(
        shape(shape_type=None, flags={"\ud800": False, "odd": 3}, description="x"),
        shape(shape_type="rectangle", points=[[25, 9], [5, 3]], label="calf"),
        shape(shape_type="circle", points=[[30, 20], [30, 30]]),
        shape(shape_type="oriented_rectangle"),
        shape(shape_type="mask", points=[[10.2, 20], [14, 23]], mask=png(mask), group_id=4),
        shape(points=[[40, 5], [50, 5], [50, 9]], group_id=4),
        shape(points=[[40, 5], [50, 5], [50, 9]], group_id=4, label="calf"),
        shape(group_id="left"),
        imageHeight=None,
    )  # fmt: skip
    file = read(tmp_path, content)
    assert file.refused == ()
    assert [repair.field for repair in file.repaired] == ["flags", "group_id"]
    assert [category.name for category in file.categories] == ["cow", "calf"]
    plain, rectangle, circle, turned, grouped, alone, last = file.images[0].instances
    assert plain.attributes == {"?": False, "description": "x"}
    assert geo.box_of_parts(rectangle.parts) == (5, 3, 20, 6)
    assert len(circle.parts[0].outer) == 64
    assert geo.area_of_rle(geo.rle_of_parts(circle.parts, 40, 60)) == pytest.approx(314, abs=8)
    assert turned.parts[0].outer.tolist() == POLYGON
    assert [geo.box_of_parts((part,)) for part in grouped.parts] == [(11, 21, 3, 2), (40, 5, 10, 4)]
    assert (alone.category, last.category) == ("calf", "cow")


def test_names_are_relative_to_the_json_file(tmp_path: Path) -> None:
    (tmp_path / "x/y").mkdir(parents=True)
    for place, path in (("x/y", "..\\b.jpg"), ("x", "y/c.jpg"), (".", "./d.jpg")):
        (tmp_path / place / "one.json").write_text(json.dumps(tree(imagePath=path)))
    file = read_labelme(tmp_path, PICTURES)
    assert [image.file_name for image in file.images] == ["d.jpg", "x/y/c.jpg", "x/b.jpg"]
    assert [image.key for image in file.images] == ["one.json", "x/one.json", "x/y/one.json"]


def test_pictures_are_asked_for_missing_sizes(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(tree(imageWidth=None, imagePath="b.jpg")))
    (image,) = read_labelme(tmp_path, Shelf(Picture("b.jpg", 7, 5))).images
    assert (image.width, image.height) == (7, 5)


@pytest.mark.parametrize("path", ["../../a.jpg", "/etc/a.jpg", "C:\\x\\a.jpg", "..\\..\\a.jpg"])
def test_paths_that_lead_out_only_name_a_picture(tmp_path: Path, path: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/one.json").write_text(json.dumps(tree(imagePath=path)))
    file = read_labelme(tmp_path, PICTURES)
    assert file.images[0].file_name == "a.jpg"
    assert [repair.field for repair in file.repaired] == ["imagePath"]
    with pytest.raises(DataError, match="leads out"):
        read(tmp_path, tree(imagePath=path.replace("a.jpg", "passwd")))


def test_two_files_for_one_picture(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(json.dumps(tree()))
    (tmp_path / "a.json").write_text(json.dumps(tree(shape())))
    (tmp_path / "c.json").write_text("{}")
    file = read_labelme(tmp_path, PICTURES)
    assert [image.key for image in file.images] == ["a.json"]
    assert "same picture" in file.refused[0].sentence()
    assert "not a Labelme file" in file.refused[1].sentence()


BLACK, SPOT = png(np.zeros((3, 3))), png(np.ones((3, 3)))
MASK: dict[str, Any] = {"shape_type": "mask", "points": [[10, 10], [12, 12]]}


@pytest.mark.parametrize(
    ("row", "field", "word"),
    [
        (shape(points=[[1, 1], [9, 9]]), "points", "3 vertices"),
        (shape(points=[[1, 1], [9, float("nan")], [3, 4]]), "points", "finite"),
        (shape(points=[[1, 1], [9, 10**400], [3, 4]]), "points", "finite"),
        (shape(points=[[1, 1], [9, True], [3, 4]]), "points", "finite"),
        (shape(points=[[1, 1], [9], [3, 4]]), "points", "list"),
        (shape(points="POLYGON"), "points", "list"),
        (shape(points=[[1, 1], [1e14, 5], [3, 4]]), "points", "longer"),
        (shape(points=[[100, 1], [101, 5], [103, 4]]), "points", "outside"),
        (shape(points=[[1.1, 1.1], [1.2, 1.1], [1.2, 1.2]]), "points", "no pixel"),
        (shape(shape_type="line"), "shape_type", "a line is no outline"),
        (shape(shape_type="linestrip"), "shape_type", "a linestrip is no outline"),
        (shape(shape_type="point", points=[[1, 1]]), "shape_type", "a point is no outline"),
        (shape(shape_type="blob\n"), "shape_type", "unknown"),
        (shape(shape_type=[]), "shape_type", "unknown"),
        (shape(shape_type="circle"), "points", "two points"),
        (shape(shape_type="circle", points=[[1, 1], [1e14, 1]]), "points", "longer"),
        (shape(label=3), "label", "not a text"),
        (shape(label="x" * 81), "label", "80"),
        (shape(label="\ud800"), "label", "no text"),
        (shape(**MASK), "mask", "not a PNG"),
        (shape(**MASK, mask="%%%"), "mask", "not a PNG"),
        (shape(**MASK, mask="ä"), "mask", "not a PNG"),
        (shape(**MASK, mask=SPOT[:40]), "mask", "not a PNG"),
        (shape(**MASK, mask=SPOT[:-40]), "mask", "not a PNG"),
        (shape(**MASK, mask=png(np.ones((5, 3)))), "mask", "size of its points"),
        (shape(**MASK, mask=BLACK), "mask", "no pixel"),
        (shape(**MASK, mask=png(np.ones((3, 3)), "RGB")), "mask", "grey"),
        (shape(**MASK, mask=png(np.ones((3, 62)))), "mask", "larger than the image"),
        (shape(shape_type="mask", mask=BLACK), "points", "two points"),
        (shape(**MASK, mask=SPOT) | {"points": [[60, 1], [62, 3]]}, "mask", "outside"),
        ("shape", "shapes", "not an object"),
        (None, "shapes", "not an object"),
    ],
)  # fmt: skip
def test_bad_shapes_cost_a_sentence_each(tmp_path: Path, row: Any, field: str, word: str) -> None:
    file = read(tmp_path, tree(shape(), row, shape()))
    (image,) = file.images
    assert len(image.instances) == 2
    assert not image.complete
    (error,) = file.refused
    assert (error.index, error.field) == ("shape at position 1", field)
    assert word in error.sentence()


def test_what_leaves_the_image_is_cut_with_a_repair(tmp_path: Path) -> None:
    mask = np.ones((4, 4))
    spare = np.pad(mask[:3, :3], (0, 1))
    content = tree(
        shape(points=[[-5, 5], [25, 5], [25, 25], [-5, 25]]),
        shape(shape_type="mask", points=[[-2, 38], [1, 41]], mask=png(mask)),
        # Labelme's own masks have a spare row and column, which may lie outside.
        shape(shape_type="mask", points=[[57, 37], [60, 40]], mask=png(spare)),
    )  # fmt: skip
    file = read(tmp_path, content)
    assert file.refused == ()
    boxes = [geo.box_of_parts(one.parts) for one in file.images[0].instances]
    assert boxes == [(0, 5, 25, 20), (0, 38, 2, 2), (57, 37, 3, 3)]
    assert [repair.index[-1] for repair in file.repaired] == ["0", "1"]


def test_an_outline_that_crosses_itself_is_drawn_anew(tmp_path: Path) -> None:
    hair = [[1, 0], [0, 0], [0, 2], [1, 0], [0.5, 2.5e-216], [0.5, 2.2e-279]]
    file = read(tmp_path, tree(shape(points=hair), imageWidth=1, imageHeight=2))
    geo.validate_parts(file.images[0].instances[0].parts)  # without the hair, which has no area
    bow = [[5, 5], [25, 25], [25, 5], [5, 25]]
    file = read(tmp_path, tree(shape(points=bow)))
    (one,) = file.images[0].instances
    drawn = geo.rle_of_parts(
        (dataclasses.replace(one.parts[0], outer=np.array(bow, float)),), 40, 60
    )
    assert geo.same_raster(geo.rle_of_parts(one.parts, 40, 60), drawn)
    assert "crosses itself" in file.repaired[0].sentence()


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"imageWidth": 0}, "cannot be"),
        ({"imageWidth": 1e6, "imageHeight": 1e6}, "cannot be"),
        ({"imageWidth": "60"}, "not an integer"),
        ({"imageWidth": float("inf")}, "not an integer"),
        ({"imageWidth": None, "imagePath": "b.jpg"}, "nor the picture"),
        ({"imagePath": None}, "not a text"),
        ({"imagePath": "a\x00.jpg"}, "no text"),
        ({"imagePath": "."}, "leads out"),
        ({"shapes": {}}, "not a Labelme file"),
    ],
)
def test_bad_files_raise_one_sentence(tmp_path: Path, keys: dict[str, Any], word: str) -> None:
    with pytest.raises(DataError, match=word):
        read(tmp_path, {**tree(), **keys})


@pytest.mark.parametrize(
    "content", ["", "[", "[]", '"x"', "{}", "[" * 100_000, '{"shapes": ' + "9" * 10_000 + "}"]
)
def test_what_is_no_labelme_file_raises_one_sentence(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match=r"a\.json.*;.*\.$"):
        read(tmp_path, content)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no JSON file"):
        read_labelme(tmp_path / "none", PICTURES)
    with pytest.raises(DataError, match="no such file"):
        read_labelme(tmp_path / "absent.json", PICTURES)


def test_a_png_bomb_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = io.BytesIO()
    Image.new("1", (25_000, 3_000)).save(bomb, "PNG")
    text = base64.b64encode(bomb.getvalue()).decode()
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    file = read(tmp_path, tree(shape(**MASK, mask=text)))
    assert "larger than the image" in file.refused[0].sentence()


def test_millions_of_bad_values_end_early(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="more than 50000 shapes"):
        read(tmp_path, '{"shapes": [' + "1," * 50_000 + "1]}")
    with pytest.raises(DataError, match="too many values"):
        read(tmp_path, "[" + "[]," * 6_000_000 + "1]")


# --- hostile --------------------------------------------------------------------------------------

ANYTHING = json_values("mask", "circle", BLACK)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_hostile_values_anywhere(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    mask = shape(**MASK, mask=SPOT, group_id=1)
    circle = shape(shape_type="circle", points=[[9, 9], [1, 1]])
    content = copy.deepcopy(tree(shape(), mask, shape(group_id=1), circle))
    for _ in range(data.draw(st.integers(1, 3))):
        rows = content["shapes"] if isinstance(content["shapes"], list) else []
        row = data.draw(st.sampled_from([content, *(one for one in rows if isinstance(one, dict))]))
        row[data.draw(st.sampled_from(sorted({*row, "label"})))] = data.draw(ANYTHING)
    folder = tmp_path_factory.mktemp("fuzz")
    file = read_or_refuse(lambda: read(folder, content))
    for image in file.images if file else ():
        for one in image.instances:
            json.dumps(one.attributes, allow_nan=False).encode("utf-8")


@given(st.binary(max_size=80), st.integers(0, 700))
@settings(max_examples=60, deadline=None)
def test_binary_and_truncated(tmp_path_factory: Any, data: bytes, length: int) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    whole = json.dumps(tree(shape(), shape(**MASK, mask=SPOT))).encode()
    for content in (data, whole[:length], whole[:length] + data):
        (folder / "a.json").write_bytes(content)
        read_or_refuse(lambda: read_labelme(folder / "a.json", PICTURES))


@given(st.binary(max_size=60), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_damaged_pngs(tmp_path_factory: pytest.TempPathFactory, data: bytes, place: int) -> None:
    good = base64.b64decode(png(np.eye(3)))
    text = base64.b64encode(good[:place] + data + good[place + len(data) :]).decode()
    folder = tmp_path_factory.mktemp("fuzz")
    file = read_or_refuse(lambda: read(folder, tree(shape(**MASK, mask=text), shape())))
    assert file is not None
    assert len(file.images[0].instances) + len(file.refused) == 2
