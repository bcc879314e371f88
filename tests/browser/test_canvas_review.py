"""The review flow, copies, carrying over and attributes, over the real routes and a real store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.workflow.exports import Options, export_labels
from data_io.geometry import mask_of_parts
from data_io.store import Store
from tests.browser.conftest import expect

pytestmark = pytest.mark.browser


class Frames:
    """The project behind the canvas: its store, and the ids of its frames in order."""

    def __init__(self, store: Store, ids: list[str], module: Any) -> None:
        self.store, self.ids, self.module = store, ids, module

    def masks(self, image: str) -> list[np.ndarray[Any, Any]]:
        """Rasters of the newest revision's instances."""
        revision = self.store.revision(image)
        size = self.module.HEIGHT, self.module.WIDTH
        return [mask_of_parts(one.parts, *size) for one in revision.instances] if revision else []

    def verified(self, image: str) -> np.ndarray[Any, Any]:
        """Raster of the verified area."""
        revision = self.store.revision(image)
        parts = revision.verified if revision else ()
        return mask_of_parts(parts, self.module.HEIGHT, self.module.WIDTH)

    def states(self, image: str) -> list[str]:
        """States of the image's regions, surest doubt first."""
        return [region.state for region in self.store.regions(image)]


def iou(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.fixture
def frames(tmp_path: Path, frames_project: Path, sibling_module: Any) -> Iterator[Frames]:
    with Store.open(shutil.copytree(frames_project, tmp_path / "project")) as store:
        ids = [one.id for one in sorted(store.images(), key=lambda one: one.coco_id)]
        yield Frames(store, ids, sibling_module("frames_project"))


@pytest.fixture
def canvas(frames: Frames, canvas_over: Any) -> Iterator[Any]:
    with canvas_over(frames.store) as opened:
        yield opened


def test_regions_are_answered_taken_back_and_the_next_image_follows(
    canvas: Any, frames: Frames
) -> None:
    a, b, _ = frames.ids  # the queue begins with the last one
    canvas.open(a)
    canvas.page.locator(".hc-left", has_text="0 of 3 images · 9 regions left").wait_for()
    expect(canvas.page.locator(".hc-strip button")).to_have_count(6)
    expect(canvas.page.locator(".hc-strip .hc-ahead")).to_have_count(3)
    canvas.press("]")
    scale = canvas.read("h.editor.view.scale")
    assert scale > 2 * canvas.read("h.editor.view.fitScale()")  # zoomed to the region
    canvas.press("a")
    canvas.page.wait_for_selector(".hc-regions [aria-current] >> text=may touch")
    assert frames.states(a) == ["accepted", "open", "open"]
    assert [one.id for one in frames.store.revision(a).instances] == [f"{a}-p0"]
    assert frames.verified(a)[125, 210]

    canvas.press("Control+z")  # the area is verified no longer, the animal stays as a draft
    canvas.says("open again")
    canvas.saved()
    assert frames.states(a) == ["open", "open", "open"]
    assert not frames.verified(a).any()
    assert len(frames.masks(a)) == 1
    canvas.press("Control+Shift+z")
    canvas.page.wait_for_selector(".hc-regions [data-state=accepted]")
    canvas.saved()
    assert frames.states(a) == ["accepted", "open", "open"]
    assert frames.verified(a).sum() == 1200

    canvas.press("r")  # not an animal: the second proposal goes, the ground is verified
    canvas.page.wait_for_selector(".hc-regions [aria-current] >> text=may be missing")
    revision = frames.store.revision(a)
    assert (revision.rejected, len(revision.instances)) == ((f"{a}-p1",), 1)
    assert frames.verified(a)[170, 420]
    assert frames.states(a) == ["accepted", "fixed", "open"]

    canvas.press("s")  # that was the last one: on to the next image, straight to its first region
    canvas.ready(b)
    canvas.page.wait_for_selector(".hc-regions [aria-current] >> text=unclear")
    assert frames.states(a) == ["accepted", "fixed", "skipped"]
    canvas.press("p")
    canvas.ready(a)
    canvas.press("Control+z")  # one step: the region is open and the animal is back, as a draft
    canvas.says("open again")
    canvas.saved()
    assert frames.states(a) == ["accepted", "open", "skipped"]
    assert len(frames.masks(a)) == 2


def test_where_none_is_missing_those_beside_it_stay(canvas: Any, frames: Frames) -> None:
    a, herd = frames.ids[0], frames.module
    old, places = frames.store.proposal(a), herd.regions(a, 0)
    near = replace(places[0], kind="possible miss")  # reaches into the first animal
    frames.store.put_proposal(old, [near, *places[1:]])
    canvas.open(a)
    canvas.press("]", "r")
    canvas.says("Region accepted")
    assert frames.states(a) == ["accepted", "open", "open"]
    assert [one.id for one in frames.store.revision(a).instances] == [f"{a}-p0"]


def test_a_region_without_an_edit_is_not_fixed(canvas: Any, frames: Frames) -> None:
    a = frames.ids[0]
    canvas.open(a)
    canvas.press("]", "x")
    canvas.says("Nothing was changed here yet")
    assert frames.states(a) == ["open", "open", "open"]
    canvas.click(210, 125)
    canvas.press("2", "x")
    canvas.says("Region fixed")
    assert frames.states(a) == ["fixed", "open", "open"]


@pytest.mark.long
def test_of_several_proposals_the_selected_one_is_none(canvas: Any, frames: Frames) -> None:
    a, herd = frames.ids[0], frames.module
    old = frames.store.proposal(a)
    twin = replace(old.instances[0], id=f"{a}-twin", parts=herd.oval(0, 0, 24, grow=-12.0))
    frames.store.put_proposal(replace(old, instances=(*old.instances, twin)), herd.regions(a, 0))
    canvas.open(a)
    canvas.press("]", "r")
    canvas.says("Several animals reach into the region")
    assert frames.states(a) == ["open", "open", "open"]
    canvas.click(200, 130)  # the twin is on top
    canvas.press("r")
    canvas.page.wait_for_selector(".hc-regions [aria-current] >> text=may touch")
    revision = frames.store.revision(a)
    assert [one.id for one in revision.instances] == [f"{a}-p0"]
    assert revision.rejected == (f"{a}-twin",)
    canvas.press("]", "r")  # no animal reaches in: the ground is verified
    canvas.page.wait_for_selector(".hc-regions li:nth-child(3) [data-state=accepted]")
    assert frames.verified(a)[315, 520]
    assert len(frames.masks(a)) == 1


def test_where_animals_meet_one_key_says_that_they_are_one(canvas: Any, frames: Frames) -> None:
    a, herd = frames.ids[0], frames.module
    old = frames.store.proposal(a)
    left, right, apart = herd.box(180, 110, 60, 40), herd.box(240, 110, 60, 40), old.instances[1]
    halves = [
        replace(old.instances[0], id=f"{a}-{name}", parts=parts)
        for name, parts in (("left", left), ("right", right))
    ]
    first, second, third = herd.regions(a, 0)
    meeting = herd.box(225, 115, 30, 30)
    question = replace(
        first, kind="split or merge", parts=meeting, box=(225, 115, 30, 30), reason="Animals meet"
    )
    frames.store.put_proposal(replace(old, instances=(*halves, apart)), [question, second, third])
    canvas.open(a)
    one = canvas.page.locator(".hc-answers [aria-label='One animal']")
    canvas.press("]")
    one.wait_for()
    canvas.press("m")
    canvas.page.wait_for_selector(".hc-regions [aria-current] >> text=may touch")
    expect(one).to_be_hidden()  # no question of that kind
    assert frames.states(a) == ["fixed", "open", "open"]
    assert frames.verified(a).sum() == 900
    (whole,) = frames.masks(a)
    assert (whole == mask_of_parts(herd.box(180, 110, 120, 40), 400, 640)).all()
    canvas.press("Control+z")  # both are back, and the question is open
    canvas.says("open again")
    canvas.saved()
    assert frames.states(a) == ["open", "open", "open"]
    assert len(canvas.read("h.session.instances")) == 3
    canvas.press("Escape", "]", "]", "m")  # elsewhere the key merges what is selected
    canvas.says("Select two or more animals")


def test_an_accepted_image_can_be_taken_back(canvas: Any, frames: Frames) -> None:
    a, b, _ = frames.ids
    canvas.open(a)
    canvas.click(150, 130)
    canvas.press("o", "Control+z", "]", "a")
    canvas.page.wait_for_selector(".hc-regions [aria-current] >> text=may touch")
    canvas.press("Control+Shift+z")
    canvas.says("Nothing to redo")  # an answer starts a new branch, as any edit does
    canvas.press("Shift+Enter")
    canvas.ready(b)
    assert frames.verified(a).all()
    canvas.page.wait_for_selector(".hc-regions [aria-current]")  # the review goes on here
    canvas.page.locator(".hc-left", has_text="1 of 3 images").wait_for()
    canvas.press("p")  # where one came from, though it has left the queue
    canvas.ready(a)
    canvas.kept()
    canvas.open(a)  # the page is loaded anew, and what was answered can still be undone
    canvas.press("Control+z")
    canvas.page.wait_for_selector(".hc-status[data-status=partial]")
    canvas.saved()
    assert frames.verified(a).sum() == 1200
    assert frames.states(a) == ["accepted", "open", "open"]
    assert len(frames.masks(a)) == 2


@pytest.mark.long
def test_the_filter_and_the_strip_lead_to_regions(canvas: Any, frames: Frames) -> None:
    b, c, a = frames.ids  # the queue begins with the last one
    canvas.open(a)
    canvas.page.locator("[aria-label='Review only regions of a kind']").select_option(
        "possible miss"
    )
    expect(canvas.page.locator(".hc-regions .hc-row")).to_have_count(1)
    canvas.press("]")
    canvas.page.wait_for_selector(".hc-regions [aria-current] >> text=may be missing")
    expect(canvas.page.locator(".hc-strip button")).to_have_count(3)
    canvas.press("a")  # the last one of this kind
    canvas.ready(b)
    canvas.page.wait_for_selector(".hc-regions [aria-current] >> text=may be missing")
    assert frames.states(a) == ["open", "open", "accepted"]
    canvas.page.locator("[aria-label='Review only regions of a kind']").select_option("")
    canvas.page.locator(".hc-strip .hc-ahead").last.click()
    canvas.ready(c)
    canvas.page.wait_for_selector(".hc-regions [aria-current]")


def test_copies_go_beside_the_original_and_to_other_images(canvas: Any, frames: Frames) -> None:
    a, b, _ = frames.ids
    canvas.open(a)
    canvas.click(150, 130)
    canvas.press("o", "Control+c", "Control+v")
    canvas.saved()
    first, copy = frames.store.revision(a).instances
    one, other = (mask_of_parts(x.parts, 400, 640) for x in (first, copy))
    assert one.sum() == pytest.approx(other.sum(), rel=0.01)
    assert 0.3 < iou(one, other) < 0.95  # beside it, so that it is seen
    assert dict(copy.attributes) == {"occluded": True}
    canvas.press("Control+d", "Control+z", "Control+z")
    canvas.saved()
    assert len(frames.masks(a)) == 1
    canvas.press("n")
    canvas.ready(b)
    canvas.press("Control+v")
    canvas.saved()
    pasted = frames.store.revision(b).instances[0]
    assert iou(one, mask_of_parts(pasted.parts, 400, 640)) == 1
    canvas.press("Control+x")
    canvas.saved()
    assert frames.masks(b) == []


def test_animals_are_carried_over_along_their_motion(canvas: Any, frames: Frames) -> None:
    a, b, c = frames.ids
    canvas.open(a)
    canvas.press("Shift+N")
    canvas.ready(b)
    canvas.says("0 animals carried over; 2 skipped")  # both are proposed there, where they went
    canvas.press("p")
    canvas.ready(a)
    canvas.press("d")
    for x, y in frames.module.oval(2, 0, 12)[0].outer:
        canvas.click(x, y)
    canvas.press("Enter", "v", "Shift+N")
    canvas.ready(b)
    canvas.says("1 animal carried over; moved by up to 19 px")
    canvas.saved()
    (mask,) = frames.masks(b)
    assert iou(mask, frames.module.truth(2, 1)) > 0.93
    assert frames.store.revision(b).verified == ()
    canvas.press("Shift+N")
    canvas.ready(c)
    canvas.revision(1)
    assert iou(frames.masks(c)[0], frames.module.truth(2, 2)) > 0.93
    canvas.press("Control+z")
    canvas.saved()
    assert frames.masks(c) == []
    canvas.press("Shift+N")
    canvas.says("last frame of its group")


def test_attributes_and_categories_are_stored_and_exported(
    canvas: Any, frames: Frames, tmp_path: Path
) -> None:
    a = frames.ids[0]
    canvas.open(a)
    canvas.click(150, 130)
    canvas.press("o", "t")
    canvas.page.get_by_label("Note").fill("limps")
    canvas.page.keyboard.press("Control+z")  # the text's own undo, not the picture's
    canvas.page.get_by_label("Note").fill("limps, left fore")
    canvas.page.keyboard.press("Enter")
    canvas.press("c")
    canvas.page.keyboard.type("breed 12")
    canvas.press("Enter")
    canvas.saved()
    (one,) = frames.store.revision(a).instances
    names = frames.store.category_names()
    assert dict(one.attributes) == {
        "occluded": True, "truncated": True, "note": "limps, left fore",
    }  # fmt: skip
    assert names[one.category] == "breed 12"
    canvas.press("t")
    canvas.saved()
    assert "truncated" not in frames.store.revision(a).instances[0].attributes
    canvas.press("Control+z", "2")
    canvas.saved()
    (one,) = frames.store.revision(a).instances
    assert one.attributes["truncated"] is True
    assert names[one.category] == "calf"
    export_labels(frames.store, tmp_path / "coco.json", Options(format="coco"))
    (written,) = json.loads((tmp_path / "coco.json").read_text())["annotations"]
    said = {name: written["attributes"][name] for name in ("occluded", "truncated", "note")}
    assert said == dict(one.attributes)


def test_pace_and_meeting_regions(canvas: Any, frames: Frames) -> None:
    canvas.page.goto(f"{canvas.url}herdmark-static/outlook.js")
    script = """async () => {
      const { pace } = await import('/herdmark-static/outlook.js');
      const { partsMeet } = await import('/herdmark-static/meet.js');
      const box = (x, y, w, h) => [{ outer: [x, y, x + w, y, x + w, y + h, x, y + h], holes: [] }];
      const ring = [{ ...box(0, 0, 90, 90)[0], holes: [box(20, 20, 50, 50)[0].outer] }];
      const slow = [4000, 900000, 5000, 6000]; // fifteen minutes: that was a pause
      return [[pace(slow), pace([1, 2]), pace([...Array(30).fill(9000), ...Array(20).fill(2000)])],
        [partsMeet(box(0, 0, 9, 9), box(5, 5, 9, 9)), partsMeet(box(0, 0, 9, 9), box(12, 0, 9, 9)),
         partsMeet(box(0, 40, 90, 9), box(40, 0, 9, 90)), partsMeet(ring, box(30, 30, 9, 9)),
         partsMeet(ring, box(30, 30, 50, 9)), partsMeet(box(3, 3, 2, 2), box(0, 0, 9, 9))]]; }"""
    paces, meet = canvas.page.evaluate(script)
    assert paces == [5000, None, 2000]
    assert meet == [True, False, True, False, True, True]
