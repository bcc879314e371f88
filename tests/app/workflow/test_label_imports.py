"""Labels of every format into a project and out again."""

from __future__ import annotations

import json
import os

import pytest
from PIL import Image

from app.workflow.exports import Options, export_download, export_labels
from app.workflow.imports import import_source
from data_io.errors import DataError
from data_io.formats.registry import FORMATS, SOURCES, detect
from data_io.geometry import full_image, rle_of_parts
from data_io.store import Store

READERS = [name for name, one in FORMATS.items() if one.read]


@pytest.fixture
def labeled(project, animal):
    """Two images verified whole with three cows apart, one verified empty, one untouched."""
    first, second, third, _ = (record.id for record in project.images())
    whole = full_image(48, 64)
    cows = [animal(2, 2, 10, 10), animal(20, 5, 9.5, 20.25)]
    project.save_revision(first, 0, cows, whole, "me")
    project.save_revision(second, 0, [animal(5, 5, 9, 9)], whole, "me")
    project.save_revision(third, 0, [], whole, "me")
    return project


def content(store):
    """Image name -> rasters with category names, and whether it is verified whole."""
    names = {one.id: one.name for one in store.categories()}
    states = store.image_states()
    found = {}
    for record in store.images():
        revision = store.revision(record.id)
        if revision is not None:
            rows = [
                (
                    names[one.category],
                    rle_of_parts(one.parts, 48, 64)["counts"],
                )
                for one in revision.instances
            ]
            folder, name = record.path.rsplit("/", 2)[1:]
            found[f"{folder}/{name}"] = (rows, states[record.id].verified)
    return found


@pytest.mark.parametrize("name", READERS)
def test_every_format_goes_out_and_comes_back(labeled, photos, tmp_path, name):
    target = tmp_path / ("labels" if FORMATS[name].is_folder else "labels.x")
    export_labels(labeled, target, Options(format=name))
    with Store.open(tmp_path / "second") as second:
        report = import_source(second, target, format=name, images=photos)
        assert (report.refused, report.repaired) == ([], [])
        assert report.instances == 3
        assert content(second) == content(labeled)
        again = import_source(second, target, format=name, images=photos)
        assert (again.images, again.instances, again.refused) == (0, 0, [])


@pytest.mark.parametrize("name", READERS)
def test_what_a_format_wrote_is_recognized(labeled, tmp_path, name):
    suffix = {"coco": ".json", "cvat": ".xml"}.get(name, "")
    target = tmp_path / f"labels{suffix}"
    export_labels(labeled, target, Options(format=name))
    assert detect(target) == name


def test_photos_and_unknown_things_are_told_apart(photos, tmp_path):
    assert detect(photos) == "images"
    assert detect(photos / "north" / "0.png") == "images"
    film = tmp_path / "herd.MP4"
    film.touch()
    assert detect(film) == "video"
    odd = tmp_path / "notes.txt"
    odd.write_text("x")
    with pytest.raises(DataError, match="--format"):
        detect(odd)
    assert set(READERS) | {"images", "video"} == set(SOURCES)


@pytest.mark.parametrize("name", ["voc", "coco", "cvat"])
def test_a_download_is_one_file(labeled, tmp_path, name):
    file, report = export_download(labeled, tmp_path / "out", "herd", Options(format=name))
    assert file.is_file()
    assert file.suffix == {"voc": ".zip", "coco": ".json", "cvat": ".xml"}[name]
    assert report.instances == 3
    assert [path.name for path in (tmp_path / "out").iterdir()] == [file.name]


def coco_file(photos, category="cow"):
    square = [2, 2, 12, 2, 12, 12, 2, 12]
    rows = {
        "images": [{"id": 1, "file_name": "north/0.png", "width": 64, "height": 48}],
        "categories": [{"id": 5, "name": category}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 5, "segmentation": [square]}],
    }
    file = photos / "labels.json"
    file.write_text(json.dumps(rows))
    return file


def test_categories_are_mapped_as_the_person_says(store, photos):
    report = import_source(store, coco_file(photos, "Bos taurus"), rename={"Bos taurus": "cow"})
    assert report.categories == {"Bos taurus": "cow"}
    assert [one.name for one in store.categories()] == ["cow"]


def test_names_that_differ_in_case_are_one_category_unless_told(store, photos, tmp_path):
    store.add_category("dairy cow")
    report = import_source(store, coco_file(photos, "Dairy_Cow"))
    assert report.categories == {"Dairy_Cow": "dairy cow"}
    (repair,) = report.repaired
    assert "--map 'Dairy_Cow'=NAME" in repair.sentence()
    with Store.open(tmp_path / "second") as second:
        second.add_category("dairy cow")
        told = {"Dairy_Cow": "Dairy_Cow"}
        assert import_source(second, coco_file(photos, "Dairy_Cow"), rename=told).repaired == []
        assert [one.name for one in second.categories()] == ["dairy cow", "Dairy_Cow"]


def test_links_that_leave_the_allowed_folders_cost_themselves(store, photos, tmp_path):
    outside = tmp_path / "secret.png"
    Image.new("RGB", (64, 48)).save(outside)
    os.symlink(outside, photos / "north" / "9.png")
    report = import_source(store, photos, roots=[photos])
    assert report.images == 4
    (error,) = report.refused
    assert "leads outside" in error.sentence()
    file = coco_file(photos)
    rows = json.loads(file.read_text())
    rows["images"][0]["file_name"] = "north/9.png"
    file.write_text(json.dumps(rows))
    report = import_source(store, file, roots=[photos])
    assert (report.images, report.instances) == (0, 0)
    assert "leads outside" in report.refused[0].sentence()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (Options(format="parquet"), "no format"),
        (Options(format="results"), "predictions"),
        (Options(format="yolo", geometry="rle"), "run lengths"),
        (Options(format="yolo", verify=True), "evaluated"),
    ],
)
def test_options_that_do_not_go_together_are_refused(labeled, tmp_path, options, word):
    with pytest.raises(DataError, match=word):
        export_labels(labeled, tmp_path / "out", options)


def test_verify_lets_pycocotools_judge(labeled, tmp_path):
    exported = export_labels(labeled, tmp_path / "o.json", Options(verify=True))
    assert exported.as_dict()["verify"] == {"ap": 1.0, "ap50": 1.0, "instances": 3}


def test_compact_outlines_keep_their_budget_and_say_so(labeled, tmp_path):
    report = export_labels(labeled, tmp_path / "o.json", Options(geometry="compact")).report
    assert report.iou_min >= 0.99
    assert report.vertices_median <= 8


def test_keypoints_and_unknown_keys_survive(store, photos, tmp_path):
    file = coco_file(photos)
    rows = json.loads(file.read_text())
    rows["images"][0] |= {"license": 3, "date_captured": "2026-05-01"}
    rows["categories"][0] |= {"keypoints": ["nose", "tail"], "skeleton": [[1, 2]]}
    rows["annotations"][0] |= {"keypoints": [3, 3, 2, 9, 9, 1], "num_keypoints": 2, "mood": "calm"}
    file.write_text(json.dumps(rows))
    import_source(store, file)
    export_labels(store, tmp_path / "out.json")
    after = json.loads((tmp_path / "out.json").read_text())
    assert after["images"][0]["date_captured"] == "2026-05-01"
    assert after["categories"][0]["keypoints"] == ["nose", "tail"]
    assert after["categories"][0]["id"] == 1
    assert after["annotations"][0]["keypoints"] == [3, 3, 2, 9, 9, 1]
    assert after["annotations"][0]["mood"] == "calm"


def test_without_overlap_the_animal_on_top_keeps_the_pixels(project, animal, tmp_path):
    image = project.images()[0].id
    herd = [animal(2, 2, 10, 10), animal(30, 5, 4, 4), animal(8, 2, 10, 10), animal(29, 4, 6, 6)]
    project.save_revision(image, 0, herd, full_image(48, 64), "me")
    exported = export_labels(project, tmp_path / "o.json", Options(no_overlap=True)).report
    assert (exported.instances, exported.iou_min) == (3, 1.0)
    assert exported.losses == ("1 instances lie wholly under others and were left out",)
    areas = [row["area"] for row in json.loads((tmp_path / "o.json").read_text())["annotations"]]
    assert areas == [60, 100, 36]
