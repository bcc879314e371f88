"""The three-way merge and the journal by themselves, as ES modules inside the browser."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import VIEWPORT

pytestmark = pytest.mark.browser

MERGE = """async ([url, base, mine, theirs, options]) => {
  const m = await import(url);
  const item = (id, at, more = {}) =>
    ({id, category: "c", attributes: {}, proposed: false, ...more,
      parts: [{outer: [at, 0, at + 9, 0, at + 9, 9], holes: []}]});
  const list = (rows) => rows.map(([id, at, more]) => item(id, at, more));
  const said = m.threeWay(list(base), list(mine), list(theirs), options);
  const at = (one) => one && one.parts[0].outer[0];
  return [said.merged.map((one) => [one.id, at(one)]),
    said.conflicts.map(({id, mine, theirs}) => [id, at(mine), at(theirs)])];
}"""
PROPOSED = {"proposed": True}
AB = [["a", 1], ["b", 2]]


@pytest.fixture(scope="module")
def blank(browser: Any, herd_server: tuple[Any, str]) -> Any:
    """A page of the server's origin that runs nothing of its own."""
    context = browser.new_context(viewport=VIEWPORT)
    page = context.new_page()
    page.goto(herd_server[1] + "api/next?after=a&dir=1")
    yield page
    context.close()


@pytest.mark.parametrize(
    ("mine", "theirs", "options", "merged", "conflicts"),
    [
        (AB, [["a", 7], ["b", 2]], {}, [["a", 7], ["b", 2]], []),
        ([["a", 5], ["b", 2]], AB, {}, [["a", 5], ["b", 2]], []),
        ([["a", 5], ["b", 2]], [["a", 1], ["b", 7]], {}, [["a", 5], ["b", 7]], []),
        ([["a", 5], ["b", 2]], [["a", 5], ["b", 2]], {}, [["a", 5], ["b", 2]], []),
        ([["a", 5], ["b", 2]], [["a", 7], ["b", 2]], {}, [["a", 5], ["b", 2]], [["a", 5, 7]]),
        ([["b", 2]], [["a", 7], ["b", 2]], {}, [["b", 2]], [["a", None, 7]]),
        ([["a", 5], ["b", 2]], [["b", 2]], {}, [["b", 2], ["a", 5]], [["a", 5, None]]),
        ([["b", 2]], [["a", 1]], {}, [], []),
        ([*AB, ["m", 3]], [*AB, ["t", 4]], {}, [*AB, ["t", 4], ["m", 3]], []),
        ([["b", 2], ["a", 1]], [*AB, ["t", 4]], {}, [["b", 2], ["a", 1], ["t", 4]], []),
    ],
)
def test_changes_of_both_sides_are_merged_and_collisions_are_told(
    blank: Any,
    herd_server: tuple[Any, str],
    mine: list[Any],
    theirs: list[Any],
    options: dict[str, Any],
    merged: list[Any],
    conflicts: list[Any],
) -> None:
    url = f"{herd_server[1]}herdmark-static/merge.js"
    assert blank.evaluate(MERGE, [url, AB, mine, theirs, options]) == [merged, conflicts]


@pytest.mark.parametrize(
    ("mine", "theirs", "options", "merged", "conflicts"),
    [
        ([["a", 5]], [["a", 1]], {}, [["a", 5]], []),  # they accepted what I have corrected
        ([], [["a", 1]], {}, [], [["a", None, 1]]),  # they accepted what I have deleted
        ([["a", 5]], [], {}, [["a", 5]], [["a", 5, None]]),  # they deleted what I have corrected
        ([["a", 5]], [], {"reproposed": True}, [["a", 5]], []),  # a newer model took it back
        ([["a", 1, PROPOSED]], [], {"reproposed": True}, [], []),
    ],
)
def test_proposals_are_merged_by_what_people_did_with_them(
    blank: Any,
    herd_server: tuple[Any, str],
    mine: list[Any],
    theirs: list[Any],
    options: dict[str, Any],
    merged: list[Any],
    conflicts: list[Any],
) -> None:
    url = f"{herd_server[1]}herdmark-static/merge.js"
    base = [["a", 1, PROPOSED]]
    assert blank.evaluate(MERGE, [url, base, mine, theirs, options]) == [merged, conflicts]


REDO = """async (url) => {
  const {Session} = await import(url + "store.js");
  const item = (id, at) => ({id, category: "c", source: "human", attributes: {}, proposed: false,
    parts: [{outer: [at, 0, at + 9, 0, at + 9, 9], holes: []}]});
  const document = (revision, ...instances) => ({image: {id: "a"}, revision, status: "draft",
    categories: [], regions: [], verified: [], version: null, instances});
  const session = new Session(document(1, item("a", 1), item("b", 2)));
  session.setParts("a", item("a", 5).parts);
  session.saved(session.snapshot(), 2);
  session.setParts("b", item("b", 6).parts);
  const merged = session.reconcile(document(3, item("a", 7), item("b", 2)));
  const at = () => session.instances.map(({parts}) => parts[0].outer[0]);
  const seen = [at()];
  for (const way of ["undo", "undo", "redo"]) { session[way](); seen.push(at()); }
  return [merged, seen];
}"""


def test_redo_brings_back_what_undo_has_covered_also_of_other_people(
    blank: Any, herd_server: tuple[Any, str]
) -> None:
    merged, seen = blank.evaluate(REDO, f"{herd_server[1]}herdmark-static/")
    assert merged is True
    assert seen == [[7, 6], [7, 2], [1, 2], [7, 2]]


THEIRS = """async (url) => {
  const {Session} = await import(url + "store.js");
  const item = (id, at) => ({id, category: "c", source: "human", attributes: {}, proposed: false,
    parts: [{outer: [at, 0, at + 9, 0, at + 9, 9], holes: []}]});
  const document = (revision, ...rows) => ({image: {id: "x"}, revision, status: "draft",
    categories: [], regions: [], verified: [], version: null,
    instances: rows.map(([id, at]) => item(id, at))});
  const session = new Session(document(1, ["a", 1], ["b", 2], ["c", 3]));
  session.setParts("a", item("a", 5).parts);
  session.removeInstance("b");
  session.setParts("c", item("c", 6).parts);
  const merged = session.reconcile(document(2, ["a", 7], ["b", 8], ["d", 9]));
  const {conflicts} = session.against(session.conflict);
  session.choose(new Map(conflicts.map(({id}) => [id, "theirs"])));
  const seen = () => [session.unsaved,
    session.instances.map(({id, parts}) => id + parts[0].outer[0]).sort()];
  const steps = [seen()];
  for (const way of ["undo", "redo", "undo", "undo"]) { session[way](); steps.push(seen()); }
  return [merged, conflicts.map(({id}) => id).sort(), steps];
}"""


def test_taking_all_of_theirs_is_one_step_that_can_be_undone(
    blank: Any, herd_server: tuple[Any, str]
) -> None:
    merged, asked, steps = blank.evaluate(THEIRS, f"{herd_server[1]}herdmark-static/")
    assert (merged, asked) == (False, ["a", "b", "c"])
    assert steps == [
        [False, ["a7", "b8", "d9"]],  # the server has that already
        [True, ["a5", "c6", "d9"]],  # what did not collide stays merged
        [True, ["a7", "b8", "d9"]],
        [True, ["a5", "c6", "d9"]],
        [True, ["a5", "c3", "d9"]],  # and on through one's own edits
    ]


JOURNAL = """async (url) => {
  const {Journal} = await import(url + "journal.js");
  const {Session} = await import(url + "store.js");
  const documents = "abcdef".split("").map((id) => ({image: {id}, revision: 1, status: "draft",
    categories: [], regions: [], verified: [], instances: [], version: null}));
  const ring = Array.from({length: 200}, (_, i) => i);
  const journal = new Journal({limit: 15000});
  for (const document of documents) {
    const session = new Session(document);
    journal.follow(session);
    for (let i = 0; i < 2; i += 1) {
      session.addInstance([{outer: ring, holes: []}], "c");
      await journal.settled();
    }
    if (document.image.id !== "b") session.saved(session.snapshot(), 2);
    await journal.settled();
  }
  const kept = (await journal.all()).map(({image}) => image).sort();
  const other = new Journal();
  const orphans = await other.orphans();
  const taken = await other.take("b");
  const revived = Session.revive(documents[1], taken);
  other.adopt(revived, taken);
  other.follow(revived);
  const before = [revived.undoLog.length, revived.instances.length];
  revived.undo();
  await other.settled();
  const again = await new Journal().take("b");
  await other.forget("b");
  return {kept, orphans, before, unsaved: revived.unsaved,
    logs: [again.undoLog.length, again.redoLog.length], size: again.memory.instances.length,
    gone: await new Journal().take("b")};
}"""


def test_the_journal_drops_the_oldest_saved_images_and_keeps_what_is_unsaved(
    blank: Any, herd_server: tuple[Any, str]
) -> None:
    said = blank.evaluate(JOURNAL, f"{herd_server[1]}herdmark-static/")
    assert said["kept"] == ["b", "f"]
    assert said["orphans"] == ["b"]
    assert (said["before"], said["unsaved"]) == ([2, 2], True)
    assert (said["logs"], said["size"], said["gone"]) == ([1, 1], 1, None)
