"""Saves and answers that the server or the network refuses: nothing is lost, nothing is claimed."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.browser

MIDDLE = (330.0, 195.0)  # the middle of the drawn rectangle i4


def category(herd: Any, identity: str = "i4") -> str | None:
    """The stored category of an instance of image a, None where it is gone."""
    found = {item["id"]: item["category"] for item in herd.documents["a"]["instances"]}
    return found.get(identity)


def test_a_lost_server_keeps_edits_and_retries(canvas: Any, herd: Any) -> None:
    canvas.open()
    herd.offline = True
    canvas.click(*MIDDLE)
    canvas.press("2")
    canvas.state("retry")
    assert canvas.page.locator(".hc-save").text_content() == "Not saved: will retry"
    canvas.press("n")
    canvas.says("stays open")
    assert canvas.read("h.session.id") == "a"
    blocked = "() => !window.dispatchEvent(new Event('beforeunload', {cancelable: true}))"
    assert canvas.page.evaluate(blocked) is True
    herd.offline = False
    canvas.revision(2)  # by itself
    assert category(herd) == "c2"
    assert canvas.page.evaluate(blocked) is False


@pytest.mark.parametrize("mine", [True, False])
def test_a_conflict_asks_and_loses_nothing(canvas: Any, herd: Any, mine: bool) -> None:
    canvas.open()
    herd.save("a", {"instances": herd.documents["a"]["instances"][:1], "rejected": []})
    canvas.click(*MIDDLE)
    canvas.press("2")
    canvas.state("conflict")
    canvas.page.get_by_role("button", name="Keep mine" if mine else "Take theirs").click()
    canvas.revision(3 if mine else 2)
    assert category(herd) == ("c2" if mine else None)
    if not mine:
        canvas.press("Control+z")
        canvas.revision(3)
        assert category(herd) == "c2"


def test_an_image_is_not_verified_when_the_server_refuses(canvas: Any, herd: Any) -> None:
    canvas.open()
    herd.refusal = "The outline is too long."
    canvas.press("Shift+Enter")
    canvas.says("a.jpg: The outline is too long.")
    canvas.state("saved")  # nothing is left to send, so nothing is "not saved" either
    assert canvas.read("h.editor.walk.then(() => h.session.id)") == "a"
    assert canvas.page.locator(".hc-toast").text_content() == "a.jpg: The outline is too long."
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
    assert canvas.page.locator(".hc-save").text_content() == "Not saved"
    herd.refusal = ""
    canvas.press("Control+s")
    canvas.page.wait_for_selector(".hm-root[data-save-state=saved]")
    assert category(herd) == "c2"


def test_new_proposals_are_not_accepted_unseen(canvas: Any, herd: Any) -> None:
    canvas.open()
    herd.propose("a")
    canvas.press("Shift+Enter")
    canvas.says("New proposals arrived")
    assert canvas.read("h.editor.walk.then(() => h.session.id)") == "a"
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
    assert overlay.get_by_role("link", name="Sign in").get_attribute("href") == "./"
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
    assert not canvas.page.locator(".hc-overlay").is_visible()


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
