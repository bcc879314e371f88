"""Every measure against a value computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from data_io.geometry import Rle, rle_of_mask
from model.metrics import (
    Confusion,
    Mixups,
    Panoptic,
    PointScore,
    Ratio,
    Scored,
    average_precision,
    boundary,
    boundary_distance,
    contour_distance,
    error_finding,
    matches,
)

SIZE = (40, 60)


def square(x: int, y: int, w: int, h: int) -> np.ndarray:
    mask = np.zeros(SIZE, np.bool_)
    mask[y : y + h, x : x + w] = True
    return mask


def rle(x: int, y: int, w: int, h: int) -> Rle:
    return rle_of_mask(square(x, y, w, h))


def cow(x: int, y: int, w: int, h: int, score: float = 1.0, crowd: bool = False) -> Scored:
    return Scored("cow", rle(x, y, w, h), score, crowd)


def test_iou_is_summed_over_the_set() -> None:
    ratio = Ratio()
    assert ratio.value is None
    ratio.add(square(0, 0, 10, 10), square(5, 0, 10, 10))  # 50 of 150
    ratio.add(square(0, 0, 10, 5), square(0, 0, 10, 5))  # 50 of 50
    assert ratio.value == pytest.approx(100 / 200)


def test_miou_averages_background_and_categories() -> None:
    confusion = Confusion()
    assert confusion.miou() is None
    true = np.array([[0, 0, 0, 1], [1, 1, 2, 2]])
    made = np.array([[0, 0, 1, 1], [1, 2, 2, 2]])
    confusion.add(["", "calf", "cow"], true, made)
    # background 2/3, calf 2/4, cow 2/3
    assert confusion.miou() == pytest.approx((2 / 3 + 2 / 4 + 2 / 3) / 3)
    confusion.add(["", "cow"], np.array([[1]]), np.array([[1]]))  # other positions, same names
    assert confusion.miou() == pytest.approx((2 / 3 + 2 / 4 + 3 / 4) / 3)


def test_boundary_is_a_band_inside_the_mask_and_along_the_image_border() -> None:
    band = boundary(square(0, 10, 20, 20), 3)
    # 20 x 20 less an inner 14 x 14
    assert band.sum() == 400 - 14 * 14
    assert band[15, 0]
    assert not band[20, 10]
    assert boundary_distance(540, 960) == 22
    assert boundary_distance(3, 4) == 1


def test_boundary_iou_falls_faster_than_iou() -> None:
    full, edge = Ratio(), Ratio()
    one, other = square(0, 0, 30, 30), square(2, 0, 30, 30)
    full.add(one, other)
    edge.add(boundary(one, 2), boundary(other, 2))
    assert full.value == pytest.approx(28 * 30 / (32 * 30))
    # Bands of 30*30-26*26 = 224 pixels; shared: rows 0-1 and 28-29 over 28 columns = 112, and no
    # column, the bands lie at 0-1, 28-29 and 2-3, 30-31.
    assert edge.value == pytest.approx(112 / (224 + 224 - 112))


def test_pairs_are_one_to_one_and_need_more_than_half() -> None:
    real = [rle(0, 0, 10, 10), rle(20, 0, 10, 10)]
    made = [rle(0, 0, 10, 9), rle(0, 0, 10, 8), rle(20, 0, 10, 5)]
    assert matches(made, real) == [(0, 0, pytest.approx(0.9))]
    assert matches([], real) == []
    assert matches(made, []) == []


def test_panoptic_quality_by_hand() -> None:
    quality = Panoptic()
    assert quality.value() is None
    quality.add([cow(0, 0, 10, 10), cow(20, 0, 10, 10)], [cow(0, 0, 10, 8), cow(40, 20, 5, 5)])
    # one hit of IoU .8, one false alarm, one miss
    assert quality.value() == pytest.approx(0.8 / (1 + 0.5 + 0.5))
    quality.add([], [Scored("calf", rle(0, 0, 5, 5))])
    assert quality.value() == pytest.approx((0.4 + 0.0) / 2)


def test_a_crowd_forgives_false_alarms_and_needs_no_match() -> None:
    quality = Panoptic()
    quality.add([cow(0, 0, 30, 30, crowd=True), cow(40, 0, 10, 10)], [cow(2, 2, 5, 5)])
    assert quality.value() == pytest.approx(0.0)
    assert quality.misses == {"cow": 1}


def test_average_precision_of_a_perfect_and_a_half_found_set() -> None:
    truth = [[cow(0, 0, 10, 10)], [cow(5, 5, 20, 20)]]
    assert average_precision(truth, truth) == (pytest.approx(1.0), pytest.approx(1.0))
    # IoU .8 holds at the seven thresholds .50 ... .80 (pycocotools keeps a tie)
    shaved = [[cow(0, 0, 10, 8)], [cow(5, 5, 20, 16)]]
    ap, ap50 = average_precision(truth, shaved)
    assert ap50 == pytest.approx(1.0)
    assert ap == pytest.approx(0.7)
    # One of two found, no false alarm: precision 1 up to recall .5, that is 51 of 101 points.
    ap, ap50 = average_precision(truth, [truth[0], []])
    assert ap50 == pytest.approx(51 / 101)


def test_average_precision_counts_the_first_annotation_and_every_animal_of_a_herd() -> None:
    herd = [cow(3 * (k % 20), 3 * (k // 20), 2, 2, score=0.9) for k in range(240)]
    ap, ap50 = average_precision([herd], [herd])
    assert ap == pytest.approx(1.0)
    assert ap50 == pytest.approx(1.0)


def test_average_precision_without_truth_or_predictions() -> None:
    assert average_precision([[]], [[cow(0, 0, 5, 5)]]) == (None, None)
    assert average_precision([[cow(0, 0, 5, 5)]], [[]]) == (0.0, 0.0)


def test_a_confident_false_alarm_costs_precision() -> None:
    truth = [[cow(0, 0, 10, 10)]]
    false = cow(30, 20, 10, 10, score=0.9)
    _, ap50 = average_precision(truth, [[cow(0, 0, 10, 10, score=0.8), false]])
    assert ap50 == pytest.approx(0.5)


def test_error_finding_by_hand() -> None:
    unsure = np.array([[10, 20, 30, 40]], np.uint8)
    wrong = np.array([[False, True, False, True]])
    # pairs (wrong, right): 20>10, 20<30, 40>10, 40>30 = 3 of 4
    auroc, aupr, recall = error_finding(unsure, wrong, share=0.25)
    assert auroc == pytest.approx(0.75)
    assert aupr == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert recall == pytest.approx(0.5)
    flat = np.zeros((1, 4), np.uint8)
    half = pytest.approx(0.5)
    assert error_finding(flat, wrong) == (half, half, pytest.approx(0.05))
    assert error_finding(unsure, np.zeros((1, 4), np.bool_)) == (None, None, None)
    everything = error_finding(unsure, np.ones((1, 4), np.bool_), 0.25)
    assert everything == (None, pytest.approx(1.0), pytest.approx(0.25))


def test_finer_levels_than_bytes_find_errors_too() -> None:
    unsure = np.array([100, 2000, 300, 65535], np.uint16)
    wrong = np.array([False, True, False, True])
    assert error_finding(unsure, wrong, 0.5) == (1.0, 1.0, 1.0)


def test_distances_run_from_the_edges_of_pixels() -> None:
    animal = np.zeros((5, 9), np.bool_)
    animal[:, :4] = True
    across = [3.5, 2.5, 1.5, 0.5, 0.5, 1.5, 2.5, 3.5, 4.5]
    np.testing.assert_allclose(contour_distance(animal), np.tile(across, (5, 1)), atol=1e-4)
    classes = np.zeros((1, 6), np.uint8)
    classes[0, 2:4], classes[0, 4:] = 1, 2
    np.testing.assert_allclose(contour_distance(classes)[0], [1.5, 0.5, 0.5, 0.5, 0.5, 1.5])
    assert np.isinf(contour_distance(np.ones((3, 3), np.bool_))).all()


def test_a_point_counts_in_exactly_one_animal() -> None:
    score = PointScore()
    first = (np.ones((10, 10), np.bool_), 0, 0)
    second = (np.ones((10, 10), np.bool_), 5, 0)  # overlaps the first for x in 5..9
    empty = (np.ones((4, 4), np.bool_), 40, 20)
    points = np.array([[2.0, 2.0], [7.5, 3.0], [14.9, 9.9], [15.0, 5.0]])
    score.add(points, [first, second, empty])
    # found: the first and third; the second lies in two, the fourth in none
    assert score.found == 2
    # the two overlapping animals hold two points each, the last none
    assert score.right == 0
    assert score.as_dict() == {"precision": 0.0, "recall": 0.5, "count_mae": 1.0}
    score.add(np.array([[1.0, 1.0]]), [first])
    assert score.as_dict() == {"precision": 0.25, "recall": 0.6, "count_mae": 0.5}


def test_points_without_anything() -> None:
    score = PointScore()
    assert score.as_dict() == {"precision": None, "recall": None, "count_mae": None}
    score.add(np.zeros((0, 2)), [])
    assert score.as_dict() == {"precision": None, "recall": None, "count_mae": 0.0}


def test_merges_and_splits_are_counted_by_what_holds_most_of_several() -> None:
    def animal(x0: int, x1: int, crowd: bool = False) -> Scored:
        mask = np.zeros((10, 100), np.bool_)
        mask[:, x0:x1] = True
        return Scored("cow", rle_of_mask(mask), crowd=crowd)

    true = [animal(0, 20), animal(20, 40), animal(60, 90)]
    found = Mixups()
    found.add(true, [animal(0, 40), animal(60, 74), animal(75, 90)])
    assert (found.merges, found.splits) == (1, 1)
    found.add(true, [animal(0, 22), animal(22, 40), animal(60, 92)])  # a border off by a little
    assert (found.merges, found.splits) == (1, 1)
    found.add(true, [])
    found.add([animal(0, 50, crowd=True), animal(50, 90)], [animal(0, 100)])
    assert (found.merges, found.splits) == (1, 1)
