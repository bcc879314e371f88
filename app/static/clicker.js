// Asks the server to outline animals, and puts its answers onto the canvas.

import { ApiError, postOutline } from "./api.js";
import { boxOf } from "./draw.js";
import { sizeOf } from "./geometry.js";
import { area, emptyMask, flatRings, subtract, symmetricDifference, unite } from "./raster.js";
import { newId } from "./store.js";

const SOME = 3; // animals that say how large one is
const UNKNOWN = 0.15; // of the image's longer side: how large an animal is where none is drawn

/** An animal that is being clicked at; it has no id before its first answer. */
export class Target {
  constructor(id = null, parts = null) {
    this.id = id;
    this.clicks = []; // [x, y, positive]
    this.own = id === null; // they alone have made the outline
    this.parts = parts; // as the last answer left them: any other edit makes the clicks old
  }
}

/**
 * One request after the other, in the order they were asked for, so that each click finds what the
 * one before it made. What is asked on an image is dropped when that image is left.
 */
export class Clicker {
  constructor(editor) {
    this.editor = editor;
    this.client = newId();
    this.number = 0;
    this.waiting = []; // the first one is under way
    this.busy = false;
    this.ending = new AbortController();
    editor.ending.signal.addEventListener("abort", () => this.drop());
  }

  /** True while the animal waits for an answer. */
  waitsFor(target) {
    return this.waiting.some((wish) => wish.target === target);
  }

  /**
   * Ask for an outline.
   *
   * wish: {target, route ("click", "box" or "points"), body() (what to send, when it is its turn),
   * label (of the command), marks ([x, y, positive], shown until the answer is here)}.
   */
  ask(wish) {
    this.waiting.push({ ...wish, session: this.editor.session });
    this.show();
    if (!this.busy) this.work();
  }

  /** Forget what was asked; true when there was something. */
  drop() {
    const some = this.waiting.length > 0;
    this.waiting = [];
    this.ending.abort();
    this.ending = new AbortController();
    if (some) this.show();
    return some;
  }

  /** Let the server get ready for the image on the screen. */
  prepare() {
    const { session } = this.editor;
    if (session) postOutline(session.id, "attend", {}).catch(() => {}); // a click will say why
  }

  async work() {
    this.busy = true;
    while (this.waiting.length) {
      const wish = this.waiting[0];
      await this.answer(wish);
      if (this.waiting[0] === wish) this.waiting.shift();
      this.show();
    }
    this.busy = false;
  }

  async answer(wish) {
    const { editor, ending: { signal } } = this;
    if (!this.still(wish)) return;
    this.number += 1;
    const who = { client: this.client, number: this.number };
    try {
      const said = await postOutline(wish.session.id, wish.route, { ...who, ...wish.body() }, signal);
      if (this.waiting.includes(wish) && this.still(wish) && !said.superseded) this.put(wish, said);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      if (this.waiting.includes(wish)) editor.say(error.message, "warn");
      this.waiting = []; // what follows was meant for an outline that did not come
    }
  }

  /** The image is left: what was asked about it is for no other one. */
  left() {
    if (!this.drop()) return;
    this.editor.say("The image was left before a click was answered; it changed nothing.", "warn");
  }

  /** Whether the image that was asked about is on the screen, and the animal still on it. */
  still({ session, target }) {
    if (this.editor.session !== session) return false;
    return target.id === null || Boolean(session.instance(target.id));
  }

  /** Change the animal by what the answer adds and takes away. */
  put({ session, target, label }, { add, subtract: gone }) {
    const { editor } = this;
    const { shaping } = editor;
    const own = target.id ? session.instance(target.id) : null;
    const before = own ? shaping.raster(own.parts) : emptyMask();
    const mask = subtract(unite(before, shaping.raster(add)), shaping.raster(gone));
    if (!area(symmetricDifference(before, mask))) {
      editor.say(own ? "The outline is right there already; paint (B) or draw (D) to change it."
        : "No animal was found there: click its middle, or draw a box around it.", "warn");
      return;
    }
    const sources = [...(own ? flatRings(own.parts) : []), ...flatRings(add), ...flatRings(gone)];
    target.id = shaping.commit(own, mask, label, sources, own ? null : add);
    target.parts = target.id && (session.instance(target.id)?.parts ?? null);
  }

  show() {
    const { editor } = this;
    editor.root.dataset.clicks = this.waiting.length ? "busy" : "ready";
    editor.update({ marks: this.waiting.flatMap(({ marks }) => marks) });
  }

  /** Size (root of the area) of an animal, px: the median of those on the image; 0 for a few. */
  usual() {
    const sizes = this.editor.session.instances.map(({ parts }) => sizeOf(parts));
    if (sizes.length < SOME) return 0;
    return sizes.sort((a, b) => a - b)[Math.floor(sizes.length / 2)];
  }

  /** How far from an animal, or from clicks at it, a click is still meant for it; image px. */
  reach(target) {
    const { session } = this.editor;
    const own = target.id && session.instance(target.id);
    if (own) return 0.5 * Math.max(...boxOf(own.parts).slice(2));
    return this.usual() || UNKNOWN * Math.max(session.image.width, session.image.height);
  }
}
