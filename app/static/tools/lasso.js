// The lasso: draw the outline in one go.

import { clampPoint, thinLine, withoutRepeats, withoutTails } from "../geometry.js";
import { snapped } from "../snap.js";
import { Tool, followTrail } from "./tool.js";

const STEP = 1.5; // screen px between the points of a line being drawn
const SMOOTH = 0.8; // screen px the finished line may leave it, at most one image px

export class LassoTool extends Tool {
  static spec = {
    name: "lasso", label: "Lasso", key: "L", icon: "lasso", cursor: "crosshair",
    about: "Lasso: draw the outline in one go", draws: true,
  };

  get active() {
    return this.editor.state.trail !== null;
  }

  get hint() {
    if (this.active) return "Let go to close the outline · Esc cancels";
    return "Draw around an animal · Shift adds to, Alt takes from the selected animal"
      + " · Esc leaves the tool";
  }

  down(point, event) {
    this.how = this.editor.shaping.howOf(event);
    this.editor.update({ trail: this.place(point), pointer: point });
    return true;
  }

  place(point) {
    const { width, height } = this.editor.session.image;
    return snapped(this.editor, point) ?? clampPoint(...point, width, height);
  }

  move(point, event) {
    const { editor } = this;
    editor.update({ pointer: point });
    if (!this.active) return;
    followTrail(this, event, STEP);
  }

  up() {
    this.finish();
  }

  finish() {
    const { editor } = this;
    const { trail } = editor.state;
    if (!trail) return;
    editor.update({ trail: null });
    const ring = thinLine(withoutTails(trail), Math.min(editor.view.length(SMOOTH), 1));
    editor.shaping.commitRing(withoutRepeats(ring), this.how);
  }

  cancel() {
    if (!this.active) return false;
    this.editor.update({ trail: null });
    return true;
  }
}
