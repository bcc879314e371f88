// After a conflict: both versions of each animal that two people changed, and the choice between.

import { make } from "./dom.js";
import { boxOf, pathOf } from "./draw.js";
import { openPicture } from "./picture.js";

const TILE = [220, 150]; // CSS px
const SIDES = {
  mine: { title: "Mine", color: "#e69f00" },
  theirs: { title: "Theirs", color: "#56b4e9" },
};
const CHOICES = [["mine", "Mine"], ["theirs", "Theirs"], ["both", "Both"], ["neither", "Neither"]];

/** The part of the picture that shows both versions, with some ground around: [x, y, w, h]. */
function cropOf(items, [width, height]) {
  const boxes = items.map((item) => boxOf(item.parts));
  const [x0, y0] = [0, 1].map((i) => Math.min(...boxes.map((box) => box[i])));
  const [x1, y1] = [0, 1].map((i) => Math.max(...boxes.map((box) => box[i] + box[i + 2])));
  const scale = Math.max((x1 - x0) / width, (y1 - y0) / height) * 1.3 || 1;
  const [w, h] = [width * scale, height * scale];
  return [(x0 + x1 - w) / 2, (y0 + y1 - h) / 2, w, h];
}

function outline(context, item, color, px, own) {
  const path = pathOf(item.parts);
  if (own) {
    context.fillStyle = `${color}55`;
    context.fill(path, "evenodd");
  }
  context.setLineDash(own ? [] : [5 * px, 4 * px]);
  for (const [stroke, width] of [["rgb(0 0 0 / 60%)", 4], [color, own ? 2.5 : 1.5]]) {
    context.strokeStyle = stroke;
    context.lineWidth = width * px;
    context.stroke(path);
  }
}

/** One side's tile: its own outline filled, the other side's dashed. */
function paint(canvas, picture, size, conflict, side) {
  const ratio = window.devicePixelRatio || 1;
  Object.assign(canvas, { width: TILE[0] * ratio, height: TILE[1] * ratio });
  const [x, y, w] = cropOf([conflict.mine, conflict.theirs].filter(Boolean), TILE);
  const scale = (TILE[0] / w) * ratio;
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, -x * scale, -y * scale);
  if (picture) context.drawImage(picture, 0, 0, ...size);
  const px = w / TILE[0];
  const other = side === "mine" ? "theirs" : "mine";
  if (conflict[other]) outline(context, conflict[other], SIDES[other].color, px, false);
  if (conflict[side]) outline(context, conflict[side], SIDES[side].color, px, true);
}

/** A modal dialog; everything in it is a native control, so the keyboard does all. */
export class ConflictDialog {
  constructor(editor, root, signal) {
    this.editor = editor;
    this.session = null;
    this.text = make("p");
    this.rows = make("form", { className: "hc-versions", method: "dialog" });
    const button = (text, run, className = "") => {
      const made = make("button", { type: "button", className: `hc-button ${className}`, text });
      made.addEventListener("click", run, { signal });
      return made;
    };
    this.dialog = make("dialog", {
      className: "hc-dialog hc-conflict", "aria-label": "This image was changed elsewhere too",
    }, [
      make("h2", { text: "This image was changed elsewhere too" }),
      this.text,
      this.rows,
      make("footer", {}, [
        button("Later", () => this.dialog.close()),
        make("span", { className: "hc-spring" }),
        button("All mine", () => this.choose("mine")),
        button("All theirs", () => this.choose("theirs")),
        button("Save this choice", () => this.choose(null), "hc-primary"),
      ]),
    ]);
    this.rows.addEventListener("submit", (event) => {
      event.preventDefault();
      this.choose(null);
    }, { signal });
    this.dialog.addEventListener("close", () => editor.focus(), { signal });
    // Enter on a radio button is the choice; browsers submit only with a submit button.
    this.rows.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.rows.requestSubmit();
    }, { signal });
    root.append(this.dialog);
  }

  /** Show a session's conflict; it stays until a choice is made, also when closed. */
  async show(session) {
    if (!session?.conflict || this.dialog.open) return;
    this.session = session;
    this.conflicts = session.against(session.conflict).conflicts;
    const many = this.conflicts.length;
    const what = many === 1 ? "one animal was" : `${many} animals were`;
    this.text.textContent = `${session.image.name}: ${what} changed here and elsewhere. `
      + "Everything else is merged; Undo brings your version back.";
    this.rows.replaceChildren(...this.conflicts.map((conflict, i) => this.row(conflict, i)));
    this.dialog.showModal();
    this.rows.querySelector("input").focus();
    this.draw(await this.picture(session));
  }

  /** The session's picture; its outlines alone say enough where it cannot be had. */
  async picture(session) {
    const { editor } = this;
    if (session === editor.session && editor.ready) return editor.state.picture.bitmap;
    const opened = openPicture(session.document, 0, () => {});
    return opened.then(({ bitmap }) => bitmap).catch(() => null);
  }

  draw(picture) {
    const { width, height } = this.session.image;
    const size = [width, height];
    this.rows.querySelectorAll("fieldset").forEach((row, i) => {
      for (const canvas of row.querySelectorAll("canvas")) {
        paint(canvas, picture, size, this.conflicts[i], canvas.dataset.side);
      }
    });
  }

  row(conflict, index) {
    const { session } = this;
    const { mine, theirs } = conflict;
    const name = session.category((mine ?? theirs).category)?.name ?? "unknown category";
    const tiles = Object.entries(SIDES).map(([side, { title, color }]) => {
      const item = conflict[side];
      const category = item && session.category(item.category)?.name;
      const label = `${title}: ${item ? category ?? "unknown category" : "deleted"}`;
      const canvas = make("canvas", { "data-side": side, "aria-hidden": "true" });
      const tile = make("figure", {}, [canvas, make("figcaption", { text: label })]);
      tile.style.setProperty("--hm-side", color);
      return tile;
    });
    const possible = CHOICES.filter(([choice]) => choice !== "both" || (mine && theirs))
      .filter(([choice]) => choice !== "neither" || (mine && theirs));
    const radios = possible.map(([choice, label]) =>
      make("label", {}, [
        make("input", {
          type: "radio", name: `version-${index}`, value: choice,
          ...(choice === "mine" ? { checked: "" } : {}),
        }),
        make("span", { text: label }),
      ]));
    return make("fieldset", {}, [
      make("legend", { text: `${index + 1}. ${name}` }),
      make("div", { className: "hc-tiles" }, tiles),
      make("div", { className: "hc-choices" }, radios),
    ]);
  }

  /** One choice for all, or (null) what the rows say. */
  choose(all) {
    const chosen = [...this.rows.querySelectorAll("input:checked")].map(({ value }) => value);
    const choices = new Map(this.conflicts.map(({ id }, i) => [id, all ?? chosen[i]]));
    this.dialog.close();
    this.editor.queue.choose(this.session, choices);
  }
}
