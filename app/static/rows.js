// The rows of the side panel's two lists: regions to review, and animals.

import { colorOfInstance, ORIGIN_WORDS } from "./display.js";
import { make } from "./dom.js";

const ANSWER = { open: "", accepted: "accepted", fixed: "fixed", skipped: "skipped" };

/** A region; the list clamps its sentence, so the whole one is the title too. */
export function regionRow(editor, region, index, current) {
  const row = make("button", {
    type: "button", className: "hc-row", "data-state": region.state, title: region.reason,
  }, [
    make("span", { className: "hc-index", text: String(index + 1) }),
    make("span", { className: "hc-words", text: region.reason }),
    make("span", {
      className: "hc-tag", text: ANSWER[region.state] || region.score.toFixed(2),
      title: "How well a look here repays its seconds, 0 to 1",
    }),
  ]);
  row.disabled = region.state === "accepted" || region.state === "fixed";
  if (region.id === current) row.setAttribute("aria-current", "true");
  row.addEventListener("click", () => {
    editor.review.show(region.id);
    editor.focus();
  });
  return make("li", {}, [row]);
}

/** An animal; with Shift or Ctrl a click adds it to the selection. */
export function animalRow(editor, item) {
  const name = editor.session.category(item.category)?.name ?? "unknown category";
  const row = make("button", {
    type: "button", className: "hc-row", title: name,
  }, animalParts(editor, item, name));
  const { selected, others } = editor.state;
  if (item.id === selected) row.setAttribute("aria-current", "true");
  else if (others.includes(item.id)) row.setAttribute("aria-current", "other");
  row.addEventListener("click", ({ shiftKey, ctrlKey, metaKey }) => {
    if (shiftKey || ctrlKey || metaKey) editor.selection.toggle(item.id);
    else editor.select(item.id, { reveal: true });
    editor.focus();
  });
  return make("li", {}, [row]);
}

function animalParts({ look, colors }, item, name) {
  const swatch = make("span", { className: "hc-swatch", "aria-hidden": "true" });
  swatch.style.background = colorOfInstance(item, look.display, colors);
  const score = item.score === null ? "" : ` ${item.score.toFixed(2)}`;
  return [
    swatch,
    make("span", { className: "hc-words", text: name }),
    make("span", {
      className: "hc-tag", text: item.proposed ? `proposed${score}` : ORIGIN_WORDS[item.source],
      "data-source": item.proposed ? "proposed" : item.source,
    }),
  ];
}
