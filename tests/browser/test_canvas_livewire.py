"""The live-wire tool: what it stores, and how fast it follows the pointer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_io.geometry import mask_of_parts
from data_io.store import Store

pytestmark = pytest.mark.browser

LIVEWIRE = "herdmark-static/livewire.js"


@pytest.fixture
def store(tmp_path: Path, frames_project: Path) -> Iterator[Store]:
    with Store.open(shutil.copytree(frames_project, tmp_path / "project")) as opened:
        yield opened


@pytest.fixture
def canvas(store: Store, canvas_over: Any) -> Iterator[Any]:
    with canvas_over(store) as opened:
        yield opened


def wire(canvas: Any) -> None:
    """Wait until the ways from the last click are known."""
    canvas.page.wait_for_selector(".hm-root[data-wire=ready]")


def click_along(canvas: Any, points: Any) -> None:
    """Clicks, each once the ways from the one before are known."""
    for x, y in points:
        canvas.click(x, y)
        wire(canvas)


def overlap(store: Store, image: str, truth: Any) -> float:
    """IoU of the newest animal with the truth."""
    mask = mask_of_parts(store.revision(image).instances[-1].parts, 400, 640)
    return float((mask & truth).sum() / (mask | truth).sum())


def test_an_outline_follows_the_edges_from_click_to_click(
    canvas: Any, store: Store, sibling_module: Any
) -> None:
    herd = sibling_module("frames_project")
    image = store.images()[0].id
    canvas.open(image)
    canvas.press("w")
    ring = herd.oval(2, 0, 12, grow=2.0)[0].outer  # clicks lie two pixels off the edge
    click_along(canvas, ring[[0, 3, 6, 9]])
    canvas.press("Enter")
    canvas.revision(1)
    drawn = store.revision(image).instances[-1]
    assert (drawn.source, len(drawn.parts)) == ("human", 1)
    assert 12 < len(drawn.parts[0].outer) < 90  # four clicks, yet no vertex at every pixel
    assert overlap(store, image, herd.truth(2)) > 0.96

    canvas.press("Control+z")
    canvas.revision(2)
    click_along(canvas, ring[[0, 3]])
    before = canvas.read("h.session.draft")
    canvas.click(500, 200)
    wire(canvas)
    assert len(canvas.read("h.session.draft")) > len(before) + 2
    canvas.press("Backspace")  # the stray click goes, with all of its way
    wire(canvas)
    assert canvas.read("h.session.draft") == before
    for x, y in ring[[6, 9]]:
        canvas.click(x, y)  # at once: the second waits for the ways from the first
    canvas.page.mouse.dblclick(*canvas.at(*ring[11]))
    canvas.revision(3)
    assert overlap(store, image, herd.truth(2)) > 0.96


@pytest.mark.long
def test_escape_drops_the_outline_and_another_image_has_none(canvas: Any, store: Store) -> None:
    first, second = (record.id for record in store.images()[:2])
    canvas.open(first)
    canvas.press("w")
    canvas.click(300, 250)
    wire(canvas)
    canvas.page.mouse.move(*canvas.at(370, 290))
    canvas.waits("h.state.wire.length > 4")
    canvas.press("Escape")
    assert canvas.read("[h.session.draft.length, h.state.wire.length]") == [0, 0]
    canvas.press("n")
    canvas.page.wait_for_function(
        "(id) => { const now = document.querySelector('.hm-root').dataset.ready;"
        " return now && now !== id }",
        arg=first,
    )
    canvas.click(320, 260)
    wire(canvas)
    assert canvas.read("h.session.draft.length") == 2
    assert store.revision(second) is None


def test_an_outline_that_survives_a_reload_goes_on_along_the_edges(
    canvas: Any, store: Store, sibling_module: Any
) -> None:
    herd = sibling_module("frames_project")
    image = store.images()[0].id
    canvas.open(image)
    canvas.press("w")
    ring = herd.oval(2, 0, 12, grow=2.0)[0].outer
    click_along(canvas, ring[[0, 3]])
    before = canvas.read("h.session.draft")
    canvas.kept()
    canvas.page.reload()
    canvas.page.wait_for_selector(f'.hm-root[data-ready="{image}"]')
    assert canvas.read("[h.session.draft, h.state.tool]") == [before, "wire"]
    canvas.page.locator(".hc-stage").focus()
    click_along(canvas, ring[[6, 9]])
    canvas.press("Enter")
    canvas.revision(1)
    assert overlap(store, image, herd.truth(2)) > 0.96


@pytest.fixture
def run(canvas: Any) -> Any:
    """``run(body, argument)``: evaluate `body` with the pure module as `m`, the argument as `a`."""
    canvas.page.goto(f"{canvas.url}{LIVEWIRE}")

    def evaluate(body: str, argument: Any = None) -> Any:
        script = f"async (a) => {{ const m = await import('/{LIVEWIRE}'); {body} }}"
        return canvas.page.evaluate(script, argument)

    return evaluate


def test_the_cheapest_way_is_the_cheapest(run: Any) -> None:
    """Against the textbook: relax every edge until nothing changes (Bellman & Ford)."""
    rng = np.random.default_rng(5)
    rows, columns = 9, 11
    cost = rng.integers(1, 65, rows * columns)
    steps = run("return m.STEPS")
    best = np.full(rows * columns, 10**9)
    best[40] = 0
    for _ in range(rows * columns):
        for node in range(rows * columns):
            for number, (dx, dy) in enumerate(steps):
                x, y = node % columns + dx, node // columns + dy
                if 0 <= x < columns and 0 <= y < rows:
                    to = y * columns + x
                    best[to] = min(best[to], best[node] + cost[to] * (5 if number < 4 else 7))
    body = """const cost = Uint8Array.from(a.cost), from = m.spread(cost, 11, 9, 40);
      return Array.from(cost, (_, node) => m.trace(from, 11, node));"""
    for node, way in enumerate(run(body, {"cost": cost.tolist()})):
        points = list(zip(way[::2], way[1::2], strict=True))
        assert points[0] == (40 % columns, 40 // columns)
        assert points[-1] == (node % columns, node // columns)
        moves = pairwise(points)
        spent = sum(
            cost[y * columns + x] * (5 if (x == u or y == v) else 7) for (u, v), (x, y) in moves
        )
        assert spent == best[node]


def test_an_edge_is_cheap_at_its_corners_and_thinning_keeps_within_reach(run: Any) -> None:
    body = """const w = 24, h = 16, rgba = new Uint8ClampedArray(w * h * 4);
      for (let i = 0; i < w * h; i += 1) rgba[4 * i] = i % w >= 10 ? 200 : 40;
      const cost = m.costs(rgba, w, h);
      return [cost[8 * 25 + 10], cost[8 * 25 + 9], cost[8 * 25 + 20]];"""
    on, beside, far = run(body)
    assert (on, far) == (1, 64)
    assert on < beside < far
    line = [0, 0, 1, 1, 2, 1, 3, 2, 4, 2, 5, 9]
    assert run("return m.thinned(a, 0.75)", line) == [0, 0, 4, 2, 5, 9]
    assert run("return m.thinned(a, 9)", line) == [0, 0, 5, 9]
