"""The click tool: what clicks, boxes, scribbles and drags make of animals, and when they do not.

The server is the product's; in place of the refiner a threshold answers, at once or when it may.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.click_engines import RefinerEngine
from data_io.errors import DataError
from data_io.geometry import mask_of_parts, parts_of_mask
from data_io.store import Store
from data_io.types import Instance, Proposal

pytestmark = pytest.mark.browser
MIDDLES = ((150, 130), (420, 130), (300, 290))  # of the animals of the first frame


class Bright:
    """Says that bright is animal; waits while `go` is clear, fails while `error` is set."""

    def __init__(self) -> None:
        self.go, self.begun = threading.Event(), threading.Event()
        self.go.set()
        self.error: Exception | None = None

    def __call__(self, crop: Any) -> Any:
        self.begun.set()
        assert self.go.wait(60)
        if self.error:
            raise self.error
        return (crop[0] > 0).astype(np.float32) - 0.5


@pytest.fixture
def store(tmp_path: Path, frames_project: Path) -> Iterator[Store]:
    with Store.open(shutil.copytree(frames_project, tmp_path / "project")) as opened:
        for record in opened.images():  # nothing is proposed there
            opened.put_proposal(Proposal(record.id, "v2", (), "", 0.0), [])
        yield opened


@pytest.fixture
def bright() -> Bright:
    return Bright()


@pytest.fixture
def canvas(
    store: Store, canvas_over: Any, bright: Bright, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    with canvas_over(store) as opened:
        monkeypatch.setattr(opened.assistant, "_ready", lambda: RefinerEngine(bright))
        opened.open(store.images()[0].id)
        opened.press("k")
        yield opened
        bright.go.set()


@pytest.fixture
def drawn(store: Store, canvas: Any) -> Any:
    """``drawn(revision)``: wait for it; rasters (400, 640) of its animals, oldest first."""

    def read(revision: int) -> list[Any]:
        canvas.revision(revision)
        found = store.revision(store.images()[0].id)
        return [mask_of_parts(one.parts, 400, 640) for one in found.instances]

    return read


def answered(canvas: Any) -> None:
    """Wait until no click waits."""
    canvas.page.wait_for_selector(".hm-root[data-clicks=ready]")


def iou(mask: Any, truth: Any) -> float:
    return float((mask & truth).sum() / (mask | truth).sum())


def test_a_click_outlines_an_animal_and_undo_takes_it_back(
    canvas: Any, drawn: Any, sibling_module: Any
) -> None:
    herd = sibling_module("frames_project")
    canvas.click(*MIDDLES[0])
    (animal,) = drawn(1)
    assert iou(animal, herd.truth(0)) > 0.95
    canvas.press("Control+z")
    assert drawn(2) == []
    canvas.press("Control+Shift+z")
    (again,) = drawn(3)
    assert (again == animal).all()


def test_clicks_add_and_take_away_and_each_is_undone(
    canvas: Any, drawn: Any, sibling_module: Any
) -> None:
    herd = sibling_module("frames_project")
    canvas.press("b")  # half of the animal, and ground beside it
    canvas.drag((90, 118), (150, 130))
    (half,) = drawn(1)
    canvas.press("k")
    canvas.click(190, 140)
    (more,) = drawn(2)
    assert (more & herd.truth(0)).sum() > 2 * half.sum()
    assert not (half & ~more).any()
    outside = np.argwhere(more & ~herd.truth(0))
    row, column = outside[outside[:, 1].argmin()]
    canvas.page.keyboard.down("Alt")
    canvas.click(float(column) + 0.5, float(row) + 0.5)
    canvas.page.keyboard.up("Alt")
    (less,) = drawn(3)
    assert less.sum() < more.sum()
    assert not (less & ~more).any()
    canvas.press("Control+z")
    assert (drawn(4)[0] == more).all()
    canvas.press("Control+z")
    assert (drawn(5)[0] == half).all()


def test_one_click_mends_a_proposal_all_around_it(
    canvas: Any, store: Store, drawn: Any, sibling_module: Any
) -> None:
    truth, record = sibling_module("frames_project").truth(0), store.images()[0]
    x, y = np.arange(640), np.arange(400)[:, None]
    above, below = truth & (x < 130) & (y < 115), truth & (x < 130) & (y > 130)
    left = parts_of_mask(truth & ~above & ~below)
    proposed = Instance("p", store.categories()[0].id, left, "model", "v3", 0.9)
    store.put_proposal(Proposal(record.id, "v3", (proposed,), "", 0.5), [])
    canvas.open(store.images()[1].id)
    canvas.open(record.id)
    canvas.press("k")
    canvas.click(*MIDDLES[0])  # chooses it
    row, column = np.argwhere(above)[above.sum() // 2]
    for revision in (1, 3):  # undone, it is a proposal again
        canvas.click(float(column) + 0.5, float(row) + 0.5)
        (mended,) = drawn(revision)
        assert iou(mended, truth) > 0.95
        canvas.press("Control+z")
        canvas.revision(revision + 1)
    canvas.press("b")  # who has painted at it vouches for what is there
    canvas.drag((200, 150), (205, 150))
    canvas.revision(5)
    canvas.press("k")
    canvas.click(float(column) + 0.5, float(row) + 0.5)
    (stretch,) = drawn(6)
    assert (stretch & above).sum() > 0.8 * above.sum()
    assert (stretch & below).sum() < 0.2 * below.sum()


def test_a_box_and_a_scribble_outline_animals(canvas: Any, drawn: Any, sibling_module: Any) -> None:
    herd = sibling_module("frames_project")
    canvas.drag((70, 80), (230, 185))
    canvas.revision(1)
    canvas.page.keyboard.down("Shift")
    canvas.drag((380, 148), (460, 112))
    canvas.page.keyboard.up("Shift")
    first, second = drawn(2)
    assert iou(first, herd.truth(0)) > 0.9
    assert iou(second, herd.truth(1)) > 0.8  # its hull
    canvas.press("Control+z")
    assert len(drawn(3)) == 1
    canvas.press("Control+z")
    assert drawn(4) == []


def test_a_drag_between_animals_merges_and_one_across_splits(canvas: Any, drawn: Any) -> None:
    for middle in MIDDLES[:2]:
        canvas.click(*middle)
        answered(canvas)
    one, other = drawn(2)
    canvas.drag(MIDDLES[0], MIDDLES[1])
    (both,) = drawn(3)
    assert (both == (one | other)).all()
    canvas.press("Control+z")
    assert len(drawn(4)) == 2
    canvas.press("Escape")
    canvas.page.keyboard.down("Alt")
    canvas.drag((150, 40), (150, 220))
    canvas.page.keyboard.up("Alt")
    assert len(drawn(5)) == 3
    canvas.press("Control+z")
    assert len(drawn(6)) == 2


def test_fast_clicks_are_answered_in_order_each_for_its_animal(
    canvas: Any, drawn: Any, bright: Bright, sibling_module: Any
) -> None:
    herd = sibling_module("frames_project")
    bright.go.clear()
    for middle in MIDDLES:
        canvas.click(*middle)
    assert canvas.read("h.state.marks.length") == 3
    bright.go.set()
    answered(canvas)
    canvas.saved()
    found = drawn(canvas.read("h.session.revision"))
    assert [max(iou(one, herd.truth(k)) for one in found) > 0.95 for k in range(3)] == [True] * 3
    assert len(found) == 3


def test_a_click_on_an_animal_selects_it_and_a_stray_one_changes_nothing(
    canvas: Any, drawn: Any
) -> None:
    for middle in MIDDLES[:2]:
        canvas.click(*middle)
        answered(canvas)
    before = drawn(2)
    canvas.click(*MIDDLES[0])
    first = canvas.read("h.session.instances[0].id")
    assert canvas.read("h.state.selected") == first
    canvas.click(160, 140)
    canvas.says("right there already")
    canvas.click(600, 380)  # far from everything: a new animal, which is not there
    canvas.says("No animal was found there")
    assert canvas.read("h.session.unsaved") is False
    assert all((a == b).all() for a, b in zip(before, drawn(2), strict=True))


def test_an_image_that_is_left_takes_no_late_answer(
    canvas: Any, store: Store, bright: Bright
) -> None:
    first, second = (record.id for record in store.images()[:2])
    bright.go.clear()
    canvas.click(*MIDDLES[0])
    assert bright.begun.wait(60)
    canvas.press("n")
    canvas.says("The image was left before a click was answered")
    canvas.page.wait_for_function(
        "(id) => { const now = document.querySelector('.hm-root').dataset.ready;"
        " return now && now !== id }",
        arg=first,
    )
    bright.go.set()
    canvas.click(600, 30)
    canvas.says("No animal was found there")  # the answer after the late one is here
    assert canvas.read("h.session.instances.filter(({ proposed }) => !proposed).length") == 0
    assert store.revision(first) is None
    assert store.revision(second) is None


def test_nobody_vouches_for_an_image_while_a_click_waits(
    canvas: Any, store: Store, bright: Bright
) -> None:
    bright.go.clear()
    canvas.click(*MIDDLES[0])
    canvas.press("Shift+Enter")
    canvas.says("A click is still being answered")
    bright.go.set()
    answered(canvas)
    assert canvas.saved() == 1
    revision = store.revision(store.images()[0].id)
    assert (len(revision.instances), revision.verified) == (1, ())


def test_undo_drops_the_click_that_waits_and_nothing_else(
    canvas: Any, drawn: Any, bright: Bright
) -> None:
    canvas.click(*MIDDLES[0])
    (animal,) = drawn(1)
    bright.go.clear()
    canvas.click(*MIDDLES[1])
    canvas.press("Control+z")
    canvas.says("Dropped the clicks that waited")
    bright.go.set()
    canvas.click(600, 380)
    canvas.says("No animal was found there")
    assert (drawn(1)[0] == animal).all()
    canvas.press("Control+z")
    assert drawn(2) == []


def test_a_late_answer_leaves_the_selection_and_a_stroke_alone(
    canvas: Any, drawn: Any, bright: Bright
) -> None:
    for middle in MIDDLES[:2]:
        canvas.click(*middle)
        answered(canvas)
    drawn(2)
    first = canvas.read("h.session.instances[0].id")
    canvas.press("Escape")
    bright.go.clear()
    canvas.click(*MIDDLES[2])
    canvas.click(*MIDDLES[0])  # selects it
    assert canvas.read("h.state.selected") == first
    canvas.press("b")
    canvas.page.mouse.move(*canvas.at(*MIDDLES[0]))
    canvas.page.mouse.down()
    canvas.page.mouse.move(*canvas.at(150, 40), steps=4)
    bright.go.set()
    canvas.waits("h.editor.clicker.waiting.length === 1")
    canvas.page.mouse.up()
    answered(canvas)
    canvas.saved()
    assert canvas.read("h.state.selected") == first
    masks = drawn(canvas.read("h.session.revision"))
    assert len(masks) == 3
    assert max(mask[45, 150] for mask in masks)  # the stroke is there


def test_escape_drops_the_clicks_that_wait(canvas: Any, bright: Bright) -> None:
    bright.go.clear()
    canvas.click(*MIDDLES[0])
    canvas.click(*MIDDLES[1])
    canvas.press("Escape")
    canvas.says("Dropped the clicks that waited")
    assert canvas.read("h.state.marks.length") == 0
    bright.go.set()
    canvas.click(600, 380)
    canvas.says("No animal was found there")
    assert canvas.read("h.session.instances.filter(({ proposed }) => !proposed).length") == 0


def test_what_goes_wrong_is_one_sentence_and_the_next_click_works(
    canvas: Any, drawn: Any, bright: Bright
) -> None:
    bright.error = DataError("refiner.onnx", "cannot be read", "delete it")
    canvas.click(*MIDDLES[0])
    canvas.says("refiner.onnx: cannot be read")
    bright.error = None
    canvas.click(*MIDDLES[0])
    assert len(drawn(1)) == 1


def test_keys_alone_click(canvas: Any, drawn: Any, sibling_module: Any) -> None:
    herd = sibling_module("frames_project")
    canvas.press("ArrowLeft")
    start = canvas.read("h.state.crosshair")
    canvas.read("h.editor.update({ crosshair: [300, 290] })")
    assert start is not None
    canvas.press("Enter")
    assert iou(drawn(1)[0], herd.truth(2)) > 0.95
