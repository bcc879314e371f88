"""Saves and answers that the server or the network refuses: nothing is lost, nothing is claimed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import expect

pytestmark = pytest.mark.browser

MIDDLE = (330.0, 195.0)  # the middle of the drawn rectangle i4


def category(herd: Any, identity: str = "i4", image: str = "a") -> str | None:
    """The stored category of an instance, None where it is gone."""
    found = {item["id"]: item["category"] for item in herd.documents[image]["instances"]}
    return found.get(identity)


BLOCKED = "() => !window.dispatchEvent(new Event('beforeunload', {cancelable: true}))"


def test_a_lost_server_keeps_edits_and_retries(canvas: Any, herd: Any) -> None:
    canvas.open()
    herd.offline = True
    canvas.click(*MIDDLE)
    canvas.press("2")
    expect(canvas.page.locator(".hc-save")).to_have_text("Not saved: will retry")
    assert canvas.page.evaluate(BLOCKED) is True
    canvas.press("n")
    canvas.ready("b")
    with canvas.page.expect_response(lambda reply: "/b/" in reply.url and reply.status == 503):
        canvas.click(*MIDDLE)
        canvas.press("2")
    assert herd.writes == []
    canvas.halt()  # a request of b that is under way would arrive before those of a
    herd.offline = False
    canvas.read("h.editor.queue.later()")
    canvas.revision(2)  # by itself
    assert [image for _, image, _, _ in herd.writes] == ["a", "b"]
    assert [category(herd, image=image) for image in "abc"] == ["c2", "c2", "c1"]
    assert canvas.page.evaluate(BLOCKED) is False


def elsewhere(herd: Any, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    """Another person changes instance i4 of image a (None deletes it) and adds one."""
    drawn = [item for item in herd.documents["a"]["instances"] if not item["proposed"]]
    sent = [change(dict(item)) if item["id"] == "i4" else item for item in drawn]
    fresh = {**drawn[0], "id": "f" * 32}
    kept = [item for item in (*sent, fresh) if item]
    herd.save("a", {"instances": copy.deepcopy(kept), "rejected": []})


def moved(item: dict[str, Any]) -> dict[str, Any]:
    """The instance somewhere else."""
    return {**item, "parts": [{"outer": [10, 10, 60, 10, 60, 50, 10, 50], "holes": []}]}


@pytest.mark.parametrize(
    ("choice", "stored"),
    [
        pytest.param("mine", [("c2", 260)], marks=pytest.mark.long),
        ("theirs", [("c1", 10)]),
        ("both", [("c1", 10), ("c2", 260)]),
        pytest.param("neither", [], marks=pytest.mark.long),
    ],
)
def test_a_conflict_shows_both_versions_and_asks_for_each_animal(
    canvas: Any, herd: Any, choice: str, stored: list[tuple[str, int]]
) -> None:
    canvas.open()
    elsewhere(herd, moved)
    canvas.click(*MIDDLE)
    canvas.press("2")
    canvas.state("conflict")
    dialog = canvas.page.get_by_role("dialog", name="changed elsewhere")
    expect(dialog.locator("fieldset")).to_have_count(1)  # what did not collide is no question
    expect(dialog.locator("figcaption").nth(1)).to_have_text("Theirs: cow")
    presses = ["mine", "theirs", "both", "neither"].index(choice)
    canvas.press(*["ArrowRight"] * presses, "Enter")
    base = 2 if choice == "theirs" else 3  # what the server has already is not sent again
    canvas.revision(base)
    now = herd.documents["a"]["instances"]
    assert {"i3", "f" * 32} <= {item["id"] for item in now}
    corners = [(item["category"], item["parts"][0]["outer"][0]) for item in now]
    assert [item for item in corners if item[1] in (10, 260)] == stored
    if choice != "mine":
        canvas.press("Control+z")
        canvas.revision(base + 1)
        assert category(herd) == "c2"
        assert "f" * 32 in {item["id"] for item in herd.documents["a"]["instances"]}


@pytest.mark.parametrize("mine", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_deletion_elsewhere_is_a_choice_too(canvas: Any, herd: Any, mine: bool) -> None:
    canvas.open()
    elsewhere(herd, lambda item: None)
    canvas.click(*MIDDLE)
    canvas.press("2")
    canvas.state("conflict")
    dialog = canvas.page.get_by_role("dialog")
    expect(dialog.get_by_text("Theirs: deleted")).to_be_visible()
    canvas.press("Escape")
    expect(dialog).to_be_hidden()
    canvas.state("conflict")
    assert category(herd) is None
    canvas.page.locator(".hc-save").click()
    dialog.get_by_role("button", name="All mine" if mine else "All theirs").click()
    canvas.page.wait_for_selector(".hm-root[data-save-state=saved]")
    assert category(herd) == ("c2" if mine else None)


def test_what_does_not_collide_is_merged_without_a_question(canvas: Any, herd: Any) -> None:
    canvas.open()
    elsewhere(herd, lambda item: item)
    canvas.click(*MIDDLE)
    canvas.press("2")
    canvas.says("both versions are merged")
    canvas.revision(3)
    assert category(herd) == "c2"
    assert category(herd, "f" * 32) == "c1"
    canvas.press("Control+z")
    canvas.revision(4)
    assert (category(herd), category(herd, "f" * 32)) == ("c1", "c1")  # only what one did oneself


def test_an_acceptance_does_not_cover_what_somebody_else_has_changed(
    canvas: Any, herd: Any
) -> None:
    canvas.open()
    elsewhere(herd, moved)
    canvas.press("Shift+Enter")
    canvas.says("Look at it again")
    assert herd.documents["a"]["status"] == "draft"
    canvas.press("Shift+Enter")
    canvas.ready("b")
    assert herd.documents["a"]["status"] == "verified"
    assert category(herd, "f" * 32) == "c1"


def test_an_image_is_not_verified_when_the_server_refuses(canvas: Any, herd: Any) -> None:
    canvas.open()
    herd.refusal = "The outline is too long."
    canvas.press("Shift+Enter")
    canvas.says("a.jpg: The outline is too long.")
    canvas.state("saved")  # nothing is left to send, so nothing is "not saved" either
    assert canvas.read("h.editor.walk.turn.then(() => h.session.id)") == "a"
    expect(canvas.page.locator(".hc-toast")).to_have_text("a.jpg: The outline is too long.")
    assert herd.documents["a"]["status"] == "draft"
    herd.refusal = ""
    canvas.press("Shift+Enter")
    canvas.ready("b")
    assert herd.documents["a"]["status"] == "verified"


def test_edits_behind_a_refused_answer_stay_unsaved_in_words(canvas: Any, herd: Any) -> None:
    canvas.open()
    herd.refusal = "The outline is too long."
    canvas.click(*MIDDLE)
    canvas.press("2", "]", "a")
    canvas.state("error")
    expect(canvas.page.locator(".hc-save")).to_have_text("Not saved")
    herd.refusal = ""
    canvas.press("Control+s")
    canvas.page.wait_for_selector(".hm-root[data-save-state=saved]")
    assert category(herd) == "c2"


def test_new_proposals_are_not_accepted_unseen(canvas: Any, herd: Any) -> None:
    canvas.open()
    herd.propose("a")
    canvas.press("Shift+Enter")
    canvas.says("New proposals arrived")
    assert canvas.read("h.editor.walk.turn.then(() => h.session.id)") == "a"
    assert herd.writes == []
    assert canvas.read("h.session.instances.map(({id}) => id)") == ["i3", "i4", "i9"]
    canvas.press("Shift+Enter")
    canvas.ready("b")
    assert [(route, body["version"]) for _, route, _, body in herd.writes] == [("a/accept", "v2")]


def test_an_acceptance_covers_only_what_was_there_when_it_was_pressed(
    canvas: Any, herd: Any
) -> None:
    canvas.open()
    herd.gate.clear()
    canvas.press("]", "a", "Shift+Enter")
    stored = herd.documents["a"]
    [asked, *_] = stored["regions"]
    herd.propose("a")
    stored["regions"].append(asked)
    herd.gate.set()  # the reply to the region brings the new proposals along
    canvas.says("New proposals arrived")
    assert [route for _, route, _, _ in herd.writes] == ["a/r0"]


def test_review_goes_on_when_new_proposals_replace_the_regions(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.press("]", "f")
    herd.propose("a")
    herd.gate.clear()
    canvas.click(*MIDDLE)
    canvas.press("2", "Delete", "a")  # the refused answer carries the deletion
    herd.gate.set()
    canvas.says("New proposals arrived")
    canvas.revision(3)
    assert category(herd) is None
    canvas.page.locator(".hc-regions .hc-row", has_text="A new doubt").wait_for()
    canvas.press("]", "a")
    canvas.says("Region accepted.")
    assert [item["state"] for item in herd.documents["a"]["regions"]] == ["accepted"]
    assert [route for _, route, _, _ in herd.writes] == ["a", "a", "a/r9"]
    assert canvas.read("h.editor.queue.problems.size") == 0


def test_undo_after_new_proposals_loses_no_animal(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.click(330, 110)
    canvas.press("2")
    canvas.revision(2)
    herd.propose("a")
    canvas.press("]", "a")
    canvas.says("New proposals arrived")
    canvas.press("Control+z")
    canvas.revision(3)
    assert category(herd, "i1") == "c1"


@pytest.mark.parametrize("answered", [False, True])
def test_a_lost_reply_is_no_conflict(canvas: Any, herd: Any, answered: bool) -> None:
    canvas.open()
    herd.losing = True
    canvas.click(*MIDDLE)
    canvas.press("2")
    canvas.state("retry")
    canvas.press(*(("]", "a") if answered else ("1",)))
    canvas.revision(3)
    assert category(herd) == ("c2" if answered else "c1")
    assert [match for _, _, match, _ in herd.writes] == ['"1"', '"2"']
    assert [route for _, route, _, _ in herd.writes] == ["a", "a/r0" if answered else "a"]


@pytest.mark.parametrize("way", ["focus", "chip", "overlay"])
def test_an_expired_session_keeps_edits_until_somebody_signed_in(
    canvas: Any, herd: Any, way: str
) -> None:
    canvas.open()
    herd.expired = True
    canvas.click(*MIDDLE)
    canvas.press("2")
    canvas.state("expired")
    overlay = canvas.page.locator(".hc-overlay", has_text="sign in in another tab, then click here")
    overlay.wait_for()
    expect(overlay.get_by_role("link", name="Sign in")).to_have_attribute("href", "./")
    canvas.page.locator(".hc-save").click()  # too early
    canvas.state("expired")
    herd.expired = False
    if way == "focus":
        canvas.page.evaluate("window.dispatchEvent(new Event('focus'))")
    elif way == "chip":
        canvas.page.locator(".hc-save").click()
    else:
        overlay.get_by_role("button", name="Try again").click()
    canvas.revision(2)
    assert category(herd) == "c2"
    expect(canvas.page.locator(".hc-overlay")).to_be_hidden()


def test_an_image_that_an_expired_session_could_not_open_is_opened_later(
    canvas: Any, herd: Any
) -> None:
    canvas.open()
    herd.expired = True
    value = {"image_id": "b", "doc_url": "api/images/b/document"}
    canvas.page.evaluate("value => give(value)", value)
    canvas.page.locator(".hc-overlay", has_text="Session expired").wait_for()
    herd.expired = False
    canvas.page.evaluate("window.dispatchEvent(new Event('focus'))")
    canvas.ready("b")
