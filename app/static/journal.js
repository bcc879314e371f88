// What a reload, a crash or a closed browser must not take: unsaved edits, the undo and redo logs
// and the outline under way, kept in IndexedDB. Image ids are unique over all projects, so one
// database serves every project that was ever open at this address.
//
// A record belongs to the page (`owner`) that wrote it last or took it over. A page that finds its
// record taken begins another, so two tabs never write into one record; what both send to the
// server is merged there. Instances never change, so each is written once, and by its number in
// everything else: a save costs the same on a crowded image and after a thousand edits.

import { newId } from "./store.js";

const NAME = "herdmark";
const VERSION = 1;
const LIMIT = 128 * 2 ** 20; // bytes over all images, estimated
const NUMBER = 9; // bytes of a stored coordinate
const FIXED = 400; // bytes of an instance without its outline, and of a command
const STORES = ["records", "memories", "commands", "items"];
const PATIENCE = 4000; // ms an image waits for its journal before it opens without

/** The result of an IDBRequest. */
const result = (request) =>
  new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error));
  });

/** Resolves once a transaction is stored; nobody need listen when it fails. */
function stored(transaction) {
  const promise = new Promise((resolve, reject) => {
    transaction.addEventListener("complete", resolve);
    transaction.addEventListener("abort", () => reject(transaction.error));
  });
  promise.catch(() => {});
  return promise;
}

/** Everything of a record in a store, from its number `first` on. */
const rowsOf = (id, first) => IDBKeyRange.bound(first ? [id, first] : [id], [id, []]);

function sizeOf({ parts }) {
  const rings = parts.flatMap(({ outer, holes }) => [outer, ...holes]);
  return FIXED + NUMBER * rings.reduce((sum, ring) => sum + ring.length, 0);
}

// What holds instances, with `to(instance)` in the place of each; the way back is the same.

const mapCommand = (command, to) => command && {
  ...command,
  changes: command.changes.map((change) =>
    ({ ...change, before: to(change.before), after: to(change.after) })),
};

function mapSending(sending, to) {
  if (!sending) return null;
  const { instances, body } = sending.snapshot;
  const snapshot = {
    ...sending.snapshot,
    instances: instances.map(to),
    body: { ...body, instances: body.instances.map(to) },
  };
  return { ...sending, snapshot };
}

const mapMemory = (memory, to) => ({
  ...memory,
  base: memory.base.map(to),
  instances: memory.instances.map(to),
  sending: mapSending(memory.sending, to),
  answers: memory.answers.map((answer) => ({ ...answer, edit: mapCommand(answer.edit, to) })),
});

function openDatabase() {
  const request = indexedDB.open(NAME, VERSION);
  request.addEventListener("upgradeneeded", () => {
    const records = request.result.createObjectStore("records", { keyPath: "id" });
    records.createIndex("image", "image");
    for (const name of STORES.slice(1)) request.result.createObjectStore(name);
  });
  return result(request);
}

/** What is stored of a session: its commands, the numbers of its instances, bytes in all. */
const entryOf = (id) => ({ id, log: [], numbers: new Map(), bytes: FIXED });

/** The journal of one page. Every method works, and does nothing, where storage is refused. */
export class Journal {
  constructor({ limit = LIMIT } = {}) {
    this.limit = limit;
    this.owner = newId();
    this.entries = new WeakMap(); // session -> {id, log, numbers, bytes}; see `entryOf`
    this.waiting = new Set(); // sessions to write
    this.writing = null;
    this.broken = false;
  }

  /** The open database, or null. */
  async database() {
    if (this.broken) return null;
    try {
      this.opening ??= openDatabase();
      const database = await this.opening;
      const closed = () => {
        this.opening = null;
      };
      database.onclose = closed; // somebody has cleared the site's data; begin anew
      database.onversionchange = () => {
        database.close();
        closed();
      };
      return database;
    } catch {
      this.broken = true; // a private window, a full disk, a policy
      return null;
    }
  }

  /** Remember a session from now on. */
  follow(session) {
    session.noted = (changed) => this.note(changed);
  }

  /** The session changed: write it soon. Several changes in one go are one write. */
  note(session) {
    this.waiting.add(session);
    this.writing ??= Promise.resolve()
      .then(() => this.drain())
      .finally(() => {
        this.writing = null;
      });
  }

  /** Resolves when everything noted is stored, or cannot be. */
  async settled() {
    while (this.writing) await this.writing;
  }

  async drain() {
    while (this.waiting.size) {
      const [session] = this.waiting;
      this.waiting.delete(session);
      try {
        await this.write(session);
      } catch (error) {
        // Without room the oldest images give way, once; else the page works without a journal.
        if (error?.name !== "QuotaExceededError" || !(await this.evict(0.5))) this.broken = true;
        else this.waiting.add(session);
      }
    }
  }

  async write(session) {
    const log = [...session.undoLog, ...[...session.redoLog].reverse()];
    const empty = !log.length && !session.unsaved && !session.draft.length;
    const known = this.entries.get(session);
    if (empty && !known) return;
    const database = await this.database();
    if (!database) return;
    const transaction = this.begin(database, "readwrite");
    const records = transaction.objectStore("records");
    const done = stored(transaction);
    const old = known && (await result(records.get(known.id)));
    const mine = old && old.owner === this.owner;
    const entry = mine ? known : entryOf(newId());
    this.entries.set(session, entry);
    if (empty) this.erase(transaction, entry.id);
    else this.put(transaction, session, entry, log);
    await done;
    await this.bound(old?.bytes ?? 0, empty ? 0 : entry.bytes);
  }

  begin(database, mode) {
    return database.transaction(STORES, mode, { durability: "relaxed" });
  }

  put(transaction, session, entry, log) {
    const [records, memories, commands, items] = STORES.map((name) =>
      transaction.objectStore(name));
    const number = (instance) => {
      if (!instance) return null;
      if (!entry.numbers.has(instance)) {
        items.put(instance, [entry.id, entry.numbers.size]);
        entry.numbers.set(instance, entry.numbers.size);
        entry.bytes += sizeOf(instance);
      }
      return entry.numbers.get(instance);
    };
    let same = 0;
    while (same < log.length && log[same] === entry.log[same]) same += 1;
    if (same < entry.log.length) commands.delete(rowsOf(entry.id, same));
    for (let i = same; i < log.length; i += 1) {
      commands.put(mapCommand(log[i], number), [entry.id, i]);
    }
    entry.bytes += FIXED * (log.length - entry.log.length);
    entry.log = log;
    memories.put(mapMemory(session.memory(), number), entry.id);
    records.put({
      id: entry.id, image: session.id, owner: this.owner, touched: Date.now(),
      bytes: entry.bytes, unsaved: session.unsaved, done: session.undoLog.length,
    });
  }

  erase(transaction, id) {
    for (const name of STORES.slice(0, 2)) transaction.objectStore(name).delete(id);
    for (const name of STORES.slice(2)) transaction.objectStore(name).delete(rowsOf(id));
  }

  // ---- reading ----

  /**
   * Take over what earlier visits, or other tabs, left of an image: {id, memory, undoLog, redoLog},
   * or null. Unsaved work comes first, then the newest; `adopt` ties it to a session.
   */
  async take(image) {
    const late = new Promise((resolve) => {
      setTimeout(() => resolve(null), PATIENCE);
    });
    try {
      return await Promise.race([this.read(image), late]);
    } catch {
      return null;
    }
  }

  async read(image) {
    await this.settled();
    const database = await this.database();
    if (!database) return null;
    const transaction = this.begin(database, "readwrite");
    const done = stored(transaction);
    const records = transaction.objectStore("records");
    const found = await result(records.index("image").getAll(image));
    found.sort((a, b) => b.unsaved - a.unsaved || b.touched - a.touched);
    const [record, ...others] = found;
    if (!record) return null;
    // Saved and older: its edits are with the server, its log is another tab's past.
    for (const { id, unsaved } of others) if (!unsaved) this.erase(transaction, id);
    records.put({ ...record, owner: this.owner });
    const [memories, ...lists] = STORES.slice(1).map((name) => transaction.objectStore(name));
    const memory = await result(memories.get(record.id));
    const [packed, items] = await Promise.all(lists.map((list) =>
      result(list.getAll(rowsOf(record.id)))));
    await done;
    const item = (number) => (number === null ? null : items[number]);
    const log = packed.map((command) => mapCommand(command, item));
    const [undoLog, redoLog] = [log.slice(0, record.done), log.slice(record.done).reverse()];
    const { id, bytes } = record;
    return { id, bytes, items, memory: mapMemory(memory, item), undoLog, redoLog };
  }

  /** The session revived from what `take` gave goes on in its record. */
  adopt(session, { id, bytes, items, undoLog, redoLog }) {
    const log = [...undoLog, ...[...redoLog].reverse()];
    const numbers = new Map(items.map((item, number) => [item, number]));
    this.entries.set(session, { ...entryOf(id), log, numbers, bytes });
  }

  /** Ids of images with unsaved work that no session of this page holds. */
  async orphans() {
    const records = await this.all();
    const left = records.filter(({ unsaved, owner }) => unsaved && owner !== this.owner);
    return [...new Set(left.map(({ image }) => image))];
  }

  async all() {
    try {
      const database = await this.database();
      if (!database) return [];
      return await result(this.begin(database, "readonly").objectStore("records").getAll());
    } catch {
      return [];
    }
  }

  /** The image is gone for good: so is what was kept of it. */
  async forget(image) {
    await this.remove((await this.all()).filter((record) => record.image === image));
  }

  // ---- bounds ----

  /** Keep the total in its limit; a record has grown from `before` to `after` bytes. */
  async bound(before, after) {
    if (this.total === undefined) {
      this.total = (await this.all()).reduce((sum, { bytes }) => sum + bytes, 0);
    } else {
      this.total += after - before;
    }
    if (this.total > this.limit) await this.evict(0.8);
  }

  /**
   * Drop the oldest images until `share` of the limit is left; true when any went. Unsaved work is
   * never dropped, however old.
   */
  async evict(share) {
    const records = (await this.all()).sort((a, b) => a.touched - b.touched);
    let total = records.reduce((sum, { bytes }) => sum + bytes, 0);
    const gone = [];
    for (const record of records.slice(0, -1)) {
      if (total <= share * this.limit) break;
      if (record.unsaved) continue;
      total -= record.bytes;
      gone.push(record);
    }
    this.total = total;
    return this.remove(gone);
  }

  async remove(records) {
    const database = await this.database();
    if (!database || !records.length) return false;
    const transaction = this.begin(database, "readwrite");
    const done = stored(transaction);
    for (const { id } of records) this.erase(transaction, id);
    return done.then(() => true, () => false);
  }
}
