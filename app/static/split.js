// Cutting a mask along a drawn line.

import { pieces } from "./raster.js";

/** Which side of the line a point lies on, by the nearest stretch: 1 or -1. */
function sideOf(line, x, y) {
  let [least, side] = [Infinity, 1];
  for (let i = 0; i + 3 < line.length; i += 2) {
    const [vx, vy] = [line[i + 2] - line[i], line[i + 3] - line[i + 1]];
    const [px, py] = [x - line[i], y - line[i + 1]];
    const t = Math.min(Math.max((px * vx + py * vy) / (vx * vx + vy * vy || 1), 0), 1);
    const distance = Math.hypot(px - t * vx, py - t * vy);
    if (distance < least) [least, side] = [distance, vx * py - vy * px < 0 ? -1 : 1];
  }
  return side;
}

/** Indices of the mask's pixels under the line; no path of side-by-side pixels crosses them. */
function pixelsUnder({ x, y, width, height, data }, line) {
  const found = new Set();
  for (let i = 0; i + 3 < line.length; i += 2) {
    const [vx, vy] = [line[i + 2] - line[i], line[i + 3] - line[i + 1]];
    const steps = Math.max(1, Math.ceil(4 * Math.hypot(vx, vy)));
    for (let k = 0; k <= steps; k += 1) {
      const column = Math.floor(line[i] + (k / steps) * vx) - x;
      const row = Math.floor(line[i + 1] + (k / steps) * vy) - y;
      if (column < 0 || row < 0 || column >= width || row >= height) continue;
      if (data[row * width + column]) found.add(row * width + column);
    }
  }
  return found;
}

/** For each piece the side that most of its pixels beside the line lie on; 0 where none does. */
function sidesOf({ x, y, width, height }, labels, count, under, line) {
  const votes = new Float64Array(count + 1);
  for (const i of under) {
    const [column, row] = [i % width, Math.floor(i / width)];
    for (const [dx, dy] of [[-1, 0], [1, 0], [0, -1], [0, 1]]) {
      const [c, r] = [column + dx, row + dy];
      if (c < 0 || r < 0 || c >= width || r >= height) continue;
      const label = labels[r * width + c];
      if (label) votes[label] += sideOf(line, x + c + 0.5, y + r + 0.5);
    }
  }
  return votes.map(Math.sign);
}

/**
 * The two masks left and right of a line (flat), pieces that it does not touch on the side they lie
 * on; null where it does not divide the mask.
 */
export function splitMask(mask, line) {
  const { x, y, width, data } = mask;
  const under = pixelsUnder(mask, line);
  if (!under.size) return null;
  const rest = { ...mask, data: data.slice() };
  for (const i of under) rest.data[i] = 0;
  const { labels, count } = pieces(rest);
  const sides = sidesOf(mask, labels, count, under, line);
  const here = (i) => sideOf(line, x + (i % width) + 0.5, y + Math.floor(i / width) + 0.5);
  const halves = [1, -1].map(() => ({ ...mask, data: new Uint8Array(data.length) }));
  const divided = new Set();
  for (let i = 0; i < data.length; i += 1) {
    if (!data[i]) continue;
    const label = labels[i];
    if (label) sides[label] ||= here(i);
    const side = label ? sides[label] : here(i);
    if (label) divided.add(side);
    halves[side > 0 ? 0 : 1].data[i] = 1;
  }
  return divided.size === 2 ? halves : null;
}
