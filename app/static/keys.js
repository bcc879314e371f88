// One table of shortcuts: the dispatcher runs it and the help sheet prints it.
// Keys are bound to the editor's root, so text boxes elsewhere on the page keep theirs.

import { TOOLS } from "./tools/index.js";

const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PAN = 60; // screen px an arrow key moves the picture

const tools = TOOLS.map(({ name, key, about }) =>
  [key, about, [key.toLowerCase()], (e) => e.setTool(name)]);

// Rows of the sheet only: what pointer tools do while a key is held.
const HOLDING = [
  ["Shift or Alt", "At an outline's first point: add to, or subtract from, the selected animal"],
  ["Alt", "While painting: erase; while erasing: paint"],
  ["Drag (K)", "A box around an animal outlines it; from one animal to another merges the two"],
  ["Shift+drag (K)", "A scribble on an animal outlines it; Shift+click begins another one"],
  ["Alt+drag (K)", "A line across an animal splits it"],
  ["Shift+click", "Select several animals; Shift+drag selects all in a box"],
  ["Alt+click", "Delete a vertex"],
  ["Shift+wheel", "Size of brush and eraser"],
].map(([shown, text]) => [shown, text, []]);

function arrow(editor, event) {
  const [dx, dy] = arrows[event.key];
  if (editor.tool.arrow(dx, dy, event.shiftKey)) return;
  editor.changeView((view) => view.panBy(-dx * PAN, -dy * PAN));
}

function nudge(editor, event) {
  const [dx, dy] = arrows[event.key];
  return editor.tool.nudge(dx, dy, event.shiftKey);
}

/** Brackets belong to a tool that has a size; else, like comma and dot, to the regions. */
function bracket(editor, { key }, direction) {
  if ("[]".includes(key) && editor.tool.resize(direction)) return;
  editor.review.step(direction);
}

/** [shown as, what it does, keys, action, options]; letters match in either case. */
const TABLE = [
  ["Review", [
    ["A", "Accept the region under review", ["a"], (e) => e.review.answer("accept")],
    ["X", "Fix: save your edits in the region", ["x"], (e) => e.review.answer("fix")],
    ["R", "Not an animal: the proposal goes, the region is ground", ["r"],
      (e) => e.review.reject()],
    ["S", "Skip the region for now", ["s"], (e) => e.review.answer("skip")],
    ["] or .", "Next region; in brush and eraser, ] makes it larger", ["]", "."],
      (e, event) => bracket(e, event, 1)],
    ["[ or ,", "Previous region; in brush and eraser, [ makes it smaller", ["[", ","],
      (e, event) => bracket(e, event, -1)],
    ["Shift+Enter", "Accept the whole image, go to the next", ["Enter"],
      (e) => e.review.acceptImage(), { shift: true }],
    ["Shift+N", "Carry the selected animals, or all, to the next frame", ["n"],
      (e) => e.clipboard.carry(), { shift: true }],
    ["N", "Next image in the queue", ["n"], (e) => e.navigate(1)],
    ["P", "Previous image, as you came", ["p"], (e) => e.navigate(-1)],
  ]],
  ["Tools", [...tools, ...HOLDING]],
  ["Edit", [
    ["Tab", "Next animal, or next vertex", ["Tab"],
      (e, event) => e.tool.tab(event.shiftKey ? -1 : 1)],
    ["Enter", "Edit vertices; add a vertex; close the outline", ["Enter"], (e) => e.tool.enter(),
      { shift: false }],
    ["I", "Insert a vertex after the focused one", ["i"], (e) => e.tool.insert()],
    ["Shift+Delete", "Delete the hole or part of the focused vertex", ["Delete", "Backspace"],
      (e) => e.tool.removeRing(), { shift: true }],
    ["Delete", "Delete the vertex or the animals", ["Delete", "Backspace"], (e) => e.tool.remove()],
    ["1 – 9", "Category", [..."123456789"], (e, event) => e.setCategoryAt(Number(event.key) - 1)],
    ["C", "Category menu with search", ["c"], (e) => e.categories.show()],
    ["O and T", "Occluded; truncated", ["o"], (e) => e.attributes.toggle("occluded")],
    ["", "", ["t"], (e) => e.attributes.toggle("truncated")],
    ["Ctrl+C, Ctrl+X", "Copy or cut the selected animals", ["c"], (e) => e.clipboard.copy(),
      { ctrl: true }],
    ["", "", ["x"], (e) => e.clipboard.cut(), { ctrl: true }],
    ["Ctrl+V", "Paste, here or on another image", ["v"], (e) => e.clipboard.paste(),
      { ctrl: true }],
    ["Ctrl+D", "Duplicate", ["d"], (e) => e.clipboard.duplicate(), { ctrl: true }],
    ["M", "Merge the selected animals, or those that meet in the region under review", ["m"],
      (e) => e.review.merge()],
    ["Y", "Snap to neighbors' borders on or off", ["y"], (e) => e.shaping.toggleSnap()],
    ["Q", "Overlap: allowed, left to others, taken from others", ["q"],
      (e) => e.shaping.cycleOverlap()],
    ["Ctrl+A", "Select all animals", ["a"], (e) => e.selection.all(), { ctrl: true }],
    ["Ctrl+Arrows", "Move the selected animals (Shift: farther)", Object.keys(arrows), nudge,
      { ctrl: true }],
    ["Ctrl+Z", "Undo, answers to regions included", ["z"], (e) => e.undo(),
      { ctrl: true, shift: false }],
    ["Ctrl+Shift+Z", "Redo", ["z"], (e) => e.redo(), { ctrl: true, shift: true }],
    ["Ctrl+Y", "Redo", ["y"], (e) => e.redo(), { ctrl: true }],
    ["Ctrl+S", "Save now", ["s"], (e) => e.saveNow(), { ctrl: true }],
    ["Esc", "Cancel, deselect", ["Escape"], (e) => e.tool.escape()],
  ]],
  ["View", [
    ["+ and −", "Zoom; the wheel zooms to the pointer", ["+", "="], (e) => e.zoom(1.25)],
    ["", "", ["-", "_"], (e) => e.zoom(0.8)],
    ["F", "Fit the image", ["f"], (e) => e.changeView((view) => view.fit())],
    ["0", "Actual size, 1:1", ["0"], (e) => e.changeView((view) => view.actualSize())],
    ["Arrows", "Move the picture, the vertex or the crosshair (Shift: farther)",
      Object.keys(arrows), arrow],
    ["Space + drag", "Move the picture; middle and right button too", [" "], (e) => e.holdSpace()],
    ["H", "Heat-map on or off", ["h"], (e) => e.toggleHeat(), { shift: false }],
    ["J", "Heat-map fainter; Shift+J: stronger", ["j"],
      (e, { shiftKey }) => e.changeHeat(shiftKey ? 0.1 : -0.1)],
    ["Shift+H", "Outlines: all, the selected animal's, none", ["h"],
      (e) => e.look.nextShapes(), { shift: true }],
    ["Z", "Picture before and after the adjustments", ["z"], (e) => e.look.toggleAdjust(),
      { shift: false }],
    ["G", "Gallery of all images", ["g"], (e) => e.gallery.toggle()],
    ["?", "This sheet", ["?"], (e) => e.dialogs.showHelp()],
  ]],
];

/** Groups for the help sheet: [[title, [[keys, text], ...]], ...]. */
export const sheet = TABLE.map(([title, rows]) => [
  title,
  rows.filter(([shown]) => shown).map(([shown, text]) => [shown, text]),
]);

const ENTRIES = TABLE.flatMap(([, rows]) =>
  rows.flatMap(([, , keys, run, options = {}]) => keys.map((key) => ({ key, run, ...options }))),
);

function find(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const ctrl = event.ctrlKey || event.metaKey;
  return ENTRIES.find(
    (entry) =>
      entry.key === key &&
      Boolean(entry.ctrl) === ctrl &&
      (entry.shift === undefined || entry.shift === event.shiftKey),
  );
}

const TYPING = new Set(["text", "search", "number", "textarea"]);
const TEXT_KEYS = new Set([..."acvxyz"]);

/** True where the focused control needs the key for itself. */
function belongsToControl(event) {
  const control = event.target.closest("input, select, textarea, button, [contenteditable]");
  if (!control || event.key === "Escape") return false;
  if (event.ctrlKey || event.metaKey) {
    // Copying and undoing what one types is the text's own; saving is the picture's everywhere.
    return TYPING.has(control.type) && TEXT_KEYS.has(event.key.toLowerCase());
  }
  if (event.key === "Tab") return true;
  if (control.tagName === "BUTTON") return event.key === "Enter" || event.key === " ";
  if (control.type === "range") return event.key in arrows;
  return true;
}

/** Run shortcuts for key events inside `root`; an action returning false lets the key through. */
export function bindKeys(editor, root, signal) {
  root.addEventListener(
    "keydown",
    (event) => {
      if (event.altKey || event.defaultPrevented || event.target.closest("dialog")) return;
      const entry = belongsToControl(event) ? null : find(event);
      if (!entry) return;
      // Tab must be able to leave: outside the drawing area it only moves the focus.
      if (event.key === "Tab" && event.target !== editor.stage.element) return;
      if (!editor.ready && !["?", "n", "p", "N", "P"].includes(event.key)) return;
      if (!(event.key in arrows)) editor.tool.finish();
      if (entry.run(editor, event) === false) return;
      event.preventDefault();
      event.stopPropagation();
    },
    { signal },
  );
  root.addEventListener(
    "keyup",
    (event) => {
      if (event.key in arrows) editor.tool.finish();
      if (event.key === " ") editor.stage.release();
      if (event.key === "Alt") event.preventDefault(); // else it opens the browser's menu
    },
    { signal },
  );
}
