// The state of one image while it is open: its document and the command log (undo / redo).
// Instances are never changed in place; an edit puts a new object in the list. So comparing
// references tells what changed, and drawing can cache by object.

/** An id nobody else has. On plain http hosts crypto has getRandomValues, but no randomUUID. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const edited = (instance) => ({
  ...instance,
  proposed: false,
  source: instance.source === "model" ? "edited" : instance.source,
});

/** One image's document, its undo log and what of it the server has not got yet. */
export class Session {
  constructor(document) {
    this.undoLog = [];
    this.redoLog = [];
    this.changes = 0; // counts edits; a save remembers the count it carried
    this.savedChanges = 0;
    this.answers = []; // answers to regions on their way to the server
    this.sending = null; // the request whose outcome is not known yet: {snapshot, answer}
    this.draft = []; // vertices of a polygon being drawn, flat
    this.settled = new Set(); // ids that can no longer go back to being a proposal
    this.proposals = new Set();
    this.listeners = new Set();
    this.load(document);
  }

  /** Take the server's document as the truth; the log stays, because its commands go by id. */
  load(document, instances = document.instances) {
    this.document = document;
    this.outdated = false; // the server has newer proposals than these
    this.image = document.image;
    this.id = document.image.id;
    this.revision = document.revision;
    this.status = document.status;
    this.categories = document.categories;
    this.regions = document.regions;
    this.verified = document.verified;
    this.instances = instances;
    // Only what the server offers now can be rejected; it may have withdrawn others by itself.
    const offered = document.instances.filter(({ proposed }) => proposed);
    this.proposals = new Set(offered.map(({ id }) => id));
    this.emit();
  }

  /** Load a newer document of this image; proposals it has no more cannot come back as such. */
  renew(document, instances) {
    const before = this.proposals;
    this.load(document, instances);
    for (const id of before) {
      if (!this.proposals.has(id)) this.settled.add(id);
    }
  }

  /** Call `listener` after every change; returns the way to stop it. */
  subscribe(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  emit() {
    for (const listener of this.listeners) listener(this);
  }

  get edited() {
    return this.changes !== this.savedChanges;
  }

  get unsaved() {
    return this.edited || this.answers.length > 0;
  }

  instance(id) {
    return this.instances.find((item) => item.id === id) ?? null;
  }

  category(id) {
    return this.categories.find((item) => item.id === id) ?? null;
  }

  /** Regions a person still has to answer, in the order the server ranked them. */
  get openRegions() {
    return this.regions.filter(({ state }) => state === "open" || state === "skipped");
  }

  // ---- commands: each is one undo step ----

  addInstance(parts, category) {
    const after = {
      id: newId(),
      category,
      parts,
      source: "human",
      score: null,
      version: null,
      attributes: {},
      proposed: false,
    };
    this.run("draw", [{ id: after.id, before: null, after, index: this.instances.length }]);
    return after.id;
  }

  removeInstance(id) {
    this.run("delete", [this.change(id, null)]);
  }

  setParts(id, parts, label = "edit outline") {
    const before = this.instance(id);
    if (before && before.parts !== parts) {
      this.run(label, [this.change(id, { ...edited(before), parts })]);
    }
  }

  setCategory(id, category) {
    const before = this.instance(id);
    if (before && before.category !== category) {
      this.run("change category", [this.change(id, { ...edited(before), category })]);
    }
  }

  change(id, after) {
    const index = this.instances.findIndex((item) => item.id === id);
    return { id, before: this.instances[index] ?? null, after, index };
  }

  run(label, changes) {
    this.undoLog.push({ label, changes });
    this.redoLog = [];
    this.apply(changes, "after");
  }

  /** Take back the last command; returns its label, or "" when there is none. */
  undo() {
    const command = this.undoLog.pop();
    if (!command) return "";
    this.redoLog.push(command);
    this.apply([...command.changes].reverse(), "before");
    return command.label;
  }

  redo() {
    const command = this.redoLog.pop();
    if (!command) return "";
    this.undoLog.push(command);
    this.apply(command.changes, "after");
    return command.label;
  }

  apply(changes, side) {
    const list = [...this.instances];
    for (const change of changes) {
      const at = list.findIndex((item) => item.id === change.id);
      let next = change[side];
      // An answered or rejected proposal that came back through undo would otherwise be left out of
      // the next save and vanish.
      if (next?.proposed && this.settled.has(next.id)) next = { ...next, proposed: false };
      if (at >= 0 && next) list[at] = next;
      else if (at >= 0) list.splice(at, 1);
      else if (next) list.splice(Math.min(Math.max(change.index, 0), list.length), 0, next);
    }
    this.instances = list;
    this.changes += 1;
    this.emit();
  }

  // ---- what goes to and comes from the server ----

  /** What a save carries, with the count of edits it covers and the list it was made from. */
  snapshot() {
    const present = new Set(this.instances.map(({ id }) => id));
    return {
      changes: this.changes,
      instances: this.instances,
      body: {
        instances: this.instances.filter(({ proposed }) => !proposed),
        rejected: [...this.proposals].filter((id) => !present.has(id)),
      },
    };
  }

  /** The server stored `snapshot` as revision `revision`. */
  saved(snapshot, revision) {
    this.revision = revision;
    this.savedChanges = snapshot.changes;
    if (this.status === "unlabeled") this.status = "draft";
    for (const id of snapshot.body.rejected) this.settled.add(id);
    this.emit();
  }

  /** The server answered `snapshot` with a new document; edits made since then stay on top. */
  answered(snapshot, document) {
    this.saved(snapshot, document.revision);
    this.renew(document, this.merge(snapshot.instances, document.instances));
  }

  /** The answers came too late: other proposals have taken the place of those on the screen. */
  dropAnswers() {
    this.answers = [];
    this.outdated = true;
  }

  /** Three-way merge by id: what changed here since `sent` wins, the rest is the server's. */
  merge(sent, theirs) {
    const before = new Map(sent.map((item) => [item.id, item]));
    const mine = new Map(this.instances.map((item) => [item.id, item]));
    const merged = [];
    for (const item of theirs) {
      const touched = before.get(item.id) !== mine.get(item.id);
      if (!touched) merged.push(item);
      else if (mine.has(item.id)) merged.push(mine.get(item.id));
    }
    const placed = new Set(theirs.map(({ id }) => id));
    for (const item of this.instances) {
      if (!placed.has(item.id) && before.get(item.id) !== item) merged.push(item);
    }
    return merged;
  }

  /** Give up the own edits for the server's document, as one command that undo can take back. */
  takeTheirs(document) {
    const theirs = new Map(document.instances.map((item) => [item.id, item]));
    const gone = this.instances.filter(({ id }) => !theirs.has(id)).map(({ id }) => id);
    const changes = gone.map((id) => this.change(id, null));
    document.instances.forEach((item, index) => {
      changes.push({ id: item.id, before: this.instance(item.id), after: item, index });
    });
    if (this.edited) {
      this.undoLog.push({ label: "take the other version", changes });
      this.redoLog = [];
    }
    this.answers = [];
    this.savedChanges = this.changes;
    this.load(document);
  }
}
