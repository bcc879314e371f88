// Mask -> exact outline: rings along pixel edges, vertex by vertex those of data_io/outline.py.
//
// Every corner of the outline ends one horizontal and one vertical edge. So the corners of a row,
// in order, pair up into its horizontal edges, those of a column into its vertical ones; following
// them in turn closes the rings. Where two pixels touch at a corner only there are two corners in
// one place.

import { inWindow, pieces, trimmed } from "./raster.js";

/** The exact outline, a part for each piece that hangs together: [{outer, holes}, ...]. */
export function partsOfMask(mask) {
  const { x, y, width, height } = trimmed(mask);
  // One pixel more all around, so that no pixel inside lies on the border.
  const wide = inWindow(mask, [x - 1, y - 1, width + 2, height + 2]);
  const grid = { ...wide, labels: null };
  grid.labelOf = (i) => {
    grid.labels ??= pieces(wide).labels;
    return grid.labels[i];
  };
  const corners = cornersOf(grid);
  return grouped(grid, traced(grid, corners));
}

/** Corners in row order: x and y (of the window's lattice), and which go first in their column. */
function cornersOf(grid) {
  const { width, height, data } = grid;
  const corners = { xs: [], ys: [], swapped: [] };
  for (let y = 0; y + 1 < height; y += 1) {
    let i = y * width;
    let [nw, sw] = [data[i], data[i + width]];
    for (let x = 0; x + 1 < width; x += 1, i += 1) {
      const ne = data[i + 1];
      const se = data[i + width + 1];
      if (nw ^ ne ^ sw ^ se) addCorner(corners, x, y, false);
      else if (nw === se && nw !== ne) addSaddle(grid, corners, x, y, i);
      nw = ne;
      sw = se;
    }
  }
  return corners;
}

function addCorner({ xs, ys, swapped }, x, y, isSwapped) {
  xs.push(x);
  ys.push(y);
  swapped.push(isSwapped);
}

/**
 * Two corners in one place. Pixels of one piece: the ring is cut in two there, which makes the
 * pocket between them a hole. Pixels of two pieces: each ring stays on its own side.
 */
function addSaddle({ width, data, labelOf }, corners, x, y, i) {
  const falling = data[i] === 1; // the pixels inside lie upper left and lower right
  const [one, two] = falling ? [i, i + width + 1] : [i + 1, i + width];
  const leftGoesUp = falling !== (labelOf(one) === labelOf(two));
  addCorner(corners, x, y, !leftGoesUp);
  addCorner(corners, x, y, !leftGoesUp);
}

/** For each corner the other end of its vertical edge. */
function matesOf({ xs, ys, swapped }, width) {
  const columns = Array.from({ length: width }, () => []);
  for (let i = 0; i < xs.length; i += 1) {
    const column = columns[xs[i]];
    const last = column.at(-1);
    // The second of two corners in one place, where it has to come first.
    if (swapped[i] && last !== undefined && ys[last] === ys[i]) column.splice(-1, 0, i);
    else column.push(i);
  }
  const mates = new Int32Array(xs.length);
  for (const column of columns) {
    for (let k = 0; k < column.length; k += 2) {
      mates[column[k]] = column[k + 1];
      mates[column[k + 1]] = column[k];
    }
  }
  return mates;
}

/** Closed rings in the order of their topmost edges: [{ring, isOuter, pixel}, ...]. */
function traced(grid, corners) {
  const { xs, ys } = corners;
  const { width, data } = grid;
  const mates = matesOf(corners, width);
  const done = new Uint8Array(xs.length / 2);
  const rings = [];
  // The corners 2 e and 2 e + 1 are the ends of horizontal edge e.
  const below = (edge) => data[(ys[2 * edge] + 1) * width + xs[2 * edge] + 1];
  for (let first = 0; first < done.length; first += 1) {
    if (done[first]) continue;
    const ring = [];
    for (let edge = first; !done[edge];) {
      done[edge] = 1;
      const inside = below(edge); // the animal lies below this edge: it runs to the right
      const [tail, head] = inside ? [2 * edge, 2 * edge + 1] : [2 * edge + 1, 2 * edge];
      for (const at of [tail, head]) ring.push(xs[at] + grid.x + 1, ys[at] + grid.y + 1);
      edge = mates[head] >> 1;
    }
    const isOuter = below(first) === 1;
    const pixel = (ys[2 * first] + (isOuter ? 1 : 0)) * width + xs[2 * first] + 1;
    rings.push({ ring, isOuter, pixel });
  }
  return rings;
}

/** Outer rings with their holes. */
function grouped(grid, rings) {
  const outers = rings.filter(({ isOuter }) => isOuter);
  if (outers.length === 1) {
    const holes = rings.filter(({ isOuter }) => !isOuter).map(({ ring }) => ring);
    return [{ outer: outers[0].ring, holes }];
  }
  const owned = new Map();
  if (outers.length < rings.length) {
    for (const { ring, isOuter, pixel } of rings) {
      const label = grid.labelOf(pixel);
      if (!isOuter) owned.set(label, [...(owned.get(label) ?? []), ring]);
    }
  }
  return outers.map(({ ring, pixel }) => ({
    outer: ring,
    holes: owned.size ? owned.get(grid.labelOf(pixel)) ?? [] : [],
  }));
}
