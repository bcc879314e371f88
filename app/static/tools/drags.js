// What a press of the select tool can become: a vertex drag, a move, a rubber band. Each shows
// where it stands (`to`), and ends by being kept as one command, or dropped.

import * as geometry from "../geometry.js";
import { borderBetween, snapped } from "../snap.js";

/** Moves the vertex `at` of `parts`, which are those of the instance, or have just got it. */
export class VertexDrag {
  constructor(editor, start, { instance, parts, at, label }) {
    Object.assign(this, { editor, start, instance, parts, label });
    this.at = { part: at.part, hole: at.hole, index: at.index };
    this.moved = parts !== instance.parts;
    editor.update({ vertex: this.at });
    this.show();
  }

  show() {
    const { editor, instance, parts } = this;
    editor.update({ preview: { ...instance, parts } });
  }

  to(point) {
    this.put(snapped(this.editor, point, this.instance.id) ?? point);
  }

  put(point) {
    const { width, height } = this.editor.session.image;
    const place = geometry.clampPoint(...point, width, height);
    this.parts = geometry.moveVertex(this.parts, this.at, place);
    this.moved = true;
    this.show();
  }

  /** The vertex stepped by the keyboard, which borders would hold fast. */
  by(dx, dy) {
    const ring = geometry.ringAt(this.parts, this.at);
    this.put([ring[this.at.index * 2] + dx, ring[this.at.index * 2 + 1] + dy]);
  }

  /** The ring, with the neighbor's vertices where two in a row lie on one border. */
  alongBorders() {
    const ring = geometry.ringAt(this.parts, this.at);
    const points = geometry.pairsOf(ring);
    const i = this.at.index;
    const before = points[(i + points.length - 1) % points.length];
    const after = points[(i + 1) % points.length];
    const { editor, instance } = this;
    const first = borderBetween(editor, before, points[i], instance.id);
    const second = borderBetween(editor, points[i], after, instance.id);
    if (!first.length && !second.length) return this.parts;
    const flat = [...ring.slice(0, 2 * i), ...first, ...points[i], ...second,
      ...ring.slice(2 * i + 2)];
    return geometry.withRing(this.parts, this.at, geometry.withoutRepeats(flat));
  }

  keep() {
    const { editor, instance, label } = this;
    editor.update({ preview: null });
    if (!this.moved) return;
    const parts = this.alongBorders();
    if (parts !== this.parts) editor.update({ vertex: null }); // its number may be another now
    editor.shaping.reshape([instance], label, () => parts);
    editor.warnIfCrossing(geometry.ringAt(this.parts, this.at));
  }

  drop() {
    this.editor.update({ preview: null });
  }
}

/** Moves all selected animals; a press that moves nothing selects the one under it alone. */
export class Move {
  constructor(editor, start, clicked = null) {
    Object.assign(this, { editor, start, clicked, offset: [0, 0] });
    this.items = editor.chosen;
  }

  to([x, y]) {
    this.shift(x - this.start[0], y - this.start[1]);
  }

  by(dx, dy) {
    this.shift(this.offset[0] + dx, this.offset[1] + dy);
  }

  /** By whole pixels, which keeps the raster as it is, and not out of the picture. */
  shift(dx, dy) {
    const { editor, items } = this;
    const { width, height } = editor.session.image;
    const [x, y, w, h] = geometry.boxOfParts(items.flatMap(({ parts }) => parts));
    const within = (value, low, high) => Math.min(Math.max(Math.round(value), Math.ceil(low)),
      Math.floor(Math.max(high, low)));
    this.offset = [within(dx, -x, width - x - w), within(dy, -y, height - y - h)];
    const ids = new Set(items.map(({ id }) => id));
    editor.update({ shift: { ids, offset: this.offset } });
  }

  keep() {
    const { editor, items, offset: [dx, dy] } = this;
    editor.update({ shift: null });
    if (!dx && !dy) {
      if (this.clicked && !this.dragging) editor.select(this.clicked.id);
      return;
    }
    const label = items.length > 1 ? `move ${items.length} animals` : "move";
    editor.shaping.reshape(items, label, ({ parts }) => geometry.shiftParts(parts, dx, dy));
  }

  drop() {
    this.editor.update({ shift: null });
  }
}

/** Selects what lies in the box; a press without a drag adds or takes out the animal under it. */
export class Band {
  constructor(editor, start, clicked) {
    Object.assign(this, { editor, start, clicked });
  }

  to([x, y]) {
    const [x0, y0] = this.start;
    const band = [Math.min(x0, x), Math.min(y0, y), Math.abs(x - x0), Math.abs(y - y0)];
    this.editor.update({ band });
  }

  keep() {
    const { editor, clicked } = this;
    const { band } = editor.state;
    editor.update({ band: null });
    if (band) editor.selection.addInside(band);
    else if (clicked) editor.selection.toggle(clicked.id);
  }

  drop() {
    this.editor.update({ band: null });
  }
}
