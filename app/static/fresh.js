// Newer proposals for the image on the screen: the instant model learns while a person works.

import * as api from "./api.js";

const PAUSE = 1000; // ms between two looks
const INSTANT = "instant-"; // versions that every save may replace

/** Looks whether the image has another proposal now; a trained version's come once and stay. */
export class Fresh {
  constructor(editor, signal) {
    this.editor = editor;
    this.asking = false;
    const timer = setInterval(() => {
      this.catchUp();
      this.look();
    }, PAUSE);
    signal.addEventListener("abort", () => clearInterval(timer));
  }

  /** Ask again for what the server owes the image on the screen. */
  catchUp() {
    if (document.hidden) return;
    this.editor.opener.loadHeatAgain();
    this.editor.outlook.askAgain();
  }

  get waits() {
    const { editor } = this;
    if (!editor.ready || !editor.session || document.hidden || this.asking) return false;
    const { version } = editor.session.document;
    const done = editor.session.status === "verified";
    return !done && !editor.session.unsaved && (!version || version.startsWith(INSTANT));
  }

  async look() {
    if (!this.waits) return;
    const { opener, outlook, session } = this.editor;
    this.asking = true;
    try {
      const version = await api.proposalVersion(session.id);
      const shown = this.editor.session === session && version !== session.document.version;
      if (!shown || !version) return;
      await opener.reload();
      if (outlook.isStale) outlook.ask(session);
      // The queue beside the canvas has another order, perhaps by another rule.
      const { id, status, revision } = session;
      this.editor.tell("status", { image: id, status, revision });
    } catch {
      // The network comes back or says so elsewhere; the next look asks again.
    } finally {
      this.asking = false;
    }
  }
}
