"""The canvas's pure modules, run as ES modules inside the browser."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.browser

SQUARE = [0, 0, 10, 0, 10, 10, 0, 10]
HOLE = [4, 4, 6, 4, 6, 6, 4, 6]
RING = [{"outer": SQUARE, "holes": [HOLE]}]


@pytest.fixture(scope="module")
def blank(shared_context: Any, herd_server: tuple[Any, str]) -> Any:
    """One page for all units; modules hold no state between them."""
    opened = shared_context.new_page()
    opened.goto(herd_server[1] + "api/next?after=a&dir=1")
    yield opened
    opened.close()


@pytest.fixture
def run(blank: Any, herd_server: tuple[Any, str]) -> Any:
    """``run(module, body, argument)``: evaluate `body` with the module as `m`, the argument `a`."""

    def evaluate(module: str, body: str, argument: Any = None) -> Any:
        url = f"{herd_server[1]}herdmark-static/{module}.js"
        script = f"async (a) => {{ const m = await import('{url}'); {body} }}"
        return blank.evaluate(script, argument)

    return evaluate


@pytest.mark.parametrize(
    ("point", "inside"), [((2, 2), True), ((5, 5), False), ((11, 5), False), ((9.99, 9.99), True)]
)
def test_holes_are_outside(run: Any, point: tuple[float, float], inside: bool) -> None:
    body = "return m.insideParts(a[0], ...a[1]);"
    assert run("geometry", body, [RING, point]) is inside


def test_area_box_and_clamping(run: Any) -> None:
    body = "return [m.ringArea(a[0].outer), m.boxOfParts(a), m.clampPoint(-3, 7.12678, 10, 10)];"
    assert run("geometry", body, RING) == [100, [0, 0, 10, 10], [0, 7.13]]


def test_nearest_vertex_and_edge_know_their_ring(run: Any) -> None:
    vertex = run("geometry", "return m.nearestVertex(a, 5.8, 4.1, 1);", RING)
    assert (vertex["part"], vertex["hole"], vertex["index"]) == (0, 0, 1)
    edge = run("geometry", "return m.nearestEdge(a, 5, 11, 2);", RING)
    assert (edge["hole"], edge["index"], edge["point"]) == (-1, 2, [5, 10])
    assert run("geometry", "return m.nearestVertex(a, 20, 20, 3);", RING) is None


def test_short_edges_have_no_midpoint(run: Any) -> None:
    found = run("geometry", "return m.nearestMidpoint(a, 5, 0.2, 1, 5);", RING)
    assert found["point"] == [5, 0]
    assert run("geometry", "return m.nearestMidpoint(a, 5, 4, 1, 5);", RING) is None


def test_vertex_edits_leave_the_input_alone(run: Any) -> None:
    body = """const before = JSON.stringify(a), at = {part: 0, hole: -1, index: 3};
      const moved = m.moveVertex(a, at, [1, 9]);
      const out = [m.insertVertex(a, at, [0, 5]), moved, m.removeVertex(a, at)];
      return [before === JSON.stringify(a), ...out.map((parts) => parts[0].outer)];"""
    assert run("geometry", body, RING) == [
        True,
        [*SQUARE, 0, 5],
        [0, 0, 10, 0, 10, 10, 1, 9],
        [0, 0, 10, 0, 10, 10],
    ]


def test_the_last_three_vertices_stay_but_a_hole_may_go(run: Any) -> None:
    triangle = [{"outer": [0, 0, 9, 0, 0, 9], "holes": [[1, 1, 3, 1, 1, 3]]}]
    assert (
        run("geometry", "return m.removeVertex(a, {part: 0, hole: -1, index: 0});", triangle)
        is None
    )
    left = run("geometry", "return m.removeVertex(a, {part: 0, hole: 0, index: 0});", triangle)
    assert left == [{"outer": [0, 0, 9, 0, 0, 9], "holes": []}]


def test_a_whole_ring_can_go_but_not_the_last_part(run: Any) -> None:
    parts = [*RING, {"outer": [20, 0, 30, 0, 20, 9], "holes": []}]
    body = """return [[0, 0], [0, -1], [1, -1]].map(([part, hole]) =>
      m.removeRing(a, {part, hole}));"""
    assert run("geometry", body, parts) == [
        [{"outer": SQUARE, "holes": []}, parts[1]],
        [parts[1]],
        RING,
    ]
    assert run("geometry", "return m.removeRing(a, {part: 0, hole: -1});", RING) is None


def test_freehand_lines_lose_their_tails_and_needless_points(run: Any) -> None:
    loop = [-3, 5, 5, 5, 20, 5, 20, 20, 5, 20, 5, 12, 5, 6, 5, -4]
    body = "return [m.withoutTails(a), m.withoutTails(a.slice(2, -2))];"
    assert run("geometry", body, loop)[1] == loop[2:-2]
    cut = run("geometry", body, [-3, 5, 8, 5, 20, 5, 20, 20, 5, 20, 5, 12, 5, 6, 5, -4])[0]
    assert cut == [5, 5, 8, 5, 20, 5, 20, 20, 5, 20, 5, 12, 5, 6]
    assert run("geometry", "return m.thinLine(a, 0.5);", [0, 0, 1, 0.2, 2, 0, 3, 0, 3, 4]) == [
        *(0, 0, 3, 0),
        *(3, 4),
    ]


def test_parts_are_shifted_with_their_holes(run: Any) -> None:
    shifted = run("geometry", "return m.shiftParts(a, 2, -1.005);", RING)[0]
    assert shifted["outer"] == [2, -1, 12, -1, 12, 9, 2, 9]
    assert shifted["holes"] == [[6, 3, 8, 3, 8, 5, 6, 5]]


@pytest.mark.parametrize(
    ("ring", "crosses", "refusal"),
    [
        (SQUARE, False, ""),
        ([0, 0, 10, 10, 10, 0, 0, 10], True, "lines cross"),
        ([0, 0, 10, 10, 10, 0, 0, 12], True, ""),
        ([0, 0, 5, 0, 10, 0], False, "no area"),
        ([0, 0, 5, 0], False, "three vertices"),
    ],
)
def test_an_outline_is_refused_only_without_area(
    run: Any, ring: list[float], crosses: bool, refusal: str
) -> None:
    got = run("geometry", "return [m.crossesItself(a), m.refusal(a)];", ring)
    assert got[0] is crosses
    assert refusal in got[1]
    assert bool(got[1]) is bool(refusal)


def test_repeated_vertices_vanish_also_across_the_end(run: Any) -> None:
    ring = [0, 0, 10, 0, 10, 0, 10, 10, 0, 0]
    assert run("geometry", "return m.withoutRepeats(a);", ring) == [10, 0, 10, 10, 0, 0]


VIEW = """const v = new m.View(); v.setImage(400, 300); v.resize(824, 624);
  const near = (p, q) => Math.hypot(p[0] - q[0], p[1] - q[1]) < 1e-6;"""


def test_screen_and_image_are_inverse_and_zoom_keeps_the_point(run: Any) -> None:
    body = (
        VIEW
        + """const start = v.toImage(500, 200); v.zoomAt(2.5, 500, 200);
      const same = near(v.toImage(500, 200), start);
      v.panBy(30, -12);
      return [same, near(v.toImage(...v.toScreen(12.5, 7)), [12.5, 7]), v.fitted];"""
    )
    assert run("view", body) == [True, True, False]


def test_fit_shows_all_and_survives_a_resize(run: Any) -> None:
    body = (
        VIEW
        + """const first = v.scale; v.resize(424, 624); const second = v.scale;
      v.actualSize(); v.resize(600, 400); return [first, second, v.scale];"""
    )
    assert run("view", body) == [2, 1, 1]


def test_the_picture_cannot_be_lost(run: Any) -> None:
    body = (
        VIEW
        + """v.panBy(1e5, -1e5); const [x, y] = v.toImage(v.width, 0);
      v.zoomAt(1e9); const most = v.scale; v.zoomAt(1e-9);
      return [x > 0 && x < 400, y > 0 && y < 300, most, v.scale > 0.1];"""
    )
    assert run("view", body) == [True, True, 40, True]


SESSION = """const item = (id, more) => ({id, category: 'c', parts: [], source: 'model', score: .5,
    version: 'v', attributes: {}, proposed: true, ...more});
  const make = (instances, revision = 1) => ({image: {id: 'a'}, revision, status: 'draft',
    version: 'v', categories: [], regions: [], verified: [], instances});
  const s = new m.Session(make([item('p'), item('q'), item('r', {proposed: false})]));
  const ids = () => s.instances.map(({id}) => id).join('');"""


def test_every_command_is_undone_and_redone(run: Any) -> None:
    body = (
        SESSION
        + """const before = JSON.stringify(s.instances);
      s.setCategory('p', 'd'); s.removeInstance('q'); s.addInstance([], 'c'); s.setParts('r', [1]);
      const after = JSON.stringify(s.instances), labels = [];
      let label; while ((label = s.undo())) labels.push(label);
      const undone = JSON.stringify(s.instances) === before;
      while (s.redo());
      return [labels, undone, JSON.stringify(s.instances) === after];"""
    )
    labels = ["edit outline", "draw", "delete", "change category"]
    assert run("store", body) == [labels, True, True]


def test_several_changes_undo_to_the_old_order(run: Any, herd_server: tuple[Any, str]) -> None:
    body = """const store = await import(a);
      const item = (id) => ({id, proposed: false});
      const s = new store.Session({image: {id: 'a'}, revision: 1, status: 'draft', version: 'v',
        categories: [], regions: [], verified: [], instances: [...'abcde'].map(item)});
      m.together(s, 'delete', ['b', 'a', 'd'].map((id) => s.change(id, null)));
      const left = s.instances.map(({id}) => id).join('');
      s.undo();
      return [left, s.instances.map(({id}) => id).join(''), s.undoLog.length];"""
    url = f"{herd_server[1]}herdmark-static/store.js"
    assert run("shaping", body, url) == ["ce", "abcde", 0]


def test_a_new_command_ends_redo(run: Any) -> None:
    body = (
        SESSION
        + "s.removeInstance('p'); s.undo(); s.removeInstance('q'); return [s.redo(), ids()];"
    )
    assert run("store", body) == ["", "pr"]


def test_a_save_carries_edits_and_rejections_only(run: Any) -> None:
    body = (
        SESSION
        + """s.removeInstance('q'); s.setCategory('p', 'd'); const {body} = s.snapshot();
      return [body.rejected, body.instances.map(({id, source}) => id + source)];"""
    )
    assert run("store", body) == [["q"], ["pedited", "rmodel"]]


def test_what_the_server_has_goes_out_as_its_id(run: Any) -> None:
    body = (
        SESSION
        + """const short = () => s.brief(s.snapshot().body).instances.map((one) => one.id ?? one);
      const named = () => s.brief(s.snapshot().body).instances.filter((one) => !one.id);
      s.setCategory('p', 'd'); const first = [short(), named()];
      s.saved(s.snapshot(), 2); s.setCategory('r', 'd'); s.undo();
      return [...first, named()];"""
    )
    assert run("store", body) == [["p", "r"], ["r"], ["p", "r"]]


def test_a_rejected_proposal_returns_as_an_instance_once_the_server_knows(run: Any) -> None:
    body = (
        SESSION
        + """s.removeInstance('q'); s.saved(s.snapshot(), 2); s.undo();
      return [s.instance('q').proposed, s.snapshot().body.instances.some(({id}) => id === 'q')];"""
    )
    assert run("store", body) == [False, True]


def test_a_replaced_proposal_returns_through_undo_as_an_instance(run: Any) -> None:
    body = (
        SESSION
        + """s.removeInstance('q'); s.renew(make([item('z')])); s.undo();
      return [s.instance('q').proposed, s.instance('z').proposed];"""
    )
    assert run("store", body) == [False, True]


def test_withdrawn_proposals_are_not_rejected(run: Any) -> None:
    body = SESSION + "s.load(make([item('q')], 2)); return s.snapshot().body.rejected;"
    assert run("store", body) == []


def test_edits_made_while_an_answer_is_under_way_survive_it(run: Any) -> None:
    body = (
        SESSION
        + """const sent = s.snapshot(); s.setCategory('p', 'late'); s.removeInstance('r');
      s.addInstance([], 'new');
      s.answered(sent, make([item('p', {proposed: false}), item('q', {proposed: false}),
        item('r', {proposed: false})], 2));
      return [s.instances.map(({category}) => category), s.unsaved, s.revision];"""
    )
    assert run("store", body) == [["late", "c", "new"], True, 2]


def test_ids_are_unique_without_a_secure_context(run: Any) -> None:
    body = "return new Set(Array.from({length: 99}, m.newId)).size;"
    assert run("store", body) == 99


def test_palette_refuses_what_is_no_color(run: Any) -> None:
    body = (
        "return [m.colorOf({color: '#123456'}, 0), m.colorOf({color: 'red;}'}, 1), m.PALETTE[1]];"
    )
    kept, replaced, second = run("palette", body)
    assert (kept, replaced) == ("#123456", second)


STILLS = """
  const size = [180, 120];
  const made = () => Object.assign(document.createElement('canvas'),
    {width: size[0], height: size[1]});
  let paints = 0;
  const painted = (at) => (context, margin) => {
    context.setTransform(1.5, 0, 0, 1.5, at[0] + margin, at[1] + margin);
    for (let k = 0; k < 40; k += 1) {
      context.fillStyle = `hsla(${k * 30}, 80%, 50%, 0.4)`;
      context.strokeStyle = '#222';
      context.beginPath();
      const [x, y] = [-200 + 67 * (k % 8), -90 + 53 * (k % 7)];
      for (let i = 0; i < 9; i += 1) {
        context.lineTo(x + 29 * Math.cos(k + i * 0.7), y + 21 * Math.sin(k + i * 0.7));
      }
      context.closePath();
      context.fill();
      context.stroke();
    }
  };
  const shown = made(), fresh = made();
  const differ = a.places.map((at) => {
    const [one, other] = [shown, fresh].map((each) => each.getContext('2d'));
    for (const context of [one, other]) {
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, ...size);
    }
    const counted = (...given) => { paints += 1; painted(at)(...given); };
    m.paintStill(shown, one, ['key'], at, counted);
    painted(at)(other, 0);
    for (const context of [one, other]) { // on white: faint colors are rounded coarsely
      Object.assign(context, { fillStyle: '#fff', globalCompositeOperation: 'destination-over' });
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.fillRect(0, 0, ...size);
      context.globalCompositeOperation = 'source-over';
    }
    const [mine, theirs] = [one, other].map((each) => each.getImageData(0, 0, ...size).data);
    return mine.filter((value, i) => Math.abs(value - theirs[i]) > a.round).length / mine.length;
  });
  return { differ, paints };"""
ROUND = 3  # of 255: where two layers of paint are rounded once more
# Share of the values that may differ by more: Chromium smooths edges of a shape that reaches beyond
# the canvas a little differently. A still off by one pixel differs in .012 or more.
SMOOTHED = 0.008


@pytest.mark.parametrize(
    ("places", "paints"),
    [
        ([[3.25, 7], [3.25, 7], [3.25, 7]], 2),  # once as it is, once for the still
        ([[3.25, 7], [9.25, 1], [99.25, -80], [3.25, 7]], 2),  # within its margin
        ([[0, 0], [1, 0], [98, 40], [198, 140], [70, 30]], 2 + 3 * 2),  # two strips each time
        ([[0, 0], [0, 0], [0.5, 0], [0.75, 0.5], [1.75, 0.5]], 2 + 3),  # broken pixels: anew
        ([[0, 0], [0, 0], [400, 0], [400, 0]], 2 + 2),  # nothing of it is left in sight
    ],
)
def test_a_still_that_moves_shows_what_painting_anew_would(
    run: Any, places: list[list[float]], paints: int
) -> None:
    found = run("stills", STILLS, {"places": places, "round": ROUND})
    assert max(found["differ"]) <= SMOOTHED
    assert found["paints"] == paints


def test_fewer_points_change_an_outline_by_less_than_the_detail(run: Any) -> None:
    body = """
      const ring = (r, n) => Array.from({length: n}, (_, k) => 2 * Math.PI * k / n)
        .flatMap((turn) => [50 + r * Math.cos(turn), 50 + r * Math.sin(turn)]);
      const parts = [{outer: ring(40, 900), holes: [ring(9, 90), ring(0.2, 5)]}];
      const context = document.createElement('canvas').getContext('2d');
      const inside = (r, detail) => Array.from({length: 200}, (_, k) => context.isPointInPath(
        m.pathOf(parts, detail), 50 + r * Math.cos(k), 50 + r * Math.sin(k), 'evenodd'));
      return [0, 1].map((detail) => [7.9, 10.1, 38.9, 41.1].map((r) => inside(r, detail)));"""
    for found in run("draw", body):
        assert [set(each) for each in found] == [{False}, {True}, {True}, {False}]
