"""COCO files read: entry by entry, what is bad costs one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats import coco
from data_io.formats.labels import FileCategory

HEIGHT, WIDTH = 40, 60


def tree() -> dict[str, Any]:
    """A small file of which everything can be read."""
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 0, "name": "cow"}, {"id": 7, "name": "calf"}],
        "annotations": [
            annotation(1),
            annotation(2, category_id=7, mood="calm", attributes={"lying": True}),
        ],
    }


def annotation(number: int, **keys: Any) -> dict[str, Any]:
    polygon = [5, 5, 25, 5, 25, 25, 5, 25]
    base = {"id": number, "image_id": 1, "category_id": 0, "segmentation": [polygon]}
    return {**base, "iscrowd": 0, "area": 400, "bbox": [5, 5, 20, 20], **keys}


def write(folder: Path, content: Any) -> Path:
    path = folder / "labels.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_reads_names_ids_keys_and_zero(tmp_path: Path) -> None:
    file = coco.read_coco(write(tmp_path, tree()))
    assert file.refused == ()
    assert file.categories == (FileCategory("0", "cow"), FileCategory("7", "calf"))
    (image,) = file.images
    assert (image.file_name, image.width, image.height) == ("a.jpg", WIDTH, HEIGHT)
    one, two = image.instances
    assert (one.category, two.category) == ("0", "7")
    assert two.extras == {"mood": "calm"}
    assert two.attributes == {"lying": True}
    assert one.parts[0].outer.tolist() == [[5, 5], [25, 5], [25, 25], [5, 25]]


def refusal(folder: Path, **keys: Any) -> DataError:
    """The one sentence for a bad annotation 9, after asserting that the rest came through."""
    content = tree()
    content["annotations"].insert(1, annotation(9, **keys))
    file = coco.read_coco(write(folder, content))
    assert len(file.images[0].instances) == 2
    (error,) = file.refused
    assert "\n" not in error.sentence()
    return error


OUTSIDE = [[100, 5, 120, 5, 120, 20]]


@pytest.mark.parametrize(
    ("keys", "field", "word"),
    [
        ({"segmentation": [[1, 1, 9, 9]]}, "segmentation", "2 vertices"),
        ({"segmentation": [[1, 1, 9, 9, 4]]}, "segmentation", "odd"),
        ({"segmentation": [[1, 1, float("nan"), 9, 4, 4]]}, "segmentation", "finite"),
        ({"segmentation": [[1, 1, 10**400, 9, 4, 4]]}, "segmentation", "finite"),
        ({"segmentation": [[1, 1, 5, 5, 9, 9]]}, "segmentation", "no area"),
        ({"segmentation": [[1, 1, 1e15, 5, 9, 9]]}, "segmentation", "longer"),
        ({"segmentation": OUTSIDE}, "segmentation", "outside the image"),
        ({"segmentation": [[1.1, 1.1, 1.2, 1.1, 1.2, 1.2]]}, "segmentation", "no pixel"),
        ({"segmentation": []}, "segmentation", "no outline"),
        ({"segmentation": [1, 1, 9, 1, 9, 9]}, "segmentation", "not a list"),
        ({"category_id": 3}, "category_id", "category 3"),
        ({"category_id": True}, "category_id", "not an integer"),
        ({"image_id": 5}, "image_id", "image 5"),
        ({"id": 2}, "id", "used twice"),
        ({"id": "9"}, "id", "not an integer"),
        ({"iscrowd": 2}, "iscrowd", "neither"),
        ({"segmentation": {"size": [4, 4], "counts": [16]}}, "segmentation", "size"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": [5]}}, "segmentation", "add up"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": [-5, 2405]}}, "segmentation", "dam"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": "~~"}}, "segmentation", "damaged"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": "oooo"}}, "segmentation", "damaged"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": [2400]}}, "segmentation", "no pixel"),
    ],
)
def test_bad_annotations_cost_a_sentence_each(
    tmp_path: Path, keys: dict[str, Any], field: str, word: str
) -> None:
    if keys.get("id") == 2:  # the first of two annotations with one id is kept
        content = tree()
        content["annotations"].append(annotation(2))
        (error,) = coco.read_coco(write(tmp_path, content)).refused
        assert error.index == "annotation 2"
    else:
        error = refusal(tmp_path, **keys)
    assert error.field == field
    assert word in error.sentence()


@pytest.mark.parametrize(
    "name", ["../a.jpg", "x/../../a.jpg", "/etc/a.jpg", "C:\\a.jpg", "..\\a.jpg", "\\\\host\\a.jpg"]
)
def test_file_names_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    content = tree()
    content["images"].append({"id": 2, "file_name": name, "width": 9, "height": 9})
    file = coco.read_coco(write(tmp_path, content))
    assert [image.key for image in file.images] == ["image 1"]
    assert "leads out" in file.refused[0].sentence()


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ({"id": 1, "file_name": "b.jpg", "width": 9, "height": 9}, "used twice"),
        ({"id": 2, "file_name": "a.jpg", "width": 9, "height": 9}, "same file_name"),
        ({"id": 2, "file_name": "b.jpg", "width": 0, "height": 9}, "cannot be"),
        ({"id": 2, "file_name": "b.jpg", "width": 90_000, "height": 90_000}, "cannot be"),
        ({"id": 2, "file_name": "b.jpg"}, "missing"),
        ({"id": 2, "file_name": 5, "width": 9, "height": 9}, "not a text"),
        ({"id": 2, "file_name": "\ud800", "width": 9, "height": 9}, "no text"),
        ("b.jpg", "not an object"),
    ],
)
def test_bad_images_cost_a_sentence_each(tmp_path: Path, row: Any, word: str) -> None:
    content = tree()
    content["images"].append(row)
    file = coco.read_coco(write(tmp_path, content))
    assert len(file.images) == 1
    assert len(file.images[0].instances) == 2
    (error,) = file.refused
    assert word in error.sentence()


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"images": [',
        "[]",
        '"text"',
        '{"images": [], "annotations": {}, "categories": []}',
        '{"images": [], "categories": []}',
        "[" * 100_000,
        '{"x": ' + "9" * 10_000 + "}",
    ],
)
def test_what_is_no_coco_file_raises_one_sentence(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match=r"labels\.json.*;.*\.$"):
        coco.read_coco(write(tmp_path, content))


def test_absent_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        coco.read_coco(tmp_path / "absent.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(DataError, match="not valid JSON"):
        coco.read_coco(tmp_path / "b.json")


@pytest.mark.parametrize(
    "polygon", [[50, 10, 60.4, 10, 60.4, 30, 50, 30], [-30, 5, 70, 20, 40, 45, 20, 8]]
)
def test_a_polygon_across_the_border_is_cut_and_reported(
    tmp_path: Path, polygon: list[float]
) -> None:
    content = tree()
    content["annotations"] = [annotation(1, segmentation=[polygon])]
    file = coco.read_coco(write(tmp_path, content))
    (kept,) = file.images[0].instances
    (repair,) = [one for one in file.repaired if one.field == "segmentation"]
    assert repair.sentence().endswith("the outline leaves the image; it was cut at the border.")
    x, y, width, height = geo.box_of_parts(kept.parts)
    assert x >= 0
    assert y >= 0
    assert x + width <= WIDTH
    assert y + height <= HEIGHT
    (expected,) = coco_mask.frPyObjects([polygon], HEIGHT, WIDTH)
    assert geo.same_raster(geo.rle_of_parts(kept.parts, HEIGHT, WIDTH), expected)
    geo.validate_parts(kept.parts)


def test_both_kinds_of_rle_and_crowds(tmp_path: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[3:20, 4:30] = True
    mask[8:12, 10:14] = False
    mask[30, 50] = True
    rle = geo.rle_of_mask(mask)
    runs = geo.runs_of_rle(rle).tolist()
    size = [HEIGHT, WIDTH]
    content = tree()
    content["annotations"] = [
        annotation(1, segmentation={"size": size, "counts": rle["counts"].decode()}, iscrowd=1),
        annotation(2, segmentation={"size": size, "counts": [*runs[:2], 0, 0, *runs[2:]]}),
        annotation(3, segmentation={"size": size, "counts": [0, 0, 0, 0, *runs, 0, 0, 0]}),
    ]
    file = coco.read_coco(write(tmp_path, content))
    assert file.refused == ()
    for item in file.images[0].instances:
        assert (geo.mask_of_parts(item.parts, HEIGHT, WIDTH) == mask).all()
    assert [item.iscrowd for item in file.images[0].instances] == [True, False, False]


def test_unknown_keys_are_made_storable(tmp_path: Path) -> None:
    content = tree()
    odd = annotation(1, weight=float("inf"), note="\ud800", nested={"a": [1, {"b": None}]})
    content["annotations"] = [odd]
    (item,) = coco.read_coco(write(tmp_path, content)).images[0].instances
    assert item.extras == {"weight": None, "note": "?", "nested": {"a": [1, {"b": None}]}}
    deep: Any = 0
    for _ in range(200):
        deep = [deep]
    content["annotations"] = [annotation(1, deep=deep)]
    (error,) = coco.read_coco(write(tmp_path, content)).refused
    assert "nested" in error.sentence()


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from([10**400, 1e308, -0.0, "\ud800", "", "../x"]),
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.dictionaries(st.sampled_from(["size", "counts", "id", "a"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_hostile_values_anywhere_raise_nothing_but_sentences(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = tree()
    for _ in range(data.draw(st.integers(1, 3))):
        table = data.draw(st.sampled_from(["images", "categories", "annotations"]))
        if (
            not (isinstance(content[table], list) and content[table])
            or data.draw(st.integers(0, 9)) == 0
        ):
            content[table] = data.draw(ANYTHING)
            continue
        row = data.draw(st.sampled_from(content[table]))
        if isinstance(row, dict) and row:
            row[data.draw(st.sampled_from(sorted(row)))] = data.draw(ANYTHING)
    folder = tmp_path_factory.mktemp("fuzz")
    try:
        file = coco.read_coco(write(folder, content))
    except DataError as error:
        assert error.sentence()  # noqa: PT017
        return
    for image in file.images:
        for item in image.instances:
            assert geo.area_of_rle(geo.rle_of_parts(item.parts, image.height, image.width)) > 0
            json.dumps([item.extras, item.attributes], allow_nan=False).encode("utf-8")


@given(st.text(alphabet=[chr(code) for code in range(46, 114)], max_size=12))
@settings(max_examples=200, deadline=None)
def test_hostile_compressed_runs(tmp_path_factory: pytest.TempPathFactory, counts: str) -> None:
    content = tree()
    region = {"size": [HEIGHT, WIDTH], "counts": counts}
    content["annotations"] = [annotation(1, segmentation=region)]
    file = coco.read_coco(write(tmp_path_factory.mktemp("fuzz"), content))
    assert len(file.refused) + len(file.images[0].instances) == 1


@pytest.mark.parametrize(
    ("keys", "field", "word"),
    [
        ({"area": 900}, "area", "covers 400"),
        ({"bbox": [5, 5, 20, 40]}, "bbox", "the outline has"),
        ({"segmentation": [[5, 5, 25, 25, 25, 5, 5, 25]], "area": 200}, "segmentation", "itself"),
    ],
)
def test_what_can_be_put_right_is_and_is_reported(
    tmp_path: Path, keys: dict[str, Any], field: str, word: str
) -> None:
    content = tree()
    content["annotations"] = [annotation(1, **keys)]
    file = coco.read_coco(write(tmp_path, content))
    assert file.refused == ()
    (repair,) = file.repaired
    assert (repair.index, repair.field) == ("annotation 1", field)
    assert word in repair.sentence()
    (item,) = file.images[0].instances
    (drawn,) = coco_mask.frPyObjects(
        [keys.get("segmentation", [[5, 5, 25, 5, 25, 25, 5, 25]])[0]], HEIGHT, WIDTH
    )
    assert geo.same_raster(geo.rle_of_parts(item.parts, HEIGHT, WIDTH), drawn)


def test_a_missing_id_is_repaired_and_a_lost_annotation_noted(tmp_path: Path) -> None:
    content = tree()
    del content["annotations"][0]["id"]
    file = coco.read_coco(write(tmp_path, content))
    assert [one.field for one in file.repaired] == ["id"]
    assert file.images[0].complete
    content["annotations"][1]["category_id"] = 99
    assert not coco.read_coco(write(tmp_path, content)).images[0].complete


def test_a_ring_that_only_touches_itself_stays_as_it_was_drawn(tmp_path: Path) -> None:
    spike = [5, 5, 25, 5, 35, 5, 25, 5, 25, 25, 5, 25]
    content = tree()
    content["annotations"] = [annotation(1, segmentation=[spike])]
    file = coco.read_coco(write(tmp_path, content))
    assert file.repaired == ()
    (item,) = file.images[0].instances
    assert item.parts[0].outer.ravel().tolist() == spike
