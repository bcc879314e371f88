// The line above the picture: how the chosen tool works, and what can be done to the selection.

import { make, setText } from "./dom.js";

const OVERLAP = {
  allow: "Overlap: allowed",
  spare: "Overlap: leave to others",
  take: "Overlap: take from others",
};
const COMBINE = [
  ["new", "New", "Each outline is a new animal"],
  ["add", "Add", "Outlines add ground to the selected animal (hold Shift)"],
  ["subtract", "Subtract", "Outlines take ground from the selected animal, holes too (hold Alt)"],
];
const LARGEST = 200; // of the slider, image px; the keys go on

/** A part of the panel: built once, refreshed with it. */
export class ToolOptions {
  constructor(editor, work, signal) {
    this.editor = editor;
    this.signal = signal;
    const { panel, shaping } = editor;
    this.combine = new Map(COMBINE.map(([how, label, title]) => {
      const button = panel.button("", label, "", () => editor.update({ combine: how }));
      button.title = title;
      return [how, button];
    }));
    this.merge = panel.button("merge", "Merge", "M", () => shaping.merge());
    this.fill = panel.button("fill", "Fill holes", "", () => shaping.fillHoles());
    this.ring = panel.button("", "Delete hole", "Shift+Delete", () => editor.tool.removeRing());
    this.snap = panel.button("snap", "Snap", "Y", () => shaping.toggleSnap());
    this.snap.title = "Snap: vertices go to a neighbor's border, and share it (Y)";
    this.groups = {
      combine: this.group("Outline", [...this.combine.values()]),
      size: this.group("Brush", this.buildSize()),
      edit: this.group("Selection", [this.merge, this.fill, this.ring]),
    };
    this.element = make("div", { className: "hc-options", role: "toolbar",
      "aria-label": "Tool options" }, [
      ...Object.values(this.groups),
      make("span", { className: "hc-spring" }),
      this.group("Borders", [this.snap, this.buildOverlap()]),
    ]);
    work.prepend(this.element);
  }

  group(label, items) {
    return make("div", { className: "hc-group", role: "group", "aria-label": label }, items);
  }

  buildSize() {
    this.size = make("input", {
      type: "range", min: "1", max: String(LARGEST), step: "1", "aria-label": "Brush size",
    });
    this.size.addEventListener("input", () => {
      this.editor.update({ brush: Number(this.size.value) });
    }, { signal: this.signal });
    this.sizeText = make("span", { className: "hc-size" });
    return [make("span", { text: "Size" }), this.size, this.sizeText];
  }

  buildOverlap() {
    this.overlap = make("select", {
      className: "hc-select", "aria-label": "Overlap with other animals", "aria-keyshortcuts": "Q",
      title: "What new ground does where other animals are (Q)",
    }, Object.entries(OVERLAP).map(([value, text]) => make("option", { value, text })));
    this.overlap.addEventListener("change", () => {
      this.editor.update({ overlap: this.overlap.value });
      this.editor.focus();
    }, { signal: this.signal });
    return this.overlap;
  }

  refresh() {
    const { editor } = this;
    const { state, session, chosen, tool } = editor;
    const { paints, draws, clicks } = tool.constructor.spec;
    this.groups.combine.hidden = !draws || Boolean(paints || clicks);
    this.groups.size.hidden = !paints;
    for (const [how, button] of this.combine) {
      button.setAttribute("aria-pressed", String(how === state.combine));
    }
    this.size.value = String(Math.min(state.brush, LARGEST));
    setText(this.sizeText, `${state.brush} px`);
    this.merge.disabled = chosen.length < 2;
    this.fill.disabled = !chosen.some(({ parts }) => parts.some(({ holes }) => holes.length));
    const { vertex } = state;
    this.ring.hidden = !vertex || (vertex.hole < 0 && editor.selectedInstance?.parts.length < 2);
    const deletes = vertex?.hole < 0 ? "Delete part" : "Delete hole";
    setText(this.ring.firstChild, deletes);
    this.ring.setAttribute("aria-label", deletes);
    this.snap.setAttribute("aria-pressed", String(state.snap));
    this.overlap.value = state.overlap;
    this.overlap.classList.toggle("hc-lit", state.overlap !== "allow");
    this.element.classList.toggle("hc-off", !session);
  }
}
