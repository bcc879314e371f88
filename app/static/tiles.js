// A large picture as a pyramid of tiles: only what is on the screen is loaded, and kept a while.
// Level 0 is the picture itself, level k is ceil(size / 2^k), as data_io/pyramid.py cuts them.

import { absolute } from "./api.js";

const TILE = 512;
const KEPT = 160; // decoded tiles, 1 MB each
const AT_ONCE = 4; // requests; the browser has six a host, and saves must not wait
const TRIES = 3;

/** [width, height] in pixels of every level, the full size first. */
export function levelSizes(width, height) {
  const sizes = [[width, height]];
  while (Math.max(...sizes.at(-1)) > TILE) {
    sizes.push(sizes.at(-1).map((side) => Math.ceil(side / 2)));
  }
  return sizes;
}

/** The coarsest level that still has a pixel for every device pixel. */
export function levelFor(scale, levels) {
  const wanted = Math.floor(Math.log2(1 / scale) + 1e-9);
  return Math.min(Math.max(wanted, 0), levels - 1);
}

/** [first, last] index of the tiles that a stretch of the screen shows along one axis. */
const span = (from, to, size, count) => [
  Math.max(Math.floor(from / size), 0),
  Math.min(Math.ceil(to / size), count) - 1,
];

export class TiledPicture {
  constructor({ image, tile_url: url }, query, thumbnail, changed) {
    this.url = url;
    this.query = query;
    this.bitmap = thumbnail; // shows all of the image, coarsely
    this.changed = changed;
    this.sizes = levelSizes(image.width, image.height);
    this.tiles = new Map(); // key -> ImageBitmap, used longest ago first
    this.loading = new Map(); // key -> AbortController
    this.failures = new Map(); // key -> how often it failed
    this.wanted = [];
    this.closed = false;
  }

  /** True when every tile of the last drawing was there. */
  get complete() {
    return !this.wanted.length && !this.loading.size;
  }

  draw(context, view, ratio) {
    context.imageSmoothingEnabled = view.scale < 3;
    context.imageSmoothingQuality = "medium";
    const visible = this.visible(view, levelFor(view.scale * ratio, this.sizes.length));
    const missing = visible.filter((tile) => !this.tiles.has(tile.key));
    if (missing.length) {
      context.drawImage(this.bitmap, 0, 0, view.imageWidth, view.imageHeight);
    }
    for (const tile of missing) this.drawCoarser(context, tile);
    for (const tile of visible) this.drawTile(context, tile);
    this.load(missing);
  }

  /** The tiles of a level on the screen, those nearest to its middle first. */
  visible(view, level) {
    const [wide, high] = this.sizes[level];
    const [sx, sy] = [this.sizes[0][0] / wide, this.sizes[0][1] / high]; // image px of a level px
    const [x0, y0] = view.toImage(0, 0);
    const [x1, y1] = view.toImage(view.width, view.height);
    const [left, right] = span(x0, x1, TILE * sx, Math.ceil(wide / TILE));
    const [top, bottom] = span(y0, y1, TILE * sy, Math.ceil(high / TILE));
    const found = [];
    for (let row = top; row <= bottom; row += 1) {
      for (let column = left; column <= right; column += 1) {
        found.push(this.tile(level, column, row, sx, sy));
      }
    }
    const [cx, cy] = [(x0 + x1) / 2, (y0 + y1) / 2];
    const far = ({ box: [x, y, w, h] }) => Math.hypot(x + w / 2 - cx, y + h / 2 - cy);
    return found.sort((a, b) => far(a) - far(b));
  }

  tile(level, column, row, sx, sy) {
    const [wide, high] = this.sizes[level];
    const [w, h] = [Math.min(TILE, wide - column * TILE), Math.min(TILE, high - row * TILE)];
    const box = [column * TILE * sx, row * TILE * sy, w * sx, h * sy];
    return { key: `${level}/${column}/${row}`, level, column, row, box };
  }

  drawTile(context, { key, box }) {
    const bitmap = this.tiles.get(key);
    if (!bitmap) return;
    this.tiles.delete(key); // put last again: used now
    this.tiles.set(key, bitmap);
    context.drawImage(bitmap, ...box);
  }

  /** Stand in for a missing tile with the part of a coarser one that is there. */
  drawCoarser(context, { level, column, row, box }) {
    for (let up = 1; level + up < this.sizes.length; up += 1) {
      const bitmap = this.tiles.get(`${level + up}/${column >> up}/${row >> up}`);
      if (!bitmap) continue;
      const side = TILE / 2 ** up;
      const x = (column % 2 ** up) * side;
      const y = (row % 2 ** up) * side;
      const w = Math.min(side, bitmap.width - x);
      const h = Math.min(side, bitmap.height - y);
      if (w > 0 && h > 0) context.drawImage(bitmap, x, y, w, h, ...box);
      return;
    }
  }

  /** Load what the screen misses, and nothing that has left it. */
  load(missing) {
    const keys = new Set(missing.map(({ key }) => key));
    for (const [key, request] of this.loading) {
      if (!keys.has(key)) request.abort();
    }
    this.wanted = missing.map(({ key }) => key).filter(
      (key) => !this.loading.has(key) && (this.failures.get(key) ?? 0) < TRIES,
    );
    this.next();
  }

  next() {
    while (this.wanted.length && this.loading.size < AT_ONCE) this.fetch(this.wanted.shift());
  }

  async fetch(key) {
    const request = new AbortController();
    this.loading.set(key, request);
    try {
      const address = absolute(`${this.url}/${key}${this.query}`);
      const answer = await fetch(address, { credentials: "same-origin", signal: request.signal });
      if (!answer.ok) throw new Error(`tile ${key}: ${answer.status}`);
      this.keep(key, await createImageBitmap(await answer.blob()));
    } catch {
      if (!request.signal.aborted) this.failures.set(key, (this.failures.get(key) ?? 0) + 1);
    }
    this.loading.delete(key);
    if (!this.closed) this.changed();
  }

  keep(key, bitmap) {
    if (this.closed) {
      bitmap.close();
      return;
    }
    this.tiles.set(key, bitmap);
    if (this.tiles.size <= KEPT) return;
    const [oldest, old] = this.tiles.entries().next().value;
    this.tiles.delete(oldest);
    old.close();
  }

  /** Give the memory back; nothing can be drawn afterwards. */
  close() {
    this.closed = true;
    for (const request of this.loading.values()) request.abort();
    for (const bitmap of this.tiles.values()) bitmap.close();
    this.tiles.clear();
  }
}
