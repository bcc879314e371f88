"""COCO files written: every raster as stored, and the old file until the new one is whole."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pycocotools.coco import COCO

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats import coco, coco_write, export
from data_io.formats.labels import Export, ExportImage, FileCategory
from data_io.formats.registry import FORMATS
from data_io.types import Category, ImageRecord, Instance, Part

COW = Category("c-cow", "cow", "#e69f00", 1)
CALF = Category("c-calf", "calf", "#56b4e9", 2)
HEIGHT, WIDTH = 40, 60
OLD = '{"the": "old export"}'


def record(number: int = 1, path: str = "/photos/a.jpg") -> ImageRecord:
    return ImageRecord(f"i{number}", path, WIDTH, HEIGHT, "", "g", coco_id=number)


def instance(parts: tuple[Part, ...], **keys: Any) -> Instance:
    return Instance(id="x", category=keys.pop("category", COW.id), parts=parts, **keys)


def box_part(x0: float, y0: float, x1: float, y1: float) -> Part:
    return Part(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64))


def save(
    target: Path,
    images: list[ExportImage],
    categories: list[Category],
    root: str | None = None,
    **options: Any,
) -> export.ExportReport:
    names = export.file_names(target, [image.record for image in images], root)
    content = Export(images, names, categories, **options)
    return export.write_labels(FORMATS["coco"], target, content)


def rasters(path: Path) -> dict[int, np.ndarray]:
    reader = COCO(str(path))
    return {key: reader.annToMask(row).astype(bool) for key, row in reader.anns.items()}


MASKS = st.lists(
    npst.arrays(np.bool_, (HEIGHT, WIDTH), elements=st.booleans(), fill=st.booleans()),
    min_size=1,
    max_size=2,
)


@given(MASKS)
@settings(max_examples=60, deadline=None)
def test_exported_rasters_equal_the_stored_ones(
    tmp_path_factory: pytest.TempPathFactory, masks: list[np.ndarray]
) -> None:
    target = tmp_path_factory.mktemp("out") / "out.json"
    items = [(k + 1, instance(geo.parts_of_mask(mask))) for k, mask in enumerate(masks)]
    report = save(target, [ExportImage(record(), items)], [COW])
    assert report.instances == len(masks)
    assert report.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    read = rasters(target)
    for number, item in items:
        stored = geo.mask_of_parts(item.parts, HEIGHT, WIDTH)
        assert (read[number] == stored).all()
    for row in json.loads(target.read_text())["annotations"]:
        mask = masks[row["id"] - 1]
        assert row["area"] == mask.sum()
        assert tuple(row["bbox"]) == geo.box_of_rle(geo.rle_of_mask(mask))
        assert isinstance(row["segmentation"], list) == bool(mask.any())


def test_polygons_leave_as_they_came(tmp_path: Path) -> None:
    ring = np.array([[3.25, 4.5], [30.1, 6.7], [22.9, 33.3]])
    holed = Part(box_part(35, 5, 55, 35).outer, (box_part(40, 10, 50, 20).outer,))
    slanted = Part(np.array([[5.3, 1.1], [58.2, 3.3], [30.7, 39.1]]), (ring[:, :] * 0.2 + 15,))
    target = tmp_path / "out.json"
    items = [(4, instance((Part(ring),))), (5, instance((holed,))), (6, instance((slanted,)))]
    save(target, [ExportImage(record(), items)], [COW])
    rows = json.loads(target.read_text())["annotations"]
    assert [row["id"] for row in rows] == [4, 5, 6]
    assert rows[0]["segmentation"] == [ring.ravel().tolist()]
    assert len(rows[1]["segmentation"][0]) == 2 * (4 + 4 + 3)
    for number, mask in rasters(target).items():
        parts = next(item.parts for key, item in items if key == number)
        assert (mask == geo.mask_of_parts(parts, HEIGHT, WIDTH)).all()


def test_a_round_trip_keeps_provenance_attributes_and_unknown_keys(tmp_path: Path) -> None:
    parts = (box_part(1, 1, 9, 9),)
    proposed = instance(
        parts,
        source="model",
        version="v3",
        score=0.75,
        attributes={"lying": True},
        extras={"mood": "calm", "area": "overridden"},
    )
    crowd = instance(parts, category=CALF.id, iscrowd=True)
    target = tmp_path / "out.json"
    images = [ExportImage(record(), [(1, proposed), (2, crowd)])]
    save(target, images, [COW, CALF])
    file = coco.read_coco(target)
    assert file.refused == ()
    assert file.categories == (FileCategory("1", "cow"), FileCategory("2", "calf"))
    one, two = file.images[0].instances
    assert (one.source, one.version, one.score) == ("model", "v3", 0.75)
    assert one.attributes == {"lying": True}
    assert one.extras == {"mood": "calm"}
    assert (two.category, two.iscrowd, two.source) == ("2", True, "human")
    row = json.loads(target.read_text())["annotations"][0]
    assert row["attributes"] == {"lying": True, "source": "model", "version": "v3"}
    assert row["area"] == 64


def names_of(target: Path, paths: list[str], root: str | None) -> list[str]:
    images = [ExportImage(record(k + 1, path), []) for k, path in enumerate(paths)]
    save(target, images, [COW], root)
    return [image.file_name for image in coco.read_coco(target).images]


def test_file_names_are_relative_to_the_root_or_the_common_folder(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    paths = ["/herd/a/1.jpg", "/herd/b/1.jpg"]
    assert names_of(target, paths, None) == ["a/1.jpg", "b/1.jpg"]
    assert names_of(target, paths, "/") == ["herd/a/1.jpg", "herd/b/1.jpg"]
    assert names_of(target, ["/herd/a/1.jpg", "/mill/2.jpg"], "/herd") == ["a/1.jpg", "2.jpg"]
    with pytest.raises(DataError, match=r"1\.jpg"):
        names_of(target, paths, "/elsewhere")
    assert names_of(target, [], None) == []


@pytest.mark.parametrize("fault", ["raster", "disk", "attribute", "category", "ids"])
def test_a_failure_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    target = tmp_path / "out.json"
    target.write_text(OLD)
    item = instance((box_part(1, 1, 9, 9),))
    items = [(1, item)]
    if fault == "raster":
        other = geo.rle_of_parts((box_part(1, 1, 9, 8),), HEIGHT, WIDTH)
        monkeypatch.setattr(coco_write.COCO, "annToRLE", lambda self, row: other)
    elif fault == "disk":
        monkeypatch.setattr(export, "sync", _no_space)
    elif fault == "attribute":
        items = [(1, dataclasses.replace(item, attributes={"x": object()}))]
    elif fault == "category":
        items = [(1, dataclasses.replace(item, category="gone"))]
    else:
        items = [(1, item), (1, copy.copy(item))]
    with pytest.raises(DataError):
        save(target, [ExportImage(record(), items)], [COW])
    assert target.read_text() == OLD
    assert list(tmp_path.iterdir()) == [target]


def _no_space(path: Path) -> None:
    raise OSError(28, "No space left on device")


def test_a_target_of_the_other_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="this is a folder"):
        save(tmp_path, [], [])


def test_the_report_counts_what_was_written(tmp_path: Path) -> None:
    holed = Part(box_part(35, 5, 55, 35).outer, (box_part(40, 10, 50, 20).outer,))
    items = [(1, instance((box_part(1, 1, 9, 9), holed))), (2, instance((box_part(20, 1, 30, 9),)))]
    report = save(tmp_path / "out.json", [ExportImage(record(), items, ())], [COW])
    assert (report.images, report.instances, report.parts, report.holes) == (1, 2, 3, 1)
    assert (report.vertices_median, report.vertices_p90) == (8.0, pytest.approx(11.2))
    assert (report.iou_min, report.iou_mean) == (1.0, 1.0)
    assert report.losses == ("COCO cannot say that 1 images are drafts",)


def test_run_lengths_where_they_are_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    images = [ExportImage(record(), [(1, instance((box_part(1, 1, 9, 9),)))])]
    assert save(target, images, [COW], outlines="rle").iou_min == 1.0
    (row,) = json.loads(target.read_text())["annotations"]
    assert set(row["segmentation"]) == {"size", "counts"}


# --- real files -----------------------------------------------------------------------------------

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


REAL = (
    "cattle_drone_yak",
    "cattle_barn_topdown",
    "cattle_pasture_holstein",
    "coco_small",
    "davis_animals",
    "msrc_v2",
)


@pytest.mark.parametrize("name", REAL)
def test_real_files_go_through_unchanged(tmp_path: Path, name: str) -> None:
    source = SHARED / name / "annotations.json"
    if not source.is_file():
        pytest.skip(f"../shared/data/{name}/annotations.json is missing")
    file = coco.read_coco(source)
    assert file.refused == ()
    categories = [Category(one.key, one.name, "#000000", int(one.key)) for one in file.categories]
    ids = iter(range(1, 10_000))
    images = [
        ExportImage(
            dataclasses.replace(
                record(int(image.key.split()[1]), f"/photos/{image.file_name}"),
                width=image.width,
                height=image.height,
            ),
            [(next(ids), item) for item in image.instances],
        )
        for image in file.images
    ]
    target = tmp_path / "out.json"
    assert save(target, images, categories).iou_min == 1.0
    after = json.loads(target.read_text())["annotations"]
    kept = {row["image_id"] for row in after}
    before: dict[int, list[Any]] = {number: [] for number in kept}
    for row in json.loads(source.read_text())["annotations"]:
        if row["image_id"] in kept:
            before[row["image_id"]].append(row)
    originals = [row for image in images for row in before.get(image.record.coco_id, [])]
    changed = {one.index for one in file.repaired if one.field == "segmentation"}
    assert len(originals) == len(after)
    for old, new in zip(originals, after, strict=True):
        if f"annotation {old['id']}" not in changed:
            assert new["segmentation"] == [_open(flat) for flat in old["segmentation"]]


def _open(flat: list[float]) -> list[float]:
    """A ring without the repeated first vertex, which records do not keep."""
    return flat[:-2] if len(flat) > 6 and flat[:2] == flat[-2:] else flat
