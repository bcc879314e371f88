// What pointer and keys mean in each tool. Tools hold only the gesture under way; they propose a
// change and the editor commits it as one command.

import * as geometry from "./geometry.js";
import { MIDPOINT_FROM, boxOf } from "./draw.js";

const REACH = 9; // screen px within which a vertex, midpoint or edge is meant
const DRAG = 3; // screen px a pointer must travel before a press counts as a drag

const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);

/** Select instances; drag, insert and delete vertices of the selected one. */
export class SelectTool {
  constructor(editor) {
    this.editor = editor;
    this.gesture = null;
  }

  get active() {
    return this.gesture !== null;
  }

  get hint() {
    const { state } = this.editor;
    if (state.vertex) {
      return "Arrows move the vertex · Tab next · I insert · Delete remove · Esc done";
    }
    if (state.selected) {
      return "Drag a vertex · double-click an edge to insert · Alt-click a vertex to delete"
        + " · 1–9 category";
    }
    return this.editor.session.categories.length
      ? "Click an animal to select it · D draws a new one"
      : "Add a category on the Data page to draw animals";
  }

  /** The instance under a point, topmost first. */
  pick([x, y]) {
    const { instances } = this.editor.session;
    for (let i = instances.length - 1; i >= 0; i -= 1) {
      const [bx, by, width, height] = boxOf(instances[i].parts);
      if (x < bx || y < by || x > bx + width || y > by + height) continue;
      if (geometry.insideParts(instances[i].parts, x, y)) return instances[i];
    }
    return null;
  }

  down(point, event) {
    const { editor } = this;
    const reach = editor.view.length(REACH);
    const selected = editor.selectedInstance;
    const vertex = selected && geometry.nearestVertex(selected.parts, ...point, reach);
    if (vertex && event.altKey) return this.deleteVertex(vertex);
    if (vertex) return this.beginDrag(selected, selected.parts, vertex, point, "move vertex");
    const middle =
      selected &&
      geometry.nearestMidpoint(selected.parts, ...point, reach, editor.view.length(MIDPOINT_FROM));
    if (middle) return this.beginInsert(selected, middle, point);
    const hit = this.pick(point);
    // A press on the selected outline may be half of a double-click; it must not deselect, nor
    // select the neighbor that shares the border.
    const near = editor.view.length(hit ? REACH / 2 : REACH);
    if (selected && geometry.nearestEdge(selected.parts, ...point, near)) return true;
    editor.select(hit?.id ?? null);
    return Boolean(hit); // false: the stage pans instead
  }

  beginDrag(instance, parts, at, start, label) {
    this.gesture = { instance, parts, at, start, label, moved: parts !== instance.parts };
    this.editor.update({ vertex: { part: at.part, hole: at.hole, index: at.index } });
    this.preview(parts);
    return true;
  }

  beginInsert(instance, edge, start) {
    const { width, height } = this.editor.session.image;
    const parts = geometry.insertVertex(
      instance.parts, edge, geometry.clampPoint(...edge.point, width, height),
    );
    const at = { ...edge, index: edge.index + 1 };
    return this.beginDrag(instance, parts, at, start, "insert vertex");
  }

  preview(parts) {
    const { instance } = this.gesture;
    this.editor.update({ preview: { ...instance, parts } });
  }

  move(point) {
    const { editor, gesture } = this;
    if (!gesture) {
      const hovered = this.pick(point)?.id ?? null;
      if (hovered !== editor.state.hovered) editor.update({ hovered });
      return;
    }
    if (gesture.keyboard) return;
    if (!gesture.dragging && apart(point, gesture.start) < editor.view.length(DRAG)) return;
    gesture.dragging = true;
    this.moveTo(point);
  }

  moveTo(point) {
    const { editor, gesture } = this;
    const { width, height } = editor.session.image;
    const place = geometry.clampPoint(...point, width, height);
    gesture.parts = geometry.moveVertex(gesture.parts, gesture.at, place);
    gesture.moved = true;
    this.preview(gesture.parts);
  }

  up() {
    this.finish();
  }

  /** End the gesture; what it changed becomes one command. */
  finish() {
    const { editor, gesture } = this;
    if (!gesture) return;
    this.gesture = null;
    editor.update({ preview: null });
    if (!gesture.moved) return;
    editor.edit((session) => session.setParts(gesture.instance.id, gesture.parts, gesture.label));
    editor.warnIfCrossing(geometry.ringAt(gesture.parts, gesture.at));
  }

  cancel() {
    if (!this.gesture) return false;
    this.gesture = null;
    this.editor.update({ preview: null });
    return true;
  }

  double(point) {
    const { editor } = this;
    const selected = editor.selectedInstance;
    const reach = editor.view.length(REACH);
    if (!selected || geometry.nearestVertex(selected.parts, ...point, reach / 2)) return;
    const edge = geometry.nearestEdge(selected.parts, ...point, reach);
    if (edge) this.insertAt(selected, edge, edge.point);
  }

  insertAt(instance, edge, point) {
    const { editor } = this;
    const { width, height } = editor.session.image;
    const place = geometry.clampPoint(...point, width, height);
    const parts = geometry.insertVertex(instance.parts, edge, place);
    editor.edit((session) => session.setParts(instance.id, parts, "insert vertex"));
    editor.update({ vertex: { part: edge.part, hole: edge.hole, index: edge.index + 1 } });
  }

  deleteVertex(at) {
    const { editor } = this;
    const selected = editor.selectedInstance;
    const parts = geometry.removeVertex(selected.parts, at);
    if (!parts) {
      const why = "An outline needs three vertices with an area; delete the animal instead.";
      editor.say(why, "warn");
      return true;
    }
    editor.edit((session) => session.setParts(selected.id, parts, "delete vertex"));
    editor.update({ vertex: null });
    return true;
  }

  // ---- keyboard ----

  /** Enter: begin editing vertices of the selected instance. */
  enter() {
    const { editor } = this;
    if (!editor.selectedInstance || editor.state.vertex) return false;
    editor.update({ vertex: { part: 0, hole: -1, index: 0 } });
    return true;
  }

  /** Delete / Backspace: the focused vertex, else the instance. */
  remove() {
    const { editor } = this;
    if (!editor.selectedInstance) return false;
    if (editor.state.vertex) return this.deleteVertex(editor.state.vertex);
    return editor.deleteSelected();
  }

  insert() {
    const { editor } = this;
    const selected = editor.selectedInstance;
    const at = editor.state.vertex;
    if (!selected || !at) return false;
    const ring = geometry.ringAt(selected.parts, at);
    const [i, j] = [at.index * 2, (at.index * 2 + 2) % ring.length];
    this.insertAt(selected, at, [(ring[i] + ring[j]) / 2, (ring[i + 1] + ring[j + 1]) / 2]);
    return true;
  }

  escape() {
    const { editor } = this;
    if (this.cancel()) return true;
    if (editor.state.vertex) editor.update({ vertex: null });
    else if (editor.state.selected) editor.select(null);
    else if (editor.review.region) editor.review.show(null);
    else return false;
    return true;
  }

  /** Arrow keys on a focused vertex; a held key is one command, committed when it is released. */
  arrow(dx, dy, far) {
    const { editor } = this;
    const at = editor.state.vertex;
    const selected = editor.selectedInstance;
    if (!at || !selected) return false;
    if (!this.gesture) {
      this.beginDrag(selected, selected.parts, at, [0, 0], "move vertex");
      this.gesture.keyboard = true;
    }
    const ring = geometry.ringAt(this.gesture.parts, at);
    const step = far ? 10 : 1;
    this.moveTo([ring[at.index * 2] + dx * step, ring[at.index * 2 + 1] + dy * step]);
    return true;
  }

  /** Tab: the next vertex while editing them, else the next instance; false lets focus leave. */
  tab(direction) {
    const { editor } = this;
    const { vertex, selected } = editor.state;
    if (vertex && editor.selectedInstance) {
      const all = geometry
        .ringsOf(editor.selectedInstance.parts)
        .flatMap(({ part, hole, ring }) =>
          Array.from({ length: ring.length / 2 }, (_, index) => ({ part, hole, index })),
        );
      const at = all.findIndex(
        (v) => v.part === vertex.part && v.hole === vertex.hole && v.index === vertex.index,
      );
      editor.update({ vertex: all[(at + direction + all.length) % all.length] });
      return true;
    }
    const ids = editor.session.instances.map(({ id }) => id);
    const at = ids.indexOf(selected);
    const next = at < 0 ? (direction > 0 ? 0 : ids.length - 1) : at + direction;
    if (next < 0 || next >= ids.length) {
      editor.select(null);
      return false;
    }
    editor.select(ids[next]);
    return true;
  }
}

/** Draw a new instance vertex by vertex, with the mouse or with a crosshair moved by arrow keys. */
export class PolygonTool {
  constructor(editor) {
    this.editor = editor;
    this.movedSinceVertex = false;
  }

  get active() {
    return false;
  }

  get draft() {
    return this.editor.session.draft;
  }

  get hint() {
    const n = this.draft.length / 2;
    if (!n) return "Click to add vertices, or arrows and Enter · Esc leaves the tool";
    if (n < 3) return `${n} of at least 3 vertices · Backspace removes the last · Esc cancels`;
    return "Enter, double-click or click the first vertex closes · Backspace removes the last"
      + " · Esc cancels";
  }

  setDraft(draft) {
    this.editor.session.draft = draft;
    this.editor.update({ closing: false });
  }

  nearFirst(point) {
    const { draft } = this;
    return draft.length >= 6 && apart(point, draft) < this.editor.view.length(REACH + 1);
  }

  down(point, event) {
    this.editor.update({ crosshair: null });
    if (this.nearFirst(point)) this.close();
    // The second press of a double-click lies on the vertex that the first one made.
    else if (event.detail < 2 || !this.nearLast(point)) this.add(point);
    return true;
  }

  nearLast(point) {
    const last = this.draft.slice(-2);
    return last.length === 2 && apart(point, last) < this.editor.view.length(DRAG + 1);
  }

  add(point) {
    const { width, height } = this.editor.session.image;
    this.setDraft([...this.draft, ...geometry.clampPoint(...point, width, height)]);
    this.movedSinceVertex = false;
  }

  move(point) {
    this.editor.update({ pointer: point, closing: this.nearFirst(point) });
  }

  up() {}

  finish() {}

  double(point) {
    if (this.draft.length >= 6 && this.nearLast(point)) this.close();
  }

  close() {
    const { editor } = this;
    const ring = geometry.withoutRepeats(this.draft);
    const why = geometry.refusal(ring);
    if (why) {
      editor.say(why, "warn");
      return true;
    }
    this.setDraft([]);
    let id = null;
    editor.edit((session) => {
      id = session.addInstance([{ outer: ring, holes: [] }], editor.state.category);
    });
    editor.select(id);
    editor.update({ crosshair: null });
    editor.warnIfCrossing(ring);
    return true;
  }

  // ---- keyboard ----

  /** Enter: a vertex under the crosshair; without having moved it since the last one, close. */
  enter() {
    const { crosshair } = this.editor.state;
    if (crosshair && this.movedSinceVertex) {
      if (this.nearFirst(crosshair)) return this.close();
      this.add(crosshair);
      return true;
    }
    return this.draft.length ? this.close() : false;
  }

  remove() {
    if (this.draft.length) {
      this.setDraft(this.draft.slice(0, -2));
      return true;
    }
    return this.editor.deleteSelected();
  }

  insert() {
    return false;
  }

  cancel() {
    return false;
  }

  escape() {
    if (this.draft.length) this.setDraft([]);
    else this.editor.setTool("select");
    this.editor.update({ crosshair: null });
    return true;
  }

  arrow(dx, dy, far) {
    const { editor } = this;
    const { width, height } = editor.session.image;
    const from = editor.state.crosshair ?? this.start();
    const step = editor.view.length(far ? 40 : 6);
    const crosshair = geometry.clampPoint(from[0] + dx * step, from[1] + dy * step, width, height);
    this.movedSinceVertex = true;
    editor.update({ crosshair, closing: this.nearFirst(crosshair) });
    return true;
  }

  start() {
    const { view } = this.editor;
    if (this.draft.length) return this.draft.slice(-2);
    return view.toImage(view.width / 2, view.height / 2);
  }

  tab() {
    return false;
  }
}
