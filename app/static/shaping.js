// What tools do to the ground animals cover: new outlines, adding and taking away, merging,
// splitting. Each is one undo step, together with what it changes on other animals.

import { boxOf } from "./draw.js";
import { crossesItself, refusal } from "./geometry.js";
import {
  area, emptyMask, flatRings, intersect, overlap, rasterOf, subtract, symmetricDifference, unite,
} from "./raster.js";
import { retouched } from "./retouch.js";
import { splitMask } from "./split.js";
import { edited, newId } from "./store.js";

/** The part of the editor's state that says how shapes are made. */
export const SHAPING = {
  combine: "new", // what polygon and lasso do with their outline: new, add or subtract
  overlap: "allow", // new ground where other animals are: allow, spare (left to them) or take
  snap: false, // vertices go to a neighbor's border where one is near
  brush: 24, // diameter, image px
  stroke: null, // what a brush is painting: see Paint
  shift: null, // {ids, offset} of animals being moved
  trail: null, // the line that lasso or split is drawing, flat
  band: null, // [x, y, width, height] that a rubber band spans
};

const OVERLAP = {
  allow: "Animals may overlap.",
  spare: "New ground leaves other animals what they cover.",
  take: "New ground is taken from the animals under it.",
};

const record = (id, category, parts) => ({
  id, category, parts, source: "human", score: null, version: null, attributes: {}, proposed: false,
});

/** One command over several instances, so ordered that undo puts each back at its old place. */
export function together(session, label, changes) {
  session.run(label, [...changes].sort((a, b) => b.index - a.index));
}

const boxesMeet = ([ax, ay, aw, ah], { x, y, width, height }) =>
  ax < x + width && x < ax + aw && ay < y + height && y < ay + ah;

export class Shaping {
  constructor(editor) {
    this.editor = editor;
  }

  get image() {
    return this.editor.session.image;
  }

  raster(parts) {
    return rasterOf(parts, this.image);
  }

  outline(mask, sources) {
    return retouched(mask, sources, this.image.width, this.image.height);
  }

  toggleSnap() {
    const { editor } = this;
    editor.update({ snap: !editor.state.snap });
    const { snap } = editor.state;
    editor.say(snap ? "Snap is on: vertices go to a neighbor's border." : "Snap is off.");
  }

  /** The next way to treat new ground where other animals are. */
  cycleOverlap() {
    const { editor } = this;
    const ways = Object.keys(OVERLAP);
    const overlapping = ways[(ways.indexOf(editor.state.overlap) + 1) % ways.length];
    editor.update({ overlap: overlapping });
    editor.say(OVERLAP[overlapping]);
  }

  // ---- rings ----

  /** How a gesture combines: Shift adds, Alt subtracts, else what the buttons say. */
  howOf(event) {
    if (event?.altKey) return "subtract";
    return event?.shiftKey ? "add" : this.editor.state.combine;
  }

  /** A drawn flat ring becomes an animal, or changes the selected one; false: refused. */
  commitRing(ring, how) {
    const { editor } = this;
    const why = refusal(ring);
    if (why) {
      editor.say(why, "warn");
      return false;
    }
    const own = how === "new" ? null : this.target(ring);
    if (how !== "new" && !own) return false;
    const parts = [{ outer: ring, holes: [] }];
    if (own) this.combine(own, this.raster(parts), how, [...flatRings(own.parts), ring]);
    else this.commit(null, this.raster(parts), "draw", [ring], parts);
    if (crossesItself(ring)) editor.warnIfCrossing(ring);
    return true;
  }

  /** The animal that adding and subtracting changes: the selected, else the one under the ring. */
  target([x, y]) {
    const { editor } = this;
    const own = editor.selectedInstance ?? editor.tools.select.pick([x, y]);
    if (!own) editor.say("Select the animal to add to or subtract from first.", "warn");
    return own;
  }

  combine(own, mask, how, sources) {
    const before = this.raster(own.parts);
    const after = how === "add" ? unite(before, mask) : subtract(before, mask);
    this.commit(own, after, how === "add" ? "add to outline" : "subtract from outline", sources);
  }

  // ---- one animal's new raster ----

  /**
   * `own` (null: a new animal) shall cover `mask`. `sources` are rings whose vertices to keep;
   * `parts` is an outline of exactly this mask, where there is one. Returns the id, or null.
   */
  commit(own, mask, label, sources, parts = null) {
    const { editor } = this;
    const before = own ? this.raster(own.parts) : emptyMask();
    if (own && !area(symmetricDifference(before, mask))) return own.id;
    const { taken, changes } = this.settled(own, before, mask, sources);
    if (!area(taken)) return this.nothingLeft(own, before);
    const outline = taken === mask && parts ? parts : this.outline(taken, sources);
    const id = own?.id ?? newId();
    editor.edit((session) => {
      const change = own
        ? session.change(id, { ...edited(own), parts: outline })
        : { id, before: null, index: session.instances.length,
          after: record(id, editor.state.category, outline) };
      together(session, label, [...changes, change]);
    });
    editor.select(id);
    this.report(changes);
    return id;
  }

  /** Settle with the others who gets the ground that is new to `own`. */
  settled(own, before, mask, sources) {
    const { session, state } = this.editor;
    const changes = [];
    let taken = mask;
    if (state.overlap === "allow") return { taken, changes };
    const ground = subtract(mask, before);
    for (const other of session.instances) {
      if (other.id === own?.id || !boxesMeet(boxOf(other.parts), ground)) continue;
      const theirs = this.raster(other.parts);
      if (!overlap(ground, theirs)) continue;
      if (state.overlap === "spare") taken = subtract(taken, intersect(ground, theirs));
      else changes.push(this.robbed(other, subtract(theirs, ground), sources));
    }
    return { taken, changes };
  }

  robbed(other, left, sources) {
    const { session } = this.editor;
    if (!area(left)) return session.change(other.id, null);
    const parts = this.outline(left, [...flatRings(other.parts), ...sources]);
    return session.change(other.id, { ...edited(other), parts });
  }

  nothingLeft(own, before) {
    const { editor } = this;
    if (!own || !area(before)) {
      editor.say("Other animals cover all of this ground (see Overlap).", "warn");
      return null;
    }
    editor.select(null);
    editor.edit((session) => session.removeInstance(own.id));
    editor.say("Nothing was left of the animal; it is deleted.");
    return null;
  }

  report(changes) {
    if (!changes.length) return;
    const gone = changes.filter(({ after }) => !after).length;
    const cut = changes.length - gone;
    const said = [
      ...(cut ? [`ground taken from ${cut} other${cut > 1 ? "s" : ""}`] : []),
      ...(gone ? [`${gone} covered whole and deleted`] : []),
    ].join("; ");
    this.editor.say(`${said[0].toUpperCase()}${said.slice(1)}.`, gone ? "warn" : "info");
  }

  /** Vertices were moved: `parts` is the new outline of `own`, as the person left it. */
  commitParts(own, parts, label) {
    const { editor } = this;
    if (!editor.session.instance(own.id)) return; // somebody else deleted it meanwhile
    const mask = this.raster(parts);
    const before = this.raster(own.parts);
    const { taken, changes } = this.settled(own, before, mask, flatRings(parts));
    if (!area(taken) && area(mask)) {
      this.nothingLeft(null, before);
      return;
    }
    const outline = taken === mask ? parts : this.outline(taken, flatRings(parts));
    editor.edit((session) => {
      const now = session.instance(own.id);
      const change = session.change(own.id, { ...edited(now), parts: outline });
      together(session, label, [...changes, change]);
    });
    this.report(changes);
  }

  // ---- whole animals ----

  /** The selected animals become one: the largest, with the ground of all. */
  merge() {
    const { editor } = this;
    const items = editor.chosen;
    if (items.length < 2) {
      editor.say("Select two or more animals to merge: Shift-click adds one.", "warn");
      return;
    }
    const size = ({ parts }) => area(this.raster(parts));
    const [main, ...rest] = [...items].sort((a, b) => size(b) - size(a));
    const mask = items.map(({ parts }) => this.raster(parts)).reduce(unite);
    const parts = this.outline(mask, items.flatMap((item) => flatRings(item.parts)));
    editor.edit((session) => together(session, `merge ${items.length} animals`, [
      session.change(main.id, { ...edited(main), parts }),
      ...rest.map(({ id }) => session.change(id, null)),
    ]));
    editor.select(main.id);
    editor.say(`${items.length} animals merged into one.`);
  }

  /** Remove every hole of the selected animals. */
  fillHoles() {
    const { editor } = this;
    const items = editor.chosen.filter(({ parts }) => parts.some(({ holes }) => holes.length));
    if (!items.length) {
      editor.say("The selected animal has no hole.", "warn");
      return;
    }
    this.reshape(items, "fill holes", ({ parts }) =>
      parts.map(({ outer }) => ({ outer, holes: [] })));
  }

  /** Give animals other parts: a single one by the overlap rule, several as they are. */
  reshape(items, label, partsOf) {
    if (items.length === 1) this.commitParts(items[0], partsOf(items[0]), label);
    else {
      const ids = items.map(({ id }) => id);
      this.editor.selection.change(label, ids, (item) => ({
        ...edited(item), parts: partsOf(item),
      }));
    }
  }

  /** Cut along a line (flat): the selected animals, else the topmost one that it divides. */
  split(line) {
    const { editor } = this;
    const { chosen, session } = editor;
    const cut = (item) => ({ item, halves: splitMask(this.raster(item.parts), line) });
    const cuts = (chosen.length ? chosen : [...session.instances].reverse())
      .map(cut).filter(({ halves }) => halves).slice(0, chosen.length || 1);
    if (!cuts.length) {
      editor.say("The line divides no animal: draw it across, from outside to outside.", "warn");
      return;
    }
    const changes = cuts.flatMap(({ item, halves }) => this.halved(item, halves, line));
    editor.edit(() => together(session, "split", changes));
    editor.selection.set(changes.map(({ id }) => id));
  }

  /** The larger half stays the animal, the other is a new one just above it. */
  halved(item, halves, line) {
    const { session } = this.editor;
    const sources = [line, ...flatRings(item.parts)];
    const [large, small] = halves.sort((a, b) => area(b) - area(a))
      .map((mask) => this.outline(mask, sources));
    const change = session.change(item.id, { ...edited(item), parts: large });
    const id = newId();
    const after = { ...edited(item), id, parts: small, attributes: { ...item.attributes } };
    return [change, { id, before: null, after, index: change.index + 1 }];
  }
}
