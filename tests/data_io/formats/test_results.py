"""COCO results: pycocotools takes them, and what a stranger writes costs a sentence a row."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats.coco_write import write_coco
from data_io.formats.labels import Export, LabelFile, Picture
from data_io.formats.results import (
    read_back_results,
    read_results,
    reader_of,
    write_results,
)
from data_io.types import Instance
from tests.data_io.formats.herds import (
    CALF,
    COW,
    HOLED,
    TWO_PARTS,
    box_part,
    check_round_trip,
    export_of,
    herds,
    instance,
    json_values,
    read_or_refuse,
    stuck_after,
)

TRUTH = {5: Picture("a.jpg", 60, 40), 6: Picture("b.jpg", 60, 40)}
NAMES = {7: "cow", 0: "sheep"}
RUNS = [0, 3, 37, 5, 2355]


def row(**keys: Any) -> dict[str, Any]:
    region = {"size": [40, 60], "counts": RUNS}
    base = {"image_id": 5, "category_id": 7, "segmentation": region, "bbox": [0, 0, 2, 5]}
    return {**base, "score": 0.5, **keys}


def counts(value: Any) -> dict[str, Any]:
    return {"segmentation": {"size": [40, 60], "counts": value}}


def read(folder: Path, content: Any) -> LabelFile:
    path = folder / "results.json"
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.write_bytes(data)
    return read_results(path, TRUTH, NAMES)


# --- round trips ----------------------------------------------------------------------------------


@given(herds())
@settings(max_examples=60, deadline=None)
def test_a_herd_comes_back_pixel_for_pixel(
    tmp_path_factory: pytest.TempPathFactory, export: Export
) -> None:
    target = tmp_path_factory.mktemp("results") / "out.json"
    written = write_results(target, export)
    file = reader_of(export)(target, export.pictures())

    def check(stored: Instance, one: Instance) -> None:
        assert one.score == (1.0 if stored.score is None else stored.score)
        assert one.source == "model"

    check_round_trip(export, written, file, lambda category: str(category.coco_id), check)
    assert all(image.verified == () for image in file.images)
    assert read_back_results(target, export).keys() == written.expected.keys()
    for name, rasters in read_back_results(target, export).items():
        assert all(map(geo.same_raster, rasters, written.expected[name]))


def test_pycocotools_takes_them_beside_our_coco_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    noise = geo.parts_of_mask(rng.random((30, 40)) < 0.5)
    one = [instance(HOLED, score=0.75), instance(TWO_PARTS, category=CALF.id), instance(noise)]
    export = export_of([(40, 30, one), (40, 30, []), (40, 30, one[:1])])
    write_coco(tmp_path / "truth.json", export)
    write_results(tmp_path / "results.json", export)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(tmp_path / "truth.json"))
        found = truth.loadRes(str(tmp_path / "results.json"))
        scores = COCOeval(truth, found, "segm")
        scores.evaluate()
        scores.accumulate()
        scores.summarize()
    assert scores.stats[0] == pytest.approx(1)
    assert [found.anns[key]["score"] for key in (1, 2, 3, 4)] == [0.75, 1.0, 1.0, 0.75]
    for key, stored in zip((1, 2, 3, 4), [*one, one[0]], strict=True):
        mask = found.annToMask(found.anns[key]).astype(bool)
        assert (mask == geo.mask_of_parts(stored.parts, 30, 40)).all()
        assert tuple(found.anns[key]["bbox"]) == geo.box_of_rle(geo.rle_of_mask(mask))
        assert found.anns[key]["area"] == mask.sum()
    assert {found.anns[key]["image_id"] for key in found.anns} == {11, 13}


def test_losses_are_said_with_numbers_and_only_when_they_happen(tmp_path: Path) -> None:
    nothing = instance((box_part(2.1, 2.1, 2.2, 2.2),), score=0.5)
    rich = instance(HOLED, attributes={"a": 1}, version="v1", extras={"b": 1}, iscrowd=True)
    written = write_results(tmp_path / "a.json", export_of([(16, 12, [rich, nothing])]))
    losses = "\n".join(written.losses)
    for words in (
        "1 instance without one got 1",
        "1 instance without a pixel",
        "attributes of 1 instance",
        "version of 1 instance",
        "keys of 1 instance",
        "crowd mark of 1 instance",
    ):
        assert words in losses
    assert len(written.losses) == 6
    plain = instance(HOLED, score=0.5, source="model")
    assert write_results(tmp_path / "b.json", export_of([(16, 12, [plain])])).losses == ()


def test_ids_must_be_unique(tmp_path: Path) -> None:
    export = export_of([(16, 12, []), (16, 12, [])])
    images = [
        dataclasses.replace(one, record=dataclasses.replace(one.record, coco_id=1))
        for one in export.images
    ]
    with pytest.raises(DataError, match="image_id"):
        write_results(tmp_path / "out.json", dataclasses.replace(export, images=images))
    categories = (COW, dataclasses.replace(CALF, coco_id=0))
    with pytest.raises(DataError, match="category_id"):
        write_results(tmp_path / "out.json", dataclasses.replace(export, categories=categories))


# --- reading --------------------------------------------------------------------------------------


def test_rows_keep_their_order_and_all_images_are_there(tmp_path: Path) -> None:
    rle = geo.rle_of_runs(RUNS, 40, 60)
    rows = [row(score=1), row(**counts(rle["counts"].decode()), category_id=0, extra=1)]
    file = read(tmp_path, rows)
    assert (file.refused, file.repaired) == ((), ())
    assert [(one.key, one.name) for one in file.categories] == [("7", "cow"), ("0", "sheep")]
    first, second = file.images
    assert (first.key, first.file_name, second.instances) == ("image 5", "a.jpg", ())
    assert (first.verified, first.complete, second.complete) == ((), True, True)
    assert [(one.category, one.score) for one in first.instances] == [("7", 1.0), ("0", 0.5)]
    for one in first.instances:
        assert geo.same_raster(geo.rle_of_parts(one.parts, 40, 60), rle)


@pytest.mark.parametrize(
    ("bad", "field", "word"),
    [
        (row(image_id=9), "image_id", "not in the file with the truth"),
        (row(image_id="5"), "image_id", "not an integer"),
        (row(image_id=True), "image_id", "not an integer"),
        (row(category_id=1), "category_id", "not in the file with the truth"),
        (row(category_id=None), "category_id", "missing"),
        (row(score=1.5), "score", "between 0 and 1"),
        (row(score=-1e-9), "score", "between 0 and 1"),
        (row(score=float("nan")), "score", "finite"),
        (row(score=10**400), "score", "finite"),
        (row(score=True), "score", "finite"),
        (row(score=None), "score", "missing"),
        (row(segmentation=[[1, 1, 9, 1, 9, 9]]), "segmentation", "not an RLE"),
        (row(segmentation=None), "segmentation", "not an RLE"),
        (row(segmentation={"size": [60, 40], "counts": RUNS}), "segmentation", "size"),
        (row(segmentation={"size": [True, 60], "counts": RUNS}), "segmentation", "size"),
        (row(**counts([2400])), "segmentation", "no pixel"),
        (row(**counts([2399])), "segmentation", "add up"),
        (row(**counts([10**18, 1])), "segmentation", "damaged"),
        (row(**counts([-1, 2401])), "segmentation", "damaged"),
        (row(**counts([float("inf"), 1])), "segmentation", "damaged"),
        (row(**counts(["1e309", 1])), "segmentation", "damaged"),
        (row(**counts("1e309")), "segmentation", "RLE"),
        (row(**counts("ooooooo0")), "segmentation", "RLE"),
        (row(**counts("\ud800")), "segmentation", "damaged"),
        (row(**counts(None)), "segmentation", "damaged"),
        (row(**counts("0" * 4_000_001)), "segmentation", "ragged"),
        ([], "", "not an object"),
        (5, "", "not an object"),
    ],
)
def test_bad_rows_cost_a_sentence_each(tmp_path: Path, bad: Any, field: str, word: str) -> None:
    with stuck_after():
        file = read(tmp_path, [row(), bad, row(image_id=6)])
    assert [len(image.instances) for image in file.images] == [1, 1]
    known = isinstance(bad, dict) and bad["image_id"] == 5 and bad["image_id"] is not True
    assert [image.complete for image in file.images] == [not known, True]
    (error,) = file.refused
    assert (error.index, error.field) == ("result at position 1", field)
    assert word in error.sentence()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[",
        b"{}",
        b'"x"',
        b"null",
        b"[" * 100_000,
        b"[" + b"9" * 10_000 + b"]",
        b"\xff\xd8\xff\xe0",
        b"[" + b"[]," * 6_000_000 + b"1]",
        b"[" + b"1," * 200_000 + b"1]",
    ],
)
def test_what_is_no_results_file_raises_one_sentence(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"results\.json.*;.*\.$"):
        read(tmp_path, content)


def test_absent_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_results(tmp_path / "absent.json", TRUTH, NAMES)


def test_what_was_written_is_not_read_back_in_part(tmp_path: Path) -> None:
    export = export_of([(16, 12, [instance(HOLED)])])
    write_results(tmp_path / "out.json", export)
    text = (tmp_path / "out.json").read_text().replace('"score":1.0', '"score":2')
    (tmp_path / "out.json").write_text(text)
    with pytest.raises(DataError, match="between 0 and 1"):
        read_back_results(tmp_path / "out.json", export)


# --- hostile --------------------------------------------------------------------------------------

ANYTHING = json_values("0P", "oooo", 2400)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_hostile_values_anywhere(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    rows = [row(), row(**counts(list(RUNS)))]
    for _ in range(data.draw(st.integers(1, 3))):
        one = data.draw(st.sampled_from(rows))
        inner = one["segmentation"]
        place = data.draw(st.sampled_from([one, inner if isinstance(inner, dict) else one]))
        place[data.draw(st.sampled_from([*sorted(one), "size", "counts"]))] = data.draw(ANYTHING)
    folder = tmp_path_factory.mktemp("fuzz")
    read_or_refuse(lambda: read(folder, rows))


@given(st.text(alphabet=[chr(code) for code in range(46, 114)], max_size=12))
@settings(max_examples=100, deadline=None)
def test_hostile_compressed_runs(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    file = read_or_refuse(lambda: read(folder, [row(**counts(text))]))
    assert file is not None
    assert len(file.refused) + len(file.images[0].instances) == 1


@given(st.binary(max_size=60), st.integers(0, 300))
@settings(max_examples=60, deadline=None)
def test_binary_and_truncated(tmp_path_factory: Any, data: bytes, length: int) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    whole = json.dumps([row(), row()]).encode()
    for content in (data, whole[:length], whole[:length] + data):
        read_or_refuse(lambda content=content: read(folder, content))
