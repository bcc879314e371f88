// Two writers on one image, driven at random through the canvas's own store and save queue, over a
// network that delays requests and loses replies. Every edit must be in the end result, or have
// been replaced by somebody who saw it, or given up in a conflict that showed it.

import { documentUrl, getDocument } from "../herdmark-static/api.js";
import { SaveQueue } from "../herdmark-static/saves.js";
import { Session } from "../herdmark-static/store.js";
import { Clock, disturb, generator } from "./simulated.js";

const LOST = 0.05; // share of writes that break on the way to the server, and on the way back
const ASKING = 0.3; // chance that a person asks to try again before the timer does

const token = (item) => (item ? `${item.category}|${item.parts[0].outer[0]}` : "gone");

const tokens = (list) => new Map(list.map((item) => [item.id, token(item)]));

/** What was ever made, and what was replaced knowingly: "id token". */
class Ledger {
  constructor() {
    this.made = new Set();
    this.replaced = new Set();
    this.counter = 0;
    this.asked = 0;
  }

  /** These are stored: whatever becomes of them must be somebody's doing. */
  stands(list) {
    for (const item of list) if (!item.proposed) this.made.add(`${item.id} ${token(item)}`);
  }

  /** One deed of a writer turned the list `before` into `after`. */
  deed(before, after) {
    for (const id of new Set([...before.keys(), ...after.keys()])) {
      const [old, now] = [before.get(id) ?? "gone", after.get(id) ?? "gone"];
      if (old === now) continue;
      if (before.has(id)) this.replaced.add(`${id} ${old}`);
      else if (this.made.has(`${id} gone`)) this.replaced.add(`${id} gone`);
      this.made.add(`${id} ${now}`);
    }
  }

  /** A person saw both versions of an animal; what was not chosen is given up. */
  choice(conflict, choice) {
    this.asked += 1;
    const { id, mine, theirs } = conflict;
    if (choice !== "mine") this.replaced.add(`${id} ${token(mine)}`);
    if (choice === "mine" || choice === "neither") this.replaced.add(`${id} ${token(theirs)}`);
    if (choice === "neither") this.made.add(`${id} gone`);
  }

  /** A rectangle nobody has drawn yet. */
  parts() {
    this.counter += 1;
    const [x, y] = [10 + this.counter / 100, 10 + (this.counter % 90)];
    return [{ outer: [x, y, x + 30, y, x + 30, y + 20, x, y + 20], holes: [] }];
  }

  missing(final) {
    return [...this.made].filter((made) => {
      const [id, ...rest] = made.split(" ");
      return (final.get(id) ?? "gone") !== rest.join(" ") && !this.replaced.has(made);
    });
  }
}

class Writer {
  constructor(document, ledger, clock) {
    Object.assign(this, { ledger, clock, random: clock.random });
    this.begin(new Session(document));
  }

  begin(session) {
    this.session = session;
    const nothing = () => {};
    const on = Object.fromEntries(
      ["state", "saved", "answered", "outdated", "merged", "conflict", "error"]
        .map((name) => [name, nothing]),
    );
    on.idle = async () => {};
    on.answered = () => this.ledger.stands(this.session.instances);
    on.error = (_, error) => { throw error; };
    this.queue = new SaveQueue(on, { note() {} });
    this.queue.touch(session);
  }

  any() {
    const { instances } = this.session;
    return instances[Math.floor(this.random() * instances.length)] ?? null;
  }

  /** A reload, also in the middle of a request: the journal's memory goes on. */
  async reload() {
    this.queue.sessions.clear();
    this.queue.stop();
    const { undoLog, redoLog } = this.session;
    const kept = structuredClone({ memory: this.session.memory(), undoLog, redoLog });
    this.begin(Session.revive(await getDocument(documentUrl(this.session.id)), kept));
  }

  edit() {
    const { session, random } = this;
    const item = this.any();
    const dice = random();
    if (!item || dice < 0.25) session.addInstance(this.ledger.parts(), this.category);
    else if (dice < 0.6) session.setParts(item.id, this.ledger.parts());
    else if (dice < 0.75) session.removeInstance(item.id);
    else if (dice < 0.9) session.undo();
    else session.redo();
  }

  /** Answer the region, or the whole image, or take an answer back. */
  answer() {
    const [region] = this.session.regions;
    const image = !region || this.random() < 0.3;
    const open = image
      ? this.session.status !== "verified" : ["open", "skipped"].includes(region.state);
    const words = image ? ["accept"] : ["accept", "accept", "fix", "skip"];
    const action = open ? words[Math.floor(this.random() * words.length)] : "reopen";
    this.queue.answer(this.session, image ? null : region.id, action);
  }

  async act() {
    this.settle();
    const dice = this.random();
    if (dice < 0.06) await this.reload();
    else if (dice < 0.18) this.answer();
    else {
      const before = tokens(this.session.instances);
      this.edit();
      this.ledger.deed(before, tokens(this.session.instances));
      this.queue.touch(this.session);
    }
  }

  /** Answer a conflict, and try again what failed. */
  settle() {
    const { session, queue } = this;
    if (queue.problems.get(session.id)?.state === "conflict") {
      const document = session.conflict;
      const before = tokens(session.instances);
      const choices = new Map(session.against(document).conflicts.map((conflict) => {
        const choice = ["mine", "theirs", "both", "neither"][Math.floor(this.random() * 4)];
        const fits = choice === "mine" || choice === "theirs" || (conflict.mine && conflict.theirs);
        const taken = fits ? choice : "mine";
        this.ledger.choice(conflict, taken);
        return [conflict.id, taken];
      }));
      queue.choose(session, choices);
      for (const [id, made] of tokens(session.instances)) {
        const copied = !before.has(id) && !document.instances.some((item) => item.id === id);
        if (copied) this.ledger.made.add(`${id} ${made}`);
      }
    } else if (queue.problems.size && this.random() < ASKING) queue.retry();
  }

  async live(steps) {
    for (let step = 0; step < steps; step += 1) {
      await this.clock.pause();
      await this.act();
    }
    while (this.session.unsaved || this.queue.busy) {
      this.settle();
      await this.clock.pause();
    }
  }
}

/** One interleaving on `image`: {missing, asked, revision}; `missing` is empty when all is well. */
export async function play({ image, category, seed, steps }) {
  const ledger = new Ledger();
  const first = await getDocument(documentUrl(image));
  const clock = new Clock(generator(seed));
  const writers = [0, 1].map(() => new Writer(first, ledger, clock));
  for (const writer of writers) writer.category = category;
  ledger.stands(first.instances);
  const calm = disturb(clock, LOST);
  try {
    await clock.run(Promise.all(writers.map((writer) => writer.live(steps))));
  } finally {
    calm();
  }
  const document = await getDocument(documentUrl(image));
  return {
    missing: ledger.missing(tokens(document.instances)),
    asked: ledger.asked,
    revision: document.revision,
  };
}

/** Store what there is, but let the reply get lost; the next attempt finds nobody signed in. */
async function unheard({ queue, session }) {
  const { fetch } = globalThis;
  globalThis.fetch = async (...request) => {
    await fetch(...request);
    throw new TypeError("the reply is lost");
  };
  await queue.flush(session);
  globalThis.fetch = async () => ({ ok: false, status: 401, json: async () => ({}) });
  queue.retry();
  await queue.flush(session);
  globalThis.fetch = fetch;
}

/**
 * One person draws an animal and does not hear that it is stored; meanwhile another does `theirs`
 * and the first one `mine` (methods of Session) with it, then draws a second animal. Returns the
 * conflicts (true: about the animal), and whether the server has the animal in the end.
 */
export async function drawnUnheard({ image, category, theirs, mine }) {
  const ledger = new Ledger();
  const writer = async () => new Writer(await getDocument(documentUrl(image)), ledger, {});
  const one = await writer();
  const id = one.session.addInstance(ledger.parts(), category);
  await unheard(one);
  const two = await writer();
  two.session[theirs](id, ledger.parts());
  await two.queue.flush(two.session);
  if (mine) one.session[mine](id, ledger.parts());
  one.queue.retry();
  await one.queue.flush(one.session);
  one.session.addInstance(ledger.parts(), category);
  await one.queue.flush(one.session);
  const { conflict } = one.session;
  const asked = conflict ? one.session.against(conflict).conflicts.map((item) => item.id) : [];
  const { instances } = await getDocument(documentUrl(image));
  const is = (other) => other === id;
  return { asked: asked.map(is), stored: instances.map((item) => item.id).some(is) };
}
