from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from app.workflow import imports
from app.workflow.imports import import_source
from data_io.errors import DataError
from data_io.geometry import area_of_rle, rle_of_parts


@pytest.fixture
def labels(photos):
    """A COCO file beside the photos: a cow in north/0, nothing in south/1."""

    def write(annotations=None, **changes):
        square = [2, 2, 12, 2, 12, 12, 2, 12]
        content = {
            "images": [
                {"id": 0, "file_name": "north/0.png", "width": 64, "height": 48},
                {"id": 1, "file_name": "south/1.png", "width": 64, "height": 48},
            ],
            "categories": [{"id": 0, "name": "cow"}],
            "annotations": annotations
            or [{"id": 1, "image_id": 0, "category_id": 0, "segmentation": [square]}],
            **changes,
        }
        file = photos / "labels.json"
        file.write_text(json.dumps(content))
        return file

    return write


def test_a_folder_is_imported_recursively_with_its_folders_as_groups(store, photos):
    report = import_source(store, photos)
    assert (report.images, report.instances, report.refused) == (4, 0, [])
    assert sorted(record.group for record in store.images()) == [
        "photos/north",
        "photos/north",
        "photos/south",
        "photos/south",
    ]


def test_importing_a_folder_twice_adds_nothing(store, photos):
    import_source(store, photos)
    report = import_source(store, photos)
    assert (report.images, report.known, report.useful) == (0, 4, True)
    assert len(store.images()) == 4


def test_unreadable_files_are_listed_and_the_rest_imported(store, photos):
    photos.joinpath("text.jpg").write_text("no picture")
    photos.joinpath("empty.png").touch()
    whole = photos.joinpath("north", "0.png").read_bytes()
    photos.joinpath("cut.png").write_bytes(whole[: len(whole) // 2])
    report = import_source(store, photos)
    assert report.images == 4
    assert sorted(error.file.rpartition("/")[2] for error in report.refused) == [
        "cut.png",
        "empty.png",
        "text.jpg",
    ]


def test_groups_by_pattern_and_none(store, photos, tmp_path):
    import_source(store, photos, group_by=r"regex:(nor|sou)th")
    assert {record.group for record in store.images()} == {"nor", "sou"}
    with store.open(tmp_path / "second") as second:
        import_source(second, photos, group_by="none")
        assert len({record.group for record in second.images()}) == 4


@pytest.mark.parametrize("rule", ["regex:(", "camera"])
def test_a_bad_grouping_is_refused(store, photos, rule):
    with pytest.raises(DataError):
        import_source(store, photos, group_by=rule)


def test_labels_verify_their_images_and_keep_the_raster(store, labels):
    report = import_source(store, labels())
    assert (report.images, report.instances, report.refused) == (2, 1, [])
    states = {r.path.rsplit("/", 2)[-2]: store.image_states()[r.id] for r in store.images()}
    assert (states["north"].verified, states["north"].instances) == ("whole", 1)
    assert (states["south"].verified, states["south"].instances) == ("whole", 0)
    (category,) = store.categories()
    assert category.name == "cow"
    assert category.coco_id >= 1
    (instance,) = store.revision(store.images()[0].id).instances
    assert area_of_rle(rle_of_parts(instance.parts, 48, 64)) == 100


def test_draft_labels_verify_nothing(store, labels):
    import_source(store, labels(), vouched="draft")
    states = list(store.image_states().values())
    assert [(state.revision, state.verified) for state in states] == [(1, "none"), (0, "none")]


def test_folder_after_labels_adds_no_duplicate_and_alters_no_revision(store, labels, photos):
    import_source(store, labels())
    groups = {record.path: record.group for record in store.images()}
    report = import_source(store, photos)
    assert (report.images, report.known) == (2, 2)
    assert len(store.images()) == 4
    assert [store.revision_numbers(r.id) for r in store.images()] == [[1], [1], [], []]
    assert groups.items() <= {record.path: record.group for record in store.images()}.items()


def test_equal_labels_add_nothing_and_others_are_refused_by_name(store, labels):
    import_source(store, labels())
    again = import_source(store, labels())
    assert (again.images, again.instances, again.refused, again.useful) == (0, 0, [], True)
    moved = [
        {"id": 1, "image_id": 0, "category_id": 0, "segmentation": [[3, 2, 12, 2, 12, 12, 2, 12]]}
    ]
    report = import_source(store, labels(moved))
    assert [error.why for error in report.refused] == [
        "north/0.png has other labels in the project (revision 1)"
    ]
    assert [store.revision_numbers(record.id) for record in store.images()] == [[1], [1]]


def test_an_image_that_lost_an_annotation_is_not_verified(store, labels):
    square = [2, 2, 12, 2, 12, 12, 2, 12]
    annotations = [
        {"id": 1, "image_id": 0, "category_id": 0, "segmentation": [square]},
        {"id": 2, "image_id": 0, "category_id": 0, "segmentation": [[1, 1, 5, 5]]},
        {"id": 3, "image_id": 1, "category_id": 9, "segmentation": [square]},
    ]
    report = import_source(store, labels(annotations))
    assert (report.instances, len(report.refused)) == (1, 2)
    states = list(store.image_states().values())
    assert [(state.revision, state.verified) for state in states] == [(1, "none"), (0, "none")]


def test_missing_images_and_wrong_sizes_are_refused_and_the_rest_imported(store, labels):
    images = [
        {"id": 0, "file_name": "north/0.png", "width": 64, "height": 48},
        {"id": 1, "file_name": "gone.png", "width": 64, "height": 48},
        {"id": 2, "file_name": "south/0.png", "width": 48, "height": 64},
        {"id": 3, "file_name": "./north/0.png", "width": 64, "height": 48},
    ]
    report = import_source(store, labels(images=images))
    told = " ".join(error.why for error in report.refused)
    assert report.instances == 1
    assert "there is no gone.png" in told
    assert "64 x 48 pixels but the label file says 48 x 64" in told
    assert "EXIF" in told


def test_images_are_found_in_the_folder_named(store, labels, photos, tmp_path):
    file = labels()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    file = file.rename(elsewhere / "labels.json")
    assert not import_source(store, file).useful
    assert import_source(store, file, images=photos).instances == 1


def test_bare_names_are_found_where_the_images_now_lie(store, labels, photos):
    assert import_source(store, labels(), images=photos / "north").instances == 1


def test_equal_labels_are_told_by_raster_not_by_vertices(store, labels):
    import_source(store, labels())
    same = [
        {
            "id": 7,
            "image_id": 0,
            "category_id": 0,
            "segmentation": [[2, 12, 2, 2, 7, 2, 12, 2, 12, 12]],
        }
    ]
    assert import_source(store, labels(same)).refused == []


def test_what_cannot_be_read_at_all_is_one_sentence(store, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        import_source(store, tmp_path / "missing")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="holds no image"):
        import_source(store, empty)
    odd = tmp_path / "notes.txt"
    odd.write_text("x")
    with pytest.raises(DataError, match="--format"):
        import_source(store, odd)
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(DataError, match="JSON"):
        import_source(store, broken)


def test_progress_counts_every_image(store, photos):
    seen = []
    import_source(store, photos, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_replaced_picture_is_another_image(store, photos):
    import_source(store, photos)
    fresh = np.zeros((10, 10, 3), dtype=np.uint8)
    Image.fromarray(fresh).save(photos / "north" / "0.png")
    assert import_source(store, photos).images == 1


def test_frames_of_a_video_are_images_of_one_group(store, tmp_path):
    film = tmp_path / "barn 3.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for level in range(20):
        writer.write(np.full((48, 64, 3), 10 * level, np.uint8))
    writer.release()
    report = import_source(store, film, fps=5)
    assert report.images == 10
    records = store.images()
    assert len({record.group for record in records}) == 1
    assert all(record.path.startswith(str(store.project)) for record in records)
    assert [record.path for record in records] == sorted(record.path for record in records)
    assert import_source(store, film, fps=5).known == 10


def test_many_pictures_are_read_by_processes_and_faults_come_back_whole(store, photos, monkeypatch):
    monkeypatch.setattr(imports, "_MANY", 3)
    photos.joinpath("empty.png").touch()
    report = import_source(store, photos)
    assert report.images == 4
    (error,) = report.refused
    assert error.sentence().endswith("empty.png: the file is empty; copy it again from its source.")


def test_copies_and_labels_beside_photos_are_hinted_at(store, photos, tmp_path, labels):
    assert import_source(store, photos).hints == []
    copied = shutil.copytree(photos, tmp_path / "copied")
    (hint,) = import_source(store, copied).hints
    assert hint.startswith("4 of the new images")
    labels()
    hints = import_source(store, photos).hints
    assert hints == ["labels.json beside the photos may hold labels; import it to bring them"]
