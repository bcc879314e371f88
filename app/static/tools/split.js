// The split tool: a drawn line cuts animals in two.

import { clampPoint, thinLine } from "../geometry.js";
import { CrosshairTool, DRAG, apart, followTrail } from "./tool.js";

const STEP = 2; // screen px between the points of a line being drawn

export class SplitTool extends CrosshairTool {
  static spec = {
    name: "split", label: "Split", key: "U", icon: "split", cursor: "crosshair",
    about: "Split: draw a line across an animal", draws: false,
  };

  get active() {
    return this.editor.state.trail !== null && !this.byKeys;
  }

  get hint() {
    if (this.editor.state.trail) return "End the line outside of the animal · Esc cancels";
    return "Draw a line across the animal, or arrows and Enter twice · Esc leaves the tool";
  }

  down(point) {
    this.byKeys = false;
    this.editor.update({ trail: this.place(point), crosshair: null });
    return true;
  }

  place(point) {
    const { width, height } = this.editor.session.image;
    return clampPoint(...point, width, height);
  }

  move(point, event) {
    const { editor } = this;
    editor.update({ pointer: point });
    if (!this.active) return;
    followTrail(this, event, STEP);
  }

  up() {
    this.cut();
  }

  finish() {
    if (this.active) this.cut();
  }

  cut() {
    const { editor } = this;
    const { trail } = editor.state;
    if (!trail) return;
    editor.update({ trail: null });
    this.byKeys = false;
    if (apart(trail, trail.slice(-2)) < editor.view.length(DRAG)) return; // a click is no line
    editor.review.cut(thinLine(trail, Math.min(editor.view.length(1), 1)));
  }

  /** Enter: the line begins at the crosshair, then ends there. */
  enter() {
    const { crosshair, trail } = this.editor.state;
    if (!crosshair) return false;
    if (!trail) {
      this.byKeys = true;
      this.editor.update({ trail: crosshair });
    } else {
      this.editor.update({ trail: [...trail, ...crosshair], crosshair: null });
      this.cut();
    }
    return true;
  }

  cancel() {
    if (!this.editor.state.trail) return false;
    this.byKeys = false;
    this.editor.update({ trail: null });
    return true;
  }
}
