// One table of shortcuts: the dispatcher runs it and the help sheet prints it.
// Keys are bound to the editor's root, so text boxes elsewhere on the page keep theirs.

const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PAN = 60; // screen px an arrow key moves the picture

function arrow(editor, event) {
  const [dx, dy] = arrows[event.key];
  if (editor.tool.arrow(dx, dy, event.shiftKey)) return;
  editor.changeView((view) => view.panBy(-dx * PAN, -dy * PAN));
}

/** [shown as, what it does, keys, action, options]; letters match in either case. */
const TABLE = [
  ["Review", [
    ["A", "Accept the region under review", ["a"], (e) => e.review.answer("accept")],
    ["X", "Fix: save your edits in the region", ["x"], (e) => e.review.answer("fix")],
    ["S", "Skip the region for now", ["s"], (e) => e.review.answer("skip")],
    ["] or .", "Next region", ["]", "."], (e) => e.review.step(1)],
    ["[ or ,", "Previous region", ["[", ","], (e) => e.review.step(-1)],
    ["Shift+Enter", "Accept the whole image, go to the next", ["Enter"],
      (e) => e.review.acceptImage(), { shift: true }],
    ["N", "Next image in the queue", ["n"], (e) => e.navigate(1)],
    ["P", "Previous image", ["p"], (e) => e.navigate(-1)],
  ]],
  ["Edit", [
    ["V", "Select tool", ["v"], (e) => e.setTool("select")],
    ["D", "Draw tool", ["d"], (e) => e.setTool("draw")],
    ["Tab", "Next animal, or next vertex", ["Tab"],
      (e, event) => e.tool.tab(event.shiftKey ? -1 : 1)],
    ["Enter", "Edit vertices; add a vertex; close the outline", ["Enter"], (e) => e.tool.enter(),
      { shift: false }],
    ["I", "Insert a vertex after the focused one", ["i"], (e) => e.tool.insert()],
    ["Delete", "Delete the vertex or the animal", ["Delete", "Backspace"], (e) => e.tool.remove()],
    ["1 – 9", "Category", [..."123456789"], (e, event) => e.setCategoryAt(Number(event.key) - 1)],
    ["Ctrl+Z", "Undo", ["z"], (e) => e.undo(), { ctrl: true, shift: false }],
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
    ["H", "Heat-map on or off", ["h"], (e) => e.toggleHeat()],
    ["J and K", "Heat-map fainter or stronger", ["j"], (e) => e.changeHeat(-0.1)],
    ["", "", ["k"], (e) => e.changeHeat(0.1)],
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

/** True where the focused control needs the key for itself. */
function belongsToControl(event) {
  const control = event.target.closest("input, select, textarea, button, [contenteditable]");
  if (!control || event.key === "Escape" || event.ctrlKey || event.metaKey) return false;
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
    },
    { signal },
  );
}
