// The click tool: clicks, boxes, scribbles become outlines; drags merge and split.

import { Target } from "../clicker.js";
import { boxOf } from "../draw.js";
import { clampPoint, pairsOf, thinLine } from "../geometry.js";
import { CrosshairTool, DRAG, apart, followTrail } from "./tool.js";

const STEP = 2; // screen px between the points of a line being drawn
const SMALL = 6; // screen px: a smaller box was meant as a click
const POINTS = 64; // of a scribble, at most

export class ClickTool extends CrosshairTool {
  static spec = {
    name: "click", label: "Click", key: "K", icon: "click", cursor: "crosshair", clicks: true,
    about: "Click: outlines the animal, or adds what is missing; Alt+click takes away",
    draws: true,
  };

  press = null; // {start, hit, how} of a press under way
  target = null;

  get active() {
    return this.press !== null;
  }

  get hint() {
    const { state } = this.editor;
    if (this.press?.how === "box") return "Let go to outline the animal in the box · Esc cancels";
    if (this.press?.how === "merge") return "Let go on the other animal to merge the two";
    if (state.marks.length) return "Outlining… · Esc drops the clicks that wait";
    return state.selected
      ? "Click what is missing · Alt+click what is too much · click another animal, or far away,"
        + " for the next · Esc lets go"
      : "Click an animal, or drag a box around it · Shift+drag scribbles · drag from one animal to"
        + " another merges · Alt+drag splits";
  }

  chosen() {
    this.editor.clicker.prepare();
  }

  down(point, event) {
    const hit = this.editor.tools.select.pick(point);
    this.press = { start: point, hit, alt: event.altKey, shift: event.shiftKey, how: null };
    this.editor.update({ pointer: point, crosshair: null });
    return true;
  }

  place(point) {
    const { width, height } = this.editor.session.image;
    return clampPoint(...point, width, height);
  }

  move(point, event) {
    const { editor, press } = this;
    editor.update({ pointer: point });
    if (!press) return;
    if (!press.how) {
      if (apart(point, press.start) < editor.view.length(DRAG)) return;
      press.how = this.drags(press);
      if (press.how !== "box") editor.update({ trail: this.place(press.start) });
    }
    if (press.how === "box") editor.update({ band: this.band(point) });
    else if (press.how === "merge") editor.update({ trail: this.place(press.start) });
    else followTrail(this, event, STEP);
  }

  /** What a drag that begins so will do. */
  drags({ alt, shift, hit }) {
    if (alt) return "split";
    if (shift) return "scribble";
    return hit ? "merge" : "box";
  }

  band(point) {
    const [x, y] = this.place(this.press.start);
    const [u, v] = this.place(point);
    return [Math.min(x, u), Math.min(y, v), Math.abs(x - u), Math.abs(y - v)];
  }

  up(point) {
    const { press } = this;
    if (!press) return;
    const { trail, band } = this.editor.state;
    this.cancel();
    if (!press.how) this.click(press.start, !press.alt, press.shift);
    else if (press.how === "box") this.box(band, press);
    else if (press.how === "merge") this.merge(press.hit, point);
    else if (press.how === "scribble") this.scribble(trail);
    else this.editor.review.cut(thinLine(trail, Math.min(this.editor.view.length(1), 1)));
  }

  finish() {
    if (this.press) this.up(this.editor.state.pointer ?? this.press.start);
  }

  cancel() {
    if (!this.press) return false;
    this.press = null;
    this.editor.update({ trail: null, band: null });
    return true;
  }

  // ---- what a gesture asks for ----

  /** `fresh`: it begins a new animal, wherever it is. */
  click(point, positive, fresh = false) {
    const { editor } = this;
    const place = this.place(point);
    if (apart(place, point) > 1) return; // beside the image
    const target = fresh ? new Target() : this.meant(place, positive);
    if (!target) return;
    this.target = target;
    editor.clicker.ask({
      target, route: "click", label: positive ? "click" : "click away",
      click: [...place, positive], marks: [[...place, positive]],
      body: () => this.said(target, [...place, positive]),
    });
  }

  /** The request of a click, made when it is its turn: the outline may be new by then. */
  said(target, click) {
    const { clicker, session } = this.editor;
    const animal = (target.id && session.instance(target.id)) || null;
    const parts = animal?.parts ?? [];
    if (animal && target.parts !== parts) target.forget(animal);
    target.sent = parts;
    const clicks = [...target.clicks, click];
    return { parts, clicks, free: target.free, usual: clicker.usual() };
  }

  /** The animal that a click is meant for; null where it only selects one, or none is meant. */
  meant(point, positive) {
    const { editor, target } = this;
    const { selectedInstance, clicker } = editor;
    const pending = target && !target.id && clicker.waitsFor(target);
    if (pending && near(editor.state.marks.at(-1), point, clicker.reachOfClick())) return target;
    const hit = editor.tools.select.pick(point);
    const own = selectedInstance && this.isBeside(selectedInstance, point)
      && (!positive || !hit || hit.id === selectedInstance.id) ? selectedInstance : null;
    const chosen = own ?? hit;
    if (!chosen && positive) return new Target();
    if (!chosen) {
      editor.say("Alt+click takes away from an animal: select it first.", "warn");
      return null;
    }
    if (!own) editor.select(chosen.id);
    if (!own && positive) return null; // now it is selected, and can be corrected
    return target?.id === chosen.id ? target : new Target(chosen);
  }

  isBeside(animal, [x, y]) {
    const [left, top, width, height] = boxOf(animal.parts);
    const reach = this.editor.clicker.reach(animal);
    return x > left - reach && y > top - reach
      && x < left + width + reach && y < top + height + reach;
  }

  box(band, { start, alt, shift }) {
    const { editor } = this;
    if (!band || Math.max(band[2], band[3]) < editor.view.length(SMALL)) {
      this.click(start, !alt, shift);
      return;
    }
    const [x, y, width, height] = band;
    this.whole("box", { box: [x, y, x + width, y + height] }, [x + width / 2, y + height / 2]);
  }

  scribble(trail) {
    const points = pairsOf(trail);
    const every = Math.ceil(points.length / POINTS);
    const some = points.filter((_, i) => i % every === 0);
    this.whole("points", { points: some }, some[Math.floor(some.length / 2)]);
  }

  /** A new animal. */
  whole(route, body, middle) {
    this.target = new Target();
    this.editor.clicker.ask({
      target: this.target, route, label: route === "box" ? "outline in a box" : "scribble",
      click: null, marks: [[...middle, true]], body: () => body,
    });
  }

  merge(hit, point) {
    const { editor } = this;
    const first = editor.session.instance(hit.id);
    const other = editor.tools.select.pick(point);
    if (!first || !other || other.id === hit.id) {
      editor.say("To merge two animals, let go on the other one.", "warn");
      return;
    }
    editor.shaping.merge([first, other]);
  }

  // ---- keys ----

  /** Enter: a click at the crosshair. */
  enter() {
    const { crosshair } = this.editor.state;
    if (!crosshair) return false;
    this.click(crosshair, true);
    return true;
  }

  escape() {
    const { editor } = this;
    if (this.cancel()) return true;
    if (editor.clicker.drop()) editor.say("Dropped the clicks that waited.");
    else if (editor.state.selected) editor.select(null);
    else editor.setTool("select");
    return true;
  }
}

const near = (click, point, reach) => Boolean(click) && apart(click, point) <= reach;
