// What lies below the outlines: a whole picture, or the tiles of a large one. Both draw themselves
// into a context that is in image space.

import * as api from "./api.js";
import { TiledPicture } from "./tiles.js";

/** A picture in one piece. */
export class WholePicture {
  constructor(bitmap) {
    this.bitmap = bitmap; // shows all of the image, at some resolution
  }

  draw(context, view) {
    context.imageSmoothingEnabled = view.scale < 3; // beyond, one wants to see the pixels
    context.imageSmoothingQuality = "high";
    context.drawImage(this.bitmap, 0, 0, view.imageWidth, view.imageHeight);
  }

  /** There is nothing more to come. */
  get complete() {
    return true;
  }

  close() {}
}

const queryOf = (clahe) => (clahe ? `?clahe=${clahe}` : "");

/** Where the first paint of a document comes from: a large image's thumbnail, else all of it. */
export function firstUrl(document, clahe) {
  if (document.tile_url) return api.thumbnailUrl(document.image.id);
  return document.image_url + queryOf(clahe);
}

/**
 * The picture of a document, ready for its first paint; `clahe` is the contrast limit, 0 for none,
 * and `changed` is called when more of it can be drawn. Rejects with ApiError.
 */
export async function openPicture(document, clahe, changed, signal) {
  const first = await api.loadPicture(firstUrl(document, clahe), signal);
  if (!document.tile_url) return new WholePicture(first);
  // The thumbnail is there at once; the tiles are cut from one decode, which takes seconds.
  return new TiledPicture(document, queryOf(clahe), first, changed);
}
