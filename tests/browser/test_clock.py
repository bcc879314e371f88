"""A person's active time: what counts, and that each second is told once."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.browser

MIDDLE = (330.0, 195.0)  # the middle of the drawn rectangle i4
CLOCK = "let t = 0; const c = new m.Clock(() => t * 1000);"


@pytest.fixture
def run(canvas: Any) -> Any:
    """``run(body)``: evaluate with a clock `c` whose time is `t` seconds."""
    canvas.page.goto(canvas.url + "api/next?after=a&dir=1")
    url = f"{canvas.url}herdmark-static/clock.js"
    script = f"async () => {{ const m = await import('{url}'); {CLOCK} %s }}"
    return lambda body: canvas.page.evaluate(script % body)


def test_time_counts_up_to_half_a_minute_after_the_last_input(run: Any) -> None:
    body = "c.show('a'); t = 5; c.touch(); t = 15; c.touch(); t = 100; c.touch(); t = 101;"
    assert (
        run(body + "return c.take('a');") == 10 + 30 + 1
    )  # before the first input nobody was here


def test_time_elsewhere_does_not_count(run: Any) -> None:
    body = "c.show('a'); c.touch(); t = 4; c.leave(); t = 20; c.touch(); t = 21;"
    assert run(body + "return c.take('a');") == 5


def test_each_image_has_its_own_time_and_waiting_for_it_is_part_of_it(run: Any) -> None:
    body = "c.show('a'); c.touch(); t = 3; c.show(null); t = 5; c.show('b'); t = 9; c.show('a');"
    assert run(body + "t = 10; return [c.take('a'), c.take('b'), c.take('c')];") == [4, 6, 0]


def test_time_is_told_once_unless_it_comes_back(run: Any) -> None:
    body = "c.show('a'); c.touch(); t = 3; const first = c.take('a'); const again = c.take('a');"
    body += "c.giveBack('a', first); c.giveBack('b'); t = 4;"
    assert run(body + "return [first, again, c.take('a'), c.take('b')];") == [3, 0, 4, 0]


def sent(canvas: Any) -> list[tuple[str, float | None]]:
    """A list that fills with the route and the seconds of every write."""
    found: list[tuple[str, float | None]] = []

    def note(request: Any) -> None:
        if request.method in ("PUT", "POST"):
            body = request.post_data_json
            found.append((request.url.rsplit("/", 1)[-1], body.get("seconds")))

    canvas.page.on("request", note)
    return found


def test_saves_and_answers_carry_the_time(canvas: Any, herd: Any) -> None:
    canvas.open()
    found = sent(canvas)
    canvas.page.mouse.move(*canvas.at(20, 20))
    canvas.click(*MIDDLE)
    canvas.press("2")
    canvas.state("saved")
    canvas.page.get_by_role("button", name="Accept image").click()
    canvas.ready("b")
    assert [route for route, _ in found] == ["document", "accept"]
    assert all(isinstance(seconds, int | float) and seconds > 0 for _, seconds in found)


def test_a_skipped_region_leaves_its_time_to_the_next_answer(canvas: Any, herd: Any) -> None:
    canvas.open()
    found = sent(canvas)
    canvas.press("]", "s")
    canvas.says("skipped")
    assert [seconds for _, seconds in found] == [None]


def test_time_of_a_refused_save_goes_out_with_the_next_one(canvas: Any, herd: Any) -> None:
    canvas.open()
    found = sent(canvas)
    canvas.page.mouse.move(*canvas.at(20, 20))
    added = {**herd.documents["a"]["instances"][0], "id": "f" * 32, "proposed": False}
    drawn = [item for item in herd.documents["a"]["instances"] if not item["proposed"]]
    herd.save("a", {"instances": [*drawn, added], "rejected": []})  # somebody else was faster
    canvas.click(*MIDDLE)
    canvas.press("2")
    canvas.state("saved")
    (_, refused), (_, merged) = found
    assert refused is not None
    assert merged is not None
    assert merged >= refused > 0
