// Do two regions touch? Decides which animals a review region is about.

import { boxOf } from "./draw.js";
import { insideParts, ringsOf } from "./geometry.js";

const turn = (ax, ay, bx, by, cx, cy) => (bx - ax) * (cy - ay) - (by - ay) * (cx - ax);

function cross(a, i, b, j) {
  const [ax, ay, bx, by] = [a[i], a[i + 1], a[(i + 2) % a.length], a[(i + 3) % a.length]];
  const [cx, cy, dx, dy] = [b[j], b[j + 1], b[(j + 2) % b.length], b[(j + 3) % b.length]];
  return turn(ax, ay, bx, by, cx, cy) > 0 !== turn(ax, ay, bx, by, dx, dy) > 0
    && turn(cx, cy, dx, dy, ax, ay) > 0 !== turn(cx, cy, dx, dy, bx, by) > 0;
}

function ringsCross(a, b) {
  for (let i = 0; i < a.length; i += 2) {
    for (let j = 0; j < b.length; j += 2) if (cross(a, i, b, j)) return true;
  }
  return false;
}

/** True where the boxes [x, y, width, height] overlap. */
export const boxesMeet = ([ax, ay, aw, ah], [bx, by, bw, bh]) =>
  ax < bx + bw && bx < ax + aw && ay < by + bh && by < ay + ah;

/** True where some ground belongs to both regions. */
export function partsMeet(a, b) {
  if (!boxesMeet(boxOf(a), boxOf(b))) return false;
  if (a.some(({ outer }) => insideParts(b, outer[0], outer[1]))) return true;
  if (b.some(({ outer }) => insideParts(a, outer[0], outer[1]))) return true;
  return ringsOf(a).some(({ ring }) => ringsOf(b).some((other) => ringsCross(ring, other.ring)));
}
