// Keys must work after clicking around, and text boxes must keep theirs: where nothing has the
// focus, or the tab of a page, which needs no letters, the canvas has it.

const KEPT = new Set(["Tab", "Enter", " ", "PageUp", "PageDown", "Home", "End"]);

/** Give the focus back to the canvas when a click, or a control that went away, left it nowhere. */
export function keepFocus(editor, root, signal) {
  const nowhere = () => document.activeElement === document.body;
  const modal = () => root.querySelector("dialog[open]");
  root.addEventListener("click", () => {
    const reading = !document.getSelection().isCollapsed; // marking text is no click
    if (nowhere() && !reading && !modal()) editor.focus();
  }, { signal });
  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    // The page itself scrolls with these.
    if (KEPT.has(key) || key.startsWith("Arrow") || event.defaultPrevented) return;
    const free = target === document.body || target.role === "tab";
    if (!free || !root.checkVisibility() || modal()) return;
    editor.focus();
    const again = new KeyboardEvent("keydown", event);
    if (!editor.stage.element.dispatchEvent(again)) event.preventDefault();
  }, { signal });
}
