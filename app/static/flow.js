// The parts around the editing that help along: review strip, progress, filter, clipboard,
// attributes, category menu. One place puts them together, so that the editor stays the wiring.

import { Attributes } from "./attributes.js";
import { CategoryMenu } from "./categories.js";
import { Clipboard } from "./clipboard.js";
import { Filter } from "./filter.js";
import { Fresh } from "./fresh.js";
import { ToolOptions } from "./options.js";
import { Outlook } from "./outlook.js";
import { Progress } from "./progress.js";
import { Strip } from "./strip.js";

/** Give the editor its helpers; those with a face are refreshed with the panel. */
export function addFlow(editor, root, signal) {
  const find = (name) => root.querySelector(name);
  editor.fresh = new Fresh(editor, signal);
  editor.outlook = new Outlook(editor);
  editor.clipboard = new Clipboard(editor, find(".hc-herd"), signal);
  editor.attributes = new Attributes(editor, find(".hc-herd"), signal);
  editor.categories = new CategoryMenu(editor, root, signal);
  editor.panel.parts.push(
    new ToolOptions(editor, find(".hc-work"), signal),
    new Strip(editor, find(".hc-line")),
    new Filter(editor, editor.panel.regionTitle, signal),
    new Progress(editor, find(".hc-side > footer")),
    editor.clipboard,
    editor.attributes,
  );
}
