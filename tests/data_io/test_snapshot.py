"""Snapshots: exact, immutable, named by their content, whole or not there."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_io import atomic
from data_io import snapshot as snapshots
from data_io.atomic import PARTIAL, file_sha256
from data_io.errors import DataError, StoreError
from data_io.geometry import area_of_rle, full_image, mask_of_parts, mask_of_rle
from data_io.snapshot import CONTENT, Snapshot, read_snapshot, write_snapshot
from data_io.store import NewImage, Store
from data_io.types import Category, ImageRecord, Instance, Part, Parts

HEIGHT, WIDTH = 48, 64
WHOLE = full_image(HEIGHT, WIDTH)
HALF = full_image(24, WIDTH)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "project") as opened:
        yield opened


@pytest.fixture
def cow(store: Store) -> Category:
    return store.add_category("cow")


@pytest.fixture
def images(store: Store) -> list[ImageRecord]:
    pictures = []
    for name in "abc":
        path = store.project / "images" / f"{name}.png"
        Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(path)
        pictures.append(NewImage(str(path), WIDTH, HEIGHT, file_sha256(path), "north"))
    return store.add_images(pictures)


def box(x: float, y: float, side: float = 10.0) -> Parts:
    corners = np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side]])
    hole = corners[0] + np.array([[3.0, 3.0], [6.0, 3.0], [6.0, 6.0]])
    return (Part(corners, (hole,)),)


def snap(store: Store) -> Snapshot:
    return write_snapshot(store, store.project / "snapshots")


def test_drafts_are_unlabeled_and_verified_areas_are_rasters(
    store: Store, cow: Category, images: list[ImageRecord]
) -> None:
    calf = store.add_category("calf")
    whole, part, draft = images
    herd = [Instance("1", calf.id, box(2, 3)), Instance("2", cow.id, box(7, 5))]
    store.save_revision(whole.id, 0, herd, WHOLE, "me")
    store.save_revision(part.id, 0, [Instance("3", cow.id, box(40, 30))], HALF, "me")
    store.save_revision(draft.id, 0, [Instance("4", cow.id, box(1, 1))], (), "me")
    snapshot = snap(store)
    assert snapshot.categories == (cow, calf)
    first, second, third = snapshot.images
    assert [index for index, _ in first.labels] == [2, 1]  # stacking order, not category order
    for (_, raster), instance in zip(first.labels, herd, strict=True):
        assert np.array_equal(mask_of_rle(raster), mask_of_parts(instance.parts, HEIGHT, WIDTH))
    assert first.whole
    assert first.verified is not None
    assert mask_of_rle(first.verified).all()
    assert not second.whole
    assert second.verified is not None
    assert np.array_equal(mask_of_rle(second.verified), mask_of_parts(HALF, HEIGHT, WIDTH))
    assert len(second.labels) == 1
    assert (third.labels, third.verified, third.whole) == ((), None, False)
    assert (third.path, third.sha256, third.group) == (draft.path, draft.sha256, "north")
    assert (third.id, third.width, third.height) == (draft.id, WIDTH, HEIGHT)


def test_an_empty_verified_image_is_labeled_background(
    store: Store, cow: Category, images: list[ImageRecord]
) -> None:
    store.save_revision(images[0].id, 0, [], WHOLE, "me")
    first = snap(store).images[0]
    assert first.labels == ()
    assert first.whole
    assert first.verified is not None
    assert area_of_rle(first.verified) == HEIGHT * WIDTH


def test_only_the_newest_revision_counts(
    store: Store, cow: Category, images: list[ImageRecord]
) -> None:
    store.save_revision(images[0].id, 0, [Instance("1", cow.id, box(1, 1))], WHOLE, "me")
    store.save_revision(images[0].id, 1, [], (), "me")
    assert snap(store).images[0].verified is None


def test_instances_that_cover_no_pixel_are_left_out(
    store: Store, cow: Category, images: list[ImageRecord]
) -> None:
    speck = (Part(np.array([[1.1, 1.1], [1.2, 1.1], [1.2, 1.2]])),)
    herd = [Instance("1", cow.id, speck), Instance("2", cow.id, box(1, 1))]
    store.save_revision(images[0].id, 0, herd, WHOLE, "me")
    assert len(snap(store).images[0].labels) == 1


def test_test_and_excluded_images_are_left_out(
    store: Store, cow: Category, images: list[ImageRecord]
) -> None:
    store.set_split(images[0].id, "test")
    store.set_excluded(images[1].id, True)
    store.set_split(images[2].id, "val")
    assert [(image.id, image.split) for image in snap(store).images] == [(images[2].id, "val")]


def test_merged_categories_share_a_class(
    store: Store, cow: Category, images: list[ImageRecord]
) -> None:
    calf, bull = store.add_category("calf"), store.add_category("bull")
    herd = [Instance("1", calf.id, box(2, 3)), Instance("2", bull.id, box(20, 5))]
    store.save_revision(images[0].id, 0, herd, WHOLE, "me")
    store.merge_categories(calf.id, cow.id)
    snapshot = snap(store)
    assert snapshot.categories == (cow, bull)
    assert [index for index, _ in snapshot.images[0].labels] == [1, 2]


def test_only_categories_seen_in_a_verified_area_are_classes(
    store: Store, cow: Category, images: list[ImageRecord]
) -> None:
    names = ["person", "bicycle", "calf", "dog"]
    person, bicycle, calf, dog = (store.add_category(name) for name in names)
    whole, part, draft = images
    store.save_revision(whole.id, 0, [Instance("1", calf.id, box(2, 3))], WHOLE, "me")
    herd = [
        Instance("2", person.id, box(40, 30)),  # below the verified half
        Instance("3", cow.id, box(2, 3)),
        Instance("4", bicycle.id, box(20, 30)),
    ]
    store.save_revision(part.id, 0, herd, HALF, "me")
    store.save_revision(draft.id, 0, [Instance("5", dog.id, box(1, 1))], (), "me")
    snapshot = snap(store)
    assert snapshot.categories == (cow, calf)
    first, second, _ = snapshot.images
    assert [index for index, _ in first.labels] == [2]
    assert [index for index, _ in second.labels] == [1]


def test_categories_nobody_used_change_nothing(
    store: Store, cow: Category, images: list[ImageRecord]
) -> None:
    store.save_revision(images[0].id, 0, [Instance("1", cow.id, box(2, 3))], WHOLE, "me")
    before = snap(store)
    store.add_category("person")
    after = snap(store)
    assert (after.hash, after.categories) == (before.hash, (cow,))


def test_more_categories_than_a_label_can_hold_are_refused(
    store: Store, cow: Category, images: list[ImageRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert snapshots.MOST_CATEGORIES == 254
    monkeypatch.setattr(snapshots, "MOST_CATEGORIES", 1)
    calf = store.add_category("calf")
    herd = [Instance("1", cow.id, box(2, 3)), Instance("2", calf.id, box(9, 9))]
    store.save_revision(images[0].id, 0, herd[:1], WHOLE, "me")
    assert snap(store).categories == (cow,)
    store.save_revision(images[0].id, 1, herd, WHOLE, "me")
    with pytest.raises(DataError, match=r"2 categories are in use .*; merge some"):
        snap(store)


def test_equal_content_reuses_the_folder(
    store: Store, cow: Category, images: list[ImageRecord]
) -> None:
    store.save_revision(images[0].id, 0, [Instance("1", cow.id, box(1, 1))], WHOLE, "me")
    first = snap(store)
    stamp = (first.folder / CONTENT).stat().st_mtime_ns
    store.save_revision(images[0].id, 1, [Instance("1", cow.id, box(1, 1))], WHOLE, "you")
    again = snap(store)
    assert (again.hash, again.folder) == (first.hash, first.folder)
    assert (again.folder / CONTENT).stat().st_mtime_ns == stamp
    store.save_revision(images[0].id, 2, [Instance("1", cow.id, box(2, 1))], WHOLE, "me")
    other = snap(store)
    assert other.hash != first.hash
    assert sorted(path.name for path in first.folder.parent.iterdir()) == sorted(
        [first.hash, other.hash]
    )
    assert len(read_snapshot(first.folder).images[0].labels) == 1  # and the first one is unchanged


def test_a_snapshot_wanted_again_is_young_again(
    store: Store, cow: Category, images: list[ImageRecord]
) -> None:
    """Or it could be tidied away before the new job names it."""
    folder = snap(store).folder
    os.utime(folder, (0, 0))
    assert snap(store).folder == folder
    assert folder.stat().st_mtime > time.time() - 3600


def test_what_is_read_is_what_was_written(
    store: Store, cow: Category, images: list[ImageRecord]
) -> None:
    store.save_revision(images[0].id, 0, [Instance("1", cow.id, box(1, 1))], HALF, "me")
    written = snap(store)
    read = read_snapshot(str(written.folder))
    assert (read.id, read.hash, read.folder) == (written.id, written.hash, written.folder)
    assert read.categories == written.categories
    assert [vars(image) for image in read.images] == [vars(image) for image in written.images]
    assert isinstance(read.images[0].labels[0][1]["counts"], bytes)


def test_a_changed_snapshot_is_refused_then_healed(
    store: Store, cow: Category, images: list[ImageRecord]
) -> None:
    snapshot = snap(store)
    content = snapshot.folder / CONTENT
    good = content.read_bytes()
    content.chmod(0o644)
    content.write_bytes(good.replace(b"north", b"south"))
    with pytest.raises(DataError, match="was changed"):
        read_snapshot(snapshot.folder)
    assert snap(store).hash == snapshot.hash
    assert content.read_bytes() == good


def test_a_folder_without_a_snapshot_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no snapshot"):
        read_snapshot(tmp_path)


def test_a_missing_picture_stops_only_when_it_is_labeled(
    store: Store, cow: Category, images: list[ImageRecord]
) -> None:
    store.save_revision(images[0].id, 0, [], WHOLE, "me")
    Path(images[1].path).unlink()
    assert [image.id for image in snap(store).images] == [images[0].id, images[2].id]
    Path(images[0].path).unlink()
    with pytest.raises(DataError, match=r"labeled image is missing; relink"):
        snap(store)


def test_a_full_disk_leaves_no_half_snapshot(
    store: Store, cow: Category, images: list[ImageRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "fsync", full)
        with pytest.raises(StoreError, match="disk is full"):
            snap(store)
    assert list((store.project / "snapshots").iterdir()) == []
    assert snap(store).images


def test_what_a_dead_process_left_is_swept(
    store: Store, cow: Category, images: list[ImageRecord]
) -> None:
    folder = store.project / "snapshots"
    old, young = folder / f"{PARTIAL}old", folder / f"{PARTIAL}young"
    for partial in (old, young):
        partial.mkdir()
        (partial / CONTENT).write_text("half")
    hours_ago = time.time() - 7200
    os.utime(old, (hours_ago, hours_ago))
    snapshot = snap(store)
    assert {path.name for path in folder.iterdir()} == {snapshot.hash, young.name}


def test_a_moved_picture_makes_another_snapshot(
    store: Store, cow: Category, images: list[ImageRecord], tmp_path: Path
) -> None:
    first = snap(store)
    shutil.move(store.project / "images", tmp_path / "moved")
    assert store.relink(store.project / "images", tmp_path / "moved") == 3
    second = snap(store)
    assert second.hash != first.hash
    assert all(Path(image.path).is_file() for image in second.images)
