// Live-wire (intelligent scissors): the cheapest way along edges from a seed to any point.
// Mortensen & Barrett, "Interactive segmentation with intelligent scissors", 1998. Pure functions
// on typed arrays; livewire_worker.js runs them beside the page.
//
// Nodes are pixel CORNERS, (width + 1) x (height + 1) of them in row order, because outlines run
// along pixel edges: a path that follows an edge needs no half-pixel correction.

const DEAREST = 63; // cost of a corner without any contrast
const STRONG = 0.97; // share of corners below the contrast that counts as a full edge
const RIDGE = 0.4; // share of the cost for lying beside the middle of an edge
const STEEP = 2.414; // tan 67.5 degrees: beyond it, an edge counts as upright or level
const STRAIGHT = 5;
const DIAGONAL = 7; // about 5 * sqrt(2)
const RING = 512; // buckets; more than the dearest step, DIAGONAL * (DEAREST + 1) = 448

/** Steps to the eight neighbors: dx, dy; a node's arrival direction is an index of these. */
export const STEPS = [[1, 0], [0, 1], [-1, 0], [0, -1], [1, 1], [-1, 1], [-1, -1], [1, -1]];

const DX = Int8Array.from(STEPS, ([dx]) => dx);
const DY = Int8Array.from(STEPS, ([, dy]) => dy);

/** One channel smoothed with 1 2 1 in both directions, edges repeated: Float32Array. */
function smoothed(rgba, channel, width, height) {
  const rows = new Float32Array(width * height);
  const out = new Float32Array(width * height);
  for (let y = 0, i = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, i += 1) {
      const at = i * 4 + channel;
      const left = x ? rgba[at - 4] : rgba[at];
      const right = x + 1 < width ? rgba[at + 4] : rgba[at];
      rows[i] = (left + 2 * rgba[at] + right) / 4;
    }
  }
  for (let y = 0, i = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, i += 1) {
      const above = y ? rows[i - width] : rows[i];
      const below = y + 1 < height ? rows[i + width] : rows[i];
      out[i] = (above + 2 * rows[i] + below) / 4;
    }
  }
  return out;
}

/** Largest gradient of the three channels at each corner, 0 along the window's border. */
function gradients(rgba, width, height) {
  const count = (width + 1) * (height + 1);
  const [gx, gy, size] = [0, 1, 2].map(() => new Float32Array(count));
  for (let channel = 0; channel < 3; channel += 1) {
    const value = smoothed(rgba, channel, width, height);
    for (let y = 1; y < height; y += 1) {
      for (let x = 1; x < width; x += 1) {
        const i = y * width + x;
        const falling = value[i] - value[i - width - 1];
        const rising = value[i - width] - value[i - 1];
        const dx = falling + rising;
        const dy = falling - rising;
        const far = Math.sqrt(dx * dx + dy * dy);
        const node = y * (width + 1) + x;
        if (far <= size[node]) continue;
        gx[node] = dx;
        gy[node] = dy;
        size[node] = far;
      }
    }
  }
  return { gx, gy, size };
}

/** True where no neighbor across the edge has more contrast: the line in the middle of a blur. */
function isRidge({ gx, gy, size }, node, columns) {
  const dx = Math.abs(gx[node]);
  const dy = Math.abs(gy[node]);
  const right = dx > STEEP * dy;
  const down = dy > STEEP * dx;
  let step = columns + (gx[node] * gy[node] > 0 ? 1 : -1);
  if (right) step = 1;
  else if (down) step = columns;
  return size[node] >= (size[node - step] ?? 0) && size[node] >= (size[node + step] ?? 0);
}

/** The contrast that a share of the corners stays below, to a level of gray; at least 1. */
function quantile(size, share) {
  const counts = new Uint32Array(1024); // two channels' differences of at most 255 each
  for (const value of size) counts[value | 0] += 1;
  let left = share * size.length;
  let level = 0;
  while (level < 1023 && left > counts[level]) left -= counts[level++];
  return Math.max(level, 1);
}

/**
 * Cost of passing each corner, 1 (in the middle of a strong edge) to 64 (no contrast): Uint8Array.
 * `rgba` are a window's pixels as ImageData holds them.
 */
export function costs(rgba, width, height) {
  const found = gradients(rgba, width, height);
  const { size } = found;
  const full = quantile(size, STRONG);
  const cost = new Uint8Array(size.length);
  for (let i = 0; i < cost.length; i += 1) {
    const weak = 1 - Math.min(size[i] / full, 1);
    const beside = size[i] > 0 && isRidge(found, i, width + 1) ? 0 : 1;
    cost[i] = 1 + Math.round(DEAREST * ((1 - RIDGE) * weak + RIDGE * beside));
  }
  return cost;
}

/**
 * The cheapest way from `seed` to every node (Dijkstra with a ring of buckets, after Dial 1969):
 * for each node the index in STEPS of the step that arrives there; the seed has -1. Int8Array.
 */
export function spread(cost, columns, rows, seed) {
  const arrival = new Int8Array(cost.length).fill(-1);
  const distance = new Int32Array(cost.length).fill(0x7fffffff);
  const buckets = Array.from({ length: RING }, () => []);
  distance[seed] = 0;
  buckets[0].push(seed);
  for (let now = 0, waiting = 1; waiting > 0; now += 1) {
    const bucket = buckets[now % RING];
    while (bucket.length) {
      const node = bucket.pop();
      waiting -= 1;
      if (distance[node] !== now) continue; // reached on a cheaper way meanwhile
      const x = node % columns;
      const y = (node / columns) | 0;
      for (let step = 0; step < 8; step += 1) {
        const nx = x + DX[step];
        const ny = y + DY[step];
        if (nx < 0 || ny < 0 || nx >= columns || ny >= rows) continue;
        const next = ny * columns + nx;
        const far = now + cost[next] * (step < 4 ? STRAIGHT : DIAGONAL);
        if (far >= distance[next]) continue;
        distance[next] = far;
        arrival[next] = step;
        buckets[far % RING].push(next);
        waiting += 1;
      }
    }
  }
  return arrival;
}

/** The corners from the seed to a node, flat [x, y, ...]. */
export function trace(arrival, columns, node) {
  const back = [];
  let [x, y] = [node % columns, (node / columns) | 0];
  for (let at = node; ; at = y * columns + x) {
    back.push([x, y]);
    const step = arrival[at];
    if (step < 0) break;
    x -= STEPS[step][0];
    y -= STEPS[step][1];
  }
  return back.reverse().flat();
}

/** The cheapest corner within `reach` of (x, y): what a person who points beside an edge means. */
export function nearestEdgeNode(cost, columns, rows, x, y, reach) {
  let [best, least] = [-1, Infinity];
  for (let ny = Math.max(y - reach, 0); ny <= Math.min(y + reach, rows - 1); ny += 1) {
    for (let nx = Math.max(x - reach, 0); nx <= Math.min(x + reach, columns - 1); nx += 1) {
      const far = Math.hypot(nx - x, ny - y);
      if (far > reach) continue;
      const value = cost[ny * columns + nx] + far;
      if (value < least) [best, least] = [ny * columns + nx, value];
    }
  }
  return best;
}

/** An open line without the steps of the grid: 1 2 1 along it, twice; both ends stay. */
export function smooth(line) {
  let now = line;
  for (let pass = 0; pass < 2; pass += 1) {
    const last = now;
    now = last.map((value, i) => (i < 2 || i >= last.length - 2
      ? value : (last[i - 2] + 2 * value + last[i + 2]) / 4));
  }
  return now;
}

/** An open line with fewer vertices, none farther than `tolerance` off (Douglas & Peucker 1973). */
export function thinned(line, tolerance) {
  const count = line.length / 2;
  if (count < 3) return line;
  const keep = new Uint8Array(count);
  keep[0] = keep[count - 1] = 1;
  const spans = [[0, count - 1]];
  while (spans.length) {
    const [a, b] = spans.pop();
    const [ax, ay, bx, by] = [line[2 * a], line[2 * a + 1], line[2 * b], line[2 * b + 1]];
    const length = Math.hypot(bx - ax, by - ay);
    let [worst, most] = [-1, tolerance];
    for (let i = a + 1; i < b; i += 1) {
      const [dx, dy] = [line[2 * i] - ax, line[2 * i + 1] - ay];
      const off = length ? Math.abs((bx - ax) * dy - (by - ay) * dx) / length : Math.hypot(dx, dy);
      if (off > most) [worst, most] = [i, off];
    }
    if (worst < 0) continue;
    keep[worst] = 1;
    spans.push([a, worst], [worst, b]);
  }
  return line.filter((_, i) => keep[i >> 1]);
}
