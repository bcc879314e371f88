// What stands still is painted once and kept as a picture, while a vertex, a brush or just the
// pointer moves over it, or all of it moves along with the view: repainting every outline in each
// frame would be slow with many animals.

const MARGIN = 96; // device px that a still reaches beyond the canvas on every side
const WHOLE = 1e-6; // device px; a way that is off by more from whole ones is not exact

const kept = new WeakMap(); // canvas -> {key, place, still: null or {canvas, place}}

const same = (a, b) => a?.length === b.length && b.every((value, i) => value === a[i]);

/** The way between two places in whole device px, null where it is not exact. */
function wholeWay(from, to) {
  const way = to.map((value, i) => Math.round(value - from[i]));
  return way.every((step, i) => Math.abs(to[i] - from[i] - step) < WHOLE) ? way : null;
}

const within = (way, width, height) => Math.abs(way[0]) <= width && Math.abs(way[1]) <= height;

function stillAt(place, { width, height }, paint) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width + 2 * MARGIN, height + 2 * MARGIN];
  paint(canvas.getContext("2d"), MARGIN);
  return { canvas, place };
}

/** Move a still by whole device px, and paint what comes into sight at its edges. */
function slide(canvas, [dx, dy], paint) {
  const { width, height } = canvas;
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalCompositeOperation = "copy"; // what is not covered becomes empty
  context.drawImage(canvas, dx, dy);
  context.globalCompositeOperation = "source-over";
  const across = [dx > 0 ? 0 : width + dx, 0, Math.abs(dx), height];
  const along = [Math.max(dx, 0), dy > 0 ? 0 : height + dy, width - Math.abs(dx), Math.abs(dy)];
  for (const strip of [across, along]) {
    if (strip[2] && strip[3]) paintWithin(context, strip, paint);
  }
}

/** Paint with everything outside of a rectangle of device px out of reach. */
function paintWithin(context, strip, paint) {
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.beginPath();
  context.rect(...strip);
  context.clip();
  paint(context, MARGIN);
  context.restore();
}

/**
 * Paint into `context` (of `canvas`, cleared) what `paint(context, 0)` paints; with a margin it
 * paints what lies so many device px beyond the canvas, too. `key` is all that it depends on but
 * for `place`, the device px [x, y] that all of it moves along with. From the second time with the
 * same key on, a picture of it is copied instead, where the way to it is exact.
 */
export function paintStill(canvas, context, key, place, paint) {
  const last = kept.get(canvas);
  const way = same(last?.key, key) ? wholeWay(last.still?.place ?? last.place, place) : null;
  if (!way || !within(way, canvas.width, canvas.height)) {
    kept.set(canvas, { key, place, still: null }); // may change again in the next frame: no picture
    paint(context, 0);
    return;
  }
  last.still ??= stillAt(place, canvas, paint);
  const { still } = last;
  if (still.place !== place && !within(way, MARGIN, MARGIN)) {
    slide(still.canvas, way, paint);
    still.place = place;
  }
  const [dx, dy] = wholeWay(still.place, place);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.drawImage(still.canvas, dx - MARGIN, dy - MARGIN);
}
