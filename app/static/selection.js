// Which animals are selected, and what is done to all of them at once. `state.selected` is the one
// whose vertices are shown; `state.others` are the ids selected besides it.

import { boxOf } from "./draw.js";
import { together } from "./shaping.js";
import { edited } from "./store.js";

const NONE = [];

export class Selection {
  constructor(editor) {
    this.editor = editor;
  }

  get ids() {
    const { selected, others } = this.editor.state;
    return selected ? [selected, ...others] : [];
  }

  /** The selected instances, the main one first. */
  get instances() {
    const { session } = this.editor;
    return this.ids.map((id) => session?.instance(id)).filter(Boolean);
  }

  /** Select these and no others; the first becomes the main one. */
  set(ids, { reveal = false } = {}) {
    const { editor } = this;
    const [selected = null, ...rest] = ids;
    const others = rest.length ? rest : NONE;
    editor.update({ selected, others, vertex: null });
    const item = editor.selectedInstance;
    if (item && reveal) editor.panel.reveal(item);
    editor.panel.announce(item, ids.length);
  }

  /** Add an instance to the selection, as the main one, or take it out. */
  toggle(id) {
    const rest = this.ids.filter((other) => other !== id);
    this.set(rest.length < this.ids.length ? rest : [id, ...rest]);
  }

  /** Add every instance that lies in a box [x, y, width, height] to the selection. */
  addInside([x, y, width, height]) {
    const inside = this.editor.session.instances.filter(({ parts }) => {
      const [bx, by, bw, bh] = boxOf(parts);
      return bx >= x && by >= y && bx + bw <= x + width && by + bh <= y + height;
    });
    this.set([...new Set([...this.ids, ...inside.map(({ id }) => id)])]);
  }

  all() {
    this.set(this.editor.session.instances.map(({ id }) => id));
  }

  /** After an undo, or other people's changes, some may be gone. */
  prune() {
    const { session, state } = this.editor;
    if (!session || this.ids.every((id) => session.instance(id))) return;
    const [selected = null, ...others] = this.ids.filter((id) => session.instance(id));
    Object.assign(state, { selected, others, vertex: null });
  }

  /** Delete the selected instances; false when there are none. */
  remove() {
    const { ids, editor } = this;
    if (!this.instances.length) return false;
    this.set([]);
    this.change(ids.length > 1 ? `delete ${ids.length} animals` : "delete", ids, () => null);
    editor.focus();
    return true;
  }

  /** The category for what is drawn next, and of all that is selected. */
  setCategory(category) {
    this.editor.update({ category });
    const ids = this.instances.filter((item) => item.category !== category).map(({ id }) => id);
    this.change("change category", ids, (item) => ({ ...edited(item), category }));
  }

  /** One undo step over several instances: `next(instance)` is what each becomes. */
  change(label, ids, next) {
    const { session } = this.editor;
    const left = ids.map((id) => session.instance(id)).filter(Boolean); // others may delete some
    if (!left.length) return;
    const changes = left.map((item) => session.change(item.id, next(item)));
    this.editor.edit(() => together(session, label, changes));
  }
}
