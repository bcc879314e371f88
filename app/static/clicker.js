// Asks the server to outline animals, and puts its answers onto the canvas.

import { ApiError, postOutline } from "./api.js";
import { boxOf } from "./draw.js";
import { sizeOf } from "./geometry.js";
import { area, emptyMask, flatRings, subtract, symmetricDifference, unite } from "./raster.js";
import { newId } from "./store.js";

const NEAR = 0.25; // of an animal's size: two clicks so near mean the same one
const SOME = 3; // animals that say how large one is
const UNKNOWN = 0.15; // of the image's longer side: how large an animal is where none is drawn

const made = new WeakSet(); // parts that clicks alone have left: nobody vouches for them

/** An animal that is being clicked at; it has no id before its first answer. */
export class Target {
  constructor(animal = null) {
    this.id = animal?.id ?? null;
    this.clicks = []; // [x, y, positive], those that were answered
    // Nobody vouches for the outline: a model's, or made by these clicks alone.
    this.free = !animal || isFree(animal);
    this.parts = animal?.parts ?? null; // as the last answer left them: an edit makes the clicks old
    this.sent = null; // as the request under way was told
    this.gone = false; // nothing was left of it
  }

  /** Somebody drew, or undid, in between: the outline is no longer what the clicks made. */
  forget(animal) {
    Object.assign(this, { clicks: [], free: isFree(animal) });
  }
}

const isFree = ({ proposed, parts }) => Boolean(proposed) || made.has(parts);

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
    this.chosen = null; // the selection as the last question or answer left it
    this.ending = new AbortController();
    editor.ending.signal.addEventListener("abort", () => this.drop());
  }

  /** True while the animal waits for an answer. */
  waitsFor(target) {
    return this.waiting.some((wish) => wish.target === target);
  }

  /** True, and said, while a click is not answered: nobody can vouch for what is not there yet. */
  unanswered() {
    if (!this.waiting.length) return false;
    this.editor.say("A click is still being answered: a moment, or Esc drops it.", "warn");
    return true;
  }

  /**
   * Ask for an outline.
   *
   * wish: {target, route ("click", "box" or "points"), body() (what to send, when it is its turn),
   * click (that the target then has had, or null), label (of the command), marks ([x, y, positive],
   * shown until the answer is here)}.
   */
  ask(wish) {
    const { editor } = this;
    if (!this.waiting.length) this.chosen = editor.state.selected;
    this.waiting.push({ ...wish, session: editor.session });
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

  /** The image is left: what was asked about it is for no other one. */
  left() {
    if (!this.drop()) return;
    this.editor.say("The image was left before a click was answered; it changed nothing.", "warn");
  }

  /** Let the server get ready for the image on the screen. */
  prepare() {
    const { editor: { session }, ending: { signal } } = this;
    // Whatever is wrong, a click will say so.
    if (session) postOutline(session.id, "attend", {}, signal).catch(() => {});
  }

  async work() {
    this.busy = true;
    try {
      while (this.waiting.length) await this.serve(this.waiting[0]);
    } finally {
      this.busy = false;
    }
  }

  async serve(wish) {
    try {
      await this.answer(wish);
    } catch (error) {
      console.error(error);
      this.editor.say("Something unexpected went wrong with this click; draw it instead.", "warn");
    } finally {
      if (this.waiting[0] === wish) this.waiting.shift();
      this.show();
    }
  }

  async answer(wish) {
    const { editor, ending: { signal } } = this;
    if (!this.still(wish)) return;
    this.number += 1;
    const who = { client: this.client, number: this.number };
    try {
      const body = { ...who, ...wish.body() };
      const said = await postOutline(wish.session.id, wish.route, body, signal);
      // Not into the middle of a stroke or a drag, which would then undo it.
      await editor.safety.idle(wish.session);
      if (this.waiting.includes(wish) && this.still(wish) && !said.superseded) this.put(wish, said);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      editor.say(error.message, "warn");
      this.waiting = []; // what follows was meant for an outline that did not come
    }
  }

  /** Whether the image that was asked about is on the screen, and the animal still on it. */
  still({ session, target }) {
    if (this.editor.session !== session || target.gone) return false;
    return target.id === null || Boolean(session.instance(target.id));
  }

  /** Change the animal by what the answer adds and takes away. */
  put({ session, target, label, click }, { add, subtract: lost }) {
    const { editor } = this;
    const { shaping } = editor;
    const own = target.id ? session.instance(target.id) : null;
    if (own && own.parts !== target.sent) target.forget(own);
    else if (click) target.clicks.push(click);
    const before = own ? shaping.raster(own.parts) : emptyMask();
    const mask = subtract(unite(before, shaping.raster(add)), shaping.raster(lost));
    if (!area(symmetricDifference(before, mask))) {
      editor.say(own ? "The outline is right there already; paint (B) or draw (D) to change it."
        : "No animal was found there: click its middle, or draw a box around it.", "warn");
      return;
    }
    const sources = [...(own ? flatRings(own.parts) : []), ...flatRings(add), ...flatRings(lost)];
    const { selected, others } = editor.state;
    const moved = selected !== this.chosen || others.length > 0;
    target.id = shaping.commit(own, mask, label, sources, own ? null : add);
    target.gone = own !== null && target.id === null;
    target.parts = (target.id && session.instance(target.id)?.parts) ?? null;
    if (target.free && target.parts) made.add(target.parts);
    // Who has chosen another animal meanwhile goes on with that one.
    if (moved) editor.selection.set([selected, ...others].filter((id) => session.instance(id)));
    this.chosen = editor.state.selected;
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

  /** How far from an animal a click is still meant for it; image px. */
  reach({ parts }) {
    return 0.5 * Math.max(...boxOf(parts).slice(2));
  }

  /** How far from a click at an animal that is not there yet the next one is meant for it. */
  reachOfClick() {
    const { width, height } = this.editor.session.image;
    return NEAR * (this.usual() || UNKNOWN * Math.max(width, height));
  }
}
