// A line with few vertices that has the same raster as a stretch of an exact outline.
//
// Every unit edge of an exact outline lies between the middles of two pixels, one inside, one
// outside: a gate that the line must pass. From a vertex on, the directions that pass all gates so
// far form a wedge; where it closes, the next vertex goes onto the last gate that was passed, at
// the place from which the line gets farthest.

import { round } from "./geometry.js";

const REACH = 0.42; // px a line may pass a gate off its middle; the raster rounds by up to 0.1
const FINE = 0.2; // px: the raster rounds vertices to this
const SIDES = [0, 0.2, -0.2, 0.4, -0.4]; // px off the middle that vertices on a gate may lie

const cross = ([ax, ay], [bx, by]) => ax * by - ay * bx;
const from = ([ax, ay], [bx, by]) => [bx - ax, by - ay];
// As the raster does it: halves go up.
const fine = (value) => round(Math.floor(value / FINE + 0.5 + 1e-9) * FINE);

/** The gate of the unit edge a-b at a place: its middle, its direction, its ends. */
export function gateOf([ax, ay], [bx, by], at) {
  const along = [-(by - ay), bx - ax];
  const middle = [(ax + bx) / 2, (ay + by) / 2];
  const on = (side) => [middle[0] + side * along[0], middle[1] + side * along[1]];
  return { middle, along, on, left: on(REACH), right: on(-REACH), at };
}

/** How far to the side of a gate's middle a direction seen from `eye` meets it. */
function sideOn(gate, eye, way) {
  const off = -cross(way, from(eye, gate.middle)) / (cross(way, gate.along) || 1);
  return Math.min(Math.max(off, -REACH), REACH);
}

/** Points on a gate that a wedge [left, right] seen from `eye` reaches, the middlemost first. */
function eyesOn(gate, eye, wedge) {
  const [left, right] = wedge.map((way) => sideOn(gate, eye, way));
  const within = SIDES.filter((side) => side <= left && side >= right);
  return (within.length ? within : [(left + right) / 2]).map((side) => gate.on(side).map(fine));
}

/** Pass gates from number `k` on: {eye, wedge, next}, `next` the first that is not passed. */
function passed(eye, gates, k) {
  let wedge = null;
  for (let next = k; next < gates.length; next += 1) {
    const left = from(eye, gates[next].left);
    const right = from(eye, gates[next].right);
    const l = wedge && cross(left, wedge[0]) < 0 ? wedge[0] : left;
    const r = wedge && cross(wedge[1], right) < 0 ? wedge[1] : right;
    if (cross(r, l) < 1e-9) return { eye, wedge, next };
    wedge = [l, r];
  }
  return { eye, wedge, next: gates.length };
}

/**
 * The vertices {point, at} that lead from the point `start` through all gates to the point `end`,
 * without these two.
 */
export function threaded(start, gates, end) {
  const nodes = [];
  let run = passed(start, gates, 0);
  while (run.next < gates.length || !reaches(run, end)) {
    const k = run.next;
    // A wedge that never opened: the line stood beside the gate, and begins anew on it.
    const gate = run.wedge ? gates[k - 1] : gates[k];
    const eyes = run.wedge ? eyesOn(gate, run.eye, run.wedge) : [gate.middle.map(fine)];
    const runs = eyes.map((eye) => passed(eye, gates, run.wedge ? k : k + 1));
    run = runs.reduce((best, one) => (one.next > best.next ? one : best));
    nodes.push({ point: run.eye, at: gate.at });
    if (k >= gates.length) break; // the last gate leads to the end in any case
  }
  return nodes;
}

/** True where a line that has passed all gates can go straight to the end. */
function reaches({ eye, wedge }, end) {
  const way = from(eye, end);
  return !wedge || (cross(way, wedge[0]) >= 0 && cross(wedge[1], way) >= 0);
}
