// The select tool.

import * as geometry from "../geometry.js";
import { MIDPOINT_FROM, boxOf } from "../draw.js";
import { Band, Move, VertexDrag } from "./drags.js";
import { borderBetween, snapped } from "../snap.js";
import { DRAG, REACH, Tool, apart } from "./tool.js";

/** A move, or a rubber band; they end like a dragged vertex. */

/** Select instances and move them; drag, insert and delete vertices of the selected one. */
export class SelectTool extends Tool {
  static spec = {
    name: "select", label: "Select", key: "V", icon: "select", cursor: "default",
    about: "Select animals, move them and their vertices", draws: false,
  };

  gesture = null; // a drag under way, see drags.js

  get active() {
    return this.gesture !== null;
  }

  get hint() {
    const { state, session } = this.editor;
    if (state.vertex) {
      return "Arrows move the vertex · Tab next · I insert · Delete remove · Esc done";
    }
    if (state.others.length) {
      return "Drag moves them · M merges · 1–9 category · Delete · Shift-click adds or takes out";
    }
    if (state.selected) {
      return "Drag a vertex, or the animal · double-click an edge to insert · Alt-click a vertex"
        + " to delete · Shift-click selects another too";
    }
    return session.categories.length
      ? "Click an animal to select it · Shift-drag selects several · K outlines a new one"
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

  /** The instance whose vertices can be edited: only one that is selected alone. */
  get single() {
    const { selectedInstance, state } = this.editor;
    return state.others.length ? null : selectedInstance;
  }

  down(point, event) {
    const { editor, single } = this;
    if (event.shiftKey) return this.begin(new Band(editor, point, this.pick(point)));
    if (single && this.onVertex(single, point, event)) return true;
    const hit = this.pick(point);
    // A press on the selected outline may be half of a double-click; it must not deselect, nor
    // select the neighbor that shares the border.
    const near = editor.view.length(hit ? REACH / 2 : REACH);
    if (single && geometry.nearestEdge(single.parts, ...point, near)) return true;
    if (hit && editor.selection.ids.includes(hit.id)) {
      return this.begin(new Move(editor, point, hit));
    }
    editor.select(hit?.id ?? null);
    return Boolean(hit); // false: the stage pans instead
  }

  /** A press on a vertex or the middle of an edge. */
  onVertex(instance, point, event) {
    const { view } = this.editor;
    const reach = view.length(REACH);
    const at = geometry.nearestVertex(instance.parts, ...point, reach);
    if (at && event.altKey) return this.deleteVertex(at);
    if (at) return this.beginDrag(instance, instance.parts, at, point, "move vertex");
    const middle =
      geometry.nearestMidpoint(instance.parts, ...point, reach, view.length(MIDPOINT_FROM));
    return middle ? this.beginInsert(instance, middle, point) : false;
  }

  begin(gesture) {
    this.gesture = gesture;
    return true;
  }

  beginDrag(instance, parts, at, start, label) {
    return this.begin(new VertexDrag(this.editor, start, { instance, parts, at, label }));
  }

  beginInsert(instance, edge, start) {
    const { width, height } = this.editor.session.image;
    const parts = geometry.insertVertex(
      instance.parts, edge, geometry.clampPoint(...edge.point, width, height),
    );
    const at = { ...edge, index: edge.index + 1 };
    return this.beginDrag(instance, parts, at, start, "insert vertex");
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
    gesture.to(point);
  }

  up() {
    this.finish();
  }

  /** End the gesture; what it changed becomes one command. */
  finish() {
    const { gesture } = this;
    this.gesture = null;
    gesture?.keep();
  }

  cancel() {
    const { gesture } = this;
    this.gesture = null;
    gesture?.drop();
    return Boolean(gesture);
  }

  double(point) {
    const { editor, single } = this;
    const reach = editor.view.length(REACH);
    if (!single || geometry.nearestVertex(single.parts, ...point, reach / 2)) return;
    const edge = geometry.nearestEdge(single.parts, ...point, reach);
    if (edge) this.insertAt(single, edge, edge.point);
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
    const { editor, single } = this;
    const parts = geometry.removeVertex(single.parts, at);
    if (!parts) {
      const why = "An outline needs three vertices with an area; delete the animal instead.";
      editor.say(why, "warn");
      return true;
    }
    editor.edit((session) => session.setParts(single.id, parts, "delete vertex"));
    editor.update({ vertex: null });
    return true;
  }

  // ---- keyboard ----

  /** Enter: begin editing vertices of the selected instance. */
  enter() {
    const { editor } = this;
    if (!this.single || editor.state.vertex) return false;
    editor.update({ vertex: { part: 0, hole: -1, index: 0 } });
    return true;
  }

  /** Delete / Backspace: the focused vertex, else what is selected. */
  remove() {
    const { editor } = this;
    if (this.single && editor.state.vertex) return this.deleteVertex(editor.state.vertex);
    return editor.deleteSelected();
  }

  /** Shift+Delete: the hole or part that the focused vertex belongs to. */
  removeRing() {
    const { editor, single } = this;
    const { vertex } = editor.state;
    const parts = single && vertex && geometry.removeRing(single.parts, vertex);
    if (!parts) {
      editor.say("Click a vertex of the hole or part to delete first.", "warn");
      return true;
    }
    const label = vertex.hole < 0 ? "delete part" : "delete hole";
    editor.update({ vertex: null });
    editor.shaping.reshape([single], label, () => parts);
    return true;
  }

  insert() {
    const { single } = this;
    const at = this.editor.state.vertex;
    if (!single || !at) return false;
    const ring = geometry.ringAt(single.parts, at);
    const [i, j] = [at.index * 2, (at.index * 2 + 2) % ring.length];
    this.insertAt(single, at, [(ring[i] + ring[j]) / 2, (ring[i + 1] + ring[j + 1]) / 2]);
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
    const { single } = this;
    const at = this.editor.state.vertex;
    if (!at || !single) return false;
    if (!this.gesture) {
      this.beginDrag(single, single.parts, at, [0, 0], "move vertex");
      this.gesture.keyboard = true;
    }
    this.gesture.by(far ? 10 * dx : dx, far ? 10 * dy : dy);
    return true;
  }

  /** Ctrl+arrows: move what is selected; one command as for a vertex. */
  nudge(dx, dy, far) {
    const { editor } = this;
    if (!editor.chosen.length) return false;
    if (!this.gesture) {
      this.begin(new Move(editor, [0, 0]));
      this.gesture.keyboard = true;
    }
    this.gesture.by(far ? 10 * dx : dx, far ? 10 * dy : dy);
    return true;
  }

  /** Tab: the next vertex while editing them, else the next instance; false lets focus leave. */
  tab(direction) {
    const { editor } = this;
    if (editor.state.vertex && this.single) return this.nextVertex(direction);
    const ids = editor.session.instances.map(({ id }) => id);
    const at = ids.indexOf(editor.state.selected);
    const next = at < 0 ? (direction > 0 ? 0 : ids.length - 1) : at + direction;
    if (next < 0 || next >= ids.length) {
      editor.select(null);
      return false;
    }
    editor.select(ids[next]);
    return true;
  }

  nextVertex(direction) {
    const { editor } = this;
    const { vertex } = editor.state;
    const all = geometry
      .ringsOf(this.single.parts)
      .flatMap(({ part, hole, ring }) =>
        Array.from({ length: ring.length / 2 }, (_, index) => ({ part, hole, index })),
      );
    const at = all.findIndex(
      (v) => v.part === vertex.part && v.hole === vertex.hole && v.index === vertex.index,
    );
    editor.update({ vertex: all[(at + direction + all.length) % all.length] });
    return true;
  }
}
