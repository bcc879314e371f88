"""The robot's hand and eyes: real mouse, wheel and key events on the page, and a clock for them.

The clock charges the operators of the keystroke-level model (Card, Moran and Newell, 1980,
https://doi.org/10.1145/358886.358895): pointing 1.10 s, a button 0.10, a key 0.20, a decision 1.35.
An outline goes faster than single clicks, 0.78 s a vertex, as people with Labelme showed (goats,
https://doi.org/10.3390/ani13203250); a brush stroke takes a start of 0.9 s and 0.16 s a centimeter.
Waiting is not charged.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from data_io.geometry import mask_of_parts, parts_of_json

Mask = NDArray[np.bool_]
Point = tuple[float, float]

POINT, BUTTON, KEY, DECIDE = 1.10, 0.10, 0.20, 1.35  # seconds
SECONDS = {
    "decision": DECIDE,
    "key": KEY,
    "notch": KEY,  # of the wheel
    "point": POINT,
    "click": POINT + 2 * BUTTON,
    "vertex": 0.78,
    "drag": 2 * POINT + 2 * BUTTON,
    "stroke": POINT + 2 * BUTTON + 0.9,
    "cm": 0.16,  # of a stroke
    "open": 2.0,  # an image comes on the screen
    "scan": 1.0,  # one animal on it
}
NO_ACTION = ("decision", "cm", "open", "scan")
WIDTH_CM = 25.0  # of a whole image's long side on the screen
TREMOR = 0.7  # screen px, standard deviation of where a click lands
NOTCH = 100  # wheel delta
PATIENCE = 60_000  # ms
HANDLE = "document.querySelector('.hm-root')._herdmark"
# The styles are here, and the stage is as large as the view takes it to be: what comes and goes
# around it (the strip, say) is laid out at once, but the view hears of it a frame later.
LAID_OUT = f"""(() => {{
  const {{ stage: {{ element }}, view }} = {HANDLE}.editor;
  return element.clientWidth === view.width && element.clientHeight === view.height
    && [...document.querySelectorAll('link[href*="herdmark-static"]')].every((one) => one.sheet);
}})()"""
SAVED = f"""() => {{ const h = {HANDLE};
  return h.session && !h.session.unsaved && !h.session.answers.length
    && h.editor.root.dataset.saveState === 'saved'; }}"""


class Clock:
    """How often each thing was done."""

    def __init__(self) -> None:
        self.counts: defaultdict[str, float] = defaultdict(float)

    def charge(self, what: str, amount: float = 1) -> None:
        """Count something that SECONDS knows."""
        self.counts[what] += amount

    @property
    def seconds(self) -> float:
        """Keystroke-level time of all."""
        return sum(SECONDS[what] * amount for what, amount in self.counts.items())

    @property
    def seconds_by_clicks(self) -> float:
        """The same with every vertex of an outline at the price of a single click."""
        dearer = SECONDS["click"] - SECONDS["vertex"]
        return self.seconds + dearer * self.counts["vertex"]

    @property
    def actions(self) -> int:
        """Clicks, drags, strokes, keys and wheel notches."""
        return int(sum(n for what, n in self.counts.items() if what not in NO_ACTION))


class Hand:
    """Works on the canvas of an open page; `clock` counts what it does."""

    def __init__(self, page: Any, rng: np.random.Generator) -> None:
        self.page, self.rng, self.clock = page, rng, Clock()

    # ---- eyes: what the screen shows ----

    def read(self, expression: str) -> Any:
        """An expression of `h`, the editor's handle; never one that changes anything."""
        return self.page.evaluate(f"() => {{ const h = {HANDLE}; return {expression} }}")

    def image(self) -> str:
        """Wait for an image with its picture, and that all is saved; its id."""
        selector = ".hm-root[data-ready][data-drawn=true]"
        self.page.wait_for_selector(selector, timeout=PATIENCE)
        self.saved()
        return str(self.read("h.editor.root.dataset.ready"))

    def saved(self) -> None:
        """Wait until nothing is left to save."""
        self.page.wait_for_function(SAVED, timeout=PATIENCE)

    def shown(self, height: int, width: int) -> dict[str, Mask]:
        """The animals on the screen, lowest first."""
        found = self.read(
            "h.session.instances.map(({id, parts}) => [id, parts.map((part) =>"
            " ({outer: [...part.outer], holes: part.holes.map((r) => [...r])}))])"
        )
        return {one: mask_of_parts(parts_of_json(parts), height, width) for one, parts in found}

    def labels(self) -> dict[str, str]:
        """Names of the categories of the animals on the screen."""
        names = dict(self.read("h.session.categories.map(({id, name}) => [id, name])"))
        found = self.read("h.session.instances.map(({id, category}) => [id, category])")
        return {one: str(names[category]) for one, category in found}

    @property
    def scale(self) -> float:
        """Screen px of an image pixel."""
        return float(self.read("h.editor.view.scale"))

    def at(self, x: float, y: float) -> Point:
        """Client coordinates of an image point, as well as a hand hits it."""
        script = f"() => {LAID_OUT} && {HANDLE}.toScreen({x}, {y})"
        left, top = self.page.wait_for_function(script, timeout=PATIENCE).json_value()
        jitter = np.clip(self.rng.normal(0, TREMOR, 2), -2 * TREMOR, 2 * TREMOR)
        return float(left + jitter[0]), float(top + jitter[1])

    # ---- hand ----

    def decide(self) -> None:
        """Look and make up one's mind."""
        self.clock.charge("decision")

    def keys(self, *names: str) -> None:
        """Press keys one after the other."""
        for name in names:
            self.page.keyboard.press(name)
            self.clock.charge("key")

    def click(self, x: float, y: float, held: str = "") -> None:
        """Click an image point, with a key held; what is out of sight is brought into sight."""
        if not self._in_view(x, y, 0, 0):
            self.keys("f")
        self._holding(held, lambda: self.page.mouse.click(*self.at(x, y)))
        self.clock.charge("click")

    def outline(self, ring: Sequence[Point], held: str = "") -> None:
        """Click an outline vertex by vertex; the key is held at the first. Enter closes it."""
        first, *rest = [self.at(*point) for point in ring]
        self._holding(held, lambda: self.page.mouse.click(*first))
        for place in rest:
            self.page.mouse.click(*place)
        self.clock.charge("vertex", len(ring))
        self.keys("Enter")

    def stroke(self, line: Sequence[Point]) -> None:
        """Press, move along the points, let go."""
        places = [self.at(*point) for point in line]
        mouse = self.page.mouse
        mouse.move(*places[0])
        mouse.down()
        for a, b in pairwise(places):
            mouse.move(*b, steps=max(1, round(math.dist(a, b) / 12)))
        mouse.up()
        self.clock.charge("stroke")
        fit = self.read("h.editor.view.fitScale()")
        width, height = self.read("[h.session.image.width, h.session.image.height]")
        length = sum(math.dist(a, b) for a, b in pairwise(places))
        self.clock.charge("cm", WIDTH_CM * length / (fit * max(width, height)))

    def _holding(self, key: str, act: Any) -> None:
        if key:
            self.page.keyboard.down(key)
            self.clock.charge("key")
        act()
        if key:
            self.page.keyboard.up(key)

    # ---- view ----

    def approach(self, mask: Mask, long_side: float, largest: float) -> None:
        """Zoom in until the mask's long side takes `long_side` screen px, if it does not already.

        `largest` bounds the scale.
        """
        x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
        view = self.read("[h.editor.view.width, h.editor.view.height]")
        fits = 0.9 * min(view[0] / w, view[1] / h)
        wanted = min(long_side / max(w, h), largest, fits)
        if self._in_view(x, y, w, h) and 0.8 * wanted <= self.scale <= fits:
            return
        fit = self.read("h.editor.view.fitScale()")
        if not self.read("h.editor.view.fitted"):
            self.keys("f")
        if fit < 0.8 * wanted:
            self._zoom(x + w / 2, y + h / 2, wanted)
        if not self._in_view(x, y, w, h):
            self._center(x + w / 2, y + h / 2)

    def _in_view(self, x: float, y: float, w: float, h: float) -> bool:
        (x0, y0), (x1, y1), (width, height) = self.read(
            f"[h.editor.view.toScreen({x}, {y}), h.editor.view.toScreen({x + w}, {y + h}),"
            " [h.editor.view.width, h.editor.view.height]]"
        )
        return bool(min(x0, y0) >= 2 and x1 <= width - 2 and y1 <= height - 2)

    def _zoom(self, x: float, y: float, wanted: float) -> None:
        self.page.mouse.move(*self.at(x, y))
        self.clock.charge("point")
        while (scale := self.scale) < 0.93 * wanted:
            self.page.mouse.wheel(0, -NOTCH)
            self.clock.charge("notch")
            self.page.wait_for_function(f"() => {HANDLE}.editor.view.scale > {scale}")

    def _center(self, x: float, y: float) -> None:
        """Drag the picture with the middle button until a point is in the middle."""
        box = self.page.locator(".hc-stage").bounding_box()
        goal = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        there = self.at(x, y)
        mouse = self.page.mouse
        mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        mouse.down(button="middle")
        mouse.move(2 * goal[0] - there[0], 2 * goal[1] - there[1], steps=4)
        mouse.up(button="middle")
        self.clock.charge("drag")
