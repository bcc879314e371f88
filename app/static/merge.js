// Three-way merge of an image's instances by id: what both sides started from, mine and theirs.

/** True when two JSON values hold the same. */
function equal(a, b) {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => equal(a[key], b[key]));
}

/** True when two instances (or nulls) show the same animal, whoever vouches for it. */
function sameContent(a, b) {
  if (a === b) return true;
  if (!a || !b) return false;
  return a.category === b.category && equal(a.parts, b.parts)
    && equal(a.attributes ?? {}, b.attributes ?? {});
}

/** True when two instances (or nulls) are the same and both, or neither, are proposals. */
export function same(a, b) {
  return sameContent(a, b) && Boolean(a?.proposed) === Boolean(b?.proposed);
}

/** True when two lists hold the same instances in the same order. */
export function sameList(some, others) {
  return some.length === others.length
    && some.every((item, i) => item.id === others[i].id && same(item, others[i]));
}

/** A Map of instances by their ids. */
export const byId = (list) => new Map(list.map((item) => [item.id, item]));

/** {keep} for what both sides agree on or only one changed, null where a person must choose. */
function decide(base, mine, theirs, reproposed) {
  if (same(mine, base)) return { keep: theirs };
  if (same(theirs, base) || same(mine, theirs)) return { keep: mine };
  // They accepted what I have corrected since; the correction is of the same animal.
  if (base?.proposed && mine && theirs && sameContent(base, theirs)) return { keep: mine };
  // Another model version took the proposal back; no person did.
  if (base?.proposed && !theirs && reproposed) return { keep: mine };
  return null;
}

/** Ids of `list` that `others` has too, in the order of `list`. */
function shared(list, others) {
  const known = byId(others);
  return list.filter(({ id }) => known.has(id)).map(({ id }) => id);
}

/** Drawing order: theirs, unless only I have changed it; what only one side has comes last. */
function ordered(kept, base, mine, theirs) {
  const reordered = (list) => !equal(shared(list, base), shared(base, list));
  const lead = reordered(mine) && !reordered(theirs) ? [mine, theirs] : [theirs, mine];
  const ids = new Set(lead.flat().map(({ id }) => id));
  return [...ids].filter((id) => kept.has(id)).map((id) => kept.get(id));
}

/**
 * Merge lists of instances.
 *
 * `base` must be what the server is known to have had last: were a save of unknown fate in theirs
 * but not in base, its animals that others have deleted would look as if they had never arrived.
 * `reproposed` is true when theirs stands on another proposal. Returns {merged, conflicts}: a
 * conflict is {id, mine, theirs} (null: deleted there), changed on both sides in different ways;
 * `merged` has mine in its place.
 */
export function threeWay(base, mine, theirs, { reproposed = false } = {}) {
  const [b, m, t] = [base, mine, theirs].map(byId);
  const kept = new Map();
  const conflicts = [];
  for (const id of new Set([...t.keys(), ...m.keys()])) {
    const [was, own, other] = [b, m, t].map((side) => side.get(id) ?? null);
    const decision = decide(was, own, other, reproposed);
    if (!decision) conflicts.push({ id, mine: own, theirs: other });
    const keep = decision ? decision.keep : own;
    if (keep) kept.set(id, keep);
  }
  return { merged: ordered(kept, base, mine, theirs), conflicts };
}
