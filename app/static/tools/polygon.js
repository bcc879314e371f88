// The polygon tool.

import * as geometry from "../geometry.js";
import { borderBetween, snapped } from "../snap.js";
import { CrosshairTool, DRAG, REACH, apart } from "./tool.js";

/** Draw a new instance vertex by vertex, with the mouse or with a crosshair moved by arrow keys. */
export class PolygonTool extends CrosshairTool {
  static spec = {
    name: "draw", label: "Polygon", key: "D", icon: "draw", cursor: "crosshair",
    about: "Polygon: click vertex by vertex", draws: true,
  };

  constructor(editor) {
    super(editor);
    this.movedSinceVertex = false;
    this.how = "new"; // what becomes of the outline: see Shaping.howOf
  }

  get draft() {
    return this.editor.session.draft;
  }

  get hint() {
    const n = this.draft.length / 2;
    if (!n) return "Click to add vertices, or arrows and Enter · Shift adds to, Alt takes from the"
      + " selected animal · Esc leaves the tool";
    if (n < 3) return `${n} of at least 3 vertices · Backspace removes the last · Esc cancels`;
    return "Enter, double-click or click the first vertex closes · Backspace removes the last"
      + " · Esc cancels";
  }

  setDraft(draft) {
    const { session } = this.editor;
    session.outliner = this.constructor.spec.name;
    session.draft = draft;
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
    else if (event.detail < 2 || !this.nearLast(point)) {
      if (!this.draft.length) this.how = this.editor.shaping.howOf(event);
      this.add(point);
    }
    return true;
  }

  nearLast(point) {
    const last = this.draft.slice(-2);
    return last.length === 2 && apart(point, last) < this.editor.view.length(DRAG + 1);
  }

  add(point) {
    const { width, height } = this.editor.session.image;
    const { editor } = this;
    const place = snapped(editor, point) ?? geometry.clampPoint(...point, width, height);
    const { draft } = this;
    const along = draft.length ? borderBetween(editor, draft.slice(-2), place) : [];
    this.setDraft([...draft, ...along, ...place]);
    this.movedSinceVertex = false;
  }

  move(point) {
    const place = snapped(this.editor, point) ?? point; // shows where a click would land
    this.editor.update({ pointer: place, closing: this.nearFirst(point) });
  }

  double(point) {
    if (this.draft.length >= 6 && this.nearLast(point)) this.close();
  }

  close() {
    const { editor } = this;
    const { draft } = this;
    const along = draft.length > 5 ? borderBetween(editor, draft.slice(-2), draft.slice(0, 2)) : [];
    const ring = geometry.withoutRepeats([...draft, ...along]);
    if (!editor.shaping.commitRing(ring, this.how)) return true;
    this.setDraft([]);
    this.how = "new";
    editor.update({ crosshair: null });
    return true;
  }

  // ---- keyboard ----

  /** Enter: a vertex under the crosshair; without having moved it since the last one, close. */
  enter() {
    const { crosshair } = this.editor.state;
    if (crosshair && this.movedSinceVertex) {
      if (this.nearFirst(crosshair)) return this.close();
      if (!this.draft.length) this.how = this.editor.shaping.howOf();
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

  escape() {
    if (this.draft.length) this.setDraft([]);
    else this.editor.setTool("select");
    this.editor.update({ crosshair: null });
    return true;
  }

  arrow(...way) {
    super.arrow(...way);
    this.movedSinceVertex = true;
    this.editor.update({ closing: this.nearFirst(this.editor.state.crosshair) });
    return true;
  }

  start() {
    return this.draft.length ? this.draft.slice(-2) : super.start();
  }
}
