// The only place where screen and image coordinates meet.
// Convention: screen = CSS pixels from the stage's top-left corner; image = pixels of the picture.
// screen = image * scale + offset.

const MIN_VISIBLE = 48; // screen px of the picture that always stay on the stage
const MAX_SCALE = 40;

/** Zoom and pan of one stage. */
export class View {
  constructor() {
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.width = 0;
    this.height = 0;
    this.imageWidth = 1;
    this.imageHeight = 1;
    this.fitted = true;
  }

  /** The same view on a stage that reaches `margin` screen px farther on every side. */
  widened(margin) {
    const { x, y, width, height } = this;
    const more = 2 * margin;
    const wide = { x: x + margin, y: y + margin, width: width + more, height: height + more };
    return Object.assign(new View(), this, wide);
  }

  /** Stage size in CSS px; keeps what is in the middle, or the fit, when it changes. */
  resize(width, height) {
    const middle = this.toImage(this.width / 2, this.height / 2);
    this.width = width;
    this.height = height;
    if (this.fitted) this.fit();
    else this.centerOn(...middle);
  }

  /** Size of the picture in image px. */
  setImage(width, height) {
    this.imageWidth = width;
    this.imageHeight = height;
  }

  toScreen(x, y) {
    return [x * this.scale + this.x, y * this.scale + this.y];
  }

  toImage(x, y) {
    return [(x - this.x) / this.scale, (y - this.y) / this.scale];
  }

  /** A length on the screen in image px. */
  length(screen) {
    return screen / this.scale;
  }

  /** Smallest scale: the whole picture at a quarter of the stage, never above 1:1. */
  get minScale() {
    return Math.min(1, this.fitScale() / 4);
  }

  fitScale(width = this.imageWidth, height = this.imageHeight, margin = 12) {
    const [w, h] = [Math.max(this.width - 2 * margin, 1), Math.max(this.height - 2 * margin, 1)];
    return Math.min(w / width, h / height);
  }

  /** The whole picture, centered. */
  fit() {
    this.scale = this.fitScale();
    this.centerOn(this.imageWidth / 2, this.imageHeight / 2);
    this.fitted = true;
  }

  /** One image px on one CSS px, keeping the middle of the stage. */
  actualSize() {
    this.zoomAt(1 / this.scale, this.width / 2, this.height / 2);
  }

  /** Multiply the scale while the image point under screen point (x, y) stays where it is. */
  zoomAt(factor, x = this.width / 2, y = this.height / 2) {
    const [ix, iy] = this.toImage(x, y);
    this.scale = Math.min(Math.max(this.scale * factor, this.minScale), MAX_SCALE);
    this.x = x - ix * this.scale;
    this.y = y - iy * this.scale;
    this.fitted = false;
    this.keepVisible();
  }

  /** Show an image box [x, y, width, height] with `share` of the stage around it left free. */
  zoomTo([x, y, width, height], share = 0.25) {
    const margin = Math.min(this.width, this.height) * share;
    const scale = this.fitScale(Math.max(width, 8), Math.max(height, 8), margin);
    this.scale = Math.min(Math.max(scale, this.minScale), 8);
    this.centerOn(x + width / 2, y + height / 2);
  }

  panBy(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
    this.keepVisible();
  }

  centerOn(x, y) {
    this.x = this.width / 2 - x * this.scale;
    this.y = this.height / 2 - y * this.scale;
    this.fitted = false;
    this.keepVisible();
  }

  /** A picture panned out of sight looks like a lost picture. */
  keepVisible() {
    const [w, h] = [this.imageWidth * this.scale, this.imageHeight * this.scale];
    const [mx, my] = [Math.min(MIN_VISIBLE, w), Math.min(MIN_VISIBLE, h)];
    this.x = Math.min(Math.max(this.x, mx - w), Math.max(this.width - mx, 0));
    this.y = Math.min(Math.max(this.y, my - h), Math.max(this.height - my, 0));
  }
}
