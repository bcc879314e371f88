// The pixels of a part of the picture, at the detail one sees.

import { View } from "./view.js";

/** Paint the image box that starts at (x, y) onto a context, `scale` canvas px an image px. */
export function paintPart(context, picture, { width, height }, [x, y], scale) {
  const view = new View();
  Object.assign(view, { width: context.canvas.width, height: context.canvas.height });
  view.setImage(width, height);
  Object.assign(view, { scale, x: -x * scale, y: -y * scale });
  context.setTransform(scale, 0, 0, scale, view.x, view.y);
  picture.draw(context, view, 1);
}

/** ImageData of the box [x, y, width, height]; its size is that of the box times `scale`. */
export function pixelsOf(picture, image, [x, y, width, height], scale) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(Math.round(width * scale), 1);
  canvas.height = Math.max(Math.round(height * scale), 1);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  paintPart(context, picture, image, [x, y], scale);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}
