// Copy, paste, duplicate; and carry over to the next frame of the group.

import * as api from "./api.js";
import { make } from "./dom.js";
import { boxOfParts, round } from "./geometry.js";

const STEP = 14; // screen px a copy lies beside what it would cover
const SURE = 0.5; // a match below this is no motion (app/workflow/carry.py says the same)
const FOLLOW = "herdmark-follow"; // where the choice is kept

let held = []; // survives going to another image, and the unmounting of the canvas

const count = (n) => `${n} animal${n === 1 ? "" : "s"}`;

const shifted = (ring, dx, dy) => ring.map((value, i) => round(value + (i % 2 ? dy : dx)));

const moved = (parts, dx, dy) =>
  parts.map(({ outer, holes }) => ({
    outer: shifted(outer, dx, dy), holes: holes.map((hole) => shifted(hole, dx, dy)),
  }));

/** How far to shift by `step` so that the box stays in the picture; 0 where it fills it. */
function room(low, size, limit, step) {
  if (low + size + step <= limit) return step;
  return low - step >= 0 ? -step : 0;
}

const sameParts = (a, b) => a === b || JSON.stringify(a) === JSON.stringify(b);

/** Copies of animals within an image, between images and from frame to frame. */
export class Clipboard {
  constructor(editor, section, signal) {
    this.editor = editor;
    this.busy = false;
    this.button = editor.panel.button("carry", "Carry over", "Shift+N", () => this.carry());
    this.button.title = "Carry the selected animals, or all, to the next frame (Shift+N)";
    this.follow = make("input", { type: "checkbox" });
    this.follow.checked = localStorage.getItem(FOLLOW) !== "no";
    this.follow.addEventListener("change", () => {
      localStorage.setItem(FOLLOW, this.follow.checked ? "yes" : "no");
      editor.focus();
    }, { signal });
    const label = make("label", {
      className: "hc-check", title: "Shift each animal to where its pixels are in the next frame",
    }, [this.follow, make("span", { text: "follow motion" })]);
    section.append(make("div", { className: "hc-carry" }, [this.button, label]));
  }

  refresh() {
    const { editor } = this;
    this.button.disabled = this.busy || !editor.ready || !editor.session?.instances.length;
  }

  copy() {
    const { chosen } = this.editor;
    if (!chosen.length) return this.nothing("copy");
    held = chosen;
    this.editor.say(`${count(held.length)} copied. Ctrl+V pastes, here or on another image.`);
    return true;
  }

  cut() {
    if (!this.copy()) return true;
    const ids = held.map(({ id }) => id);
    this.editor.select(null);
    this.editor.selection.change("cut", ids, () => null);
    return true;
  }

  paste() {
    if (held.length) this.put(held, "paste");
    else this.editor.say("Nothing is copied yet: select an animal, then Ctrl+C.", "warn");
    return true;
  }

  duplicate() {
    const { chosen } = this.editor;
    if (!chosen.length) return this.nothing("duplicate");
    this.put(chosen, "duplicate");
    return true;
  }

  nothing(verb) {
    this.editor.say(`Select an animal to ${verb} first.`, "warn");
    return false;
  }

  /** Add copies; beside the place of the original where that is taken by the very same outline. */
  put(items, label) {
    const { editor } = this;
    const { session } = editor;
    const known = ({ category }) =>
      (session.category(category) ? category : editor.state.category);
    const fitting = items.filter(({ parts }) => this.inside(parts));
    if (!fitting.length) {
      editor.say("What is copied lies outside of this image.", "warn");
      return;
    }
    const copies = this.besides(fitting).map((item) => ({ ...item, category: known(item) }));
    const { ids, told } = editor.shaping.addCopies(copies, label);
    const done = `${count(ids.length)} ${label === "paste" ? "pasted" : "duplicated"}.`;
    editor.say([done, told].filter(Boolean).join(" "), told ? "warn" : "info");
  }

  inside(parts) {
    const { width, height } = this.editor.session.image;
    const [x, y] = boxOfParts(parts);
    return x < width && y < height;
  }

  besides(items) {
    const { session, view } = this.editor;
    const { width, height } = session.image;
    const taken = (parts) => session.instances.some((other) => sameParts(other.parts, parts));
    let placed = items;
    for (let again = 0; again < 40 && placed.some(({ parts }) => taken(parts)); again += 1) {
      const [x, y, w, h] = boxOfParts(placed.flatMap(({ parts }) => parts));
      const step = round(view.length(STEP));
      const [dx, dy] = [room(x, w, width, step), room(y, h, height, step)];
      if (!dx && !dy) break;
      placed = placed.map((item) => ({ ...item, parts: moved(item.parts, dx, dy) }));
    }
    return placed;
  }

  /** Copy the selected animals, or all, onto the next frame of the group, and go there. */
  async carry() {
    const { editor } = this;
    if (this.busy || !editor.session) return;
    const source = editor.session;
    const items = editor.chosen.length ? editor.chosen : source.instances;
    if (!items.length) {
      editor.say("There is no animal to carry over.", "warn");
      return;
    }
    this.busy = true;
    try {
      await this.carryTo(source, items);
    } catch (error) {
      if (!(error instanceof api.ApiError)) throw error;
      editor.say(error.message, "warn");
    } finally {
      this.busy = false;
      editor.refresh();
    }
  }

  async carryTo(source, items) {
    const { editor } = this;
    const target = await api.followingFrame(source.id);
    if (target === null) {
      editor.say("This is the last frame of its group.");
      return;
    }
    await editor.walk.to(target);
    await editor.walk.opening;
    const { session } = editor;
    if (session?.id !== target || !editor.ready) return;
    const reply = await api.carry(target, {
      source: source.id, instances: items, present: session.instances,
      follow: this.follow.checked,
    });
    if (editor.session !== session) return;
    this.place(reply, items);
  }

  place({ instances, skipped, lost }, items) {
    const { editor } = this;
    const copies = instances.map((item) => ({ ...item, source: items[item.index].source }));
    const { ids, told } = editor.shaping.addCopies(copies, "carry over");
    const said = [this.report(instances, skipped, lost), told].filter(Boolean).join(" ");
    editor.say(said, ids.length && !told ? "info" : "warn");
  }

  report(instances, skipped, lost) {
    const said = [`${count(instances.length)} carried over`];
    const known = instances.filter(({ confidence }) => confidence !== null);
    if (known.length) {
      const far = Math.max(...known.map(({ shift: [x, y] }) => Math.hypot(x, y)));
      const least = Math.min(...known.map(({ confidence }) => confidence));
      said.push(`moved by up to ${Math.round(far)} px, match ${least.toFixed(2)} or better`);
      const unsure = known.filter(({ confidence }) => confidence < SURE).length;
      if (unsure) said.push(`${unsure} not found again and left in place`);
    }
    if (skipped) said.push(`${skipped} skipped, there already`);
    if (lost) said.push(`${lost} left the picture`);
    return `${said.join("; ")}.`;
  }
}
