// The live-wire tool: an outline that follows edges from click to click.

import * as geometry from "../geometry.js";
import { nearestEdgeNode, smooth, thinned, trace } from "../livewire.js";
import { pixelsOf } from "../window_pixels.js";
import { PolygonTool } from "./polygon.js";
import { DRAG, apart } from "./tool.js";

const WINDOW = 512; // samples along a side of the part of the picture around the last click
const SNAP = 5; // screen px within which a click jumps onto the strongest edge
const THIN = 0.45; // samples a vertex may be off the way found

/**
 * A polygon whose sides are the cheapest ways along edges. The ways from the last click to
 * everywhere in a window are worked out once, in a worker; following the pointer only reads them.
 */
export class LiveWireTool extends PolygonTool {
  static spec = {
    name: "wire", label: "Live-wire", key: "W", icon: "wire", cursor: "crosshair",
    about: "Live-wire: follows edges from click to click", draws: true,
  };

  constructor(editor) {
    super(editor);
    this.worker = null;
    this.broken = false; // no worker here: the sides stay straight
    this.turn = 0;
    this.reset();
  }

  reset() {
    this.turn += 1; // an answer that is under way is for an outline that is no more
    this.field = null; // the ways from the last vertex
    this.waiting = false;
    this.todo = []; // clicks made while the ways are worked out
    this.starts = []; // length of the draft before each click
    this.clicked = null;
    this.session = this.editor.session;
    this.show([]);
  }

  get hint() {
    const n = this.starts.length;
    if (!n) return "Click on the animal's edge; the outline follows edges from there";
    return "Click to fix the way so far · Enter, double-click or the first vertex closes"
      + " · Backspace removes the last · Esc cancels";
  }

  show(wire) {
    this.editor.update({ wire });
  }

  nearLast(point) {
    return Boolean(this.clicked) && apart(point, this.clicked) < this.editor.view.length(DRAG + 1);
  }

  add(point) {
    this.clicked = point;
    this.later(() => this.append(point));
  }

  /** In order, and not before the ways from the last vertex are known. */
  later(run) {
    this.sync();
    this.todo.push(run);
    this.work();
  }

  work() {
    while (!this.waiting && this.todo.length) this.todo.shift()();
  }

  /** Start anew on another image, and where the outline was changed by somebody else. */
  sync() {
    const { draft } = this;
    if (this.session !== this.editor.session) this.reset();
    while (this.starts.length && this.starts.at(-1) >= draft.length) this.starts.pop();
    if (!draft.length && this.field) this.reset();
    if (draft.length && !this.waiting && !this.isFrom(draft.slice(-2))) this.request(false);
  }

  isFrom(end) {
    return this.field !== null && end[0] === this.field.end[0] && end[1] === this.field.end[1];
  }

  append(point) {
    const { draft } = this;
    const { width, height } = this.editor.session.image;
    const way = draft.length ? this.way(point) : geometry.clampPoint(...point, width, height);
    this.starts.push(draft.length);
    this.setDraft([...draft, ...way]);
    this.movedSinceVertex = false;
    this.show([]);
    this.request(!draft.length);
    this.editor.refresh(); // the hint below the picture
  }

  /** Vertices from behind the last one up to a point, flat; straight where no way is known. */
  way(point, snap = true) {
    const { field, editor } = this;
    const { width, height } = editor.session.image;
    const end = geometry.clampPoint(...point, width, height);
    if (!field) return end;
    const [x, y] = end.map((value, i) => Math.round((value - field.origin[i]) * field.scale));
    const cx = Math.min(Math.max(x, 0), field.columns - 1);
    const cy = Math.min(Math.max(y, 0), field.rows - 1);
    const node = snap
      ? nearestEdgeNode(field.cost, field.columns, field.rows, cx, cy, this.reach(field.scale))
      : cy * field.columns + cx;
    const line = thinned(smooth(trace(field.arrival, field.columns, node)), THIN).slice(2)
      .map((value, i) => geometry.round(field.origin[i % 2] + value / field.scale));
    const outside = x !== cx || y !== cy;
    if (outside || !line.length) return [...line, ...end];
    return snap ? line : [...line.slice(0, -2), ...end];
  }

  reach(scale) {
    return Math.max(Math.round(this.editor.view.length(SNAP) * scale), 1);
  }

  /** Work out the ways from the last vertex; the first one may still jump onto an edge. */
  request(first) {
    const { editor } = this;
    if (this.broken) return;
    const end = this.draft.slice(-2);
    const scale = Math.min(editor.view.scale, 1);
    const { image } = editor.session;
    const [x, width] = windowAlong(end[0], WINDOW / scale, image.width);
    const [y, height] = windowAlong(end[1], WINDOW / scale, image.height);
    const data = pixelsOf(editor.state.picture, image, [x, y, width, height], scale);
    this.turn += 1;
    this.waiting = true;
    editor.root.dataset.wire = "busy";
    this.field = null;
    this.asked = {
      first, end, scale, origin: [x, y], columns: data.width + 1, rows: data.height + 1,
    };
    this.start();
    this.worker.postMessage({
      turn: this.turn, pixels: data.data, width: data.width, height: data.height,
      x: Math.min(Math.round((end[0] - x) * scale), data.width),
      y: Math.min(Math.round((end[1] - y) * scale), data.height),
      reach: first ? this.reach(scale) : 0,
    }, [data.data.buffer]);
  }

  start() {
    if (this.worker) return;
    const { editor } = this;
    this.worker = new Worker(new URL("../livewire_worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.arrived(data);
    this.worker.onerror = () => {
      editor.say("Edges cannot be followed in this browser; the outline goes straight.", "warn");
      Object.assign(this, { broken: true, waiting: false });
      this.work();
    };
    editor.ending.signal.addEventListener("abort", () => this.worker.terminate());
  }

  arrived({ turn, cost, arrival, seed }) {
    if (turn !== this.turn || this.session !== this.editor.session) return;
    const field = { ...this.asked, cost, arrival };
    if (field.first) {
      const at = [seed % field.columns, Math.floor(seed / field.columns)];
      field.end = at.map((value, i) => geometry.round(field.origin[i] + value / field.scale));
      this.setDraft(field.end);
    }
    this.field = field;
    this.waiting = false;
    this.editor.root.dataset.wire = "ready";
    this.work();
    if (!this.waiting && this.editor.state.pointer) this.follow(this.editor.state.pointer);
  }

  move(point) {
    super.move(point);
    this.sync();
    this.follow(point);
  }

  follow(point) {
    if (!this.draft.length || this.waiting) return;
    const closes = this.nearFirst(point);
    this.show(closes ? this.way(this.draft.slice(0, 2), false) : this.way(point));
  }

  arrow(dx, dy, far) {
    super.arrow(dx, dy, far);
    this.sync();
    this.follow(this.editor.state.crosshair);
    return true;
  }

  close(...how) {
    this.later(() => {
      const before = this.draft;
      if (before.length < 4) {
        super.close(...how);
        return;
      }
      this.setDraft([...before, ...this.way(before.slice(0, 2), false).slice(0, -2)]);
      super.close(...how);
      if (this.draft.length) this.setDraft(before); // refused
      else this.reset();
    });
    return true;
  }

  remove() {
    this.sync();
    if (!this.draft.length) return super.remove();
    this.todo = [];
    this.clicked = null;
    this.setDraft(this.draft.slice(0, this.starts.pop() ?? -2));
    this.show([]);
    if (this.draft.length) this.request(false);
    else this.reset();
    return true;
  }

  escape() {
    super.escape();
    this.reset();
    return true;
  }
}

/** [start, length] of a window around `at` that stays inside the picture, in whole pixels. */
function windowAlong(at, length, limit) {
  const size = Math.min(Math.ceil(length), limit);
  return [Math.min(Math.max(Math.floor(at - size / 2), 0), limit - size), size];
}
