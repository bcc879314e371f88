// What lies ahead and how long it will take: counts from the server, pace from the last answers.

import * as api from "./api.js";

const PAUSE = 120000; // ms; whoever takes longer for one answer was away
const LAST = 20; // answers the pace is taken from
const FRESH = 60000; // ms the coming images and counts are relied on
const FEWEST = 3; // answers before a pace is worth telling

/** The middle of some numbers, so that one slow answer changes nothing; null for too few. */
export function pace(durations) {
  const used = durations.filter((ms) => ms > 0 && ms <= PAUSE).slice(-LAST).sort((a, b) => a - b);
  if (used.length < FEWEST) return null;
  const middle = used.length >> 1;
  return used.length % 2 ? used[middle] : (used[middle - 1] + used[middle]) / 2;
}

const openOnes = (session) => session.regions.filter(({ state }) => state === "open").length;

/**
 * Counts and coming images. The server ranks all images to answer, so it is asked now and then
 * only; in between, what happens on this page is counted along.
 */
export class Outlook {
  constructor(editor) {
    this.editor = editor;
    this.ahead = null; // {images, verified, regions, coming: [{image, name, regions}]}
    this.asked = -Infinity;
    this.owed = null; // the session whose outlook a busy server, or none, could not give
    this.session = null; // whose state at opening `before` holds
    this.before = { open: 0, verified: false };
    this.durations = { region: [], image: [] };
    this.since = { region: 0, image: 0 };
  }

  /** An image has come on the screen. */
  async opened() {
    const { session } = this.editor;
    const { counts } = this;
    this.since = { region: performance.now(), image: performance.now() };
    if (counts) {
      const coming = this.ahead.coming.filter(({ image }) => image !== session.id);
      this.ahead = { ...this.ahead, ...counts, coming };
    }
    this.session = session;
    this.before = { open: openOnes(session), verified: session.status === "verified" };
    if (this.isStale) await this.ask(session);
  }

  get isStale() {
    const usedUp = this.ahead?.any && !this.ahead.coming.length;
    const { session } = this.editor;
    const outdated = session && this.ahead?.regions < openOnes(session); // proposals have come
    return !this.ahead || usedUp || outdated || performance.now() - this.asked > FRESH;
  }

  async ask(session) {
    this.asked = performance.now();
    this.owed = null;
    try {
      const ahead = await api.outlook(session.id);
      if (this.editor.session !== session) return;
      this.ahead = { ...ahead, any: ahead.coming.length > 0 };
      this.before = { open: openOnes(session), verified: session.status === "verified" };
      this.editor.refresh();
    } catch (error) {
      this.ahead = null; // editing works without it
      if (error.temporary) this.owed = session;
    }
  }

  /** Ask again for the image on the screen, where the server could not tell. */
  askAgain() {
    if (this.owed && this.owed === this.editor.session) this.ask(this.owed);
  }

  /** A person has answered a "region" or an "image": how long did it take? */
  answered(kind) {
    const now = performance.now();
    this.durations[kind].push(now - this.since[kind]);
    this.since[kind] = now;
    this.since.region = now;
  }

  /** {images, verified, regions} as they are now; null while they are unknown. */
  get counts() {
    const { ahead, session, before } = this;
    if (!ahead || !session) return null;
    const verified = Number(session.status === "verified") - Number(before.verified);
    return {
      images: ahead.images,
      verified: ahead.verified + verified,
      regions: Math.max(ahead.regions - before.open + openOnes(session), 0),
    };
  }

  /** Minutes left at the present pace, at least one; null while the pace is unknown. */
  get minutes() {
    const { counts } = this;
    if (!counts) return null;
    const region = pace(this.durations.region);
    const image = pace(this.durations.image);
    let left = null;
    if (counts.regions && region !== null) left = counts.regions * region;
    else if (!counts.regions && image !== null) left = (counts.images - counts.verified) * image;
    return left === null ? null : Math.max(Math.round(left / 60000), left > 0 ? 1 : 0);
  }
}
