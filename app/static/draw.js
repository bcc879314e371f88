// Paints the two layers: picture and heat-map below, shapes above. Reads state, changes none.

import { colorOfInstance, drawn, labelOf } from "./display.js";
import { boxOfParts, ringAt, ringsOf, thinLine } from "./geometry.js";
import {
  drawBand, drawBrush, drawCrosshair, drawMarks, drawStroke, drawTrail,
} from "./gestures.js";
import { inkOn, withAlpha } from "./palette.js";
import { paintStill } from "./stills.js";

const HANDLE = 4; // half side of a vertex handle, screen px
export const MIDPOINT_FROM = 28; // screen px; shorter edges show no midpoint handle

const UNSEEN = 0.25; // screen px that the outline of an animal nobody works on may be off by

const paths = new WeakMap(); // parts -> {detail: Path2D}; parts are never changed in place
const boxes = new WeakMap();

function addRing(path, ring) {
  path.moveTo(ring[0], ring[1]);
  for (let i = 2; i < ring.length; i += 2) path.lineTo(ring[i], ring[i + 1]);
  path.closePath();
}

/**
 * The outline of parts with their holes, to be filled with the even-odd rule; nowhere farther than
 * `detail` image px from what is stored, so that small pictures of it need fewer points.
 */
export function pathOf(parts, detail = 0) {
  if (!paths.has(parts)) paths.set(parts, {});
  const made = paths.get(parts);
  if (!made[detail]) {
    made[detail] = new Path2D();
    for (const { ring } of ringsOf(parts)) addRing(made[detail], thinned(ring, detail));
  }
  return made[detail];
}

function thinned(ring, detail) {
  const line = detail ? thinLine(ring, detail) : ring;
  return line.length < 6 ? ring : line;
}

/** What may be left out where an image px has 1 / `px` screen px; in octaves, as paths are kept. */
const detailAt = (px) => (px * UNSEEN < 1 / 8 ? 0 : 2 ** Math.floor(Math.log2(px * UNSEEN)));

export function boxOf(parts) {
  if (!boxes.has(parts)) boxes.set(parts, boxOfParts(parts));
  return boxes.get(parts);
}

/** Match a canvas to its CSS size; drawing starts in device pixels on a cleared canvas. */
function begin(canvas, width, height, ratio) {
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, w, h);
  return context;
}

const toImageSpace = (context, view, ratio) =>
  context.setTransform(
    ratio * view.scale, 0, 0, ratio * view.scale, ratio * view.x, ratio * view.y,
  );

/** The lower layer; `picture` is one of picture.js. */
export function drawPicture(canvas, view, picture, ratio) {
  const context = begin(canvas, view.width, view.height, ratio);
  toImageSpace(context, view, ratio);
  picture?.draw(context, view, ratio);
}

/** The heat-map has its own layer, so that adjusting the picture does not change its colors. */
export function drawHeat(canvas, view, { heat, heatOpacity }, ratio) {
  canvas.hidden = !heat || !heatOpacity;
  if (canvas.hidden) return;
  const context = begin(canvas, view.width, view.height, ratio);
  toImageSpace(context, view, ratio);
  context.globalAlpha = heatOpacity;
  context.drawImage(heat, 0, 0, view.imageWidth, view.imageHeight);
  context.globalAlpha = 1;
}

/** The upper layer. `scene`: {session, colors, selected, hovered, vertex, preview, region, ...}. */
export function drawShapes(canvas, view, scene, ratio) {
  const context = begin(canvas, view.width, view.height, ratio);
  const { session, preview, stroke, shift, region, colors, display } = scene;
  if (!session) return;
  const shown = drawn(session.instances, display, [scene.selected, ...scene.others]);
  const moves = ({ id }) => id === preview?.id || id === stroke?.id || Boolean(shift?.ids.has(id));
  const moving = shown.filter(moves);
  const key = [
    session, session.instances, session.verified, session.status, session.regions, region, colors,
    ...Object.values(display), scene.selected, scene.others, scene.hovered, ratio, view.scale,
    canvas.width, canvas.height, ...moving.map(({ id }) => id),
  ];
  const standing = shown.filter((item) => !moves(item));
  paintStill(canvas, context, key, [view.x * ratio, view.y * ratio], (still, margin) => {
    drawStanding(still, view.widened(margin / ratio), scene, standing, ratio);
  });
  drawLabels(context, view, standing, scene, ratio);
  toImageSpace(context, view, ratio);
  drawMoving(context, scene, moving, 1 / view.scale);
}

/** Names and confidences: they stay in sight at the top, so they do not just move with the view. */
function drawLabels(context, view, items, scene, ratio) {
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  for (const item of items) drawLabel(context, view, item, scene);
}

/** What no gesture changes, and what moves as one with the view. */
function drawStanding(context, view, scene, items, ratio) {
  toImageSpace(context, view, ratio);
  const px = 1 / view.scale;
  drawVerified(context, view, scene.session);
  if (scene.region) dimOutside(context, view, scene.region);
  for (const item of items) drawInstance(context, item, scene, px);
  drawRegions(context, scene, px);
}

/** The animals a gesture changes, handles, and the gesture itself. */
function drawMoving(context, scene, moving, px) {
  const { preview, stroke, shift, trail, band, crosshair, tool } = scene;
  for (const item of moving) {
    context.save();
    if (shift) context.translate(...shift.offset);
    drawInstance(context, item.id === preview?.id ? preview : item, scene, px, !stroke);
    context.restore();
  }
  if (stroke) drawStroke(context, stroke);
  const selected = scene.session.instance(scene.selected);
  const single = selected && !shift && !scene.others.length && scene.display.shapes !== "none";
  if (single) drawHandles(context, selected.id === preview?.id ? preview : selected, scene, px);
  drawDraft(context, scene, px);
  const end = crosshair ?? scene.pointer;
  const color = scene.colors.get(scene.category) ?? "#ffffff";
  if (trail) drawTrail(context, trail, end, tool === "split" ? "#ffffff" : color, px);
  if (band) drawBand(context, band, px);
  if (scene.paints && end) drawBrush(context, end, scene.brush, px);
  drawMarks(context, scene.marks, px);
  if (crosshair) drawCrosshair(context, crosshair, px);
}

/** What a person vouched for: sparse hatching in a part of the image, a thin frame on all of it. */
function drawVerified(context, view, session) {
  if (!session.verified.length) return;
  const px = 1 / view.scale;
  const path = pathOf(session.verified);
  context.strokeStyle = "rgba(86, 214, 160, 0.85)";
  context.lineWidth = 1.5 * px;
  if (session.status === "verified") {
    context.strokeRect(0, 0, view.imageWidth, view.imageHeight);
    return;
  }
  context.save();
  context.clip(path, "evenodd");
  context.lineWidth = px;
  context.strokeStyle = "rgba(86, 214, 160, 0.34)";
  const [x, y, width, height] = boxOf(session.verified);
  const gap = 11 * px;
  context.beginPath();
  for (let at = 0; at < width + height; at += gap) {
    context.moveTo(x + at, y);
    context.lineTo(x + at - height, y + height);
  }
  context.stroke();
  context.restore();
  context.stroke(path);
}

function dimOutside(context, view, region) {
  const [x, y, width, height] = region.box;
  const [x0, y0] = view.toImage(0, 0);
  const [x1, y1] = view.toImage(view.width, view.height);
  context.beginPath();
  context.rect(x0, y0, x1 - x0, y1 - y0);
  const room = view.length(10);
  context.rect(x - room, y - room, width + 2 * room, height + 2 * room);
  context.fillStyle = "rgba(8, 12, 18, 0.38)";
  context.fill("evenodd");
}

function drawInstance(context, item, scene, px, filled = true) {
  const color = colorOfInstance(item, scene.display, scene.colors);
  const selected = item.id === scene.selected || scene.others.includes(item.id);
  const path = pathOf(item.parts, selected ? 0 : detailAt(px));
  const strong = selected || item.id === scene.hovered;
  const fill = selected ? 0.18 : strong ? 0.34 : item.proposed ? 0.14 : 0.24;
  context.fillStyle = withAlpha(color, fill * scene.display.fill);
  if (filled) context.fill(path, "evenodd");
  context.lineJoin = "round";
  context.setLineDash([]);
  context.strokeStyle = "rgba(0, 0, 0, 0.55)";
  context.lineWidth = (strong ? 4.5 : 3) * px;
  context.stroke(path);
  context.setLineDash(item.proposed ? [6 * px, 4 * px] : []);
  context.strokeStyle = color;
  context.lineWidth = (strong ? 2.5 : 1.5) * px;
  context.stroke(path);
  context.setLineDash([]);
}

function drawRegions(context, scene, px) {
  if (!scene.display.regions) return;
  context.globalAlpha = scene.display.regions;
  for (const region of scene.session.openRegions) {
    const current = region.id === scene.region?.id;
    const path = pathOf(region.parts);
    context.setLineDash(current ? [] : [2 * px, 3 * px]);
    context.strokeStyle = "rgba(0, 0, 0, 0.7)";
    context.lineWidth = (current ? 4.5 : 3) * px;
    context.stroke(path);
    context.strokeStyle = current ? "#ffffff" : "rgba(255, 255, 255, 0.8)";
    context.lineWidth = (current ? 2.2 : 1.2) * px;
    context.stroke(path);
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}

function square(context, x, y, half) {
  context.beginPath();
  context.rect(x - half, y - half, 2 * half, 2 * half);
  context.fill();
  context.stroke();
}

function drawHandles(context, item, scene, px) {
  if (scene.tool !== "select") return;
  context.lineWidth = 1.2 * px;
  context.strokeStyle = "#10151b";
  for (const { ring } of ringsOf(item.parts)) {
    for (let i = 0; i < ring.length; i += 2) {
      const j = (i + 2) % ring.length;
      if (Math.hypot(ring[j] - ring[i], ring[j + 1] - ring[i + 1]) < MIDPOINT_FROM * px) continue;
      context.fillStyle = "rgba(255, 255, 255, 0.75)";
      context.beginPath();
      context.arc(
        (ring[i] + ring[j]) / 2, (ring[i + 1] + ring[j + 1]) / 2, 2.6 * px, 0, 2 * Math.PI,
      );
      context.fill();
      context.stroke();
    }
    context.fillStyle = "#ffffff";
    for (let i = 0; i < ring.length; i += 2) {
      const j = (i + 2) % ring.length;
      const edge = Math.hypot(ring[j] - ring[i], ring[j + 1] - ring[i + 1]);
      // Where vertices lie close together, handles must not hide the outline.
      square(context, ring[i], ring[i + 1], Math.min(Math.max(0.4 * edge, 1.4 * px), HANDLE * px));
    }
  }
  if (!scene.vertex) return;
  const ring = ringAt(item.parts, scene.vertex);
  context.fillStyle = "#ff5c8a";
  square(context, ring[scene.vertex.index * 2], ring[scene.vertex.index * 2 + 1], 5.5 * px);
}

function drawDraft(context, scene, px) {
  const { draft } = scene.session;
  const end = scene.crosshair ?? scene.pointer;
  const outlining = scene.tool === "draw" || scene.tool === "wire";
  if (outlining && draft.length) {
    const path = new Path2D();
    path.moveTo(draft[0], draft[1]);
    for (let i = 2; i < draft.length; i += 2) path.lineTo(draft[i], draft[i + 1]);
    const { wire } = scene;
    for (let i = 0; i < wire.length; i += 2) path.lineTo(wire[i], wire[i + 1]);
    if (end && !wire.length) path.lineTo(end[0], end[1]);
    context.strokeStyle = "rgba(0, 0, 0, 0.6)";
    context.lineWidth = 3.5 * px;
    context.stroke(path);
    context.strokeStyle = scene.colors.get(scene.category) ?? "#ffffff";
    context.lineWidth = 2 * px;
    context.stroke(path);
    context.strokeStyle = "#10151b";
    context.lineWidth = 1.2 * px;
    for (let i = 0; i < draft.length; i += 2) {
      const closes = i === 0 && scene.closing;
      context.fillStyle = closes ? "#ff5c8a" : "#ffffff";
      square(context, draft[i], draft[i + 1], (closes ? 6 : HANDLE) * px);
    }
  }
}

/** Name and, for proposals, the score; only where the shape is large enough to bear it. */
function drawLabel(context, view, item, scene) {
  const [x, y, width] = boxOf(item.parts);
  const near = item.id === scene.selected || item.id === scene.hovered;
  const across = width * view.scale;
  if (!near && across < 54) return;
  const [sx, sy] = view.toScreen(x, y);
  if (sx > view.width || sy > view.height || sx + across < 0) return;
  const name = scene.session.category(item.category)?.name ?? "unknown category";
  const text = labelOf(item, scene.display, name);
  const color = colorOfInstance(item, scene.display, scene.colors);
  context.font = "600 11px system-ui, sans-serif";
  const w = context.measureText(text).width + 10;
  if (!near && w > across) return;
  const top = Math.max(sy - 19, 2);
  context.globalAlpha = near ? 1 : 0.86;
  context.fillStyle = color;
  context.beginPath();
  context.roundRect(sx, top, w, 17, 4);
  context.fill();
  context.fillStyle = inkOn(color);
  context.textBaseline = "middle";
  context.fillText(text, sx + 5, top + 9);
  context.globalAlpha = 1;
}
