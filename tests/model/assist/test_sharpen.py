"""Proposed outlines drawn again, by a refiner that goes by color."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data_io.geometry import mask_of_parts, parts_of_mask
from data_io.types import Instance
from model.assist.sharpen import sharpened

HEIGHT, WIDTH = 120, 160


def box(top, bottom, left, right):
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


COW, OTHER = box(30, 70, 40, 80), box(30, 70, 80, 120)  # they touch
PAINTED = np.where((COW | OTHER)[..., None], np.uint8(200), np.uint8(10)) * np.ones(3, np.uint8)


def by_color(crop):
    """Everything bright is the animal, the neighbor's too."""
    return (crop[0] > 0).astype(np.float32) - 0.5


def proposed(*masks):
    return [Instance(str(n), "cow", parts_of_mask(m), score=0.5) for n, m in enumerate(masks)]


def masks_of(instances):
    return [mask_of_parts(one.parts, HEIGHT, WIDTH) for one in instances]


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_a_rough_outline_becomes_the_animal():
    lone = np.where(COW[..., None], np.uint8(200), np.uint8(10)) * np.ones(3, np.uint8)
    (made,) = sharpened(by_color, lone, proposed(box(33, 66, 36, 78)))
    assert iou(masks_of([made])[0], COW) > 0.97
    assert (made.id, made.category, made.score) == ("0", "cow", 0.5)


def test_neighbors_keep_what_they_had_and_share_no_pixel():
    rough = [box(34, 66, 44, 80), box(34, 66, 80, 116)]
    first, second = masks_of(sharpened(by_color, PAINTED, proposed(*rough)))
    assert not (first & second).any()
    assert (first & rough[1]).sum() < 40  # but for what the outline's simplifying rounds off
    assert iou(second, OTHER) > 0.85


def test_what_would_be_another_animal_stays_as_it_was():
    def everything_else(crop):
        return np.roll(crop[3] < 0.5, 3, axis=1).astype(np.float32) - 0.5

    def nothing(crop):
        return crop[0] * 0 - 1

    for answer in (everything_else, nothing):
        (made,) = sharpened(answer, PAINTED, proposed(COW))
        np.testing.assert_array_equal(masks_of([made])[0], COW)


def test_no_animal_no_work():
    assert sharpened(by_color, PAINTED, []) == ()


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_as_many_come_out_in_their_order_inside_the_image(data):
    def rough():
        top, left = data.draw(st.integers(0, 110)), data.draw(st.integers(0, 150))
        bottom = data.draw(st.integers(top + 1, HEIGHT))
        return box(top, bottom, left, data.draw(st.integers(left + 1, WIDTH)))

    before = proposed(*(rough() for _ in range(data.draw(st.integers(0, 5)))))
    after = sharpened(by_color, PAINTED, before)
    assert [one.id for one in after] == [one.id for one in before]
    assert all(mask.any() for mask in masks_of(after))
