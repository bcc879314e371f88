// The image a tab of the browser showed before it was reloaded: a person goes on where they were.

import * as api from "./api.js";

/** Keeps it in the tab's own storage, which may be closed to us; then there is none. */
export class Last {
  constructor(root) {
    this.key = `herdmark-image-${root.dataset.project ?? ""}`;
    const [entry] = performance.getEntriesByType("navigation");
    this.id = entry?.type === "reload" ? this.read() : null;
  }

  read() {
    try {
      return sessionStorage.getItem(this.key);
    } catch {
      return null;
    }
  }

  shown(id) {
    try {
      sessionStorage.setItem(this.key, id);
    } catch {
      // The tab begins with the queue's first image then.
    }
  }

  /** Its id, the first time and where the server still knows it; null otherwise. */
  async take() {
    const { id } = this;
    this.id = null;
    if (!id) return null;
    try {
      await api.getDocument(api.documentUrl(id));
      return id;
    } catch {
      return null;
    }
  }
}
