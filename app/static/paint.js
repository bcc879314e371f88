// What a brush is painting, while it paints: the mask under way and a picture of it, of which each
// step redraws only what it touched.

import { Stroke } from "./raster.js";

const bytesOf = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));

export class Paint {
  /** `id` is the instance painted on, null for a new one; `color` is #rrggbb. */
  constructor(id, mask, { width, height }, color) {
    this.id = id;
    this.stroke = new Stroke(mask, width, height);
    this.rgb = bytesOf(color);
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d");
    this.fit();
  }

  get mask() {
    return this.stroke.mask;
  }

  /** A step of the brush from a to b in image px; see Stroke.paint. */
  step(a, b, radius, value) {
    const before = this.mask;
    const box = this.stroke.paint(a, b, radius, value);
    if (this.mask !== before) this.fit();
    else this.redraw(box);
  }

  /** Place the picture over a window that has changed. */
  fit() {
    const { x, y, width, height } = this.mask;
    [this.x, this.y] = [x, y];
    this.canvas.width = Math.max(width, 1);
    this.canvas.height = Math.max(height, 1);
    this.redraw([x, y, width, height]);
  }

  redraw([x, y, width, height]) {
    const { mask, rgb } = this;
    const left = Math.max(x, mask.x);
    const top = Math.max(y, mask.y);
    const w = Math.min(x + width, mask.x + mask.width) - left;
    const h = Math.min(y + height, mask.y + mask.height) - top;
    if (w <= 0 || h <= 0) return;
    const image = new ImageData(w, h);
    for (let row = 0, to = 0; row < h; row += 1) {
      let from = (top - mask.y + row) * mask.width + left - mask.x;
      for (let column = 0; column < w; column += 1, from += 1, to += 4) {
        if (!mask.data[from]) continue;
        image.data.set(rgb, to);
        image.data[to + 3] = 255;
      }
    }
    this.context.putImageData(image, left - mask.x, top - mask.y);
  }
}
