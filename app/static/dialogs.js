// The shortcut sheet.

import { sheet } from "./keys.js";
import { make } from "./dom.js";

/** A native <dialog> inside the editor's root, so focus returns where it was. */
export class Dialogs {
  constructor(editor, root, signal) {
    this.editor = editor;
    this.help = this.buildHelp(signal);
    root.append(this.help);
  }

  buildHelp(signal) {
    const close = make("button", { type: "button", className: "hc-button", text: "Close" });
    const groups = sheet.map(([title, rows]) =>
      make("section", {}, [
        make("h3", { text: title }),
        make("dl", {}, rows.flatMap(([keys, text]) => [
          make("dt", {}, [make("kbd", { text: keys })]),
          make("dd", { text }),
        ])),
      ]),
    );
    const dialog = make("dialog", { className: "hc-dialog hc-help", "aria-label": "Shortcuts" }, [
      make("header", {}, [make("h2", { text: "Shortcuts" }), close]),
      make("div", { className: "hc-sheet" }, groups),
    ]);
    close.addEventListener("click", () => dialog.close(), { signal });
    dialog.addEventListener(
      "keydown",
      (event) => {
        if (event.key === "?") dialog.close();
      },
      { signal },
    );
    dialog.addEventListener("close", () => this.editor.focus(), { signal });
    return dialog;
  }

  showHelp() {
    if (!this.help.open) this.help.showModal();
  }
}
