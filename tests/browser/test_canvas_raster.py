"""Rasters and outlines in the browser: the same answers as data_io, and outlines to edit on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_io import geometry as geo
from data_io.simplify import vertex_count

pytestmark = pytest.mark.browser
VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "raster.json").read_text(encoding="utf-8")
)
# Run lengths of a whole image, column by column, starting outside: as data_io writes them.
RUNS_OF_MASK = """m.runsOf = (mask, width, height) => {
    const { data } = m.inWindow(mask, [0, 0, width, height]);
    const runs = [0];
    let value = 0;
    for (let i = 0; i < width * height; i += 1) {
      const next = data[(i % height) * width + Math.floor(i / height)];
      if (next !== value) runs.push(0);
      value = next;
      runs[runs.length - 1] += 1;
    }
    return runs;
  };"""
MASK_OF_RUNS = """const maskOfRuns = (runs, width, height) => {
    const mask = m.emptyMask([0, 0, width, height]);
    let at = 0;
    runs.forEach((length, i) => {
      for (const end = at + length; at < end; at += 1) {
        if (i % 2) mask.data[(at % height) * width + Math.floor(at / height)] = 1;
      }
    });
    return mask;
  };"""


@pytest.fixture(scope="module")
def run(shared_context: Any, herd_server: tuple[Any, str]) -> Any:
    """``run(body, argument)``: evaluate `body` with the kernel's functions in `m`."""
    page = shared_context.new_page()
    page.goto(herd_server[1] + "api/next?after=a&dir=1")
    names = ("geometry", "raster", "outline", "retouch", "split")
    urls = [f"{herd_server[1]}herdmark-static/{name}.js" for name in names]
    loading = ", ".join(f"...await import('{url}')" for url in urls)

    def evaluate(body: str, argument: Any = None) -> Any:
        script = f"const m = {{ {loading} }}; {RUNS_OF_MASK} {body}"
        return page.evaluate(f"async (a) => {{ {script} }}", argument)

    yield evaluate
    page.close()


def test_rings_have_the_raster_of_data_io(run: Any) -> None:
    body = """return a.rasters.map(({ parts }) =>
      m.runsOf(m.maskOfParts(parts, a.width, a.height), a.width, a.height));"""
    for case, runs in zip(VECTORS["rasters"], run(body, VECTORS), strict=True):
        assert runs == case["runs"], case["name"]


def test_masks_have_the_outline_of_data_io_and_holes_are_filled(run: Any) -> None:
    body = (
        MASK_OF_RUNS
        + """return a.outlines.map(({ runs, width, height }) => {
        const mask = maskOfRuns(runs, width, height);
        return [m.partsOfMask(mask), m.runsOf(m.fillHoles(mask), width, height)];
      });"""
    )
    for case, (parts, filled) in zip(VECTORS["outlines"], run(body, VECTORS), strict=True):
        assert parts == case["parts"], case["name"]
        assert filled == case["filled"], case["name"]


def test_pairs_have_the_sets_of_data_io(run: Any) -> None:
    body = """const masks = new Map(a.rasters.map(({ name, parts }) =>
        [name, m.maskOfParts(parts, a.width, a.height)]));
      return a.pairs.map((pair) => {
        const [one, two] = [masks.get(pair.a), masks.get(pair.b)];
        const sets = [m.unite(one, two), m.subtract(one, two), m.intersect(one, two)];
        const runs = sets.map((mask) => m.runsOf(mask, a.width, a.height));
        return [...runs, m.overlap(one, two), m.area(m.symmetricDifference(one, two))];
      });"""
    for case, (*sets, meets, differ) in zip(VECTORS["pairs"], run(body, VECTORS), strict=True):
        assert sets == [case["union"], case["difference"], case["intersection"]], case
        assert meets is (sum(case["intersection"][1::2]) > 0)
        assert differ == sum(case["union"][1::2]) - sum(case["intersection"][1::2])


def blob(rng: np.random.Generator, count: int, radius: float) -> list[float]:
    """A flat ring around (150, 120), somewhat uneven."""
    t = 2 * np.pi * np.arange(count) / count
    r = radius * rng.uniform(0.8, 1.2, count)
    points = np.stack([150 + r * np.cos(t), 120 + 0.7 * r * np.sin(t)], 1)
    flat: list[float] = np.round(points, 2).ravel().tolist()
    return flat


def test_edited_masks_come_back_exactly_with_few_vertices(run: Any) -> None:
    body = """return a.map(({ ring, value, from, to, radius }) => {
      const before = m.maskOfParts([{ outer: ring, holes: [] }], 300, 240);
      const stroke = new m.Stroke(before, 300, 240);
      stroke.paint(from, to, radius, value);
      const parts = m.retouched(stroke.mask, [ring], 300, 240);
      return [m.runsOf(stroke.mask, 300, 240), parts];
    });"""
    rng = np.random.default_rng(4)
    cases: list[dict[str, Any]] = [
        {
            "ring": blob(rng, count, radius), "value": value, "radius": radius / 5,
            "from": [150 + 0.9 * radius, 120], "to": [150 + radius, 120 + radius / 4],
        }
        for count, radius in ((10, 14), (24, 40), (60, 90), (7, 90))
        for value in (0, 1)
    ]  # fmt: skip
    for case, (runs, parts) in zip(cases, run(body, cases), strict=True):
        region = geo.parts_of_json(parts)
        geo.validate_parts(region)
        wanted = geo.rle_of_runs(runs, 240, 300)
        assert geo.same_raster(geo.rle_of_parts(region, 240, 300), wanted)
        corners = list(zip(case["ring"][::2], case["ring"][1::2], strict=True))
        outer = {tuple(point) for part in region for point in part.outer.tolist()}
        far = [point for point in corners if point[0] < 150 + 3 * case["radius"]]
        assert set(far) <= outer, "an untouched vertex moved"
        assert vertex_count(region) < 0.5 * vertex_count(geo.parts_of_rle(wanted))


def test_any_mask_comes_back_exactly(run: Any) -> None:
    body = (
        MASK_OF_RUNS
        + """return a.outlines.map(({ runs, width, height }) =>
        m.retouched(maskOfRuns(runs, width, height), [[0, 0, 9, 2, 3, 9]], width, height));"""
    )
    for case, parts in zip(VECTORS["outlines"], run(body, VECTORS), strict=True):
        region = geo.parts_of_json(parts)
        raster = geo.rle_of_parts(region, case["height"], case["width"])
        assert geo.runs_of_rle(raster).tolist() == case["runs"], case["name"]


def test_a_brush_reaches_a_pixel_and_grows_its_window(run: Any) -> None:
    body = """const stroke = new m.Stroke(m.emptyMask(), 4000, 3000);
      stroke.paint([10.5, 10.5], [10.5, 10.5], 0.5, 1);
      const one = m.area(stroke.mask);
      stroke.paint([3990, 2990], [3995, 3005], 20, 1);
      const { x, y, width, height } = stroke.mask;
      stroke.paint([10.5, 10.5], [10.5, 10.5], 0.5, 0);
      stroke.paint([-50, -50], [-40, -50], 20, 1);
      return [one, x + width <= 4000 && y + height <= 3000, x >= 0 && y >= 0,
        m.partsOfMask(stroke.mask).length];"""
    assert run(body) == [1, True, True, 1]


@pytest.mark.parametrize(
    ("line", "areas"),
    [
        ([10, -5, 10, 25], [200, 200]),
        ([5, -5, 5, 8, 15, 8, 15, 25], [0, 0]),
        ([10, -5, 10, 10], None),
        ([30, 0, 30, 20], None),
    ],
    ids=["straight", "bent", "ends inside", "beside"],
)
def test_a_line_divides_or_does_not(run: Any, line: list[float], areas: Any) -> None:
    body = """const outer = [0, 0, 20, 0, 20, 20, 0, 20];
      const mask = m.maskOfParts([{ outer, holes: [] }], 40, 40);
      const halves = m.splitMask(mask, a);
      return halves && [...halves.map(m.area), m.overlap(...halves),
        m.area(m.symmetricDifference(m.unite(...halves), mask))];"""
    got = run(body, line)
    if areas is None:
        assert got is None
        return
    assert got[2:] == [False, 0]
    assert sum(got[:2]) == 400
    assert min(got[:2]) > 100
    assert areas[0] == 0 or got[:2] == areas
