"""Nothing is cut off, on a laptop, a large screen and a tablet held either way, dark and light."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.robot_hand import LAID_OUT
from benchmarks.robot_scenes import make

pytestmark = pytest.mark.browser

SIZES = ((1366, 768), (2560, 1440), (820, 1180), (1180, 820))
TOOLS = "vdlwbeu"
# What sticks out: of the page, of the editor, or of its own control. Rows of a list that scrolls
# may lie below its edge; nothing may lie beside it. Names people give are cropped, the product's
# own words are not.
CUT_OFF = """() => {
  const root = document.querySelector('.hm-root');
  const frame = root.getBoundingClientRect();
  const pen = document.createElement('canvas').getContext('2d');
  const found = [];
  const named = (one) => `${one.tagName} ${one.getAttribute('aria-label') || ''} `
    + `"${one.textContent.trim().slice(0, 40)}" of ${one.className}`;
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) found.push(`the page scrolls sideways: ${scrollWidth}`);
  const scrolls = (one) => {
    for (let up = one.parentElement; up && up !== root; up = up.parentElement) {
      if (/auto|scroll/.test(getComputedStyle(up).overflowY)) return true;
    }
    return false;
  };
  for (const one of root.querySelectorAll('button, select, input, output, h2, h3, p, .hc-status')) {
    const box = one.getBoundingClientRect();
    if (!box.width || !one.checkVisibility({ visibilityProperty: true })) continue;
    const far = { left: frame.left - box.left, right: box.right - frame.right,
      top: frame.top - box.top, bottom: scrolls(one) ? 0 : box.bottom - frame.bottom };
    for (const [side, by] of Object.entries(far)) {
      if (by > 1) found.push(`${named(one)} sticks out by ${by.toFixed(1)} at the ${side}`);
    }
    if (one.tagName === 'BUTTON' && one.scrollWidth > one.clientWidth + 1) {
      found.push(`${named(one)} is ${one.scrollWidth} wide in ${one.clientWidth}`);
    }
    if (one.matches('.hc-options select')) {
      const { font, paddingLeft, paddingRight } = getComputedStyle(one);
      pen.font = font;
      const wide = pen.measureText(one.selectedOptions[0].textContent).width
        + parseFloat(paddingLeft) + parseFloat(paddingRight);
      if (wide > one.clientWidth + 1) found.push(`${named(one)} is cropped: ${wide}`);
    }
  }
  return [...new Set(found)];
}"""
COVERED = """() => {
  const found = [];
  const scroller = (one) => {
    for (let up = one.parentElement; up; up = up.parentElement) {
      if (/auto|scroll/.test(getComputedStyle(up).overflow)) return up;
    }
    return null;
  };
  const bars = '.hc-bar button, .hc-options button, .hc-side button';
  for (const one of document.querySelectorAll(bars)) {
    const box = one.getBoundingClientRect();
    if (!box.width || !one.checkVisibility({ visibilityProperty: true })) continue;
    const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
    const list = scroller(one)?.getBoundingClientRect();
    if (list && (y < list.top || y > list.bottom || x < list.left || x > list.right)) continue;
    const top = document.elementFromPoint(x, y);
    if (top && top !== one && !one.contains(top) && !top.closest('.hc-toast')) {
      found.push(`${one.getAttribute('aria-label') || one.textContent} lies under `
        + `${top.tagName} ${top.className}`);
    }
  }
  return found;
}"""


def resize(page: Any, size: tuple[int, int]) -> None:
    """Another viewport, once the stage has followed."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.wait_for_function(f"(width) => innerWidth === width && {LAID_OUT}", arg=size[0])


def faults(page: Any) -> list[str]:
    """What is cut off or covered now."""
    return [*page.evaluate(CUT_OFF), *page.evaluate(COVERED)]


def test_no_tool_is_cut_off_at_any_size(canvas: Any, herd: Any) -> None:
    canvas.open()
    canvas.click(330, 195)
    found = {}
    for size in SIZES:
        resize(canvas.page, size)
        for key in TOOLS:
            canvas.press(key)
            if wrong := faults(canvas.page):
                found[size, key] = wrong
    assert found == {}


@pytest.mark.long
def test_no_page_is_cut_off_at_any_size(live_server: Any, page: Any, tmp_path: Path) -> None:
    make(tmp_path / "project", 2, 500, proposed=True)
    page.goto(live_server(tmp_path / "project"))
    found = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.reload()
        page.wait_for_selector(".hm-root[data-ready][data-drawn=true]")
        page.locator(".hc-left").wait_for()
        page.locator(".hc-stage").focus()
        page.keyboard.press("]")
        for size in SIZES:
            resize(page, size)
            if wrong := faults(page):
                found[scheme, size] = wrong
            page.screenshot(path=str(tmp_path / f"{scheme}-{size[0]}x{size[1]}.png"))
    assert found == {}, f"look at the screenshots in {tmp_path}"
