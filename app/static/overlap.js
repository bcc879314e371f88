// Who gets the ground that animals have just come to cover, by the switch `overlap`.

import { boxOf } from "./draw.js";
import { boxesMeet } from "./meet.js";
import { area, emptyMask, flatRings, intersect, overlap, subtract } from "./raster.js";
import { edited } from "./store.js";

/** The claims of one undo step. Animals that take part in it do not count as others. */
export class Claims {
  constructor(shaping, taking) {
    Object.assign(this, { shaping, taking: new Set(taking) });
    this.rule = shaping.editor.state.overlap;
    this.left = new Map(); // id of another animal -> what is left of it
    this.given = []; // new animals' masks
  }

  get others() {
    return this.shaping.editor.session.instances.filter(({ id }) => !this.taking.has(id));
  }

  /** What an animal that covered `before` and shall cover `mask` gets: `mask` or a part of it. */
  settle(before, mask) {
    if (this.rule === "allow") return mask;
    let taken = mask;
    const ground = subtract(mask, before);
    const box = [ground.x, ground.y, ground.width, ground.height];
    for (const other of this.others) {
      if (!boxesMeet(boxOf(other.parts), box)) continue;
      const theirs = this.left.get(other.id) ?? this.shaping.raster(other.parts);
      if (!overlap(ground, theirs)) continue;
      if (this.rule === "spare") taken = subtract(taken, intersect(ground, theirs));
      else this.left.set(other.id, subtract(theirs, ground));
    }
    return taken;
  }

  /** As `settle` for a new animal, which also leaves the new ones before it their ground. */
  settleNew(mask) {
    if (this.rule === "allow") return mask;
    const taken = this.settle(emptyMask(), this.given.reduce(subtract, mask));
    this.given.push(taken);
    return taken;
  }

  /** How the others change; `sources` are rings whose vertices their new outlines keep. */
  changes(sources) {
    const { session } = this.shaping.editor;
    return [...this.left].map(([id, mask]) => {
      if (!area(mask)) return session.change(id, null);
      const other = session.instance(id);
      const parts = this.shaping.outline(mask, [...flatRings(other.parts), ...sources]);
      return session.change(id, { ...edited(other), parts });
    });
  }
}
