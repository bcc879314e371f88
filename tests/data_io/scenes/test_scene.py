from __future__ import annotations

import cv2
import numpy as np
import pytest

from data_io.errors import DataError
from data_io.scenes import CAMERAS, Scene, demo_scenes, scene, write_demo
from data_io.scenes.scene import MIN_VISIBLE, SEQUENCE

SMALL = {"width": 256, "height": 192}


@pytest.fixture(scope="module")
def many() -> list[Scene]:
    """Four seeds of each camera, at a size where drawing is quick."""
    return [scene(seed, camera, **SMALL) for seed in range(4) for camera in CAMERAS]


def _pieces(mask: np.ndarray) -> int:
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1


def test_same_arguments_give_the_same_bytes():
    one, two = scene(4, "corner-pen", 2, **SMALL), scene(4, "corner-pen", 2, **SMALL)
    assert one.image.tobytes() == two.image.tobytes()
    assert one.labels == two.labels
    assert all((a == b).all() for a, b in zip(one.masks, two.masks, strict=True))


def test_shapes_and_types():
    one = scene(1, "mud-yard", width=320, height=200)
    assert one.image.shape == (200, 320, 3)
    assert one.image.dtype == np.uint8
    assert all(m.shape == (200, 320) and m.dtype == np.bool_ for m in one.masks)
    assert one.camera == "mud-yard"


def test_masks_are_disjoint_and_large_enough(many: list[Scene]):
    for one in many:
        stacked = np.stack(one.masks)
        assert stacked.sum(0).max() == 1
        assert stacked.sum((1, 2)).min() >= MIN_VISIBLE


def test_two_to_twenty_five_animals(many: list[Scene]):
    counts = [len(one.masks) for one in many]
    assert min(counts) >= 2
    assert max(counts) <= 25
    assert max(counts) >= 15
    assert all(len(one.labels) == len(one.masks) for one in many)


def test_both_categories_occur(many: list[Scene]):
    assert {label for one in many for label in one.labels} == {"cow", "calf"}


def test_rails_cut_masks(many: list[Scene]):
    cut = {one.camera for one in many for mask in one.masks if _pieces(mask) > 1}
    assert {"ceiling-straw", "corner-pen", "pasture-pole"} <= cut


def test_touching_animals_occur_under_every_camera(many: list[Scene]):
    touching = set()
    for one in many:
        owner = sum((k + 1) * mask.astype(np.int32) for k, mask in enumerate(one.masks))
        left, right = owner[:, :-1], owner[:, 1:]
        if ((left != right) & (left > 0) & (right > 0)).any():
            touching.add(one.camera)
    assert touching == set(CAMERAS)


def test_animals_stand_out_from_the_empty_backdrop():
    """Where a mask is, the picture differs from another herd's picture of the same place."""
    one, other = scene(0, "ceiling-straw", **SMALL), scene(1, "ceiling-straw", **SMALL)
    free = ~np.any(other.masks, axis=0)
    animal = np.any(one.masks, axis=0) & free
    ground = ~np.any(one.masks, axis=0) & free
    change = np.abs(one.image.astype(int) - other.image).mean(2)
    assert np.median(change[animal]) > 5 * np.median(change[ground])


def test_consecutive_frames_are_near_duplicates():
    for camera in CAMERAS:
        first, second = scene(2, camera, 0, **SMALL), scene(2, camera, 1, **SMALL)
        change = np.abs(first.image.astype(int) - second.image).mean()
        another = np.abs(first.image.astype(int) - scene(3, camera, 0, **SMALL).image).mean()
        assert 0 < change < 0.8 * another
        one, two = np.any(first.masks, axis=0), np.any(second.masks, axis=0)
        assert not (one == two).all()
        assert (one & two).sum() > 0.75 * (one | two).sum()


def test_groups_look_different():
    means = [scene(0, camera, **SMALL).image.mean((0, 1)) for camera in CAMERAS]
    for k, one in enumerate(means):
        for other in means[k + 1 :]:
            assert np.abs(one - other).max() > 2


def test_infrared_camera_is_grey():
    image = scene(0, "night-infrared", **SMALL).image
    assert (image[..., 0] == image[..., 1]).all()
    assert (image[..., 1] == image[..., 2]).all()


def test_demo_mixes_cameras_in_sequences():
    demo = list(demo_scenes(2 * SEQUENCE + 1, 7))
    groups = [named.group for named in demo]
    assert groups == [demo[0].group] * SEQUENCE + [demo[SEQUENCE].group] * SEQUENCE + [groups[-1]]
    assert len(set(groups)) == 3
    assert len({named.name for named in demo}) == len(demo)


def test_write_demo_gives_files_and_truth(tmp_path):
    steps = []
    written = write_demo(tmp_path, 4, 1, progress=lambda done, n: steps.append((done, n)))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert len({path.split("/")[0] for path, _ in written}) == 2
    for path, truth in written:
        image = cv2.imread(str(tmp_path / path))[..., ::-1]
        assert image.shape == truth.image.shape
        assert np.abs(image.astype(int) - truth.image).mean() < 12


def test_unwritable_folder_is_told_in_a_sentence(tmp_path):
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(DataError, match="cannot be written"):
        write_demo(tmp_path / "taken", 1, 0)


@pytest.mark.parametrize(
    ("camera", "size"), [("nowhere", (640, 480)), ("mud-yard", (10, 480)), ("mud-yard", (640, 63))]
)
def test_bad_arguments_are_refused(camera: str, size: tuple[int, int]):
    with pytest.raises(DataError):
        scene(0, camera, width=size[0], height=size[1])
