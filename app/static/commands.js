// Commands on a session that copy animals, describe them and remember answers; each is one undo
// step, run through `Session.run`.

import { newId } from "./store.js";

const ANSWERED = { accept: "accept region", fix: "fix region" };
const COPIED = { human: "human", model: "edited", edited: "edited" };

/**
 * Add copies {category, parts, attributes, source} on top; the ids they got. `others` is what this
 * changes on animals that are there, the topmost first.
 */
export function addCopies(session, items, label, others) {
  const at = session.instances.length;
  const changes = items.map((item, i) => {
    const id = newId();
    const after = {
      id, category: item.category, parts: item.parts, source: COPIED[item.source] ?? "human",
      score: null, version: null, attributes: { ...item.attributes }, proposed: false,
    };
    return { id, before: null, after, index: at + i };
  });
  if (changes.length) session.run(label, [...changes, ...others]);
  return changes.map(({ id }) => id);
}

/** Set an attribute of instances; false and "" take it away: a file says only what is so. */
export function setAttribute(session, ids, name, value) {
  const changes = ids.map((id) => session.instance(id)).filter(Boolean).map((before) => {
    const { [name]: _, ...rest } = before.attributes;
    const attributes = value === false || value === "" ? rest : { ...rest, [name]: value };
    return session.change(before.id, { ...before, proposed: false, attributes });
  });
  if (changes.length) session.run(`change ${name}`, changes);
}

/**
 * Put an answer the server took into the log, so that undo can take it back. What the answer did
 * to an animal beforehand (`edit`, a command) belongs to the same step.
 */
export function logAnswer(session, { region, action, edit }) {
  const top = session.undoLog.at(-1);
  const joined = edit && top === edit;
  if (joined) session.undoLog.pop();
  session.undoLog.push({
    label: joined ? edit.label : region === null ? "accept image" : ANSWERED[action],
    changes: joined ? edit.changes : [],
    answer: { region, action },
  });
  session.redoLog = [];
}
