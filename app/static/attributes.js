// What is said about an animal besides its outline: occluded, truncated, a note.

import { setAttribute } from "./commands.js";
import { make } from "./dom.js";

const FLAGS = [
  ["occluded", "Occluded", "O", "Something in front hides a part of it"],
  ["truncated", "Truncated", "T", "The edge of the picture cuts it off"],
];

/** Edits the attributes of the selected animals; the names are those COCO and CVAT files use. */
export class Attributes {
  constructor(editor, before, signal) {
    this.editor = editor;
    this.flags = new Map(FLAGS.map(([name, label, key, title]) => {
      const button = editor.panel.button("", label, key, () => this.toggle(name));
      button.title = `${title} (${key})`;
      return [name, button];
    }));
    this.note = make("input", {
      type: "text", className: "hc-text", maxlength: "2000", "aria-label": "Note",
      placeholder: "Note",
    });
    this.note.addEventListener("change", () => this.write(), { signal });
    this.note.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.stopPropagation(); // it ends the typing, not the selection
      editor.focus(); // leaving writes it
    }, { signal });
    this.section = make("section", { className: "hc-attributes", "aria-label": "Attributes" }, [
      make("div", { className: "hc-flags", role: "group", "aria-label": "Attributes" },
        [...this.flags.values()]),
      this.note,
    ]);
    before.after(this.section);
  }

  /** Occluded or truncated: on for all selected animals, off where all have it. */
  toggle(name) {
    const { editor } = this;
    const { chosen } = editor;
    if (!chosen.length) {
      editor.say(`Select an animal to mark it ${name}.`, "warn");
      return;
    }
    const value = !chosen.every(({ attributes }) => attributes[name] === true);
    this.set(chosen, name, value);
    editor.say(`${value ? "Marked" : "No longer"} ${name}.`);
  }

  /** The note belongs to the animals it was typed for, also when another is selected since. */
  write() {
    const text = this.note.value.trim();
    const { session } = this.editor;
    if (!session || session !== this.session) return;
    const items = this.ids.map((id) => session.instance(id)).filter(Boolean);
    const changed = items.filter(({ attributes }) => (attributes.note ?? "") !== text);
    if (changed.length) this.set(changed, "note", text);
  }

  set(items, name, value) {
    const ids = items.map(({ id }) => id);
    this.editor.edit((session) => setAttribute(session, ids, name, value));
  }

  refresh() {
    const { chosen, session } = this.editor;
    this.section.hidden = !chosen.length;
    if (!chosen.length) return;
    for (const [name, button] of this.flags) {
      const on = chosen.filter(({ attributes }) => attributes[name] === true).length;
      button.setAttribute("aria-pressed", on && on < chosen.length ? "mixed" : String(on > 0));
    }
    if (document.activeElement === this.note) return; // somebody is typing
    const notes = new Set(chosen.map(({ attributes }) => attributes.note ?? ""));
    this.session = session;
    this.ids = chosen.map(({ id }) => id);
    this.note.value = notes.size === 1 ? [...notes][0] : "";
    this.note.placeholder = notes.size === 1 ? "Note" : "Several notes";
  }
}
