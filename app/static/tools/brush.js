// The brush: paints ground onto the selected animal, or a new one where none is selected.

import { Paint } from "../paint.js";
import { emptyMask, flatRings } from "../raster.js";
import { CrosshairTool } from "./tool.js";

const GROWS = 1.25;
const LARGEST = 800; // image px

export class BrushTool extends CrosshairTool {
  static spec = {
    name: "brush", label: "Brush", key: "B", icon: "brush", cursor: "crosshair", paints: true,
    about: "Brush: paint onto the selected animal, or a new one", draws: true,
  };

  gesture = null;
  value = 1; // what a stroke sets pixels to, unless Alt is held

  get active() {
    return this.gesture !== null;
  }

  get hint() {
    const { state } = this.editor;
    const onto = state.selected ? "Paint onto the selected animal" : "Paint a new animal";
    return `${onto} · ${state.brush} px, [ ] or Shift+wheel changes it · Alt erases`
      + (state.selected ? " · Esc, then paint: a new animal" : " · Esc leaves the tool");
  }

  down(point, event) {
    const value = event?.altKey ? 1 - this.value : this.value;
    const own = this.target(point, value);
    if (own === undefined) return true;
    const { editor } = this;
    const mask = own ? editor.shaping.raster(own.parts) : emptyMask();
    const color = editor.colors.get(own?.category ?? editor.state.category) ?? "#b9bec4";
    const paint = new Paint(own?.id ?? null, mask, editor.session.image, color);
    this.gesture = { paint, value, last: point };
    editor.update({ stroke: paint, pointer: point });
    this.stepTo(point);
    return true;
  }

  /** The instance to paint on, null for a new one, undefined where there is nothing to do. */
  target(point, value) {
    const { editor } = this;
    const own = editor.selectedInstance;
    if (own || (value && editor.session.categories.length)) return own;
    const under = editor.tools.select.pick(point);
    if (under) {
      editor.select(under.id);
      return under;
    }
    editor.say("There is no animal to erase here.", "warn");
    return undefined;
  }

  move(point, event) {
    this.editor.update({ pointer: point, crosshair: null });
    if (!this.gesture) return;
    for (const each of this.editor.stage.pointsOf(event)) this.stepTo(each);
  }

  stepTo(point) {
    const { paint, value, last } = this.gesture;
    paint.step(last, point, this.editor.state.brush / 2, value);
    this.gesture.last = point;
  }

  up() {
    this.finish();
  }

  finish() {
    const { editor, gesture } = this;
    if (!gesture) return;
    this.gesture = null;
    editor.update({ stroke: null });
    const { paint, value } = gesture;
    const own = paint.id && editor.session.instance(paint.id);
    if (paint.id && !own) return; // somebody else deleted it meanwhile
    const label = value ? "brush" : "erase";
    editor.shaping.commit(own, paint.mask, label, own ? flatRings(own.parts) : []);
  }

  cancel() {
    if (!this.gesture) return false;
    this.gesture = null;
    this.editor.update({ stroke: null });
    return true;
  }

  /** Enter: a dab under the crosshair. */
  enter() {
    const { crosshair } = this.editor.state;
    if (!crosshair) return false;
    this.down(crosshair);
    this.finish();
    return true;
  }

  resize(direction) {
    const { brush } = this.editor.state;
    const wanted = direction > 0 ? Math.max(brush * GROWS, brush + 1)
      : Math.min(brush / GROWS, brush - 1);
    this.editor.update({ brush: Math.min(Math.max(Math.round(wanted), 1), LARGEST) });
    return true;
  }

  escape() {
    const { editor } = this;
    if (this.cancel()) return true;
    if (editor.state.selected) editor.select(null);
    else editor.setTool("select");
    return true;
  }
}
