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

const turn = (ax, ay, bx, by, cx, cy) => Math.sign((bx - ax) * (cy - ay) - (by - ay) * (cx - ax));

/** True if two edges of the ring that are no neighbors properly cross. */
export function crossesItself(ring) {
  const n = ring.length / 2;
  const at = (i) => [ring[2 * (i % n)], ring[2 * (i % n) + 1]];
  for (let i = 0; i < n; i += 1) {
    const [a, b] = [at(i), at(i + 1)];
    for (let j = i + 2; j < n; j += 1) {
      if (i === 0 && j === n - 1) continue;
      const [c, d] = [at(j), at(j + 1)];
      const split = turn(...a, ...b, ...c) * turn(...a, ...b, ...d) < 0;
      if (split && turn(...c, ...d, ...a) * turn(...c, ...d, ...b) < 0) return true;
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
