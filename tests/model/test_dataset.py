from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from data_io.atomic import file_sha256
from data_io.errors import DataError
from data_io.geometry import rle_of_mask
from data_io.snapshot import VOID, Snapshot, SnapshotImage
from data_io.types import Category
from model.config import IGNORE, TrainConfig
from model.dataset import Crops, Frames, label_map, load_frame, pools
from model.scale import Scaling

MEAN = STD = (0.5, 0.5, 0.5)
HEIGHT, WIDTH = 90, 160


def record(
    folder: Path,
    name: str,
    *,
    animals: tuple[tuple[int, tuple[int, int, int, int]], ...] = (),
    verified: tuple[int, int, int, int] | None = (0, 0, WIDTH, HEIGHT),
    split: str | None = None,
) -> SnapshotImage:
    """Blue ground, animals red and as bright as their class; boxes are x0, y0, x1, y1."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[..., 2] = 200
    labels = []
    for index, (x0, y0, x1, y1) in animals:
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[y0:y1, x0:x1] = True
        pixels[mask] = (100 * index % 256, 0, 0)
        labels.append((index, rle_of_mask(mask)))
    path = folder / f"{name}.png"
    cv2.imwrite(str(path), pixels[..., ::-1])
    area = np.zeros((HEIGHT, WIDTH), bool)
    if verified is not None:
        area[verified[1] : verified[3], verified[0] : verified[2]] = True
    return SnapshotImage(
        id=name,
        path=str(path),
        width=WIDTH,
        height=HEIGHT,
        sha256=file_sha256(path),
        group="",
        split=split,  # type: ignore[arg-type]
        labels=tuple(labels),
        verified=rle_of_mask(area) if verified is not None else None,
        whole=bool(area.all()),
    )


def snapshot(*images: SnapshotImage) -> Snapshot:
    cow = Category(id="cow", name="cow", color="#aa0000", coco_id=1)
    return Snapshot(id="s", hash="s", folder=Path(), images=images, categories=(cow,))


ANIMAL = ((1, (20, 30, 60, 60)),)
SMALL = TrainConfig(crop=64, batch=4, batch_unlabeled=3, scale_low=1.0, scale_high=1.0)


def test_images_go_where_their_labels_allow(tmp_path: Path) -> None:
    images = [
        record(tmp_path, "whole", animals=ANIMAL),
        record(tmp_path, "part", animals=ANIMAL, verified=(0, 0, 80, 90)),
        record(tmp_path, "draft", animals=ANIMAL, verified=None),
        record(tmp_path, "val", animals=ANIMAL, split="val"),
        record(tmp_path, "val_draft", verified=None, split="val"),
    ]
    found = pools(snapshot(*images))
    assert [i.id for i in found.labeled] == ["whole", "part"]
    assert [i.id for i in found.unlabeled] == ["part", "draft"]
    assert [i.id for i in found.validation] == ["val"]


@pytest.mark.parametrize(
    ("kind", "words"),
    [("draft", "no image is labeled"), ("empty", "show no animal"), ("outside", "show no animal")],
)
def test_nothing_to_learn_from_is_a_sentence(tmp_path: Path, kind: str, words: str) -> None:
    image = {
        "draft": lambda: record(tmp_path, "a", animals=ANIMAL, verified=None),
        "empty": lambda: record(tmp_path, "a"),
        "outside": lambda: record(tmp_path, "a", animals=ANIMAL, verified=(100, 0, 160, 90)),
    }[kind]()
    with pytest.raises(DataError, match=words):
        pools(snapshot(image))


def test_label_map_knows_order_and_verified_area(tmp_path: Path) -> None:
    animals = ((1, (0, 0, 50, 50)), (2, (25, 0, 75, 50)))
    labels = label_map(record(tmp_path, "a", animals=animals, verified=(0, 0, 100, 90)))
    assert labels[10, 10] == 1
    assert labels[10, 30] == 2  # later instances lie on top
    assert labels[60, 10] == 0
    assert (labels[:, 100:] == IGNORE).all()
    assert (label_map(record(tmp_path, "b", verified=None)) == IGNORE).all()


def test_frames_are_scaled_to_the_long_side(tmp_path: Path) -> None:
    pixels, labels = load_frame(record(tmp_path, "a", animals=ANIMAL), Scaling(80))
    assert pixels.shape == (45, 80, 3)
    assert labels.shape == (45, 80)
    assert (labels == 1).sum() == 20 * 15


def test_scaled_labels_stay_over_their_animals(tmp_path: Path) -> None:
    """The middle stays the middle, as it does in the pixels, which are averaged."""
    image = record(tmp_path, "a", animals=((1, (61, 26, 99, 64)),))
    _, labels = load_frame(image, Scaling(WIDTH // 4))
    for axis in (0, 1):
        inside = np.flatnonzero((labels == 1).any(axis=1 - axis))
        assert inside[0] == labels.shape[axis] - 1 - inside[-1]


def test_changed_or_vanished_images_are_a_sentence(tmp_path: Path) -> None:
    image = record(tmp_path, "a")
    cv2.imwrite(image.path, np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(DataError, match="changed its size"):
        load_frame(image, Scaling(80))
    cv2.imwrite(image.path, np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    with pytest.raises(DataError, match=r"a\.png: the picture changed .*; import it again"):
        load_frame(image, Scaling(80))
    Path(image.path).unlink()
    with pytest.raises(DataError, match=r"a\.png"):
        load_frame(image, Scaling(80))


def test_cache_stays_below_its_limit_and_keeps_the_newest(tmp_path: Path) -> None:
    frames = Frames(Scaling(1024), limit_mb=0)
    images = [record(tmp_path, name) for name in "abc"]
    for image in images:
        frames.get(image)
    assert list(frames._kept) == ["c"]
    assert frames.size == HEIGHT * WIDTH * 4
    roomy = Frames(Scaling(1024), limit_mb=1)
    assert roomy.get(images[0])[0] is roomy.get(images[0])[0]


@pytest.fixture
def crops(tmp_path: Path) -> Crops:
    images = [
        record(tmp_path, "whole", animals=ANIMAL),
        record(tmp_path, "ground"),
        record(tmp_path, "part", animals=ANIMAL, verified=(0, 0, 80, 90)),
        record(tmp_path, "draft", verified=None),
    ]
    return Crops(pools(snapshot(*images)), SMALL, MEAN, STD)


def test_batches_depend_on_seed_and_step_alone(crops: Crops) -> None:
    batch = crops.labeled(3)
    crops.labeled(4)
    again = crops.labeled(3)
    assert torch.equal(batch.image, again.image)
    assert torch.equal(batch.label, again.label)
    assert not torch.equal(batch.image, crops.labeled(4).image)
    unlabeled = crops.unlabeled(3)
    assert torch.equal(unlabeled.strong, crops.unlabeled(3).strong)


def test_labels_lie_where_the_animals_are(crops: Crops) -> None:
    for step in range(5):
        batch = crops.labeled(step)
        assert batch.image.shape == (4, 3, 64, 64)
        assert batch.image.is_contiguous(memory_format=torch.channels_last)
        known = batch.label != IGNORE
        bluish = batch.image[:, 2] > batch.image[:, 0]
        assert ((batch.label == 1) == ~bluish)[known].float().mean() > 0.99


def test_instance_targets_point_to_where_the_crop_shows_the_middle(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, instances=True, scale_low=0.7, scale_high=1.3)
    inside = ((1, (60, 30, 90, 60)),)
    crops = Crops(pools(snapshot(record(tmp_path, "a", animals=inside))), config, MEAN, STD)
    assert crops.animal_size == 30.0
    whole = 0
    for step in range(6):
        batch = crops.labeled(step)
        assert batch.animals is not None
        for label, offset, size in zip(
            batch.label, batch.animals[1], batch.animals[2], strict=True
        ):
            own = size > 0
            assert not (own & (label[2::4, 2::4] != 1)).any()
            shown = (label == 1).nonzero().float()
            if not len(shown):
                continue
            whole += 1
            row, column = (shown + 0.5).mean(0)
            y, x = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
            land_x, land_y = (x + 0.5) * 4 + offset[0], (y + 0.5) * 4 + offset[1]
            assert (land_x[own] - column).abs().max() < 0.6
            assert (land_y[own] - row).abs().max() < 0.6
    assert whole > 8


def test_unverified_animals_teach_no_middle(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, instances=True)
    half = record(tmp_path, "half", animals=ANIMAL, verified=(0, 0, 40, 90))
    batch = Crops(pools(snapshot(half)), config, MEAN, STD).labeled(0)
    assert batch.animals is not None
    assert (batch.label == 1).any()
    assert not batch.animals.size.any()


def test_about_two_thirds_of_the_crops_show_an_animal(crops: Crops) -> None:
    labels = torch.cat([crops.labeled(step).label for step in range(40)])
    share = float((labels == 1).flatten(1).any(dim=1).float().mean())
    assert 0.6 < share < 0.95  # the other third may show one as well


def test_unlabeled_crops_never_count_verified_ground_or_padding(crops: Crops) -> None:
    seen = set()
    for step in range(12):
        batch = crops.unlabeled(step)
        assert batch.valid.dtype == torch.bool
        grey = ((batch.weak * 0.5 + 0.5) * 255).round() == 127
        assert not (batch.valid & grey.all(dim=1)).any()
        red = batch.weak[:, 0] > batch.weak[:, 2]  # animals of `part` lie in its verified half
        assert not (batch.valid & red).any()
        seen.add(bool(batch.valid.flatten(1).all(dim=1).any()))
    assert True in seen


def test_every_image_comes_once_before_any_comes_twice(crops: Crops) -> None:
    order = [crops._turn(crops.images.labeled, k, 0).id for k in range(6)]
    assert len(set(order[:3])) == len(set(order[3:])) == 3


def test_lost_unlabeled_images_are_passed_over_and_told_once(tmp_path: Path) -> None:
    labeled = record(tmp_path, "whole", animals=ANIMAL)
    lost, broken, kept = (record(tmp_path, name, verified=None) for name in "abc")
    found = pools(snapshot(labeled, lost, broken, kept))
    Path(lost.path).unlink()
    Path(broken.path).write_bytes(b"half a picture")
    crops = Crops(found, SMALL, MEAN, STD)
    batches = [crops.unlabeled(step) for step in range(4)]
    assert all(batch.valid.any() for batch in batches)
    assert sorted(Path(error.file).name for error in crops.left_out) == ["a.png", "b.png"]
    resumed = Crops(found, SMALL, MEAN, STD).unlabeled(3)
    assert torch.equal(resumed.strong, batches[3].strong)
    Path(kept.path).unlink()
    with pytest.raises(DataError, match="no unlabeled image can be read"):
        Crops(found, SMALL, MEAN, STD).unlabeled(0)


def test_groups_with_labels_get_every_other_unlabeled_crop(tmp_path: Path) -> None:
    labeled = record(tmp_path, "whole", animals=ANIMAL)
    near = [record(tmp_path, name, verified=None) for name in "ab"]
    far = [
        dataclasses.replace(record(tmp_path, name, verified=None), group="other camera")
        for name in ("p", "q", "r", "s", "t")
    ]
    crops = Crops(pools(snapshot(labeled, *near, *far)), SMALL, MEAN, STD)
    drawn = [next(crops._line(number)).id for number in range(20)]
    assert sorted(drawn[::2]) == sorted("ab" * 5)
    assert sorted(drawn[1::2]) == sorted("pqrst" * 2)
    assert [image.id for image in crops._line(0)][2:] != []  # where all of a group are lost
    alone = Crops(pools(snapshot(labeled, *far)), SMALL, MEAN, STD)
    assert sorted(next(alone._line(number)).id for number in range(5)) == list("pqrst")


def test_a_lost_labeled_image_is_missed(tmp_path: Path) -> None:
    images = record(tmp_path, "whole", animals=ANIMAL), record(tmp_path, "a", verified=None)
    crops = Crops(pools(snapshot(*images)), SMALL, MEAN, STD)
    Path(images[0].path).unlink()
    with pytest.raises(DataError, match=r"whole\.png"):
        crops.labeled(0)
    assert not crops.left_out


def test_void_is_unverified_ground_that_makes_no_image_unlabeled(tmp_path: Path) -> None:
    image = record(tmp_path, "void", animals=(*ANIMAL, (VOID, (60, 0, 160, 90))))
    labels = label_map(image)
    assert (labels[:, 60:] == IGNORE).all()
    assert (labels[30:60, 20:60] == 1).all()
    found = pools(snapshot(image))
    assert (len(found.labeled), len(found.unlabeled)) == (1, 0)
    assert Crops(found, SMALL, MEAN, STD).animals["void"].keys() == {1}


def test_without_jitter_labeled_crops_keep_their_colors(tmp_path: Path) -> None:
    found = pools(snapshot(record(tmp_path, "a", animals=((1, (0, 0, WIDTH, HEIGHT)),))))
    config = dataclasses.replace(SMALL, labeled_jitter=False)
    plain, jittered = (Crops(found, c, MEAN, STD).labeled(0).image for c in (config, SMALL))
    assert len(plain.unique()) == 2  # the red of the animal, none of the other colors
    assert len(jittered.unique()) > 2
