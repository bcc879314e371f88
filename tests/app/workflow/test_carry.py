from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from app.workflow import carry
from app.workflow.carry import Shift, best_shift
from data_io.errors import DataError
from data_io.geometry import parts_to_json
from data_io.images import inspect
from data_io.store import NewImage, Store
from data_io.types import Part

WIDTH, HEIGHT = 160, 120
BOX = (40, 30, 36, 24)  # x, y, width, height of the animal in the first frame


def rectangle(x, y, width, height):
    corners = [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]
    return (Part(np.array(corners, float)),)


def frame(dx, dy, seed=0):
    """Ground that stands still, an animal with a coat of its own that has moved."""
    gray = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH), np.uint8)
    x, y, w, h = BOX
    coat = np.random.default_rng(7).integers(0, 255, (h, w), np.uint8)
    left, top = x + dx, y + dy
    gray[max(top, 0) : top + h, max(left, 0) : left + w] = coat[max(-top, 0) :, max(-left, 0) :][
        : HEIGHT - top, : WIDTH - left
    ]
    return gray


@pytest.fixture
def store(tmp_path):
    """Three frames of a camera (8, 9, 10) and one of another; the animal walks 11, 6 a frame."""
    with Store.open(tmp_path / "project") as opened:
        for name, step, group in (("10", 2, "n"), ("8", 0, "n"), ("9", 1, "n"), ("11", 3, "s")):
            file = tmp_path / f"frame{name}.png"
            Image.fromarray(frame(11 * step, 6 * step)).convert("RGB").save(file)
            info = inspect(file)
            opened.add_images([NewImage(info.path, info.width, info.height, info.sha256, group)])
        opened.add_category("cow")
        yield opened


def named(store, name):
    return next(one.id for one in store.images() if one.path.endswith(f"frame{name}.png"))


def row(store, parts, **more):
    cow = store.categories()[0].id
    return {"id": "x", "category": cow, "parts": parts_to_json(parts), **more}


def body(store, parts, **more):
    return {"source": named(store, "8"), "instances": [row(store, parts)], **more}


def test_the_next_frame_is_the_next_number_of_the_group(store):
    order = [named(store, name) for name in ("8", "9", "10")]
    assert [getattr(carry.following(store, one), "id", None) for one in order] == [*order[1:], None]
    assert carry.following(store, named(store, "11")) is None


@pytest.mark.parametrize("move", [(0, 0), (13, -9), (-22, 17)])
def test_a_motion_is_found_to_the_pixel(move):
    assert best_shift(frame(0, 0), frame(*move), rectangle(*BOX)) == Shift(*move, 1.0)


def test_the_ground_that_stands_still_does_not_win(store):
    """The outline has more ground than animal in its box, but only the animal's pixels count."""
    ring = np.array([[40, 30], [76, 30], [40, 54]], float)
    found = best_shift(frame(0, 0), frame(12, 5), (Part(ring),))
    assert (found.x, found.y) == (12, 5)


def test_what_is_not_found_again_stays_where_it_was():
    found = best_shift(frame(0, 0), frame(0, 0, seed=1)[::-1].copy(), rectangle(*BOX))
    assert (found.x, found.y) == (0, 0)
    assert found.confidence < carry.SURE
    flat = np.full((HEIGHT, WIDTH), 90, np.uint8)
    assert best_shift(flat, flat, rectangle(*BOX)) == Shift(0, 0, 0.0)


def test_a_large_animal_is_found_to_the_pixel_too():
    rng = np.random.default_rng(3)
    small = rng.integers(0, 255, (40, 60), np.uint8)
    big = np.asarray(Image.fromarray(small).resize((900, 600), Image.Resampling.BICUBIC))
    found = best_shift(big, np.roll(big, (20, 36), (0, 1)), rectangle(300, 200, 300, 200))
    assert found.confidence > 0.95
    assert (found.x, found.y) == (36, 20)


def test_carrying_over_follows_the_animal_and_stores_nothing(store):
    target = named(store, "9")
    answer = carry.carry(store, target, body(store, rectangle(*BOX), follow=True))
    (placed,) = answer["instances"]
    assert (placed["shift"], placed["confidence"], placed["index"]) == ([11, 6], 1.0, 0)
    assert placed["parts"][0]["outer"][:2] == [51, 36]
    assert store.revision(target) is None
    stays = carry.carry(store, target, body(store, rectangle(*BOX), follow=False))["instances"][0]
    assert (stays["shift"], stays["confidence"]) == ([0, 0], None)
    assert stays["parts"][0]["outer"][:2] == [40, 30]


def test_an_animal_that_is_there_already_is_skipped(store):
    there = [row(store, rectangle(53, 38, 36, 24))]
    answer = carry.carry(
        store, named(store, "9"), body(store, rectangle(*BOX), follow=True, present=there)
    )
    assert (answer["instances"], answer["skipped"], answer["lost"]) == ([], 1, 0)


def test_an_animal_leaves_a_smaller_picture(store, tmp_path):
    small = tmp_path / "small.png"
    Image.fromarray(frame(0, 0)[:28, :30]).convert("RGB").save(small)
    info = inspect(small)
    image = store.add_images([NewImage(info.path, 30, 28, info.sha256, "n")])[0].id
    answer = carry.carry(store, image, body(store, rectangle(*BOX), follow=True))
    assert (answer["instances"], answer["skipped"], answer["lost"]) == ([], 0, 1)
    (cut,) = carry.carry(store, image, body(store, rectangle(10, 10, 40, 9)))["instances"]
    assert max(cut["parts"][0]["outer"][::2]) == 30


def test_nonsense_is_refused_in_words(store):
    target = named(store, "9")
    for wrong in ({}, {"source": 3}, {"source": named(store, "8"), "instances": "x"}):
        with pytest.raises(DataError, match="reload the image"):
            carry.carry(store, target, wrong)
