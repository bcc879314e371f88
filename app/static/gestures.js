// Paints what a gesture under way shows: a stroke, a line, a rubber band, the size of the brush.

const DARK = "rgba(0, 0, 0, 0.6)";

/** The picture of a Paint in place of its animal. */
export function drawStroke(context, { canvas, x, y }) {
  context.imageSmoothingEnabled = false;
  context.globalAlpha = 0.45;
  context.drawImage(canvas, x, y);
  context.globalAlpha = 1;
}

/** Stroke a path twice, so that it is seen on any ground. */
function outlined(context, path, color, px, width = 1.6) {
  context.strokeStyle = DARK;
  context.lineWidth = (width + 1.6) * px;
  context.stroke(path);
  context.strokeStyle = color;
  context.lineWidth = width * px;
  context.stroke(path);
}

/** The line of lasso or split so far; with `end`, on to where the pointer is. */
export function drawTrail(context, trail, end, color, px) {
  const path = new Path2D();
  path.moveTo(trail[0], trail[1]);
  for (let i = 2; i < trail.length; i += 2) path.lineTo(trail[i], trail[i + 1]);
  if (end) path.lineTo(end[0], end[1]);
  context.lineJoin = "round";
  outlined(context, path, color, px);
}

export function drawBand(context, band, px) {
  context.fillStyle = "rgba(255, 255, 255, 0.12)";
  context.fillRect(...band);
  const path = new Path2D();
  path.rect(...band);
  context.setLineDash([5 * px, 4 * px]);
  outlined(context, path, "#ffffff", px, 1);
  context.setLineDash([]);
}

/** The ground a brush would touch. */
export function drawBrush(context, [x, y], diameter, px) {
  const path = new Path2D();
  path.arc(x, y, diameter / 2, 0, 2 * Math.PI);
  outlined(context, path, "#ffffff", px, 1.2);
}

/** Clicks that wait for their answer: a cross for what is missing, a bar for what is too much. */
export function drawMarks(context, marks, px) {
  for (const [x, y, positive] of marks) {
    const path = new Path2D();
    path.moveTo(x - 6 * px, y);
    path.lineTo(x + 6 * px, y);
    if (positive) {
      path.moveTo(x, y - 6 * px);
      path.lineTo(x, y + 6 * px);
    }
    outlined(context, path, positive ? "#7dffa8" : "#ff7d9c", px, 2.2);
  }
}

export function drawCrosshair(context, [x, y], px) {
  const path = new Path2D();
  path.moveTo(x - 14 * px, y);
  path.lineTo(x + 14 * px, y);
  path.moveTo(x, y - 14 * px);
  path.lineTo(x, y + 14 * px);
  outlined(context, path, "#ffffff", px, 1.5);
}
