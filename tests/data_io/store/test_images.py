"""Images: recognized when they come again, excluded, split, and relinked when a folder moves."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from data_io.atomic import file_sha256
from data_io.errors import DataError
from data_io.store import NewImage, Store
from data_io.types import ImageRecord


def test_the_same_picture_is_added_once(store: Store, pictures: list[ImageRecord]) -> None:
    again = [NewImage("images/a.jpg", 64, 48, "a" * 8), NewImage("images/c.jpg", 9, 9, "c" * 8)]
    added = store.add_images([*again, again[1]])
    assert [Path(record.path).name for record in added] == ["c.jpg"]
    assert store.images() == [*pictures, *added]
    assert store.add_images(again) == []
    assert [record.coco_id for record in store.images()] == [1, 2, 3]


def test_the_same_bytes_elsewhere_are_another_image(store: Store, image: ImageRecord) -> None:
    (other,) = store.add_images([NewImage("images/copy.jpg", 64, 48, image.sha256)])
    assert other.id != image.id


def test_records_carry_what_was_given(store: Store, pictures: list[ImageRecord]) -> None:
    first = pictures[0]
    assert (first.width, first.height, first.sha256) == (64, 48, "aaaaaaaa")
    assert (first.group, first.split, first.excluded) == ("north", None, False)
    assert store.image(first.id) == first


def test_a_replaced_picture_is_another_image_and_the_old_one_steps_aside(
    store: Store, image: ImageRecord
) -> None:
    (new,) = store.add_images([NewImage(image.path, 64, 48, "other")])
    assert store.image(image.id).excluded
    assert store.image_by_path(image.path) == new
    assert store.add_images([NewImage(image.path, 64, 48, image.sha256)]) == []
    assert store.image_by_path(image.path) == image
    assert store.image(new.id).excluded


def test_importing_again_keeps_an_excluded_image_excluded(store: Store, image: ImageRecord) -> None:
    store.set_excluded(image.id, True)
    store.add_images([NewImage(image.path, 64, 48, image.sha256)])
    assert store.image(image.id).excluded


def test_paths_inside_the_project_move_with_it(
    store: Store, pictures: list[ImageRecord], project: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "elsewhere" / "d.jpg"
    store.add_images([NewImage(str(outside), 64, 48, "d")])
    store.close()
    moved = tmp_path / "moved"
    shutil.move(project, moved)
    with Store.open(moved, create=False) as opened:
        paths = [record.path for record in opened.images()]
        assert paths == [
            str(moved / "images" / "a.jpg"),
            str(moved / "images" / "b.jpg"),
            str(outside),
        ]
        found = opened.image_by_path(moved / "images" / "a.jpg")
        assert found is not None
        assert found.id == pictures[0].id


def test_a_path_is_recognized_however_it_is_written(
    store: Store, image: ImageRecord, project: Path
) -> None:
    for path in ("images/a.jpg", project / "images" / "b" / ".." / "a.jpg", image.path):
        assert store.image_by_path(path) == image
    assert store.image_by_path("images/nothing.jpg") is None


def test_splits_and_exclusion(store: Store, pictures: list[ImageRecord]) -> None:
    first, second = pictures
    store.set_split(first.id, "val")
    store.set_excluded(second.id, True)
    assert store.images() == [replace(first, split="val")]
    assert [record.excluded for record in store.images(include_excluded=True)] == [False, True]
    store.set_split(first.id, None)
    store.set_excluded(second.id, False)
    assert store.images() == pictures


def test_many_splits_are_set_at_once_or_not_at_all(
    store: Store, pictures: list[ImageRecord]
) -> None:
    first, second = pictures
    store.set_splits({first.id: "val", second.id: "train"})
    assert store.images() == [replace(first, split="val"), replace(second, split="train")]
    store.set_splits({second.id: None})
    store.set_splits({})
    assert [record.split for record in store.images()] == ["val", None]
    wrong: list[dict[str, object]] = [
        {first.id: "test", "ghost": "val"},
        {first.id: "test", second.id: "validation"},
    ]
    for splits in wrong:
        with pytest.raises(DataError):
            store.set_splits(splits)  # type: ignore[arg-type]
        assert [record.split for record in store.images()] == ["val", None]


def test_a_replaced_picture_does_not_come_back_beside_its_successor(
    store: Store, image: ImageRecord
) -> None:
    (new,) = store.add_images([NewImage(image.path, 64, 48, "other")])
    with pytest.raises(DataError, match="another picture"):
        store.set_excluded(image.id, False)
    assert store.image(image.id).excluded
    store.set_excluded(new.id, True)
    store.set_excluded(image.id, False)
    assert store.image_by_path(image.path) == image


def test_unknown_images_splits_and_empty_sizes_are_refused(
    store: Store, image: ImageRecord
) -> None:
    for call in (
        lambda: store.image("ghost"),
        lambda: store.set_split("ghost", "val"),
        lambda: store.set_excluded("ghost", True),
        lambda: store.set_split(image.id, "validation"),  # type: ignore[arg-type]
        lambda: store.add_images([NewImage("images/e.jpg", 0, 48, "e")]),
    ):
        with pytest.raises(DataError):
            call()
    assert store.images(include_excluded=True)[0] == image


def test_a_moved_folder_is_relinked_where_the_files_are(store: Store, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    (new / "north").mkdir(parents=True)
    (new / "north" / "a.jpg").write_bytes(b"a")
    store.add_images(
        [
            NewImage(str(old / "north" / "a.jpg"), 9, 9, file_sha256(new / "north" / "a.jpg")),
            NewImage(str(old / "north" / "missing.jpg"), 9, 9, "b"),
            NewImage(str(tmp_path / "older" / "a.jpg"), 9, 9, "c"),
        ]
    )
    assert store.relink(old, new) == 1
    assert [record.path for record in store.images()] == [
        str(new / "north" / "a.jpg"),
        str(old / "north" / "missing.jpg"),
        str(tmp_path / "older" / "a.jpg"),
    ]
    assert store.relink(old, new) == 0


def test_relinking_never_makes_two_images_of_one_file(store: Store, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    (new / "a.jpg").write_bytes(b"a")
    sha256 = file_sha256(new / "a.jpg")
    store.add_images([NewImage(str(folder / "a.jpg"), 9, 9, sha256) for folder in (tmp_path, new)])
    assert store.relink(tmp_path, new) == 0


def test_another_picture_of_that_name_is_not_relinked(store: Store, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    new.mkdir()
    (new / "a.jpg").write_bytes(b"another camera numbers its pictures the same way")
    store.add_images([NewImage(str(old / "a.jpg"), 9, 9, "a")])
    assert store.relink(old, new) == 0
    assert store.images()[0].path == str(old / "a.jpg")


def test_pictures_are_read_while_others_may_write(
    store: Store, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    new.mkdir()
    (new / "a.jpg").write_bytes(b"a")
    sha256 = file_sha256(new / "a.jpg")
    (record,) = store.add_images([NewImage(str(old / "a.jpg"), 9, 9, sha256)])
    monkeypatch.setattr("data_io.store.database.BUSY_SECONDS", 0.05)

    def digest(path: Path) -> str:
        with Store.open(project) as other:
            other.set_split(record.id, "val")
        return sha256

    monkeypatch.setattr("data_io.store.images.file_sha256", digest)
    assert store.relink(old, new) == 1
    assert store.images() == [replace(record, path=str(new / "a.jpg"), split="val")]


def test_relinking_to_no_folder_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        store.relink(tmp_path, tmp_path / "nothing")


def test_ten_thousand_images_go_in_at_once(store: Store) -> None:
    many = [NewImage(f"images/{n}.jpg", 9, 9, str(n)) for n in range(10_000)]
    added = store.add_images(many)
    assert [record.coco_id for record in added] == list(range(1, 10_001))
    assert len({record.id for record in added}) == 10_000


def test_new_images_of_a_group_that_is_set_aside_join_its_split(
    store: Store, tmp_path: Path
) -> None:
    def picture(name: str, group: str) -> NewImage:
        return NewImage(str(tmp_path / name), 4, 4, name, group)

    old = store.add_images([picture(name, name[0]) for name in ("a1", "a2", "b1", "b2", "c1")])
    splits = dict(zip([one.id for one in old], ("val", "val", "val", "train", None), strict=True))
    store.set_splits(splits)
    new = store.add_images([picture(name, name[0]) for name in ("a3", "b3", "c2", "d1")])
    assert [one.split for one in new] == ["val", None, None, None]
