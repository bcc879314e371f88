"""When a second phase that no labeled image can judge is dropped, and when it stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_io.errors import DataError
from model import agreement
from model.agreement import Agreement, compare, objection

SIDE = 100


def squares(*corners: tuple[int, int], side: int = 20) -> np.ndarray:
    found = np.zeros((SIDE, SIDE), np.int64)
    for x, y in corners:
        found[y : y + side, x : x + side] = 1
    return found


NOWHERE, EVERYWHERE = np.zeros((SIDE, SIDE), np.int64), np.ones((SIDE, SIDE), np.int64)
THREE = squares((0, 0), (30, 30), (60, 60))  # 12 % of the image


def verdict(before: np.ndarray, after: np.ndarray, labeled: float | None = 0.12) -> str | None:
    return objection(compare([(before, after)] * 2, labeled))


def test_figures_are_summed_over_the_images() -> None:
    moved = squares((10, 0), (30, 30), (60, 60))
    found = compare([(THREE, THREE), (THREE, moved)], 0.1)
    assert found.images == 2
    assert found.iou == pytest.approx((1200 + 1000) / (1200 + 1400))
    assert found.share_before == found.share_after == pytest.approx(0.12)
    assert (found.patches_before, found.patches_after) == (3.0, 3.0)
    assert found.as_dict()["share_labeled"] == 0.1


def test_specks_are_no_patches_and_categories_do_not_matter() -> None:
    speckled = THREE.copy()
    speckled[99, 99] = 1
    found = compare([(speckled, THREE * 2)], None)
    assert (found.patches_before, found.patches_after) == (3.0, 3.0)
    assert found.iou == pytest.approx(1200 / 1201)


@pytest.mark.parametrize("ruin", [NOWHERE, EVERYWHERE], ids=["nowhere", "everywhere"])
def test_a_ruined_second_phase_is_dropped_with_its_figures(ruin: np.ndarray) -> None:
    why = verdict(THREE, ruin)
    assert why is not None
    assert "kept the supervised phase" in why
    assert "12.0%" in why
    assert f"{ruin.mean():.1%}" in why


@pytest.mark.parametrize(
    ("before", "after", "labeled"),
    [
        (THREE, THREE, 0.12),
        (THREE, squares((0, 0), (30, 30)), 0.12),  # one animal of three lost
        (squares((0, 0), side=8), THREE, 0.12),  # the first phase missed nearly all
        (EVERYWHERE, squares((0, 0)), 0.04),  # the second one mends a flood
        (NOWHERE, THREE, 0.12),
        (NOWHERE, NOWHERE, 0.12),
        (squares((0, 0)), squares((50, 50)), 0.12),  # elsewhere, nobody knows who is right
        (THREE, NOWHERE, None),
    ],
)
def test_everything_less_clear_stays(
    before: np.ndarray, after: np.ndarray, labeled: float | None
) -> None:
    assert verdict(before, after, labeled) is None


def test_nothing_to_compare_objects_to_nothing() -> None:
    empty = compare([], 0.1)
    assert (empty.images, empty.iou) == (0, None)
    assert objection(empty) is None


@pytest.mark.parametrize(("iou", "away", "drops"), [(0.24, 2.1, 1), (0.26, 2.1, 0), (0.24, 1.9, 0)])
def test_both_thresholds_must_be_passed(iou: float, away: float, drops: int) -> None:
    found = Agreement(4, iou, 0.1, 0.1 / away, 3.0, 1.0, 0.1)
    assert bool(objection(found)) is bool(drops)


class Pictures:
    """Frames of which one is lost."""

    def get(self, name: Any) -> tuple[Any, np.ndarray]:
        if name == "lost":
            raise DataError(Path("lost.png"), "is not there", "put it back")
        labels = np.full((4, 4), 255, np.uint8)
        labels[:2] = 0
        labels[0, :2] = 1
        return name, labels


class Network:
    def __init__(self, answer: np.ndarray) -> None:
        self.answer = answer

    def eval(self) -> Network:
        return self


def test_networks_answer_the_images_that_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "predict_classes", lambda network, *_: network.answer)
    networks: Any = (Network(THREE), Network(EVERYWHERE))
    records: Any = ["a", "lost", "b"]
    asked: list[int] = []
    stop = lambda: asked.append(1)  # noqa: E731
    frames: Any = Pictures()
    found = agreement.of_networks(*networks, records, ["c"], frames, (0.0,), (1.0,), stop)
    assert (found.images, len(asked)) == (2, 3)
    assert (found.share_before, found.share_after) == pytest.approx((0.12, 1.0))
    assert found.share_labeled == 0.25
