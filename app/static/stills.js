// What stands still is painted once and kept as a picture, while a vertex, a brush or just the
// pointer moves over it: repainting every outline each frame would be slow with many animals.

const kept = new WeakMap(); // canvas -> {key, still}

const same = (a, b) => a?.length === b.length && b.every((value, i) => value === a[i]);

/**
 * Paint into `context` (of `canvas`, cleared) what `paint(context)` paints. `key` is all that it
 * depends on; from the second time with the same key on, a picture of it is copied instead.
 */
export function paintStill(canvas, context, key, paint) {
  const last = kept.get(canvas);
  if (!same(last?.key, key)) {
    kept.set(canvas, { key, still: null }); // it may change again in the next frame: no picture yet
    paint(context);
    return;
  }
  if (!last.still) {
    last.still = document.createElement("canvas");
    [last.still.width, last.still.height] = [canvas.width, canvas.height];
    paint(last.still.getContext("2d"));
  }
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.drawImage(last.still, 0, 0);
}
