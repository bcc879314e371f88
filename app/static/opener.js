// Opens images: fetches the document, finds the right session for it, swaps it in with its picture.

import * as api from "./api.js";
import { Last } from "./last.js";
import { colorOf } from "./palette.js";
import { openPicture, WholePicture } from "./picture.js";
import { forget, sessionOf } from "./safety.js";

const KEPT_SESSIONS = 30; // images whose undo log survives leaving them

/** Loads into an editor. A reply that belongs to an older request is dropped by its number. */
export class Opener {
  constructor(editor, signal) {
    this.editor = editor;
    this.target = null; // id of the image last asked for; it is not on the screen while it loads
    this.sequence = 0;
    this.loading = new AbortController();
    this.owed = null; // {url, turn} of a heat-map that is to be asked for again
    this.last = new Last(editor.root);
    this.kept = new Map();
    // Session -> {bitmap, clahe} as last shown. The browser itself forgets pictures when it likes.
    this.seen = new WeakMap();
    signal.addEventListener("abort", () => {
      this.sequence += 1;
      this.loading.abort();
      this.unsubscribe?.();
    });
  }

  /** Follow a descriptor from Gradio; the image on the screen is only refreshed. */
  async follow(value) {
    const descriptor = typeof value === "string" && value ? JSON.parse(value) : value;
    if (!descriptor?.image_id) {
      if (!this.target) {
        this.editor.panel.showOverlay("No image yet", "Import photos on the Data page.");
      }
      return;
    }
    const last = await this.last.take();
    if (last && last !== descriptor.image_id && !this.target) {
      this.editor.walk.open(last);
      return;
    }
    const url = descriptor.doc_url ?? api.documentUrl(descriptor.image_id);
    if (descriptor.image_id === this.target && this.editor.ready) await this.reload(url);
    else if (descriptor.image_id !== this.target || !this.busy) {
      await this.open(descriptor.image_id, url);
    }
  }

  /** Show an image. Nothing can be edited between leaving the old one and seeing the new one. */
  async open(id, url = api.documentUrl(id)) {
    const { editor } = this;
    editor.tool.finish();
    const turn = (this.sequence += 1);
    this.loading.abort();
    this.loading = new AbortController();
    const { signal } = this.loading;
    this.target = id;
    this.busy = true;
    editor.leave();
    try {
      const document = await this.fetch(id, url, signal);
      const [session, picture] = await Promise.all([
        this.sessionFor(document), this.pictureFor(document, signal),
      ]);
      if (turn !== this.sequence) return;
      this.show(session, picture);
      this.busy = false;
      await this.loadHeat(document.heat_url, turn, signal);
      if (turn === this.sequence) editor.walk.lookAhead();
    } catch (error) {
      if (turn !== this.sequence) return;
      this.busy = false;
      editor.cannotOpen(error);
      if (error.status === 404) forget(id);
    }
  }

  /** The document's picture; without the server, as this page last showed it. */
  async pictureFor(document, signal) {
    try {
      return await this.picture(document, signal);
    } catch (error) {
      const seen = this.seen.get(this.known(document.image.id));
      if (!error.temporary || !seen) throw error;
      this.editor.root.dataset.clahe = seen.clahe;
      return new WholePicture(seen.bitmap);
    }
  }

  /** The document's picture as the view settings want it. */
  async picture(document, signal) {
    const { look, stage, root } = this.editor;
    const { clahe } = look;
    const opened = await openPicture(document, clahe, () => stage.invalidate(true), signal);
    if (!signal.aborted) root.dataset.clahe = clahe;
    return opened;
  }

  /** Fetch the picture again where it should look different; the old one stays until then. */
  async renewPicture() {
    const { editor, sequence } = this;
    const { clahe } = editor.look;
    if (!editor.ready || Number(editor.root.dataset.clahe) === clahe) return;
    try {
      const picture = await this.picture(editor.session.document, this.loading.signal);
      if (sequence !== this.sequence || clahe !== editor.look.clahe) return;
      editor.state.picture?.close();
      editor.state.picture = picture;
      this.remember(editor.session, picture);
      editor.stage.invalidate(true);
    } catch (error) {
      if (sequence === this.sequence) editor.say(error.message, "warn");
    }
  }

  /** The image's document; without the server, as it was when this page last saw it. */
  async fetch(id, url, signal) {
    try {
      return await api.getDocument(url, signal);
    } catch (error) {
      const kept = this.known(id);
      if (!error.temporary || !kept) throw error;
      return kept.document;
    }
  }

  /** The session for a document; unsaved edits and anything newer than the document win over it. */
  async sessionFor(document) {
    const kept = this.known(document.image.id);
    if (!kept) return sessionOf(document);
    if (!kept.unsaved && kept.revision <= document.revision) kept.renew(document);
    return kept;
  }

  /** The session this page has of an image, if any. */
  known(id) {
    return this.editor.queue.pending(id) ?? this.kept.get(id);
  }

  remember(session, { bitmap }) {
    this.seen.set(session, { bitmap, clahe: Number(this.editor.root.dataset.clahe) });
  }

  keep(session) {
    this.kept.delete(session.id);
    this.kept.set(session.id, session);
    if (this.kept.size > KEPT_SESSIONS) this.kept.delete(this.kept.keys().next().value);
  }

  show(session, picture) {
    this.unsubscribe?.();
    this.keep(session);
    this.remember(session, picture);
    this.unsubscribe = session.subscribe(() => this.editor.refresh());
    this.setCategories(session);
    this.last.shown(session.id);
    this.editor.show(session, picture);
  }

  setCategories({ categories }) {
    const { editor } = this;
    editor.colors = new Map(categories.map((item, i) => [item.id, colorOf(item, i)]));
    if (!editor.colors.has(editor.state.category)) {
      editor.state.category = categories[0]?.id ?? null;
    }
  }

  async loadHeat(url, turn, signal) {
    this.owed = null;
    if (!url) return;
    try {
      const heat = await api.loadHeat(url, signal);
      if (turn !== this.sequence) return;
      this.editor.state.heat?.close();
      this.editor.update({ heat });
      this.editor.stage.invalidate(true);
    } catch (error) {
      if (turn !== this.sequence) return;
      if (error.temporary) this.owed = { url, turn };
      this.editor.say("The heat-map cannot be loaded.", "warn");
    }
  }

  /** Load the heat-map that a busy server, or none, could not give. */
  loadHeatAgain() {
    const { owed } = this;
    if (owed?.turn === this.sequence) this.loadHeat(owed.url, owed.turn, this.loading.signal);
  }

  /** Fetch the open image's document again, unless that would hide unsaved edits. */
  async reload(url = api.documentUrl(this.editor.session.id)) {
    const { editor, sequence } = this;
    const { session } = editor;
    if (session.unsaved || editor.tool.active) return;
    try {
      const document = await api.getDocument(url);
      const current = sequence === this.sequence && !session.unsaved && !editor.tool.active;
      if (!current || document.revision < session.revision) return;
      session.renew(document);
      this.setCategories(session);
      editor.refresh();
      await this.loadHeat(document.heat_url, sequence, this.loading.signal);
    } catch (error) {
      editor.say(error.message, "warn");
    }
  }
}
