from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from data_io.atomic import file_sha256
from data_io.geometry import rle_of_mask
from data_io.snapshot import SnapshotImage
from model import validation
from model.config import NetworkConfig
from model.dataset import Frames
from model.scale import Scaling

HALF = (0.5, 0.5, 0.5)


class RedIsAnimal(nn.Module):
    """Class 1 wherever red is above the middle."""

    config = NetworkConfig(classes=2)

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, image: Tensor) -> Tensor:
        red = nn.functional.avg_pool2d(image[:, :1], 4)
        return torch.cat([-red, red], dim=1) * self.scale


def image(tmp_path: Path, red: slice, labeled: slice, verified: slice) -> SnapshotImage:
    pixels = np.zeros((40, 72, 3), np.uint8)
    pixels[:, red, 0] = 255
    cv2.imwrite(str(tmp_path / "a.png"), pixels[..., ::-1])
    truth, known = np.zeros((40, 72), bool), np.zeros((40, 72), bool)
    truth[:, labeled], known[:, verified] = True, True
    labels = ((1, rle_of_mask(truth)),) if truth.any() else ()
    path, area = str(tmp_path / "a.png"), rle_of_mask(known)
    whole = bool(known.all())
    sha256 = file_sha256(tmp_path / "a.png")
    return SnapshotImage("a", path, 72, 40, sha256, "", None, labels, area, whole)


def judge(images: Sequence[SnapshotImage]) -> dict[str, object]:
    return validation.judge(RedIsAnimal(), images, Frames(Scaling(1024), 8), HALF, HALF)  # type: ignore[arg-type]


def test_perfect_prediction(tmp_path: Path) -> None:
    metrics = judge([image(tmp_path, slice(0, 32), slice(0, 32), slice(0, 72))])
    assert metrics == {"iou": 1.0, "miou": 1.0, "images": 1}


def test_half_of_the_animal(tmp_path: Path) -> None:
    metrics = judge([image(tmp_path, slice(0, 16), slice(0, 32), slice(0, 72))])
    assert metrics["iou"] == pytest.approx(0.5, abs=0.04)
    assert metrics["miou"] == pytest.approx((0.5 + 40 / 56) / 2, abs=0.04)


def test_only_the_verified_area_counts(tmp_path: Path) -> None:
    wrong_outside = image(tmp_path, slice(0, 72), slice(0, 32), slice(0, 32))
    assert judge([wrong_outside])["iou"] == 1.0


def test_ground_without_animals_has_no_iou(tmp_path: Path) -> None:
    metrics = judge([image(tmp_path, slice(0, 0), slice(0, 0), slice(0, 72))])
    assert metrics["iou"] is None
    assert metrics["miou"] == 1.0
    assert not validation.degenerate(metrics)


def test_bands_are_decoded_before_they_are_judged(tmp_path: Path) -> None:
    record = image(tmp_path, slice(0, 32), slice(0, 32), slice(0, 72))
    network = RedIsAnimal()
    network.config = NetworkConfig(classes=3, encoding="contact_band")
    frames = Frames(Scaling(1024), 8, "contact_band")
    assert set(np.unique(frames.get(record)[1])) == {0, 1, 2}
    metrics = validation.judge(network, [record], frames, HALF, HALF)  # type: ignore[arg-type]
    assert metrics == {"iou": 1.0, "miou": 1.0, "images": 1}


def test_mean_iou_is_over_the_classes_that_the_truth_shows() -> None:
    table = np.array([[0, 0, 0], [1, 3, 0], [0, 1, 3]])  # [truth, predicted]
    assert validation.class_ious(table) == [None, 3 / 5, 3 / 4]
    assert validation.mean_iou(table) == pytest.approx((3 / 5 + 3 / 4) / 2)
    table[0, 0] = 4
    assert validation.mean_iou(table) == pytest.approx((4 / 5 + 3 / 5 + 3 / 4) / 3)
    assert validation.mean_iou(table, first=1) == pytest.approx((3 / 5 + 3 / 4) / 2)
    assert validation.mean_iou(np.zeros((2, 2), np.int64)) is None


def listed(*groups: tuple[str, int]) -> list[SnapshotImage]:
    """So many images of each group, one group after the other; ids are group and number."""
    return [
        SnapshotImage(f"{group}{k}", "", 8, 8, "", group, "val", (), None, False)
        for group, count in groups
        for k in range(count)
    ]


def spread(records: Sequence[SnapshotImage], most: int) -> list[str]:
    return [record.id for record in validation.spread(records, most)]


@pytest.mark.parametrize("count", [1, 5, 6])
def test_few_images_are_all_judged_in_their_order(count: int) -> None:
    records = listed(("b", count))[::-1]
    assert validation.spread(records, 6) == records


def test_groups_take_turns_and_give_images_from_all_over() -> None:
    records = listed(("a", 100), ("b", 2), ("c", 9))
    assert spread(records, 8) == ["a16", "a50", "a83", "b0", "b1", "c1", "c4", "c7"]
    assert spread(records, 1) == ["a50"]
    assert len(set(spread(records, 110))) == 110


def test_images_keep_their_order_when_groups_are_mixed() -> None:
    ids = [record.id for record in listed(("a", 20), ("b", 20))]
    mixed = [ids[(7 * k) % 40] for k in range(40)]
    records = {record.id: record for record in listed(("a", 20), ("b", 20))}
    chosen = spread([records[id] for id in mixed], 10)
    assert chosen == [id for id in mixed if id in chosen]
    assert sum(id.startswith("a") for id in chosen) == 5


def scores(iou: float | None, miou: float | None) -> dict[str, float | None]:
    return {"iou": iou, "miou": miou}


@pytest.mark.parametrize(
    ("first", "second", "validated", "kept", "words"),
    [
        (scores(0.6, 0.7), scores(0.5, 0.65), True, 0, "kept the supervised phase: mean IoU"),
        (scores(0.6, 0.7), scores(0.7, 0.75), True, 1, "kept the semi-supervised phase: mean IoU"),
        (scores(0.6, 0.7), scores(0.58, 0.68), False, 1, "no validation images"),
        (scores(0.6, 0.7), scores(0.56, 0.66), False, 0, "on the labeled images its IoU is 0.600"),
        (scores(0.04, 0.5), scores(0.03, 0.5), False, 0, "on the labeled images its IoU is 0.040"),
    ],
)
def test_the_better_phase_is_kept(
    first: dict[str, float], second: dict[str, float], validated: bool, kept: int, words: str
) -> None:
    index, why = validation.choose_phase([first, second], validated)
    assert index == kept
    assert words in why


def test_a_single_phase_is_kept() -> None:
    assert validation.choose_phase([scores(0.1, 0.2)], True)[0] == 0
