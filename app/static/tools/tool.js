// What every tool answers to. Tools hold only the gesture under way; they propose a change and the
// editor commits it as one command. The registry is index.js.

import { clampPoint } from "../geometry.js";

export const REACH = 9; // screen px within which a vertex, midpoint or edge is meant
export const DRAG = 3; // screen px a pointer must travel before a press counts as a drag

export const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);

/** Add where the pointer went to the line a tool draws freehand, points `step` screen px apart. */
export function followTrail(tool, event, step) {
  const { editor } = tool;
  const trail = [...editor.state.trail];
  for (const point of editor.stage.pointsOf(event)) {
    const place = tool.place(point);
    if (apart(trail.slice(-2), place) >= editor.view.length(step)) trail.push(...place);
  }
  editor.update({ trail });
}

/**
 * Does nothing in answer to anything; tools override what they need. Points are [x, y] in image
 * pixels. A subclass has `static spec`: {name, label, key (one letter), icon (of icons.js), cursor
 * (CSS), about (a line of the shortcut sheet), draws (true: needs a category)}.
 */
export class Tool {
  constructor(editor) {
    this.editor = editor;
  }

  /** True while a gesture is under way, which nothing else may interrupt. */
  get active() {
    return false;
  }

  /** The line below the picture: what one can do now. */
  get hint() {
    return "";
  }

  /** The tool was chosen, or another image has come while it is. */
  chosen() {}

  /** A press; false lets the stage pan instead. */
  down() {
    return false;
  }

  move() {}

  up() {}

  /** End the gesture under way and keep what it did. */
  finish() {}

  /** Drop the gesture under way; false when there was none. */
  cancel() {
    return false;
  }

  double() {}

  // Keys; false lets the key through.

  enter() {
    return false;
  }

  remove() {
    return this.editor.deleteSelected();
  }

  removeRing() {
    return false;
  }

  insert() {
    return false;
  }

  /** `[` and `]`: a smaller (-1) or larger (1) size, where the tool has one. */
  resize() {
    return false;
  }

  escape() {
    if (!this.cancel()) this.editor.setTool("select");
    return true;
  }

  arrow() {
    return false;
  }

  /** Ctrl+arrows: move what is selected. */
  nudge() {
    return false;
  }

  tab() {
    return false;
  }
}

/** A tool whose pointer can also be moved with the arrow keys, as a crosshair. */
export class CrosshairTool extends Tool {
  arrow(dx, dy, far) {
    const { editor } = this;
    const { width, height } = editor.session.image;
    const [x, y] = editor.state.crosshair ?? this.start();
    const step = editor.view.length(far ? 40 : 6);
    editor.update({ crosshair: clampPoint(x + dx * step, y + dy * step, width, height) });
    return true;
  }

  /** Where the crosshair appears. */
  start() {
    const { view } = this.editor;
    return view.toImage(view.width / 2, view.height / 2);
  }
}
