// Active time of a person on each image: while the tab is visible and the last input on the canvas
// is less than IDLE old. It is told with saves and answers, and kept until the server has it.

export const IDLE = 30000; // ms a person may look without moving anything

const INPUTS = ["pointermove", "pointerdown", "wheel", "keydown"];

/** Counts by image; `now` tells the time in ms. */
export class Clock {
  constructor(now = () => performance.now()) {
    this.now = now;
    this.image = null; // on the screen; null while one loads
    this.input = null; // time of the last input, null while nobody is here
    this.counted = 0; // time up to which everything is in `spent`
    this.spent = new Map(); // image id -> ms the server has not got
  }

  /** Count what has passed since the last look at the clock. */
  tick() {
    const now = this.now();
    if (this.input !== null) {
      const end = Math.min(now, this.input + IDLE);
      this.add(this.image, Math.max(end - this.counted, 0));
    }
    this.counted = now;
  }

  add(image, ms) {
    if (ms > 0) this.spent.set(image, (this.spent.get(image) ?? 0) + ms);
  }

  /** The person did something on the canvas. */
  touch() {
    this.tick();
    this.input = this.counted;
  }

  /** The person turned to something else. */
  leave() {
    this.tick();
    this.input = null;
  }

  /** Another image is on the screen, null while it loads; waiting for an image is time on it. */
  show(image) {
    this.tick();
    this.image = image;
    if (image === null) return;
    this.add(image, this.spent.get(null) ?? 0);
    this.spent.delete(null);
  }

  /** Seconds on an image that nobody has told yet; they count as told from now on. */
  take(image) {
    this.tick();
    const seconds = Math.round(this.spent.get(image) ?? 0) / 1000;
    this.spent.delete(image);
    return seconds;
  }

  /** The server did not store the seconds that were taken. */
  giveBack(image, seconds = 0) {
    this.add(image, seconds * 1000);
  }

  /** Listen to a canvas until `signal` aborts; input elsewhere on the page is time elsewhere. */
  watch(root, signal) {
    const options = { signal, capture: true, passive: true };
    for (const name of INPUTS) {
      document.addEventListener(name, ({ target }) => {
        if (root.contains(target)) this.touch();
        else this.leave();
      }, options);
    }
    const turned = () => (document.hidden ? this.leave() : this.touch());
    document.addEventListener("visibilitychange", turned, options);
    signal.addEventListener("abort", () => this.leave());
  }
}
