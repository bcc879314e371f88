// Pure geometry on flat rings [x0, y0, x1, y1, ...] in image pixels; nothing here knows the DOM.
// Convention: origin at the image's top-left corner, so pixel (0, 0) spans [0, 1] x [0, 1]. A ring
// is closed implicitly. Parts are [{outer: ring, holes: [ring, ...]}, ...].
// A ring inside an instance is addressed by {part, hole}; hole = -1 means the outer ring.

/** Round to 0.01 px: finer is below what a pointer can mean and only bloats the file. */
export const round = (value) => Math.round(value * 100) / 100;

/** A point moved inside the image box and rounded: [x, y]. */
export function clampPoint(x, y, width, height) {
  return [round(Math.min(Math.max(x, 0), width)), round(Math.min(Math.max(y, 0), height))];
}

/** Signed area of a ring in square pixels (shoelace formula). */
export function ringArea(ring) {
  let sum = 0;
  for (let i = 0, j = ring.length - 2; i < ring.length; j = i, i += 2) {
    sum += ring[j] * ring[i + 1] - ring[i] * ring[j + 1];
  }
  return sum / 2;
}

/** Size of parts, the root of their area, px. */
export const sizeOf = (parts) => Math.sqrt(Math.max(0, parts.reduce((sum, { outer, holes }) =>
  sum + Math.abs(ringArea(outer)) - holes.reduce((all, ring) => all + Math.abs(ringArea(ring)), 0),
0)));

/** Even-odd test of one ring. */
export function insideRing(ring, x, y) {
  let inside = false;
  for (let i = 0, j = ring.length - 2; i < ring.length; j = i, i += 2) {
    const yi = ring[i + 1];
    const yj = ring[j + 1];
    if (yi > y !== yj > y && x < ((ring[j] - ring[i]) * (y - yi)) / (yj - yi) + ring[i]) {
      inside = !inside;
    }
  }
  return inside;
}

/** True where the point lies in a part and not in one of its holes. */
export function insideParts(parts, x, y) {
  return parts.some(
    (part) => insideRing(part.outer, x, y) && !part.holes.some((hole) => insideRing(hole, x, y)),
  );
}

/** Bounding box [x, y, width, height] of all outer rings; [0, 0, 0, 0] for nothing. */
export function boxOfParts(parts) {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { outer } of parts) {
    for (let i = 0; i < outer.length; i += 2) {
      x0 = Math.min(x0, outer[i]);
      x1 = Math.max(x1, outer[i]);
      y0 = Math.min(y0, outer[i + 1]);
      y1 = Math.max(y1, outer[i + 1]);
    }
  }
  return x0 > x1 ? [0, 0, 0, 0] : [x0, y0, x1 - x0, y1 - y0];
}

/** Every ring with its address: [{part, hole, ring}, ...]. */
export function ringsOf(parts) {
  return parts.flatMap(({ outer, holes }, part) => [
    { part, hole: -1, ring: outer },
    ...holes.map((ring, hole) => ({ part, hole, ring })),
  ]);
}

/** The ring at an address. */
export const ringAt = (parts, { part, hole }) =>
  hole < 0 ? parts[part].outer : parts[part].holes[hole];

/** Parts with one ring exchanged; the other rings are shared with the input, never changed. */
export function withRing(parts, { part, hole }, ring) {
  return parts.map((old, at) => {
    if (at !== part) return old;
    if (hole < 0) return { ...old, outer: ring };
    return { ...old, holes: old.holes.map((kept, i) => (i === hole ? ring : kept)) };
  });
}

/** Nearest vertex within `reach`: {part, hole, index (of the vertex), distance} or null. */
export function nearestVertex(parts, x, y, reach) {
  let best = null;
  for (const { part, hole, ring } of ringsOf(parts)) {
    for (let i = 0; i < ring.length; i += 2) {
      const distance = Math.hypot(ring[i] - x, ring[i + 1] - y);
      if (distance <= reach && (!best || distance < best.distance)) {
        best = { part, hole, index: i / 2, distance };
      }
    }
  }
  return best;
}

/**
 * Nearest point of an edge within `reach`: {part, hole, index, point, distance}; index is that of
 * the edge's first vertex.
 */
export function nearestEdge(parts, x, y, reach) {
  let best = null;
  for (const { part, hole, ring } of ringsOf(parts)) {
    for (let i = 0; i < ring.length; i += 2) {
      const j = (i + 2) % ring.length;
      const [vx, vy] = [ring[j] - ring[i], ring[j + 1] - ring[i + 1]];
      const along = ((x - ring[i]) * vx + (y - ring[i + 1]) * vy) / (vx * vx + vy * vy || 1);
      const t = Math.min(Math.max(along, 0), 1);
      const point = [ring[i] + t * vx, ring[i + 1] + t * vy];
      const distance = Math.hypot(point[0] - x, point[1] - y);
      if (distance <= reach && (!best || distance < best.distance)) {
        best = { part, hole, index: i / 2, point, distance };
      }
    }
  }
  return best;
}

/** Nearest midpoint within `reach`, of edges at least `longer` long only; as nearestEdge. */
export function nearestMidpoint(parts, x, y, reach, longer) {
  let best = null;
  for (const { part, hole, ring } of ringsOf(parts)) {
    for (let i = 0; i < ring.length; i += 2) {
      const j = (i + 2) % ring.length;
      if (Math.hypot(ring[j] - ring[i], ring[j + 1] - ring[i + 1]) < longer) continue;
      const point = [(ring[i] + ring[j]) / 2, (ring[i + 1] + ring[j + 1]) / 2];
      const distance = Math.hypot(point[0] - x, point[1] - y);
      if (distance <= reach && (!best || distance < best.distance)) {
        best = { part, hole, index: i / 2, point, distance };
      }
    }
  }
  return best;
}

/** Parts with vertex `at` moved to the point. */
export function moveVertex(parts, at, [x, y]) {
  const ring = ringAt(parts, at).slice();
  ring.splice(at.index * 2, 2, x, y);
  return withRing(parts, at, ring);
}

/** Parts with a vertex added behind vertex `at`. */
export function insertVertex(parts, at, [x, y]) {
  const ring = ringAt(parts, at).slice();
  ring.splice(at.index * 2 + 2, 0, x, y);
  return withRing(parts, at, ring);
}

/**
 * Parts without vertex `at`. A hole that would keep two vertices disappears; an outer ring of three
 * cannot lose one, which returns null so that the caller can say so.
 */
export function removeVertex(parts, at) {
  const ring = ringAt(parts, at).slice();
  if (ring.length > 6) {
    ring.splice(at.index * 2, 2);
    return ringArea(ring) === 0 ? null : withRing(parts, at, ring);
  }
  if (at.hole < 0) return null;
  return parts.map((part, i) =>
    i === at.part ? { ...part, holes: part.holes.filter((_, hole) => hole !== at.hole) } : part,
  );
}

/** Parts without the ring at an address (an outer one: with its holes), null if nothing is left. */
export function removeRing(parts, { part, hole }) {
  if (hole < 0) return parts.length > 1 ? parts.filter((_, at) => at !== part) : null;
  return parts.map((one, at) =>
    at === part ? { ...one, holes: one.holes.filter((_, i) => i !== hole) } : one);
}

const turn = (ax, ay, bx, by, cx, cy) => Math.sign((bx - ax) * (cy - ay) - (by - ay) * (cx - ax));

/** Where the segments a-b and c-d cross: [x, y], or null. */
function crossing(a, b, c, d) {
  if (turn(...a, ...b, ...c) * turn(...a, ...b, ...d) >= 0) return null;
  if (turn(...c, ...d, ...a) * turn(...c, ...d, ...b) >= 0) return null;
  const [ux, uy, vx, vy] = [b[0] - a[0], b[1] - a[1], d[0] - c[0], d[1] - c[1]];
  const t = ((c[0] - a[0]) * vy - (c[1] - a[1]) * vx) / (ux * vy - uy * vx);
  return [round(a[0] + t * ux), round(a[1] + t * uy)];
}

/**
 * A freehand line (flat) without the ends that stick out: where its first third crosses its last
 * third, both are cut there. A hand that closes an outline nearly always overshoots.
 */
export function withoutTails(line) {
  const points = pairsOf(line);
  const third = Math.floor(points.length / 3);
  for (let i = 0; i < third; i += 1) {
    for (let j = points.length - 2; j >= points.length - 1 - third && j > i + 1; j -= 1) {
      const at = crossing(points[i], points[i + 1], points[j], points[j + 1]);
      if (at) return [...at, ...points.slice(i + 1, j + 1).flat()];
    }
  }
  return line;
}

/** Distance of a point from the segment a-b. */
export function offLine([px, py], [ax, ay], [bx, by]) {
  const [vx, vy] = [bx - ax, by - ay];
  const along = ((px - ax) * vx + (py - ay) * vy) / (vx * vx + vy * vy || 1);
  const t = Math.min(Math.max(along, 0), 1);
  return Math.hypot(ax + t * vx - px, ay + t * vy - py);
}

/**
 * Douglas-Peucker: adds to `kept` the indices of the points between `first` and `last` that a line
 * needs, in order, to stay within `tolerance` of all of them.
 */
function thin(points, first, last, tolerance, kept) {
  let [worst, at] = [tolerance, -1];
  for (let i = first + 1; i < last; i += 1) {
    const off = offLine(points[i], points[first], points[last]);
    if (off > worst) [worst, at] = [off, i];
  }
  if (at < 0) return;
  thin(points, first, at, tolerance, kept);
  kept.push(at);
  thin(points, at, last, tolerance, kept);
}

/** A flat line with fewer points, nowhere farther than `tolerance` from the old one. */
export function thinLine(line, tolerance) {
  const points = pairsOf(line);
  if (points.length < 3) return line;
  const kept = [0];
  thin(points, 0, points.length - 1, tolerance, kept);
  kept.push(points.length - 1);
  return kept.flatMap((i) => points[i]);
}

/** [[x, y], ...] of a flat ring or line. */
export const pairsOf = (flat) =>
  Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);

/** Parts moved by an offset. */
export function shiftParts(parts, dx, dy) {
  const shift = (ring) => ring.map((value, i) => round(value + (i % 2 ? dy : dx)));
  return parts.map(({ outer, holes }) => ({ outer: shift(outer), holes: holes.map(shift) }));
}

/** True if two edges of the ring that are no neighbors properly cross. */
export function crossesItself(ring) {
  const points = pairsOf(ring);
  const n = points.length;
  for (let i = 0; i < n; i += 1) {
    const [a, b] = [points[i], points[(i + 1) % n]];
    const [left, right] = [Math.min(a[0], b[0]), Math.max(a[0], b[0])];
    const [top, bottom] = [Math.min(a[1], b[1]), Math.max(a[1], b[1])];
    for (let j = i + 2; j < n; j += 1) {
      const c = points[j];
      const d = points[j + 1 === n ? 0 : j + 1];
      // Nearly all pairs lie apart: a raster's outline has thousands of edges.
      if ((c[0] < left && d[0] < left) || (c[0] > right && d[0] > right)) continue;
      if ((c[1] < top && d[1] < top) || (c[1] > bottom && d[1] > bottom)) continue;
      if ((i || j < n - 1) && crossing(a, b, c, d)) return true;
    }
  }
  return false;
}

/** A ring without vertices that repeat their predecessor (double clicks leave such pairs). */
export function withoutRepeats(ring) {
  const kept = [];
  for (let i = 0; i < ring.length; i += 2) {
    const j = (i + ring.length - 2) % ring.length;
    if (ring.length === 2 || ring[i] !== ring[j] || ring[i + 1] !== ring[j + 1]) {
      kept.push(ring[i], ring[i + 1]);
    }
  }
  return kept;
}

/** Why a drawn ring cannot become an instance, in words; "" when it can. */
export function refusal(ring) {
  if (ring.length < 6) return "An outline needs at least three vertices.";
  if (ringArea(ring) !== 0) return "";
  return crossesItself(ring)
    ? "The lines cross; move a vertex."
    : "The outline has no area; move a vertex.";
}
