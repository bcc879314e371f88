// Which color, label and opacity an animal's outline has. Settings only; nothing here is stored
// with the animal.

import { PALETTE } from "./palette.js";

/** What outlines look like before anybody changes it. `shapes`: all, selected or none. */
export const DISPLAY = { by: "category", fill: 1, regions: 1, details: false, shapes: "all" };

/** How strong the heat-map is, 0 for off, and how strong it was when it was last on. */
export const HEAT = { heatOpacity: 0.45, heatBefore: 0.45 };

export const MODES = {
  category: "Category",
  animal: "Animal",
  origin: "Origin",
  confidence: "Confidence",
};

const PLAIN = "#b9bec4";
const ORIGIN = { proposed: "#f0e442", model: "#56b4e9", edited: "#d98cb9", human: "#2bb58a" };
// Unsure to sure, in steps that differ in lightness too.
const RAMP = ["#e8743b", "#e69f00", "#f0e442", "#8fd0e8", "#4f8fd9"];

/** Where an outline comes from, in words. */
export const ORIGIN_WORDS = {
  proposed: "proposed", model: "model", edited: "edited", human: "drawn",
};

export const STATUS_WORDS = {
  unlabeled: "Unlabeled",
  draft: "Draft",
  partial: "Partly verified",
  verified: "Verified",
};

export const originOf = (item) => (item.proposed ? "proposed" : item.source);

/** The same color for the same animal, whatever happens to the others. */
function animalColor(id) {
  let hash = 0;
  for (const letter of id) hash = (hash * 31 + letter.codePointAt(0)) >>> 0;
  return PALETTE[hash % (PALETTE.length - 1)]; // the last one is the gray of what has no color
}

/** The #rrggbb color of an instance. */
export function colorOfInstance(item, display, categories) {
  if (display.by === "animal") return animalColor(item.id);
  if (display.by === "origin") return ORIGIN[originOf(item)] ?? PLAIN;
  if (display.by === "confidence") {
    if (item.score === null || item.score === undefined) return PLAIN;
    const step = Math.floor(Math.min(Math.max(item.score, 0), 1) * RAMP.length);
    return RAMP[Math.min(step, RAMP.length - 1)];
  }
  return categories.get(item.category) ?? PLAIN;
}

/** The text on an outline: its name; score and origin where asked for or still undecided. */
export function labelOf(item, display, name) {
  const short = name.length > 18 ? `${name.slice(0, 17)}…` : name;
  const scored = item.score !== null && item.score !== undefined;
  const score = scored && (item.proposed || display.details) ? `  ${item.score.toFixed(2)}` : "";
  return short + score + (display.details ? `  ${ORIGIN_WORDS[originOf(item)] ?? ""}` : "");
}

/** The instances that are drawn at all; `selected` are ids. */
export function drawn(items, display, selected) {
  if (display.shapes === "all") return items;
  return display.shapes === "none" ? [] : items.filter(({ id }) => selected.includes(id));
}
