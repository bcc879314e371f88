// The REST routes the canvas uses. Every address is relative to document.baseURI, so the app works
// below a sub-path.

const TIMEOUT = 30000; // ms; a request that hangs must end as "will retry", not as "saving" forever

/** A request that failed. status 0 = the server was not reached. */
export class ApiError extends Error {
  constructor(status, message, { revision = null, stale = false } = {}) {
    super(message);
    this.status = status;
    this.revision = revision; // the newest one, after a conflict
    this.stale = stale; // the answer was to a proposal that another one has replaced
  }

  /** True when the same request may succeed later without anybody doing anything. */
  get temporary() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

export const absolute = (url) => new URL(url, document.baseURI).href;

const WORDS = {
  401: "The session has expired; sign in in another tab, then come back here.",
  403: "This session may not change anything; reload the page.",
  404: "The server does not know this image any more.",
  413: "The server refused it as too large.",
};

async function failure(response) {
  let said = {};
  try {
    said = await response.json();
  } catch {
    // A proxy may answer with HTML; the status still says enough.
  }
  const detail = typeof said.error === "string" ? said.error : "";
  const fallback = WORDS[response.status] ?? `The server answered ${response.status}.`;
  const message = response.status === 401 ? WORDS[401] : detail || fallback;
  return new ApiError(response.status, message, said);
}

const json = (response) => response.json();

async function request(url, options = {}, read = json) {
  const limit = AbortSignal.timeout(TIMEOUT);
  const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
  try {
    const response = await fetch(absolute(url), { credentials: "same-origin", ...options, signal });
    if (!response.ok) throw await failure(response);
    return await read(response);
  } catch (error) {
    if (error instanceof ApiError || options.signal?.aborted) throw error;
    throw new ApiError(0, "The server cannot be reached.");
  }
}

function write(method, url, revision, body) {
  return request(url, {
    method,
    headers: {
      "Content-Type": "application/json",
      "If-Match": `"${revision}"`,
      "X-Herdmark": "1",
    },
    body: JSON.stringify(body),
  });
}

const imageUrl = (id) => `api/images/${encodeURIComponent(id)}`;

export const documentUrl = (id) => `${imageUrl(id)}/document`;

export const getDocument = (url, signal) => request(url, { signal, cache: "no-store" });

export const putDocument = (id, revision, body) => write("PUT", documentUrl(id), revision, body);

/** Answer a region (accept, fix, skip, reopen), or the whole image when `region` is null. */
export function postAnswer(id, revision, { region, action, version }, body) {
  if (region === null) {
    const route = action === "reopen" ? "reopen" : "accept";
    return write("POST", `${imageUrl(id)}/${route}`, revision, { version, ...body });
  }
  const url = `${imageUrl(id)}/regions/${encodeURIComponent(region)}`;
  return write("POST", url, revision, { action, ...body });
}

/** Id of the next (1) or previous (-1) image, null at the end. */
export async function nextImage(after, direction) {
  const query = new URLSearchParams({ after: after ?? "", dir: String(direction) });
  return (await request(`api/next?${query}`, { cache: "no-store" })).image ?? null;
}

/** The version of an image's current proposal, null for none. */
export async function proposalVersion(id) {
  return (await request(`${imageUrl(id)}/proposal`, { cache: "no-store" })).version;
}

/** What follows an image: {images, verified, regions, coming: [{image, name, regions}]}. */
export const outlook = (id) => request(`${imageUrl(id)}/outlook`, { cache: "no-store" });

/** Address of one row of square pictures, one for each box [x, y, width, height]. */
export function cropsUrl(id, boxes) {
  const text = boxes.map((box) => box.map((value) => Math.round(value)).join(",")).join(";");
  return absolute(`${imageUrl(id)}/crops?${new URLSearchParams({ boxes: text })}`);
}

/** Id of the next frame of the image's group, null after the last. */
export async function followingFrame(id) {
  return (await request(`${imageUrl(id)}/following`, { cache: "no-store" })).image ?? null;
}

/** Where instances of another image lie on image `id`: {instances, skipped, lost}. */
export const carry = (id, body) =>
  request(`${imageUrl(id)}/carry`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Herdmark": "1" },
    body: JSON.stringify(body),
  });

/** The animal at clicks, in a box or with points in it: {add, subtract} or {superseded}. */
export const postOutline = (id, route, body, signal) =>
  request(`${imageUrl(id)}/${route}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Herdmark": "1" },
    body: JSON.stringify(body),
    signal,
  });

export const thumbnailUrl = (id) => `${imageUrl(id)}/thumbnail`;

/** Rows of the gallery: {listing, total, offset, place, items}; see routes_gallery. */
export const gallery = (query, signal) =>
  request(`api/gallery?${new URLSearchParams(query)}`, { signal, cache: "no-store" });

/** What the gallery can be filtered by: {groups, categories}. */
export const galleryChoices = () => request("api/gallery/choices", { cache: "no-store" });

/** A heat-map; rejects with ApiError when it cannot be had. */
export const loadHeat = async (url, signal) =>
  createImageBitmap(await request(url, { signal }, (response) => response.blob()));

/** A decoded picture; rejects with ApiError when it cannot be shown. */
export async function loadPicture(url, signal) {
  const picture = new Image();
  picture.decoding = "async";
  picture.src = absolute(url);
  try {
    await picture.decode();
  } catch {
    if (!signal?.aborted) throw new ApiError(0, "The picture cannot be loaded.");
  }
  return picture;
}
