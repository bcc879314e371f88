// Fingers on the stage: one works like a mouse, two move and zoom the picture. A finger counts only
// once it moves or lifts, so that the first of two never draws.

const SLOP = 6; // screen px a finger may tremble

export class Touch {
  constructor(stage) {
    this.stage = stage;
    this.fingers = new Map(); // pointer id -> place on the stage
    this.waiting = null; // the press of a single finger nobody knows the meaning of yet
    this.pinching = false;
  }

  /** Each of these returns true where the event has been dealt with. */
  down(event) {
    if (event.pointerType !== "touch") return false;
    const { stage } = this;
    this.fingers.set(event.pointerId, stage.place(event));
    stage.element.setPointerCapture(event.pointerId);
    if (this.fingers.size === 1) {
      this.waiting = event;
      return true;
    }
    this.waiting = null;
    if (stage.pan || stage.editor.tool.active) stage.abandon();
    this.pinching = true;
    return true;
  }

  move(event) {
    if (!this.fingers.has(event.pointerId)) return false;
    const place = this.stage.place(event);
    if (this.pinching) {
      this.pinch(event.pointerId, place);
      return true;
    }
    if (!this.waiting) return false;
    const [x, y] = this.fingers.get(event.pointerId);
    if (Math.hypot(place[0] - x, place[1] - y) < SLOP) return true;
    this.begin();
    return false;
  }

  up(event) {
    if (!this.fingers.delete(event.pointerId)) return false;
    if (this.pinching) {
      this.pinching = this.fingers.size > 0; // the finger that stays must not draw either
      return true;
    }
    if (this.waiting) this.begin(); // a tap
    return false;
  }

  cancel(event) {
    this.fingers.delete(event.pointerId);
    this.waiting = null;
    this.pinching = this.pinching && this.fingers.size > 0;
  }

  begin() {
    const press = this.waiting;
    this.waiting = null;
    this.stage.down(press);
  }

  pinch(id, place) {
    const before = this.spread();
    this.fingers.set(id, place);
    const after = this.spread();
    if (!before || !after) return;
    this.stage.editor.changeView((view) => {
      view.zoomAt(after.apart / before.apart, ...before.middle);
      view.panBy(after.middle[0] - before.middle[0], after.middle[1] - before.middle[1]);
    });
  }

  /** Distance and middle of the first two fingers, null while there is only one. */
  spread() {
    const [a, b] = this.fingers.values();
    if (!b) return null;
    return {
      apart: Math.max(Math.hypot(b[0] - a[0], b[1] - a[1]), 1),
      middle: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2],
    };
  }
}
