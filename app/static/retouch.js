// A mask as an outline that people can go on editing: the raster is the mask, pixel for pixel, but
// stretches that an edit did not touch keep their vertices, and changed ones get as few as the
// raster allows. The exact outline alone would have a vertex at every step of a pixel.
//
// Each ring is laid out as its lattice: the pixel corners that the exact outline passes, one unit
// apart. Edges of the old rings that run along it are taken over; a line with few vertices closes
// the gaps between them (thread.js); where the raster then differs, exact corners take over.

import { offLine, pairsOf, ringArea, round, withoutRepeats } from "./geometry.js";
import { partsOfMask } from "./outline.js";
import { maskOfParts, symmetricDifference, trimmed } from "./raster.js";
import { gateOf, threaded } from "./thread.js";

const NEAR = 1.1; // px between an old edge and the exact outline that it may stand for
const TIP = 3; // px a vertex may lie from it: the tip of a narrow angle covers no pixel
const SPREAD = [1.2, 2, 4, 9, 20, 40, 80]; // px around a wrong pixel where exact corners take over

const keyOf = (x, y) => x * 65536 + y; // pictures are smaller

/** Every pixel corner along an exact ring, and which of them are corners of the ring. */
class Lattice {
  constructor(ring) {
    this.xs = [];
    this.ys = [];
    this.corner = [];
    this.at = new Map();
    for (let i = 0; i < ring.length; i += 2) {
      const j = (i + 2) % ring.length;
      const [dx, dy] = [Math.sign(ring[j] - ring[i]), Math.sign(ring[j + 1] - ring[i + 1])];
      let [x, y] = [ring[i], ring[i + 1]];
      while (x !== ring[j] || y !== ring[j + 1]) {
        this.at.set(keyOf(x, y), this.xs.length);
        this.corner.push(x === ring[i] && y === ring[i + 1]);
        this.xs.push(x);
        this.ys.push(y);
        [x, y] = [x + dx, y + dy];
      }
    }
    this.length = this.xs.length;
    this.exact = new Uint8Array(this.length); // where exact corners are needed
    this.exactRing = ring;
  }

  point(at) {
    const i = at % this.length;
    return [this.xs[i], this.ys[i]];
  }

  /** The place nearest to a point, or -1 where none is near. */
  nearest(x, y) {
    let [best, least] = [-1, TIP];
    for (let cx = Math.ceil(x - TIP); cx <= x + TIP; cx += 1) {
      for (let cy = Math.ceil(y - TIP); cy <= y + TIP; cy += 1) {
        const at = this.at.get(keyOf(cx, cy));
        const distance = Math.hypot(cx - x, cy - y);
        if (at !== undefined && distance < least) [best, least] = [at, distance];
      }
    }
    return best;
  }

  /** Exact corners take over within `radius` of a pixel. */
  mark(px, py, radius) {
    const reach = Math.ceil(radius);
    for (let x = px - reach; x <= px + reach + 1; x += 1) {
      for (let y = py - reach; y <= py + reach + 1; y += 1) {
        const at = this.at.get(keyOf(x, y));
        if (at !== undefined && Math.hypot(x - px - 0.5, y - py - 0.5) <= radius) {
          this.exact[at] = 1;
        }
      }
    }
  }
}

/** The old edge a-b as a stretch of the lattice {from, length, a, b}, or null. */
function stretchOf(lattice, a, b, from, to) {
  if (from < 0 || to < 0 || from === to) return null;
  const length = (to - from + lattice.length) % lattice.length;
  if (length > 1.5 * Math.hypot(a[0] - b[0], a[1] - b[1]) + 4) return null;
  for (let i = 0; i <= length; i += 1) {
    if (offLine(lattice.point(from + i), a, b) > NEAR) return null;
  }
  return { from, length, a, b };
}

/** Edges of the old rings that run along the lattice, none over another: Map from -> stretch. */
function stretchesOf(lattice, sources) {
  const taken = new Uint8Array(lattice.length);
  const found = new Map();
  const take = (stretch) => {
    const places = Array.from({ length: stretch.length }, (_, i) =>
      (stretch.from + i) % lattice.length);
    if (places.some((at) => taken[at])) return;
    for (const at of places) taken[at] = 1;
    found.set(stretch.from, stretch);
  };
  for (const ring of sources) {
    const n = ring.length / 2;
    const points = pairsOf(ring);
    const places = points.map(([x, y]) => lattice.nearest(x, y));
    for (let i = 0; i < n; i += 1) {
      const j = (i + 1) % n;
      // A ring may run either way along the outline, a drawn hole for one.
      const stretch = stretchOf(lattice, points[i], points[j], places[i], places[j])
        ?? stretchOf(lattice, points[j], points[i], places[j], places[i]);
      if (stretch) take(stretch);
    }
  }
  return found;
}

/** The gates of `length` units of the lattice from place `from` on. */
function gatesAlong(lattice, from, length) {
  return Array.from({ length }, (_, i) =>
    gateOf(lattice.point(from + i), lattice.point(from + i + 1), from + i + 0.5));
}

/** Nodes all around a lattice with no old vertex to start from. */
function freshNodes(lattice) {
  const [first, ...gates] = gatesAlong(lattice, 0, lattice.length);
  return [{ point: first.middle, at: first.at }, ...threaded(first.middle, gates, first.middle)];
}

/** Nodes {point, at (its place)} through the old stretches, and as few as may be between them. */
function mixedNodes(lattice, stretches) {
  const ordered = [...stretches.values()].sort((a, b) => a.from - b.from);
  return ordered.flatMap((stretch, i) => {
    const end = stretch.from + stretch.length;
    const next = ordered[i + 1] ?? { ...ordered[0], from: ordered[0].from + lattice.length };
    const gates = gatesAlong(lattice, end, next.from - end);
    return [
      { point: stretch.a, at: stretch.from }, { point: stretch.b, at: end },
      ...threaded(stretch.b, gates, next.a),
    ];
  });
}

/** The point of the line through the nodes that stands for a place of the lattice. */
function beside(lattice, nodes, place) {
  const [first] = nodes;
  const at = place < first.at ? place + lattice.length : place;
  let k = nodes.length - 1;
  while (k > 0 && nodes[k].at > at) k -= 1;
  const [a, b] = [nodes[k].point, (nodes[k + 1] ?? first).point];
  const [vx, vy] = [b[0] - a[0], b[1] - a[1]];
  const [px, py] = lattice.point(place);
  const along = ((px - a[0]) * vx + (py - a[1]) * vy) / (vx * vx + vy * vy || 1);
  const t = Math.min(Math.max(along, 0), 1);
  return [round(a[0] + t * vx), round(a[1] + t * vy)];
}

/** The ring through the nodes, but along the exact outline where that is needed. */
function ringOf({ lattice, nodes }) {
  const { exact, length, corner } = lattice;
  const start = exact.indexOf(0);
  if (start < 0) return lattice.exactRing;
  const points = nodes
    .filter(({ at }) => !exact[Math.floor(at) % length] && !exact[Math.ceil(at) % length])
    .map(({ point, at }) => ({ point, at: (at - start + length) % length }));
  for (let i = 0; i < length; i += 1) {
    const place = (start + i) % length;
    const [before, after] = [exact[(place + length - 1) % length], exact[(place + 1) % length]];
    if (!exact[place] && (before || after)) {
      points.push({ point: beside(lattice, nodes, place), at: i });
    }
    if (exact[place] && (corner[place] || !before || !after)) {
      points.push({ point: lattice.point(place), at: i });
    }
  }
  points.sort((a, b) => a.at - b.at);
  const ring = withoutRepeats(points.flatMap(({ point }) => point));
  return ring.length >= 6 && ringArea(ring) ? ring : lattice.exactRing;
}

/** Pixels in which a mask and parts differ: [[x, y], ...]. */
function differences(mask, parts, imageWidth, imageHeight) {
  const { x, y, width, data } = symmetricDifference(
    mask, maskOfParts(parts, imageWidth, imageHeight),
  );
  const found = [];
  for (let i = data.indexOf(1); i >= 0; i = data.indexOf(1, i + 1)) {
    found.push([x + (i % width), y + Math.floor(i / width)]);
  }
  return found;
}

/**
 * Parts whose raster in the image is `mask`, exactly.
 *
 * `sources` are flat rings to take vertices from where they fit: the outline before the edit, and
 * what was drawn.
 */
export function retouched(mask, sources, imageWidth, imageHeight) {
  const exact = partsOfMask(mask);
  const wanted = trimmed(mask);
  const plans = exact.flatMap(({ outer, holes }) => [outer, ...holes]).map((ring) => {
    const lattice = new Lattice(ring);
    const stretches = stretchesOf(lattice, sources);
    const nodes = stretches.size ? mixedNodes(lattice, stretches) : freshNodes(lattice);
    return { lattice, nodes };
  });
  for (const spread of SPREAD) {
    const rings = plans.map(ringOf).values();
    const parts = exact.map(({ holes }) => ({
      outer: rings.next().value,
      holes: holes.map(() => rings.next().value),
    }));
    const wrong = differences(wanted, parts, imageWidth, imageHeight);
    if (!wrong.length) return parts;
    for (const { lattice } of plans) {
      for (const [x, y] of wrong) lattice.mark(x, y, spread);
    }
  }
  return exact;
}
