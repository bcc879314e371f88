// The eraser: a brush that takes ground away.

import { BrushTool } from "./brush.js";

export class EraserTool extends BrushTool {
  static spec = {
    name: "eraser", label: "Eraser", key: "E", icon: "eraser", cursor: "crosshair", paints: true,
    about: "Eraser: take ground from the selected animal, or the one under it", draws: false,
  };

  value = 0;

  get hint() {
    const { state } = this.editor;
    const from = state.selected ? "the selected animal" : "the animal under the pointer";
    return `Erase from ${from} · ${state.brush} px, [ ] or Shift+wheel changes it · Alt paints`
      + " · Esc leaves the tool";
  }
}
