// Keeps the work safe: the save queue and the journal of the page, what the editor shows of them,
// and the edits of earlier visits that never reached the server.

import * as api from "./api.js";
import { Clock } from "./clock.js";
import { Journal } from "./journal.js";
import { SaveQueue } from "./saves.js";
import { Session } from "./store.js";

const LOOK = 50; // ms between looks whether a gesture has ended

const silent = {
  state() {}, saved() {}, answered() {}, outdated() {}, merged() {}, conflict() {}, error() {},
  async idle() {},
};

// One of each a page: unsaved work outlives the component, which Gradio may unmount at any time.
const journal = new Journal();
const clock = new Clock();
const queue = new SaveQueue(silent, journal, clock);

for (const name of ["online", "focus"]) {
  window.addEventListener(name, () => {
    queue.retry();
    recover();
  });
}

/** The session an earlier visit left for a document, or a new one. */
export async function sessionOf(document) {
  const kept = await journal.take(document.image.id);
  const pending = queue.pending(document.image.id); // begun while the journal was read
  if (pending) return pending;
  const session = kept ? Session.revive(document, kept) : new Session(document);
  if (kept) journal.adopt(session, kept);
  journal.follow(session);
  queue.touch(session);
  return session;
}

/** The image is gone for good, so nothing need be kept of it. */
export const forget = (id) => journal.forget(id);

/** Send what earlier visits, and closed tabs, could not. */
async function recover() {
  for (const id of await journal.orphans()) {
    if (queue.pending(id)) continue;
    try {
      await sessionOf(await api.getDocument(api.documentUrl(id)));
    } catch (error) {
      if (error.status !== 404) return; // when the network or the session is back, again
      await journal.forget(id);
    }
  }
}

/** Wires the queue to an editor, as long as that lives. */
export class Safety {
  constructor(editor, signal) {
    this.editor = editor;
    this.queue = queue;
    this.clock = clock;
    clock.watch(editor.root, signal);
    window.addEventListener("beforeunload", (event) => this.warn(event), { signal });
    window.addEventListener("online", () => this.reopen(), { signal });
    window.addEventListener("focus", () => this.reopen(), { signal });
    signal.addEventListener("abort", () => {
      queue.on = silent;
    });
  }

  /** Begin to listen to the queue; the editor's panel is there by now. */
  start() {
    const { editor } = this;
    queue.on = {
      state: (summary) => this.show(summary),
      saved: ({ id, revision }) => editor.tell("saved", { image: id, revision }),
      answered: (session, answer) => {
        const { region, action } = answer;
        editor.review.took(session, answer);
        editor.tell("answered", { image: session.id, region, action });
      },
      outdated: (session) => this.outdated(session),
      merged: (session) => this.merged(session),
      conflict: (session) => this.conflict(session),
      error: (session, error) => editor.say(`${session.image.name}: ${error.message}`, "warn"),
      idle: (session) => this.idle(session),
    };
    queue.settle();
    recover();
  }

  show(summary) {
    const { editor } = this;
    const { state } = summary;
    const before = editor.root.dataset.saveState;
    editor.root.dataset.saveState = state;
    editor.panel.refreshSaves(summary);
    if (before === state) return;
    if (state === "expired") editor.panel.showExpired();
    else if (before === "expired" && editor.ready) editor.panel.showOverlay("");
    if (state === "offline") {
      const kept = journal.broken ? "keep this page open" : "edits are kept in this browser";
      editor.say(`The server cannot be reached: ${kept} and sent when it is back.`, "warn");
    }
    if (before === "offline" && state === "saved") editor.say("Everything is stored again.");
  }

  /** Show the proposals that took the place of those on the screen; the edits are stored. */
  async outdated(session) {
    const { editor } = this;
    const shown = session === editor.session && editor.ready;
    if (shown) await editor.opener.reload();
    const where = shown ? "" : `${session.image.name}: `;
    editor.say(`${where}New proposals arrived; look again.`, "warn");
  }

  merged(session) {
    const again = session.withdrawn ? " Look at it again, then answer." : "";
    const what = "was changed elsewhere too; both versions are merged.";
    this.editor.say(`${session.image.name} ${what}${again}`, again ? "warn" : "info");
  }

  conflict(session) {
    const { editor } = this;
    if (session === editor.session && editor.ready) editor.conflicts.show(session);
    else editor.say(`${session.image.name} was changed elsewhere too; click Conflict.`, "warn");
  }

  /** Resolves once no gesture on the session's image is under way. */
  async idle(session) {
    const { editor } = this;
    while (session === editor.session && editor.tool.active && queue.on !== silent) {
      await new Promise((resolve) => {
        setTimeout(resolve, LOOK);
      });
    }
  }

  /** Open what an expired session or a lost server could not, if it can be opened now. */
  reopen() {
    const { editor } = this;
    if (["0", "401"].includes(editor.root.dataset.error)) editor.opener.open(editor.opener.target);
  }

  /** Somebody asked: show a conflict, or try again what was refused for now. */
  saveNow() {
    const stuck = [...queue.problems].find(([, { state }]) => state === "conflict");
    if (stuck) this.editor.conflicts.show(queue.pending(stuck[0]));
    else this.resume();
  }

  resume() {
    queue.retry();
    this.reopen();
  }

  warn(event) {
    const { session, tool } = this.editor;
    if (!queue.unsaved && !session?.draft.length && !tool.active) return;
    event.preventDefault();
    event.returnValue = ""; // older browsers ask only with this
  }
}
