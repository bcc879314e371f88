// The two dialogs: the shortcut sheet and the choice after a conflict.

import { sheet } from "./keys.js";
import { make } from "./dom.js";

/** Native <dialog> elements inside the editor's root, so focus returns where it was. */
export class Dialogs {
  constructor(editor, root, signal) {
    this.editor = editor;
    this.help = this.buildHelp(signal);
    this.conflict = this.buildConflict(signal);
    this.session = null;
    root.append(this.help, this.conflict);
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

  buildConflict(signal) {
    this.explanation = make("p");
    const mine = make("button", {
      type: "button", className: "hc-button hc-primary", text: "Keep mine", autofocus: "",
    });
    const theirs = make("button", { type: "button", className: "hc-button", text: "Take theirs" });
    const dialog = make("dialog", { className: "hc-dialog", "aria-label": "Conflict" }, [
      make("h2", { text: "This image was saved elsewhere" }),
      this.explanation,
      make("dl", {}, [
        make("dt", { text: "Keep mine" }),
        make("dd", {
          text: "saves your version on top of the newest one, which stays in the history.",
        }),
        make("dt", { text: "Take theirs" }),
        make("dd", { text: "shows the newest one; Undo brings your edits back." }),
      ]),
      make("footer", {}, [theirs, mine]),
    ]);
    const choose = (how) => () => {
      dialog.close();
      this.editor.queue[how](this.session);
    };
    mine.addEventListener("click", choose("keepMine"), { signal });
    theirs.addEventListener("click", choose("takeTheirs"), { signal });
    dialog.addEventListener("close", () => this.editor.focus(), { signal });
    return dialog;
  }

  showHelp() {
    if (!this.help.open) this.help.showModal();
  }

  showConflict(session, revision) {
    this.session = session;
    const newest = revision === null ? "" : ` The newest is revision ${revision}.`;
    this.explanation.textContent =
      `${session.image.name}: your edits started from revision ${session.revision}.${newest}`;
    if (!this.conflict.open) this.conflict.showModal();
  }
}
