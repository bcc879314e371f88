// Borders that touching animals share: where a vertex goes when a neighbor's border is near, and
// which of the neighbor's vertices lie between two points of its border.

import { boxOf } from "./draw.js";
import { nearestEdge, nearestVertex, pairsOf, ringsOf, round } from "./geometry.js";

const REACH = 8; // screen px within which a border attracts
const ON = 0.02; // px: coordinates are rounded to 0.01

/** The instances whose box comes within `reach` of a point, without one id. */
function near(instances, [x, y], reach, without) {
  return instances.filter(({ id, parts }) => {
    const [bx, by, bw, bh] = boxOf(parts);
    return id !== without && x >= bx - reach && y >= by - reach && x <= bx + bw + reach
      && y <= by + bh + reach;
  });
}

/** The point of a neighbor's border that a point means, vertices first; null where none is near. */
export function snapped(editor, point, without = null) {
  if (!editor.state.snap) return null;
  const reach = editor.view.length(REACH);
  let best = null;
  for (const { parts } of near(editor.session.instances, point, reach, without)) {
    const vertex = nearestVertex(parts, ...point, reach);
    if (vertex && (!best?.vertex || vertex.distance < best.distance)) {
      const ring = ringsOf(parts).find(({ part, hole }) =>
        part === vertex.part && hole === vertex.hole).ring;
      const at = [ring[2 * vertex.index], ring[2 * vertex.index + 1]];
      best = { at, distance: vertex.distance, vertex: true };
    }
    if (best?.vertex) continue;
    const edge = nearestEdge(parts, ...point, reach);
    if (edge && (!best || edge.distance < best.distance)) {
      best = { at: edge.point.map(round), distance: edge.distance, vertex: false };
    }
  }
  return best?.at ?? null;
}

/** Where a point lies on a ring: index of the edge's first vertex plus the share of it, or -1. */
function placeOn(ring, [x, y]) {
  const edge = nearestEdge([{ outer: ring, holes: [] }], x, y, ON);
  if (!edge) return -1;
  const [i, j] = [2 * edge.index, (2 * edge.index + 2) % ring.length];
  const length = Math.hypot(ring[j] - ring[i], ring[j + 1] - ring[i + 1]) || 1;
  const along = Math.hypot(edge.point[0] - ring[i], edge.point[1] - ring[i + 1]) / length;
  return along > 1 - 1e-6 ? (edge.index + 1) % (ring.length / 2) : edge.index + along;
}

/** Vertices met from place `from` on to place `to`, and the length of that way. */
function wayBetween(points, from, to) {
  const n = points.length;
  const end = to < from ? to + n : to;
  const between = [];
  for (let k = Math.floor(from) + 1; k < end - 1e-6; k += 1) between.push(points[k % n]);
  return between;
}

const lengthOf = (points) => points.slice(1).reduce(
  (sum, [x, y], i) => sum + Math.hypot(x - points[i][0], y - points[i][1]), 0,
);

/**
 * The neighbor's vertices between two points of one border, the shorter way round, flat; [] where
 * the points lie on no common border. So an outline that snaps twice follows all that lies between.
 */
export function borderBetween(editor, a, b, without = null) {
  if (!editor.state.snap) return [];
  for (const { parts } of near(editor.session.instances, a, ON, without)) {
    for (const { ring } of ringsOf(parts)) {
      const [from, to] = [placeOn(ring, a), placeOn(ring, b)];
      if (from < 0 || to < 0 || from === to) continue;
      const points = pairsOf(ring);
      const forth = wayBetween(points, from, to);
      const back = wayBetween(points, to, from).reverse();
      const shorter = lengthOf([a, ...forth, b]) <= lengthOf([a, ...back, b]) ? forth : back;
      return shorter.flat();
    }
  }
  return [];
}
