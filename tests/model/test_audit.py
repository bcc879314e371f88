"""Random checks: where they may lie, how many there are, and what they estimate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_io.geometry import box_of_parts, mask_of_parts
from data_io.types import Instance, Part, Parts, ReviewRegion
from model.audit import AuditConfig, audits

HEIGHT, WIDTH = 240, 320


def rectangle(x: float, y: float, width: float, height: float) -> Parts:
    corners = [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]
    return (Part(np.array(corners, np.float64)),)


def cow(x: float, y: float, width: float, height: float) -> Instance:
    return Instance("a", "cow", rectangle(x, y, width, height))


def region(side: float) -> ReviewRegion:
    parts = rectangle(8, 8, side, side)
    return ReviewRegion("r", "i", "v", "boundary", parts, box_of_parts(parts), 0.5, "unsure")


def check(
    image: str = "i",
    height: int = HEIGHT,
    width: int = WIDTH,
    instances: tuple[Instance, ...] = (),
    **fields: Any,
) -> list[ReviewRegion]:
    """Checks of an image without any doubt unless a field says otherwise."""
    values = {"uncertainty": np.zeros((-(-height // 4), -(-width // 4)), np.uint8), **fields}
    unsure = values.pop("uncertainty")
    plain = {"classes": 2, "version": "v1", "image": image, "pixels": image, **values}
    return list(audits(unsure, instances, height, width, **plain))


def raster(parts: Parts, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return mask_of_parts(parts, height, width)


@settings(max_examples=25, deadline=None)
@given(
    image=st.text(max_size=5),
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    sides=st.lists(st.floats(2, 90), max_size=24),
    share=st.floats(0, 0.5),
    verified=st.none() | st.tuples(*[st.floats(0, 1)] * 4),
)
def test_checks_keep_within_their_bounds(image, height, width, sides, share, verified) -> None:
    area: Parts = ()
    if verified is not None:
        left, top, right, bottom = verified
        area = rectangle(left * width, top * height, right * width + 1, bottom * height + 1)
    config = AuditConfig(share=share)
    regions = [region(side) for side in sides]
    animals = (cow(width / 4, height / 4, width / 5, height / 5),)
    given_ = {"instances": animals, "regions": regions, "verified": area, "config": config}
    found = check(image, height, width, **given_)
    assert [one.id for one in check(image, height, width, **given_)] == [one.id for one in found]
    total = np.zeros((height, width), int)
    closed = raster(area, height, width) if area else np.zeros((height, width), bool)
    for one in found:
        mask = raster(one.parts, height, width)
        assert mask.any()
        total += mask
        assert (one.kind, one.image, one.version) == ("audit", image, "v1")
        assert one.reason.startswith("A random check")
        assert 0 <= one.score <= 1
        assert one.weight is not None
        assert one.weight >= 1
    assert not (total.astype(bool) & closed).any()
    assert total.max(initial=0) <= 1  # no two of them overlap
    assert total.sum() <= config.budget * height * width
    assert len(found) <= share / (1 - share) * max(1, len(sides)) + 1
    assert len({one.id for one in found}) == len(found)


@pytest.mark.parametrize("share", [0.1, 0.15, 0.2])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_a_share_of_what_is_reviewed_is_random(share: float, count: int) -> None:
    regions = [region(20)] * count
    config = AuditConfig(share=share)
    made = sum(len(check(f"i{n}", regions=regions, config=config)) for n in range(200))
    assert made / (made + 200 * count) == pytest.approx(share, abs=0.03)


def test_sure_images_are_checked_too_and_verified_ones_never() -> None:
    made = sum(len(check(f"i{n}")) for n in range(400))
    assert made == pytest.approx(400 * 0.15 / 0.85, rel=0.25)
    whole = rectangle(0, 0, WIDTH, HEIGHT)
    config = AuditConfig(share=0.5)
    assert not any(check(f"i{n}", verified=whole, config=config) for n in range(20))
    assert not any(check(f"i{n}", config=AuditConfig(share=0.0)) for n in range(20))


def test_half_of_the_checks_fall_on_animals_however_small() -> None:
    speck = cow(100, 100, 6, 6)
    config = AuditConfig(share=0.5)
    found = [one for n in range(400) for one in check(f"i{n}", instances=(speck,), config=config)]
    on = [one for one in found if raster(one.parts)[100:106, 100:106].any()]
    assert len(on) / len(found) == pytest.approx(0.5, abs=0.1)
    assert min(one.weight for one in found if one not in on) > 20 * max(o.weight for o in on)


def test_a_check_is_about_as_large_as_a_usual_region() -> None:
    for side in (24, 40):
        regions = [region(side), region(side), region(8)]
        config = AuditConfig(share=0.5)
        areas = [raster(one.parts).sum() for one in check(regions=regions, config=config)]
        assert areas
        assert all(0.4 * side**2 <= area <= side**2 for area in areas)


def test_another_version_is_checked_elsewhere() -> None:
    config = AuditConfig(share=0.5)
    boxes = {check("i", version=f"v{n}", config=config)[0].box for n in range(12)}
    assert len(boxes) > 6


def test_doubt_raises_the_score_only() -> None:
    config = AuditConfig(share=0.5)
    (sure,) = check(config=config)
    (unsure,) = check(config=config, uncertainty=np.full((60, 80), 255, np.uint8))
    assert (sure.id, sure.weight) == (unsure.id, unsure.weight)
    assert sure.score < unsure.score


@pytest.mark.parametrize("half", [(), rectangle(0, 0, 130, HEIGHT)])
def test_the_error_rate_is_estimated_without_bias(half: Parts) -> None:
    """Errors all over: on the animal, at its outline, at the image's rim, on the ground."""
    wrong = np.zeros((HEIGHT, WIDTH), bool)
    wrong[90:110, 150:190] = wrong[:5] = wrong[:, -3:] = wrong[200:215, 20:200] = True
    left = ~raster(half) if half else np.ones_like(wrong)
    truth = (wrong & left).sum() / left.sum()
    errors = areas = 0.0
    animal = (cow(140, 80, 60, 40),)
    config = AuditConfig(share=0.5)
    for n in range(500):
        fields = {"verified": half, "regions": [region(28)] * 3, "config": config}
        for one in check(f"i{n}", instances=animal, **fields):
            mask = raster(one.parts)
            errors += one.weight * (wrong & mask).sum()
            areas += one.weight * mask.sum()
    assert errors / areas == pytest.approx(truth, rel=0.15)
    assert areas / 500 == pytest.approx(left.sum(), rel=0.1)  # weights add up to the whole
