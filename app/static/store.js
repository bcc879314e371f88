// The state of one image while it is open: its document and the command log (undo / redo).
// Instances are never changed in place; an edit puts a new object in the list. So comparing
// references tells what changed, and drawing can cache by object.

import { boxOfParts } from "./geometry.js";
import { byId, same, sameList, threeWay } from "./merge.js";

/** An id nobody else has. On plain http hosts crypto has getRandomValues, but no randomUUID. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** An instance as it is once a person has changed it. */
export const edited = (instance) => ({
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
    this.conflict = null; // the document against which a person must choose
    this.withdrawn = 0; // answers that a merge has taken back
    this.outline = []; // vertices of a polygon being drawn, flat
    this.outliner = "draw"; // name of the tool that draws it
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
    this.base = document.instances; // what the server has; a merge tells from it who changed what
    // Only what the server offers now can be rejected; it may have withdrawn others by itself.
    const offered = document.instances.filter(({ proposed }) => proposed);
    this.proposals = new Set(offered.map(({ id }) => id));
    this.emit();
  }

  /** Load a newer document of this image; proposals it has no more cannot come back as such. */
  renew(document, instances = document.instances) {
    const before = this.proposals;
    // An outline that is as it was stays the same object: clicks at it must not be forgotten.
    const mine = byId(this.instances);
    this.load(document, instances.map((item) => {
      const own = mine.get(item.id);
      return own && same(own, item) ? { ...item, parts: own.parts } : item;
    }));
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
    this.noted?.(this);
  }

  /** The outline under way; it is no edit yet, but it must not be lost either. */
  get draft() {
    return this.outline;
  }

  set draft(outline) {
    this.outline = outline;
    this.noted?.(this);
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
    this.redoLog.push(this.updated(command, "after"));
    this.answerAgain(command, "reopen");
    this.apply([...command.changes].reverse(), "before");
    return command.label;
  }

  redo() {
    const command = this.redoLog.pop();
    if (!command) return "";
    this.undoLog.push(this.updated(command, "before"));
    this.answerAgain(command, command.answer?.action);
    this.apply(command.changes, "after");
    return command.label;
  }

  /** A command that answered a region (null: the image) is taken back, or done again, there too. */
  answerAgain({ answer }, action) {
    if (!answer) return;
    const { version } = this.document;
    this.answers.push({ region: answer.region, action, version, again: true });
  }

  /** The command with its `side` as it stands now: others may have changed it since (a merge). */
  updated(command, side) {
    const changes = command.changes.map((change) => {
      const now = this.instance(change.id);
      return now === change[side] ? change : { ...change, [side]: now };
    });
    return changes.every((change, i) => change === command.changes[i])
      ? command
      : { ...command, changes };
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
    // An accepted proposal that is deleted would otherwise be proposed again.
    const accepted = this.base.filter(({ source }) => source !== "human").map(({ id }) => id);
    const offered = new Set([...this.proposals, ...accepted]);
    return {
      changes: this.changes,
      instances: this.instances,
      body: {
        instances: this.instances.filter(({ proposed }) => !proposed),
        rejected: [...offered].filter((id) => !present.has(id)),
      },
    };
  }

  /** A snapshot's body with the id alone in place of each instance that the server has so. */
  brief(body) {
    const stored = new Set(this.base);
    const instances = body.instances.map((one) => (stored.has(one) ? one.id : one));
    return { ...body, instances };
  }

  /** The server stored `snapshot` as revision `revision`. */
  saved(snapshot, revision) {
    this.revision = revision;
    this.savedChanges = snapshot.changes;
    this.base = snapshot.instances;
    if (this.status === "unlabeled") this.status = "draft";
    for (const id of snapshot.body.rejected) this.settled.add(id);
    this.emit();
  }

  /** The server answered `snapshot` with a new document; edits made since then stay on top. */
  answered(snapshot, document) {
    const { revision } = this;
    this.saved(snapshot, document.revision);
    this.base = withAdopted(snapshot.instances, document.instances);
    this.instances = withAdopted(this.instances, document.instances);
    if (this.reconcile(document)) return;
    // Somebody else saved between the answer and its reply; sending the edits on top of the old
    // revision finds the conflict.
    this.conflict = null;
    this.revision = revision;
  }

  /** The answers came too late: other proposals have taken the place of those on the screen. */
  dropAnswers() {
    this.answers = [];
    this.outdated = true;
  }

  // ---- somebody else saved meanwhile ----

  /** What becomes of the own edits on top of another `document`: {merged, conflicts}. */
  against(document) {
    const reproposed = document.version !== this.document.version;
    return threeWay(this.base, this.instances, document.instances, { reproposed });
  }

  /**
   * Take over `document` where it collides with no edit made here; true when that is all.
   * Otherwise nothing changes, and `conflict` keeps the document until a person has chosen.
   */
  reconcile(document) {
    const { merged, conflicts } = this.against(document);
    this.conflict = conflicts.length ? document : null;
    if (!this.conflict) this.rebase(document, merged);
    return !this.conflict;
  }

  /** Stand on `document` with `merged`; an answer to what looks different now is withdrawn. */
  rebase(document, merged) {
    // Proposals of another version are the server's to tell from those that were answered.
    const reproposed = document.version !== this.document.version;
    const news = differing(this.base, document.instances)
      .filter(({ proposed }) => !(proposed && reproposed));
    const fair = ({ region }) => !news.some((item) => this.concerns(region, item));
    const left = this.answers.filter(fair);
    this.withdrawn = this.answers.length - left.length; // a person must look again
    this.answers = left;
    if (sameList(merged, document.instances)) this.savedChanges = this.changes;
    this.renew(document, merged);
  }

  /** True when an answer to `region` (null: the whole image) speaks about an instance. */
  concerns(region, item) {
    const box = this.regions.find(({ id }) => id === region)?.box;
    return !box || boxesMeet(box, boxOfParts(item.parts));
  }

  /**
   * End the conflict: `choices` says for each id "mine", "theirs", "both" or "neither". One
   * command, so undo brings the own version back; what did not collide stays merged.
   */
  choose(choices) {
    const document = this.conflict;
    const { merged, conflicts } = this.against(document);
    this.conflict = null;
    this.rebase(document, merged);
    const changes = conflicts.flatMap((conflict) =>
      this.chosen(conflict, choices.get(conflict.id) ?? "mine", document.instances));
    if (changes.length) this.run("choose a version", changes);
    if (sameList(this.instances, document.instances)) this.savedChanges = this.changes;
  }

  chosen({ id, mine, theirs }, choice, others) {
    const both = choice === "both" && mine && theirs;
    if (choice === "mine" || (choice === "both" && !theirs)) return [];
    const index = mine ? this.change(id, null).index : others.indexOf(theirs);
    const first = { id, before: mine, after: choice === "neither" ? null : theirs, index };
    const copy = both && { ...mine, id: newId() };
    return [
      first,
      ...(both ? [{ id: copy.id, before: null, after: copy, index: this.instances.length }] : []),
    ];
  }

  // ---- what a reload brings back ----

  /** Everything but the command log, as plain data; see `revive`. */
  memory() {
    return {
      revision: this.revision,
      version: this.document.version,
      base: this.base,
      instances: this.instances,
      proposals: [...this.proposals],
      settled: [...this.settled],
      changes: this.changes,
      savedChanges: this.savedChanges,
      answers: this.answers,
      sending: this.sending,
      draft: this.draft,
      outliner: this.outliner,
    };
  }

  /** A session from an earlier visit (`memory` and its logs) for the document as it is now. */
  static revive(document, { memory, undoLog, redoLog }) {
    const session = new Session(document);
    Object.assign(session, { undoLog, redoLog });
    Object.assign(session, { outline: memory.draft, outliner: memory.outliner });
    session.settled = new Set(memory.settled);
    const { changes, savedChanges, answers, sending } = memory;
    if (changes === savedChanges && !answers.length) return session;
    Object.assign(session, { changes, savedChanges, answers, sending });
    const { base, instances, revision, version } = memory;
    if (revision === document.revision) {
      const reproposed = version !== document.version;
      session.instances = threeWay(base, instances, document.instances, { reproposed }).merged;
      return session;
    }
    // Somebody saved since: saving finds the conflict, and merges.
    session.document = { ...document, version };
    Object.assign(session, { base, instances, revision });
    session.proposals = new Set(memory.proposals);
    return session;
  }
}

/** The list after an answer: proposals that the server has adopted as they are count as ours. */
function withAdopted(sent, now) {
  const adopted = byId(now.filter(({ proposed }) => !proposed));
  return sent.map((item) => {
    const other = item.proposed ? adopted.get(item.id) : null;
    return other && same({ ...item, proposed: false }, other) ? other : item;
  });
}

const boxesMeet = ([ax, ay, aw, ah], [bx, by, bw, bh]) =>
  ax < bx + bw && bx < ax + aw && ay < by + bh && by < ay + ah;

/** Instances that one list has and the other has not, or has otherwise. */
function differing(before, after) {
  const [old, now] = [before, after].map(byId);
  const news = after.filter((item) => !same(old.get(item.id), item));
  return [...news, ...before.filter(({ id }) => !now.has(id))];
}
