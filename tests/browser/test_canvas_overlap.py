"""The overlap switch: who keeps the ground that one animal gains from another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from data_io.geometry import mask_of_parts, parts_of_json

pytestmark = pytest.mark.browser
Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]  # x0, y0, x1, y1
LEFT: Box = (450, 60, 480, 80)
BELOW: Box = (450, 100, 480, 120)
RIGHT: Box = (500, 55, 540, 125)


def square(box: Box) -> Mask:
    """(400, 640) bool raster of a box."""
    x0, y0, x1, y1 = box
    ring = [x0, y0, x1, y0, x1, y1, x0, y1]
    return mask_of_parts(parts_of_json([{"outer": ring, "holes": []}]), 400, 640)


def draw(canvas: Any, box: Box) -> None:
    """A new animal of four clicks."""
    x0, y0, x1, y1 = box
    canvas.press("Escape", "d")
    for point in ((x0, y0), (x1, y0), (x1, y1), (x0, y1)):
        canvas.click(*point)
    canvas.press("Enter")


def middle(box: Box) -> tuple[float, float]:
    """Where to click it."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def newest(after: dict[str, Mask], before: dict[str, Mask]) -> list[Mask]:
    """Rasters of what is new, in drawing order."""
    return [mask for name, mask in after.items() if name not in before]


def test_overlap_is_left_to_others_or_taken_from_them(canvas: Any, stored: Any) -> None:
    canvas.open("a")
    before = stored(1)
    canvas.press("q", "d")
    box = (380, 170, 440, 220)
    draw(canvas, box)
    after = stored(2)
    (spared,) = newest(after, before)
    wanted = square(box) & ~before["i4"]
    assert (spared & wanted).sum() > 0.95 * (spared | wanted).sum()
    assert not (spared & after["i4"]).any()
    assert (after["i4"] == before["i4"]).all()
    canvas.press("Control+z", "q")
    draw(canvas, box)
    after = stored(4)
    (taken,) = newest(after, before)
    assert not (taken & after["i4"]).any()
    assert ((taken | after["i4"]) >= before["i4"]).all()
    assert taken[200, 390]
    assert not after["i4"][200, 390]
    canvas.says("taken from 1 other")


def test_several_moved_animals_follow_the_switch(canvas: Any, stored: Any) -> None:
    canvas.open("a")
    scene = stored(1)
    for revision, box in enumerate((LEFT, BELOW, RIGHT), 2):
        draw(canvas, box)
        canvas.revision(revision)  # or what comes while a request is under way is one more
    drawn = stored(4)
    left, below, right = newest(drawn, scene)
    canvas.press("v", "q")
    canvas.click(*middle(LEFT))
    canvas.page.keyboard.down("Shift")
    canvas.click(*middle(BELOW))
    canvas.page.keyboard.up("Shift")
    canvas.press(*["Control+ArrowRight"] * 3)  # free ground: nothing is cut
    x, y = middle(LEFT)
    canvas.drag((x + 3, y), (x + 43, y))
    after = stored(canvas.saved())
    one, two, three = newest(after, scene)
    assert (three == right).all()
    assert not ((one | two) & right).any()
    assert 0 < one.sum() < left.sum()
    assert 0 < two.sum() < below.sum()
    assert canvas.read("h.session.undoLog.at(-1).changes.length") == 2

    canvas.press("Control+z", "q")
    canvas.drag((x + 3, y), (x + 43, y))
    canvas.says("taken from 1 other")
    after = stored(canvas.saved())
    one, two, three = newest(after, scene)
    assert (one.sum(), two.sum()) == (left.sum(), below.sum())
    assert (three == right & ~(one | two)).all()
    assert three.sum() < right.sum()


def test_copies_follow_the_switch(canvas: Any, stored: Any) -> None:
    canvas.open("a")
    scene = stored(1)
    draw(canvas, RIGHT)
    first = stored(2)
    (right,) = newest(first, scene)
    canvas.press("v", "q")
    canvas.click(*middle(RIGHT))
    canvas.press("Control+c", "Control+v")  # beside the original, which it would partly cover
    after = stored(3)
    (copy,) = newest(after, first)
    assert 0 < copy.sum() < right.sum()
    assert not (copy & right).any()
    canvas.press("Control+z", "q", "Control+v")
    canvas.says("Ground taken from 1 other")
    after = stored(5)
    whole, (copy,) = newest(after, scene)[0], newest(after, first)
    assert copy.sum() == right.sum()
    assert (whole == right & ~copy).all()

    canvas.press("Control+z", "q")
    draw(canvas, (480, 40, 590, 150))  # lies over all of it and its surroundings
    stored(7)
    canvas.press("v", "q", "Control+v")
    canvas.says("cover all the ground of 1")
    assert canvas.read("[h.session.revision, h.session.unsaved]") == [7, False]
