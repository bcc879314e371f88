"""Highlights obey floor and budget, skip verified ground, and say what may be wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_io.geometry import full_image, mask_of_parts
from data_io.types import Instance, Part
from model import uncertainty
from model.uncertainty import (
    RegionConfig,
    entropy,
    expected_error,
    image_score,
    kind_of,
    label_map,
    regions,
    to_bytes,
    verified_cells,
    with_doubt,
    without_verified,
)

H, W = 400, 600
CELLS = (100, 150)


def box(x: float, y: float, w: float, h: float) -> tuple[Part, ...]:
    return (Part(np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.float64)),)


def animal(x: float, y: float, w: float, h: float) -> Instance:
    return Instance(id=f"{x}-{y}", category="cow", parts=box(x, y, w, h))


def patch(*places: tuple[int, int, int, int], value: int = 255) -> np.ndarray:
    """A map that is sure but for patches (row, column, rows, columns) in cells."""
    result = np.zeros(CELLS, np.uint8)
    for row, column, rows, columns in places:
        result[row : row + rows, column : column + columns] = value
    return result


def found(unsure: np.ndarray, *animals: Instance, verified=(), classes: int = 2):
    return regions(
        unsure, animals, H, W, classes=classes, version="v1", image="i", verified=verified
    )


def test_entropy_of_hand_made_probabilities() -> None:
    p = np.array([[[0.5, 1.0, 0.9]], [[0.5, 0.0, 0.1]]], np.float32)
    tenth = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1)) / math.log(2)
    np.testing.assert_allclose(entropy(p)[0], [1.0, 0.0, tenth], atol=1e-5)
    thirds = np.full((3, 1, 1), 1 / 3, np.float32)
    assert entropy(thirds)[0, 0] == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_array_equal(to_bytes(entropy(p))[0], [255, 0, round(255 * tenth)])


def test_expected_error_inverts_the_entropy() -> None:
    assert expected_error(2)[0] == pytest.approx(0.0, abs=1e-3)
    assert expected_error(2)[255] == pytest.approx(0.5)
    # H(0.11) is one half of a bit to three places.
    assert expected_error(2)[round(0.4999 * 255)] == pytest.approx(0.11, abs=0.002)


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 21])
def test_two_rivals_weigh_the_same_beside_any_number_of_classes(classes: int) -> None:
    for chance in (0.02, 0.11, 0.3, 0.5):
        p = np.zeros((classes, 1, 1), np.float32)
        p[:2, 0, 0] = 1 - chance, chance
        told = expected_error(classes)[to_bytes(entropy(p))[0, 0]]
        assert told == pytest.approx(chance, abs=0.01 if chance < 0.5 else 0.06)  # of a byte


def test_a_coin_toss_of_two_among_five_classes_is_asked_about() -> None:
    p = np.zeros((5, *CELLS), np.float32)
    p[0] = 1
    p[:2, 40:48, 60:72] = 0.5  # .43 of ln 5
    (five,) = found(to_bytes(entropy(p)), classes=5)
    (two,) = found(patch((40, 60, 8, 12)))
    assert five.id == two.id  # the same place
    assert five.score == pytest.approx(two.score, abs=0.02)
    p[:, :, :] = 0
    p[:2] = 0.5
    assert image_score(to_bytes(entropy(p)), 5) == pytest.approx(1.0, abs=0.02)
    sure = patch((40, 60, 8, 12), value=50)  # .46 of a bit, below the floor
    assert found(sure, classes=5) == ()


def test_an_animal_that_may_be_none_is_told_with_five_classes_too() -> None:
    cow = animal(200, 100, 120, 80)
    (region,) = found(patch((25, 50, 20, 30), value=110), cow, classes=5)
    assert region.kind == "possible false alarm"


def test_a_sure_map_gives_no_region_and_no_score() -> None:
    assert found(patch()) == ()
    assert found(patch((0, 0, 100, 150), value=120)) == ()  # everywhere below the floor of .5
    assert image_score(patch(), 2) == pytest.approx(0.0, abs=1e-3)


def test_a_coin_toss_everywhere_stays_within_the_budget_and_scores_one() -> None:
    everywhere = patch((0, 0, 100, 150))
    made = found(everywhere)
    area = sum(mask_of_parts(region.parts, H, W).sum() for region in made)
    assert 0.02 * H * W < area <= 0.05 * H * W
    assert image_score(everywhere, 2) == pytest.approx(1.0)


def test_a_patch_becomes_a_region_that_covers_it() -> None:
    made = found(patch((40, 60, 8, 12)))
    assert len(made) == 1
    region = made[0]
    inside = mask_of_parts(region.parts, H, W)
    assert inside[160:192, 240:288].mean() > 0.95
    assert inside.sum() < 2.5 * 32 * 48
    x, y, w, h = region.box
    assert max(x - 244, y - 164, 284 - x - w, 188 - y - h) <= 0
    assert (region.version, region.image, region.state) == ("v1", "i", "open")
    assert 0 < region.score <= 1


def test_larger_and_surer_doubt_ranks_first() -> None:
    made = found(patch((10, 10, 6, 6), (60, 100, 10, 14)))
    assert len(made) == 2
    assert made[0].score > made[1].score
    assert made[0].box[0] > 350


def test_a_thin_rim_and_a_crumb_are_no_regions() -> None:
    rim = patch((20, 20, 1, 60), (60, 60, 1, 1))
    assert found(rim) == ()


def test_kinds_of_doubt() -> None:
    cow, other = animal(200, 100, 120, 80), animal(320, 100, 120, 80)
    far_away = found(patch((75, 20, 8, 8)), cow)[0]
    assert far_away.kind == "possible miss"
    whole = found(patch((25, 50, 20, 30)), cow)[0]
    assert whole.kind == "possible false alarm"
    rim = found(patch((30, 47, 8, 6)), cow)[0]
    assert rim.kind == "boundary"
    between = found(patch((28, 77, 12, 6)), cow, other)[0]
    assert between.kind == "split or merge"
    fragment = found(patch((75, 20, 16, 24)), animal(100, 320, 24, 16))[0]
    assert fragment.kind == "possible miss"
    reasons = {region.reason for region in (far_away, whole, rim, between)}
    assert len(reasons) == 4


def test_two_animals_in_one_region_that_do_not_meet_are_no_split() -> None:
    labels = np.zeros((20, 40), np.int32)
    labels[5:15, 2:10], labels[5:15, 20:30] = 1, 2
    region = np.zeros((20, 40), np.bool_)
    region[9:11, 8:22] = True
    unsure = np.where(region, np.uint8(255), np.uint8(0))
    assert kind_of(region, unsure, labels, np.bincount(labels.ravel()), 2) != "split or merge"
    labels[5:15, 10:20] = 1  # now they touch
    assert kind_of(region, unsure, labels, np.bincount(labels.ravel()), 2) == "split or merge"


def test_animals_just_outside_a_region_are_seen() -> None:
    left, right = animal(100, 100, 84, 80), animal(200, 100, 84, 80)  # columns 45 and 50 in cells
    (region,) = found(patch((28, 47, 12, 2)), left, right)  # with its rim columns 46 to 49
    assert region.kind == "boundary"
    assert found(patch((28, 47, 12, 2)))[0].kind == "possible miss"


def test_only_the_regions_that_may_be_shown_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise makes thousands of places; work on the whole map for each would take minutes."""
    seen = []

    def spy(region: np.ndarray, *rest: object) -> str:
        seen.append(region)
        return "boundary"

    monkeypatch.setattr(uncertainty, "kind_of", spy)
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8)
    made = regions(noise, (), 1200, 1200, classes=2, version="v", image="i")
    assert len(made) == len(seen) == RegionConfig().most
    assert all(region.any() and region.size < 300 * 300 / 20 for region in seen)


def test_an_id_belongs_to_a_place() -> None:
    alone = found(patch((10, 10, 6, 6)))[0]
    larger, same = found(patch((10, 10, 6, 6), (60, 100, 10, 14)))
    assert same.id == alone.id != larger.id
    (elsewhere,) = regions(
        patch((10, 10, 6, 6)), (), H, W, classes=2, version="v1", image="another"
    )
    assert elsewhere.id != alone.id


def test_label_map_follows_corners_and_holes() -> None:
    ring = Part(box(0, 0, 40, 40)[0].outer, (box(12, 12, 16, 16)[0].outer,))
    labels = label_map([Instance(id="a", category="c", parts=(ring,))], 40, 48)
    assert labels.shape == (10, 12)
    assert labels[1, 1] == 1
    assert labels[5, 5] == 0
    assert labels[:, 10:].sum() == 0


def test_verified_ground_is_never_asked_again() -> None:
    unsure = patch((40, 60, 8, 12))
    assert found(unsure, verified=full_image(H, W)) == ()
    half = box(0, 0, 264, H)  # cuts the patch in two
    made = found(unsure, verified=half)
    assert made
    verified = mask_of_parts(half, H, W)
    for region in made:
        assert not (mask_of_parts(region.parts, H, W) & verified).any()
    assert found(unsure, verified=made[0].parts + half) == ()


def test_without_verified_zeroes_every_touched_cell() -> None:
    one_pixel = box(9, 5, 1, 1)
    np.testing.assert_array_equal(np.argwhere(verified_cells(one_pixel, 10, 14)), [[1, 2]])
    left = without_verified(np.full((3, 4), 9, np.uint8), one_pixel, 10, 14)
    assert left[1, 2] == 0
    assert left.sum() == 9 * 11


def test_image_score_weights_the_worst_places() -> None:
    mild = np.full(CELLS, 40, np.uint8)
    spot = np.full(CELLS, 10, np.uint8)
    spot[:12, :50] = 255  # 4 % of the image
    assert image_score(spot, 2) > 3 * image_score(mild, 2)
    assert image_score(patch((0, 0, 10, 10)), 2) < image_score(patch((0, 0, 20, 20)), 2) < 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.integers(1, 200), st.sampled_from([2, 5]))
def test_budget_bounds_and_image_border_hold_for_any_map(
    seed: int, height: int, width: int, classes: int
) -> None:
    rng = np.random.default_rng(seed)
    unsure = rng.integers(0, 256, (-(-height // 4), -(-width // 4)), dtype=np.uint8)
    made = regions(unsure, (), height, width, classes=classes, version="v", image="i")
    area = 0
    for region in made:
        area += int(mask_of_parts(region.parts, height, width).sum())
        x, y, w, h = region.box
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height
        assert 0 <= region.score <= 1
    assert area <= 0.05 * height * width
    assert [r.score for r in made] == sorted((r.score for r in made), reverse=True)
    assert 0 <= image_score(unsure, classes) <= 1


def test_doubts_about_whose_a_cell_is_raise_the_map_by_their_bits() -> None:
    calm = np.full((4, 6), 0.1, np.float32)
    doubt = np.zeros((4, 6), np.float32)
    doubt[1, 2] = doubt[1, 3] = 1.0
    for classes in (2, 4):
        p = np.full((classes, 4, 6), 0.0, np.float32)
        p[1] = 1.0
        p[:, 1, 3] = 0.0
        p[0, 1, 3] = 1.0  # no animal there, so nobody's cell
        raised = with_doubt(calm, p, doubt)
        assert raised[1, 2] == pytest.approx(1 / np.log2(classes))
        assert raised[1, 3] == pytest.approx(0.1)
        assert (np.delete(raised.ravel(), [8]) == calm[0, 0]).all()
