// What tools do to the ground animals cover: new outlines, adding and taking away, merging,
// splitting. Each is one undo step, together with what it changes on other animals.

import { addCopies } from "./commands.js";
import { crossesItself, refusal } from "./geometry.js";
import { Claims } from "./overlap.js";
import {
  area, emptyMask, flatRings, intersect, rasterOf, subtract, symmetricDifference, unite,
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
  marks: [], // [x, y, positive] of clicks that wait for their answer
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

/** So ordered that undo puts each animal back at its old place. */
const topmostFirst = (changes) => [...changes].sort((a, b) => b.index - a.index);

/** One command over several instances. */
export function together(session, label, changes) {
  session.run(label, topmostFirst(changes));
}

/** What others lost, in words; "" = nothing. */
function toldOf(changes) {
  const gone = changes.filter(({ after }) => !after).length;
  const cut = changes.length - gone;
  const told = [
    ...(cut ? [`ground taken from ${cut} other${cut > 1 ? "s" : ""}`] : []),
    ...(gone ? [`${gone} covered whole and deleted`] : []),
  ].join("; ");
  return told && `${told[0].toUpperCase()}${told.slice(1)}.`;
}

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
    const claims = new Claims(this, own ? [own.id] : []);
    const taken = claims.settle(before, mask);
    if (!area(taken)) return this.nothingLeft(own, before);
    const changes = claims.changes(sources);
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
    const told = toldOf(changes);
    const gone = changes.some(({ after }) => !after);
    if (told) this.editor.say(told, gone ? "warn" : "info");
  }

  /**
   * Animals get other outlines, as one step: `partsOf(instance)` as the person left them, less what
   * the switch leaves to others.
   */
  reshape(items, label, partsOf) {
    const { editor } = this;
    const own = items.map(({ id }) => editor.session.instance(id)).filter(Boolean);
    if (!own.length) return; // somebody else deleted them meanwhile
    const claims = new Claims(this, own.map(({ id }) => id));
    const settled = own.map((item) => this.settled(claims, item, partsOf(item)));
    if (settled.includes(null)) {
      this.nothingLeft(null);
      return;
    }
    const sources = settled.flatMap(flatRings);
    const changes = claims.changes(sources);
    editor.edit((session) => together(session, label, [...changes, ...own.map((item, i) =>
      session.change(item.id, { ...edited(item), parts: settled[i] }))]));
    this.report(changes);
  }

  /** The parts of an animal that shall have `parts`; null: others cover all of that. */
  settled(claims, item, parts) {
    const mask = this.raster(parts);
    const taken = claims.settle(this.raster(item.parts), mask);
    if (taken === mask) return parts;
    return area(taken) ? this.outline(taken, flatRings(parts)) : null;
  }

  /**
   * Add copies on top, as one step, less what the switch leaves to others.
   * Returns the new ids, and in words what became of others and of copies without any ground.
   */
  addCopies(copies, label) {
    const { editor } = this;
    const claims = new Claims(this, []);
    const placed = copies.map((copy) => {
      const mask = this.raster(copy.parts);
      const taken = claims.settleNew(mask);
      if (taken === mask) return copy;
      return area(taken) ? { ...copy, parts: this.outline(taken, flatRings(copy.parts)) } : null;
    }).filter(Boolean);
    const changes = claims.changes(placed.flatMap(({ parts }) => flatRings(parts)));
    let ids = [];
    editor.edit((session) => {
      ids = addCopies(session, placed, label, topmostFirst(changes));
    });
    editor.selectAll(ids);
    const hidden = copies.length - placed.length;
    const left = hidden ? `Others cover all the ground of ${hidden} (see Overlap).` : "";
    return { ids, told: [toldOf(changes), left].filter(Boolean).join(" ") };
  }

  // ---- whole animals ----

  /** Animals, the selected ones, become one: the largest, with the ground of all. */
  merge(items = this.editor.chosen) {
    const { editor } = this;
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

  /** Draw the border between two animals along a line (flat); false where it divides nothing. */
  recut(pair, line) {
    const { editor } = this;
    const masks = pair.map(({ parts }) => this.raster(parts));
    const halves = splitMask(unite(...masks), line);
    if (!halves) {
      editor.say("The line divides nothing: draw it across both, from outside to outside.", "warn");
      return false;
    }
    const shown = (k, half) => area(intersect(masks[k], halves[half]));
    if (shown(0, 1) + shown(1, 0) > shown(0, 0) + shown(1, 1)) halves.reverse();
    const sources = [line, ...pair.flatMap(({ parts }) => flatRings(parts))];
    editor.edit((session) => together(session, "draw the cut", pair.map((item, k) =>
      session.change(item.id, { ...edited(item), parts: this.outline(halves[k], sources) }))));
    return true;
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
