// The drawing area: two layers, their size, and pointer events handed to the tool in image pixels.

import { drawHeat, drawPicture, drawShapes } from "./draw.js";
import { Touch } from "./touch.js";

const PAN_BUTTONS = new Set([1, 2]); // middle and right

/** Owns both canvases; paints at most once a frame, and only the layer that is stale. */
export class Stage {
  constructor(editor, element, signal) {
    this.editor = editor;
    this.element = element;
    this.lower = element.querySelector(".hc-picture");
    this.middle = element.querySelector(".hc-heat");
    this.upper = element.querySelector(".hc-shapes");
    this.frame = 0;
    this.stale = { picture: true, shapes: true };
    this.pan = null;
    this.spaceHeld = false;
    this.touch = new Touch(this);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(element);
    this.listen(signal);
    signal.addEventListener("abort", () => this.stop());
  }

  stop() {
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
  }

  resize() {
    const { clientWidth, clientHeight } = this.element;
    if (!clientWidth || !clientHeight) return; // inside a tab that is not open
    this.editor.view.resize(clientWidth, clientHeight);
    this.invalidate(true);
  }

  /** Ask for a repaint of the shapes, and of the picture too where the view or heat changed. */
  invalidate(picture = false) {
    this.stale.shapes = true;
    this.stale.picture ||= picture;
    if (!this.frame) this.frame = requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.frame = 0;
    const { editor } = this;
    const ratio = window.devicePixelRatio || 1;
    if (this.stale.picture) this.paintPicture(ratio);
    if (this.stale.shapes) drawShapes(this.upper, editor.view, editor.scene(), ratio);
    this.stale = { picture: false, shapes: false };
  }

  paintPicture(ratio) {
    const { view, state, root } = this.editor;
    drawPicture(this.lower, view, state.picture, ratio);
    drawHeat(this.middle, view, state, ratio);
    root.dataset.drawn = state.picture?.complete ?? "";
  }

  /** A pointer event's place on the stage in CSS px. */
  place(event) {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  point(event) {
    return this.editor.view.toImage(...this.place(event));
  }

  /** Image points of a move, those that came since the last frame included. */
  pointsOf(event) {
    const all = event.getCoalescedEvents?.() ?? [];
    return (all.length ? all : [event]).map((each) => this.point(each));
  }

  listen(signal) {
    const on = (name, handler, options = {}) =>
      this.element.addEventListener(name, handler, { signal, ...options });
    on("pointerdown", (event) => this.touch.down(event) || this.down(event));
    on("pointermove", (event) => this.touch.move(event) || this.move(event));
    on("pointerup", (event) => this.touch.up(event) || this.up(event));
    on("pointercancel", (event) => {
      this.touch.cancel(event);
      this.abandon();
    });
    on("pointerleave", () => this.editor.update({ hovered: null, pointer: null }));
    on("dblclick", (event) => {
      if (this.editor.ready) this.editor.tool.double(this.point(event), event);
    });
    on("contextmenu", (event) => event.preventDefault());
    on("wheel", (event) => this.wheel(event), { passive: false });
    on("blur", () => this.release());
  }

  release() {
    this.spaceHeld = false;
    if (!this.pan) this.editor.tool.finish();
    this.cursor();
  }

  abandon() {
    this.pan = null;
    this.editor.tool.cancel();
    this.cursor();
  }

  down(event) {
    this.element.focus({ preventScroll: true });
    if (!this.editor.ready || this.pan || this.editor.tool.active) return;
    this.element.setPointerCapture(event.pointerId);
    const pans = PAN_BUTTONS.has(event.button) || this.spaceHeld;
    if (event.button !== 0 && !pans) return;
    // On empty ground the select tool has nothing to do, so a drag there moves the picture.
    if (pans || !this.editor.tool.down(this.point(event), event)) this.pan = this.place(event);
    this.cursor();
  }

  move(event) {
    if (!this.editor.ready) return;
    if (!this.pan) {
      this.editor.tool.move(this.point(event), event);
      this.editor.pointed(this.point(event));
      this.cursor();
      return;
    }
    // Whole device pixels: what is painted already can then move along as it is (stills.js).
    const ratio = window.devicePixelRatio || 1;
    const whole = (length) => Math.round(length * ratio) / ratio;
    const [dx, dy] = this.place(event).map((value, i) => whole(value - this.pan[i]));
    this.editor.changeView((view) => view.panBy(dx, dy));
    this.pan = [this.pan[0] + dx, this.pan[1] + dy];
  }

  up(event) {
    if (this.pan) this.pan = null;
    else if (this.editor.ready) this.editor.tool.up(this.point(event), event);
    this.cursor();
  }

  wheel(event) {
    event.preventDefault();
    if (!this.editor.ready) return;
    // With Shift held, browsers report the wheel as a sideways one.
    const turned = event.deltaY || event.deltaX;
    if (event.shiftKey && turned && this.editor.tool.resize(-Math.sign(turned))) return;
    const lines = event.deltaMode === 1 ? 18 : 1;
    const step = Math.min(Math.max(event.deltaY * lines, -240), 240);
    // A trackpad pinch arrives as a wheel event with ctrlKey and small steps.
    const factor = Math.exp(-step * (event.ctrlKey ? 0.01 : 0.0016));
    this.editor.changeView((view) => view.zoomAt(factor, ...this.place(event)));
  }

  cursor() {
    const { state } = this.editor;
    let cursor = "default";
    if (this.pan) cursor = "grabbing";
    else if (this.spaceHeld) cursor = "grab";
    else if (state.tool !== "select") cursor = this.editor.tool.constructor.spec.cursor;
    else if (this.editor.tool.active) cursor = "move";
    else if (state.hovered) cursor = "pointer";
    this.element.style.cursor = cursor;
  }
}
