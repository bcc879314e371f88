// Masks and their set operations, by the raster rule of data_io/geometry.py: a pixel belongs to a
// ring when pycocotools says so; a part is its outer ring minus its holes; a region is the union of
// its parts. tests/vectors holds what both must answer.
//
// A mask is a window of the image: {x, y, width, height, data}; data is a Uint8Array, row by row,
// 1 inside. Masks are never changed in place, but by Stroke, which owns its own.

import { boxOfParts, ringsOf } from "./geometry.js";

const FINE = 5; // the rule rounds vertices to a fifth of a pixel and walks edges in such steps

/** A mask of nothing; without a box it has no pixel at all. */
export function emptyMask([x, y, width, height] = [0, 0, 0, 0]) {
  return { x, y, width, height, data: new Uint8Array(width * height) };
}

/** The pixels [x, y, width, height] of the image that a box in image px can touch. */
function windowOf([x, y, width, height], imageWidth, imageHeight) {
  const [x0, y0] = [Math.max(0, Math.floor(x) - 1), Math.max(0, Math.floor(y) - 1)];
  const x1 = Math.min(imageWidth, Math.ceil(x + width) + 1);
  const y1 = Math.min(imageHeight, Math.ceil(y + height) + 1);
  return [x0, y0, Math.max(x1 - x0, 0), Math.max(y1 - y0, 0)];
}

/**
 * Call toggle(column, row) where the ring's edges cross the middle of a pixel column: from that row
 * on down, inside and outside change places. The edges are walked in fifths of a pixel along their
 * longer side; only steps from the second to the third fifth of a column are crossings.
 */
function crossings(ring, toggle) {
  const n = ring.length / 2;
  const fine = Int32Array.from(ring, (value) => Math.trunc(FINE * value + 0.5));
  let [lastU, lastV] = [NaN, NaN];
  for (let i = 0; i < n; i += 1) {
    const j = (i + 1) % n;
    let [ax, ay, bx, by] = [fine[2 * i], fine[2 * i + 1], fine[2 * j], fine[2 * j + 1]];
    const [dx, dy] = [Math.abs(bx - ax), Math.abs(by - ay)];
    const wide = dx >= dy;
    const steps = wide ? dx : dy;
    // Both directions of an edge must round alike, or neighbors would overlap along it.
    const flip = wide ? ax > bx : ay > by;
    if (flip) [ax, ay, bx, by] = [bx, by, ax, ay];
    const slope = wide ? (by - ay) / dx : (bx - ax) / dy;
    for (let d = 0; d <= steps; d += 1) {
      const t = flip ? steps - d : d;
      const u = wide ? t + ax : Math.trunc(ax + slope * t + 0.5);
      const v = wide ? Math.trunc(ay + slope * t + 0.5) : t + ay;
      if (u !== lastU && (i || d)) {
        const left = Math.min(u, lastU);
        if (left >= 2 && left % FINE === 2) {
          toggle((left - 2) / FINE, Math.ceil((Math.min(v, lastV) + 0.5) / FINE - 0.5));
        }
      }
      [lastU, lastV] = [u, v];
    }
  }
}

/** Data of one ring's raster in a window of an image. */
function ringData(ring, [x, y, width, height]) {
  const data = new Uint8Array(width * height);
  crossings(ring, (column, row) => {
    const [c, r] = [column - x, Math.max(row - y, 0)];
    if (c >= 0 && c < width && r < height) data[r * width + c] ^= 1;
  });
  for (let i = width; i < data.length; i += 1) data[i] ^= data[i - width];
  return data;
}

/** The raster of parts in an image of this size, as a mask around them. */
export function maskOfParts(parts, imageWidth, imageHeight) {
  const box = windowOf(boxOfParts(parts), imageWidth, imageHeight);
  const mask = emptyMask(parts.length ? box : undefined);
  parts.forEach(({ outer, holes }, at) => {
    const data = ringData(outer, box);
    for (const hole of holes) {
      const inside = ringData(hole, box);
      for (let i = 0; i < data.length; i += 1) data[i] &= 1 - inside[i];
    }
    if (!at) mask.data = data;
    else for (let i = 0; i < data.length; i += 1) mask.data[i] |= data[i];
  });
  return mask;
}

const kept = new WeakMap(); // parts -> mask; parts are never changed in place

/** As maskOfParts, kept for as long as the parts live. */
export function rasterOf(parts, { width, height }) {
  let mask = kept.get(parts);
  if (!mask) {
    mask = maskOfParts(parts, width, height);
    kept.set(parts, mask);
  }
  return mask;
}

/** Call visit(index in a, index in b, length) for every row that both windows share. */
function eachRow(a, b, visit) {
  const left = Math.max(a.x, b.x);
  const length = Math.min(a.x + a.width, b.x + b.width) - left;
  const bottom = Math.min(a.y + a.height, b.y + b.height);
  if (length <= 0) return;
  for (let y = Math.max(a.y, b.y); y < bottom; y += 1) {
    visit((y - a.y) * a.width + left - a.x, (y - b.y) * b.width + left - b.x, length);
  }
}

/** A copy of a mask in another window; what lies outside of it is lost. */
export function inWindow(mask, box) {
  const copy = emptyMask(box);
  eachRow(mask, copy, (i, j, length) => copy.data.set(mask.data.subarray(i, i + length), j));
  return copy;
}

function around(a, b) {
  if (!a.data.length) return [b.x, b.y, b.width, b.height];
  if (!b.data.length) return [a.x, a.y, a.width, a.height];
  const [x, y] = [Math.min(a.x, b.x), Math.min(a.y, b.y)];
  const right = Math.max(a.x + a.width, b.x + b.width);
  const bottom = Math.max(a.y + a.height, b.y + b.height);
  return [x, y, right - x, bottom - y];
}

/** The mask in the smallest window that holds it. */
export function trimmed(mask) {
  const { x, y, width, data } = mask;
  const first = data.indexOf(1);
  if (first < 0) return emptyMask();
  const [top, bottom] = [first, data.lastIndexOf(1)].map((i) => Math.floor(i / width));
  let [left, right] = [width, 0];
  for (let row = top; row <= bottom; row += 1) {
    const line = data.subarray(row * width, (row + 1) * width);
    const start = line.indexOf(1);
    if (start < 0) continue;
    left = Math.min(left, start);
    right = Math.max(right, line.lastIndexOf(1));
  }
  return inWindow(mask, [x + left, y + top, right - left + 1, bottom - top + 1]);
}

/** The pixels of either. */
export function unite(a, b) {
  const mask = inWindow(a, around(a, b));
  eachRow(b, mask, (i, j, length) => {
    for (let k = 0; k < length; k += 1) mask.data[j + k] |= b.data[i + k];
  });
  return mask;
}

/** The pixels of `a` that are not in `b`. */
export function subtract(a, b) {
  const mask = { ...a, data: a.data.slice() };
  eachRow(b, mask, (i, j, length) => {
    for (let k = 0; k < length; k += 1) mask.data[j + k] &= 1 - b.data[i + k];
  });
  return mask;
}

/** The pixels of both. */
export function intersect(a, b) {
  const mask = emptyMask([a.x, a.y, a.width, a.height]);
  eachRow(b, mask, (i, j, length) => {
    for (let k = 0; k < length; k += 1) mask.data[j + k] = a.data[j + k] & b.data[i + k];
  });
  return mask;
}

/** The pixels of one of them only. */
export function symmetricDifference(a, b) {
  const mask = inWindow(a, around(a, b));
  eachRow(b, mask, (i, j, length) => {
    for (let k = 0; k < length; k += 1) mask.data[j + k] ^= b.data[i + k];
  });
  return mask;
}

/** True when they have a pixel in common. */
export function overlap(a, b) {
  let found = 0;
  eachRow(a, b, (i, j, length) => {
    for (let k = 0; k < length; k += 1) found |= a.data[i + k] & b.data[j + k];
  });
  return found === 1;
}

/** Number of pixels inside. */
export function area({ data }) {
  let sum = 0;
  for (let i = 0; i < data.length; i += 1) sum += data[i];
  return sum;
}

/**
 * Pieces of the pixels with `value` that hang together by their sides: {labels, count}; labels is
 * an Int32Array like data, 0 elsewhere, pieces numbered from 1 in the order of their first pixels.
 */
export function pieces({ width, data }, value = 1) {
  const labels = new Int32Array(data.length);
  const waiting = [];
  let count = 0;
  const reach = (i) => {
    if (data[i] !== value || labels[i]) return;
    labels[i] = count;
    waiting.push(i);
  };
  for (let start = 0; start < data.length; start += 1) {
    if (data[start] !== value || labels[start]) continue;
    count += 1;
    reach(start);
    while (waiting.length) {
      const i = waiting.pop();
      if (i % width) reach(i - 1);
      if ((i + 1) % width) reach(i + 1);
      if (i >= width) reach(i - width);
      if (i + width < data.length) reach(i + width);
    }
  }
  return { labels, count };
}

/** The mask with every enclosed gap filled; ground that meets a corner only is enclosed too. */
export function fillHoles(mask) {
  const wide = inWindow(mask, [mask.x - 1, mask.y - 1, mask.width + 2, mask.height + 2]);
  const { labels } = pieces(wide, 0);
  const filled = { ...wide, data: Uint8Array.from(labels, (label) => (label === 1 ? 0 : 1)) };
  return inWindow(filled, [mask.x, mask.y, mask.width, mask.height]);
}

/** A mask that a round brush paints into; it grows as the brush leaves its window. */
export class Stroke {
  /** `mask` is what to start from; it is copied. */
  constructor(mask, imageWidth, imageHeight) {
    this.mask = { ...mask, data: mask.data.slice() };
    this.image = [imageWidth, imageHeight];
  }

  /**
   * Set all pixels whose middle lies within `radius` of the segment a-b to `value` (0 or 1); the
   * pixel a point lies in counts in any case. Returns the window that may have changed.
   */
  paint([ax, ay], [bx, by], radius, value) {
    const [x, y] = [Math.min(ax, bx) - radius, Math.min(ay, by) - radius];
    const [w, h] = [Math.abs(ax - bx) + 2 * radius, Math.abs(ay - by) + 2 * radius];
    const box = windowOf([x, y, w, h], ...this.image);
    if (value) this.grow(box);
    const { mask } = this;
    const reach = Math.max(radius, 0.71) ** 2; // half a pixel's diagonal
    const [vx, vy] = [bx - ax, by - ay];
    const length = vx * vx + vy * vy || 1;
    const left = Math.max(box[0], mask.x);
    const right = Math.min(box[0] + box[2], mask.x + mask.width);
    const bottom = Math.min(box[1] + box[3], mask.y + mask.height);
    for (let row = Math.max(box[1], mask.y); row < bottom; row += 1) {
      const at = (row - mask.y) * mask.width - mask.x;
      for (let column = left; column < right; column += 1) {
        const [px, py] = [column + 0.5 - ax, row + 0.5 - ay];
        const t = Math.min(Math.max((px * vx + py * vy) / length, 0), 1);
        if ((px - t * vx) ** 2 + (py - t * vy) ** 2 <= reach) mask.data[at + column] = value;
      }
    }
    return box;
  }

  /** Make room for a window, and more than that, so that it seldom happens. */
  grow([x, y, width, height]) {
    const { mask } = this;
    const [right, bottom] = [x + width, y + height];
    const fits = mask.data.length && x >= mask.x && y >= mask.y &&
      right <= mask.x + mask.width && bottom <= mask.y + mask.height;
    if (fits) return;
    const room = 64 + Math.round(Math.max(mask.width, mask.height) / 4);
    const all = around(mask, { x, y, width, height, data: [1] });
    const wanted = [all[0] - room, all[1] - room, all[2] + 2 * room, all[3] + 2 * room];
    this.mask = inWindow(mask, windowOf(wanted, ...this.image));
  }
}

/** All rings of parts, flat, without their addresses. */
export const flatRings = (parts) => ringsOf(parts).map(({ ring }) => ring);
