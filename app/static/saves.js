// One queue for everything that is written. Requests go out one at a time; each carries the id and
// the revision of its own session, so it cannot reach another image however fast one navigates.

import * as api from "./api.js";
import { Clock } from "./clock.js";

const FIRST_RETRY = 1000; // ms; doubles up to LAST_RETRY
const LAST_RETRY = 30000;

const MOST_MERGES = 8; // in a row; then somebody saves faster than we do, so wait a moment

const RANK = ["saved", "saving", "retry", "offline", "error", "conflict", "expired"];

const TEXT = {
  saved: "Saved",
  saving: "Saving…",
  retry: "Not saved: will retry",
  offline: "Offline: sent later",
  error: "Not saved",
  conflict: "Conflict",
  expired: "Session expired",
};

/**
 * Saves sessions; calls `on.state`, `on.saved`, `on.answered`, `on.error`, `on.outdated` once the
 * edits of a session are safe whose answers came too late for its proposals, `on.merged` after a
 * merge with what others saved, and `on.conflict` where a person must choose (`choose`). It awaits
 * `on.idle(session)` before a merge, which must not change an animal under a gesture.
 */
export class SaveQueue {
  constructor(on, journal, clock = new Clock()) {
    this.on = on;
    this.journal = journal;
    this.clock = clock; // tells each request the person's time on its image
    this.sessions = new Map(); // image id -> session with something unsaved
    this.problems = new Map(); // image id -> {state, message}
    this.busy = null; // session whose request is under way
    this.delay = FIRST_RETRY;
    this.timer = 0;
    this.idle = [];
  }

  /** The session with unsaved work for an image, if any. */
  pending(id) {
    return this.sessions.get(id) ?? null;
  }

  /** Something in the session changed: send it as soon as the request under way is done. */
  touch(session) {
    if (!session.unsaved) return;
    this.sessions.set(session.id, session);
    this.journal.note(session);
    const state = this.problems.get(session.id)?.state;
    if (state !== "conflict" && state !== "expired") this.problems.delete(session.id);
    this.pump();
  }

  /**
   * Send the answer to a region (or to the whole image, region null) along with all edits; `edit`
   * is the command that belongs to it, if any.
   */
  answer(session, region, action, edit = null) {
    // Proposals that arrive later were not looked at, so this answer must not cover them.
    session.answers.push({ region, action, edit, version: session.document.version });
    this.touch(session);
  }

  /** Try everything again now: the network is back, somebody signed in, or a person asked. */
  retry() {
    this.stop();
    for (const [id, { state }] of this.problems) {
      if (state !== "conflict") this.problems.delete(id);
    }
    this.pump();
  }

  /** True while a session's edits only wait for the server; they are safe, and go out later. */
  waits(session) {
    return ["offline", "retry"].includes(this.problems.get(session.id)?.state);
  }

  /** Resolves to true once the session is saved, to false once it is stuck. */
  flush(session) {
    this.touch(session);
    return new Promise((resolve) => {
      this.idle.push({ session, resolve });
      this.settle();
    });
  }

  /** The worst state of all sessions: {state, text, detail}. */
  summary() {
    let [state, detail] = [this.sessions.size ? "saving" : "saved", ""];
    for (const problem of this.problems.values()) {
      if (RANK.indexOf(problem.state) > RANK.indexOf(state)) {
        [state, detail] = [problem.state, problem.message];
      }
    }
    return { state, text: TEXT[state], detail };
  }

  get unsaved() {
    return this.sessions.size > 0;
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = 0;
  }

  settle() {
    this.on.state(this.summary());
    this.release();
  }

  /** Tell those who wait for a session how it went, where that is known. */
  release() {
    this.idle = this.idle.filter(({ session, resolve }) => {
      const stuck = this.problems.has(session.id);
      if (session.unsaved && !stuck) return true;
      resolve(!stuck); // a refused answer leaves nothing unsaved, yet it is not stored
      return false;
    });
  }

  async pump() {
    if (this.busy) return this.settle();
    const ready = [...this.sessions.values()].find(({ id }) => !this.problems.has(id));
    if (!ready) return this.settle();
    this.busy = ready;
    this.settle();
    try {
      await this.send(ready);
    } catch (error) {
      await this.failed(ready, error);
    }
    this.journal.note(ready);
    this.busy = null;
    this.release(); // those who wait must hear of a problem before it is forgotten
    if (this.problems.get(ready.id)?.state === "stale") this.problems.delete(ready.id);
    if (!ready.unsaved) this.done(ready);
    return this.pump();
  }

  /** Nothing of the session is left to send; what the server refused for good was told. */
  done(session) {
    this.sessions.delete(session.id);
    this.problems.delete(session.id);
    if (session.outdated) this.on.outdated(session);
  }

  async send(session) {
    // A request without a reply may be stored all the same. It goes out again as it was, so that
    // the server knows it and tells its revision; edits made since follow.
    session.sending ??= this.next(session);
    const { snapshot, answer } = session.sending;
    const { id, revision } = session;
    const body = session.brief(snapshot.body);
    if (answer) {
      const reply = await api.postAnswer(id, revision, answer, body);
      session.answers.shift();
      session.answered(snapshot, reply);
      this.on.answered(session, answer);
      if (this.withdrew(session)) this.on.merged(session);
    } else {
      const reply = await api.putDocument(id, revision, body);
      // Nothing was new, so nothing was stored, the time neither.
      if (reply.revision === revision) this.clock.giveBack(id, snapshot.body.seconds);
      session.saved(snapshot, reply.revision);
    }
    session.sending = null;
    session.merges = 0;
    this.delay = FIRST_RETRY;
    this.on.saved(session);
  }

  /** What to send: the oldest answer along with all edits, or the edits alone. */
  next(session) {
    const [answer] = session.answers;
    // Skipping stores nothing but the region's state, so edits go first.
    const later = !answer || (answer.action === "skip" && session.edited);
    const snapshot = session.snapshot();
    const sent = later ? null : answer;
    // Skipping makes no revision that could keep the time.
    if (sent?.action !== "skip") snapshot.body.seconds = this.clock.take(session.id);
    return { snapshot, answer: sent };
  }

  async failed(session, error) {
    if (error.status === 409 && !error.stale) return this.conflicted(session);
    const problem = { message: error.message, state: stateOf(error) };
    if (!(error instanceof api.ApiError)) console.error(error);
    // While nobody is signed in nothing is judged: an earlier copy may be stored all the same.
    if (!error.temporary && problem.state !== "expired") this.takeBack(session);
    // A refused answer (a region that is gone, say) must not block the edits behind it.
    if (problem.state === "error" && session.answers.length) session.answers.shift();
    this.problems.set(session.id, problem);
    if (problem.state === "stale") session.dropAnswers();
    if (error.temporary) this.later();
    if (problem.state === "error") this.on.error(session, error);
    return null;
  }

  /** What was sent is not stored, and goes out in another shape. */
  takeBack(session) {
    this.clock.giveBack(session.id, session.sending?.snapshot.body.seconds);
    session.sending = null;
  }

  /** True when a merge has withdrawn answers: who waits for one must not take it for stored. */
  withdrew(session) {
    if (session.withdrawn) this.problems.set(session.id, { state: "stale", message: "" });
    return session.withdrawn > 0;
  }

  /**
   * Somebody else saved the image: merge, and ask only where both changed the same animal. Of what
   * was sent the server has nothing, or it would have told the revision that holds it.
   */
  async conflicted(session) {
    let newest = null;
    try {
      newest = await api.getDocument(api.documentUrl(session.id));
    } catch (error) {
      await this.failed(session, error);
      return;
    }
    await this.on.idle(session);
    this.takeBack(session);
    session.merges = (session.merges ?? 0) + 1;
    if (session.reconcile(newest)) {
      this.on.merged(session);
      if (this.withdrew(session) || session.merges <= MOST_MERGES) return;
      this.problems.set(session.id, { state: "retry", message: "Others save this image too." });
      this.later();
    } else {
      const message = `${session.image.name} was changed elsewhere too.`;
      this.problems.set(session.id, { state: "conflict", message });
      this.on.conflict(session);
    }
  }

  later() {
    if (this.timer) return; // one wait for all that failed
    this.timer = setTimeout(() => this.retry(), this.delay);
    this.delay = Math.min(this.delay * 2, LAST_RETRY);
  }

  /** End a conflict: see `Session.choose`. */
  choose(session, choices) {
    session.choose(choices);
    this.problems.delete(session.id);
    this.journal.note(session);
    if (!session.unsaved) this.done(session); // all theirs: the server has that already
    this.pump();
  }
}

function stateOf(error) {
  if (error.status === 401) return "expired";
  if (error.stale) return "stale";
  if (error.status === 0) return "offline";
  return error.temporary ? "retry" : "error";
}
