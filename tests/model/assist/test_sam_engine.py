"""A pair that answers as the refiner does, played by hand."""

from __future__ import annotations

import numpy as np
import pytest

from data_io.geometry import mask_of_parts, parts_of_mask
from model.assist.clicks import Click
from model.assist.sam import Answered, Embedding
from model.assist.sam_engine import Embeddings, change, in_box, through

HEIGHT, WIDTH = 60, 80


def box(top, bottom, left, right):
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


COW = box(10, 40, 20, 60)
SEEN = Embedding({"image_embeddings": np.zeros(256, np.float32)}, HEIGHT, WIDTH)
IMAGE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


class Pair:
    """Answers one mask, and remembers what it was asked."""

    def __init__(self, mask=COW):
        self.mask, self.asked, self.embedded = mask, [], 0

    def embed(self, image):
        self.embedded += 1
        return SEEN

    def logits_of(self, mask):
        return mask

    def answer(self, seen, clicks, box=None, before=None):
        self.asked.append((clicks, box, before))
        return Answered(self.mask, np.zeros((256, 256), np.float32))


def raster(parts):
    return mask_of_parts(parts, HEIGHT, WIDTH) if parts else np.zeros_like(COW)


def test_a_first_click_takes_the_piece_under_it():
    pair = Pair(COW | box(50, 55, 0, 10))
    made = change(pair, SEEN, (), [Click(30.5, 20.5, True)], free=True)
    np.testing.assert_array_equal(raster(made.added), COW)
    assert made.removed == ()
    assert pair.asked[0][2] is None


def test_an_outline_that_a_person_vouches_for_changes_where_the_click_is_alone():
    half, hump = COW & (np.arange(WIDTH) < 40), box(6, 10, 22, 30)
    before, click = parts_of_mask(half | hump), [Click(50.5, 20.5, True)]
    pair = Pair()
    made = change(pair, SEEN, before, click, free=False)
    np.testing.assert_array_equal(pair.asked[0][2], half | hump)
    np.testing.assert_array_equal(raster(made.added) | half, COW)
    assert made.removed == ()
    made = change(Pair(), SEEN, before, click, free=True)
    np.testing.assert_array_equal(raster(made.added) | half, COW)
    np.testing.assert_array_equal(raster(made.removed), hump)


@pytest.mark.parametrize("free", [True, False])
def test_a_click_that_says_what_the_outline_says_asks_nobody(free):
    pair = Pair(box(12, 20, 22, 30))
    assert change(pair, SEEN, parts_of_mask(COW), [Click(30.5, 30.5, True)], free) == ((), ())
    assert pair.asked == []


def test_a_click_outside_the_image_says_nothing():
    pair = Pair()
    assert change(pair, SEEN, (), [Click(-3, 5, True)], free=True) == ((), ())
    assert pair.asked == []


def test_boxes_and_points_are_told_as_far_as_they_lie_in_the_image():
    pair = Pair()
    np.testing.assert_array_equal(raster(in_box(pair, SEEN, (70, 50, -10, 5))), COW)
    assert pair.asked[0][1] == (0.0, 5, 70, 50)
    assert in_box(pair, SEEN, (90, 0, 99, 9)) == ()
    assert raster(through(pair, SEEN, [(30, 20), (500, 1)])).any()
    assert pair.asked[1][0] == [Click(30, 20, True)]
    assert through(pair, SEEN, [(500, 1)]) == ()


@pytest.mark.parametrize(("limit", "kept"), [(1, ["c"]), (2 * 1024, ["b", "c"]), (9999, [*"abc"])])
def test_the_newest_embeddings_are_kept_up_to_the_limit(limit, kept):
    pair = Pair()
    embeddings = Embeddings(pair, limit)
    for key in "abc":
        embeddings.of(key, IMAGE)
        embeddings.of(key, IMAGE)
    assert pair.embedded == 3
    assert [key for key in "abc" if key in embeddings] == kept
