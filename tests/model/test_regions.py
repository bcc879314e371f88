"""Highlights obey floor and budget, skip verified ground, and say what may be wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_io.geometry import full_image, mask_of_parts
from data_io.types import Instance, Part
from model import regions as module
from model.regions import Doubts, RegionConfig, kind_of, label_map, regions
from model.uncertainty import entropy, image_score, to_bytes

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

    monkeypatch.setattr(module, "kind_of", spy)
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


def doubts(whose: np.ndarray | None = None, mirror: np.ndarray | None = None) -> Doubts:
    none = np.zeros(CELLS, np.float32)
    return Doubts(none if whose is None else whose, none if mirror is None else mirror)


def asked(unsure: np.ndarray, why: Doubts, *animals: Instance):
    return regions(unsure, animals, H, W, classes=2, version="v1", image="i", doubts=why)


def test_a_reason_tells_the_figure_that_made_it() -> None:
    (plain,) = found(patch((40, 60, 8, 12)))
    assert "50% of it may be wrong" in plain.reason
    mirror = np.zeros(CELLS, np.float32)
    mirror[40:48, 60:72] = 0.4
    (seen,) = asked(patch((40, 60, 8, 12)), doubts(mirror=mirror))
    assert "the mirror image disagrees by 40%" in seen.reason
    assert seen.id == plain.id


def test_doubts_within_one_animal_ask_whether_it_is_one() -> None:
    cow = animal(100, 60, 400, 280)
    whose = np.zeros(CELLS, np.float32)
    whose[30:60, 70:76] = 0.722  # bits of .8 and .2
    (region,) = asked(patch(), doubts(whose), cow)
    assert region.kind == "split or merge"
    assert "one animal or two: 80% sure" in region.reason


def test_an_animal_at_stake_ranks_before_a_rim_of_as_many_cells() -> None:
    left, right = animal(20, 100, 140, 120), animal(160, 100, 140, 120)
    whose = np.zeros(CELLS, np.float32)
    whose[32:46, 38:42] = 1.0
    rim = (32, 118, 14, 4)
    third = animal(480, 100, 100, 120)
    first, second = asked(patch(rim), doubts(whose), left, right, third)
    assert (first.kind, second.kind) == ("split or merge", "boundary")
    assert first.score > 2 * second.score


def test_the_same_gain_ranks_higher_where_it_takes_fewer_seconds() -> None:
    compact, long = patch((20, 20, 12, 12)), patch((20, 20, 4, 36))
    assert found(compact)[0].score > found(long, animal(0, 88, 280, 100))[0].score


def test_places_a_few_pixels_apart_are_one_look() -> None:
    assert len(found(patch((40, 60, 6, 6), (40, 70, 6, 6)))) == 1  # 4 cells, 2 of them grown
    assert len(found(patch((40, 60, 6, 6), (40, 76, 6, 6)))) == 2


def test_a_gain_of_a_few_pixels_is_not_worth_a_look() -> None:
    mild = patch((40, 60, 6, 6), value=180)
    config = RegionConfig(trivial=1.0)
    keep = regions(mild, (), H, W, classes=2, version="v", image="i", config=config)
    lose = RegionConfig(trivial=1000.0)
    assert len(keep) == 1
    assert regions(mild, (), H, W, classes=2, version="v", image="i", config=lose) == ()
