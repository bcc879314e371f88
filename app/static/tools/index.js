// All tools, in the order of the toolbar. Toolbar, keys and shortcut sheet are made from this list.

import { BrushTool } from "./brush.js";
import { ClickTool } from "./click.js";
import { EraserTool } from "./eraser.js";
import { LassoTool } from "./lasso.js";
import { LiveWireTool } from "./livewire.js";
import { PolygonTool } from "./polygon.js";
import { SelectTool } from "./select.js";
import { SplitTool } from "./split.js";

const ALL = [
  SelectTool, ClickTool, PolygonTool, LassoTool, LiveWireTool, BrushTool, EraserTool, SplitTool,
];

/** What is known of each tool before there is an editor: see Tool. */
export const TOOLS = ALL.map(({ spec }) => spec);

/** One object a tool, by name. */
export const makeTools = (editor) =>
  Object.fromEntries(ALL.map((Each) => [Each.spec.name, new Each(editor)]));
