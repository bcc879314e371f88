// The category menu: type a part of the name, Enter takes the first match.

import { make } from "./dom.js";

/** A dialog over the canvas; the keys 1 to 9 do for the first nine. */
export class CategoryMenu {
  constructor(editor, root, signal) {
    this.editor = editor;
    this.at = 0;
    this.search = make("input", {
      type: "text", className: "hc-text", placeholder: "Search categories", role: "combobox",
      "aria-label": "Search categories", "aria-expanded": "true", "aria-controls": "hc-choices",
      autofocus: "",
    });
    this.list = make("ul", {
      className: "hc-list hc-choices", id: "hc-choices", role: "listbox",
      "aria-label": "Categories",
    });
    this.dialog = make("dialog", { className: "hc-dialog hc-menu", "aria-label": "Category" }, [
      this.search, this.list,
    ]);
    this.search.addEventListener("input", () => this.render(), { signal });
    this.dialog.addEventListener("keydown", (event) => this.key(event), { signal });
    this.dialog.addEventListener("close", () => editor.focus(), { signal });
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close(); // beside the box
    }, { signal });
    root.append(this.dialog);
  }

  show() {
    if (!this.editor.session?.categories.length || this.dialog.open) return;
    this.search.value = "";
    this.render();
    this.dialog.showModal();
  }

  get matches() {
    const sought = this.search.value.trim().toLowerCase();
    return this.editor.session.categories
      .map((item, i) => ({ item, i }))
      .filter(({ item }) => item.name.toLowerCase().includes(sought));
  }

  render(at = 0) {
    const { matches } = this;
    this.at = Math.min(Math.max(at, 0), Math.max(matches.length - 1, 0));
    this.list.replaceChildren(...matches.map((match, row) => this.row(match, row === this.at)));
    if (!matches.length) {
      this.list.append(make("li", { className: "hc-note", text: "No category has this name." }));
    }
    const marked = this.list.querySelector("[aria-selected=true]");
    marked?.scrollIntoView({ block: "nearest" });
    this.search.setAttribute("aria-activedescendant", marked?.id ?? "");
  }

  row({ item, i }, marked) {
    const swatch = make("span", { className: "hc-swatch", "aria-hidden": "true" });
    swatch.style.background = this.editor.colors.get(item.id);
    const row = make("li", {
      className: "hc-row", role: "option", id: `hc-choice-${i}`, "aria-selected": String(marked),
    }, [
      swatch,
      make("span", { className: "hc-words", text: item.name }),
      ...(i < 9 ? [make("kbd", { text: String(i + 1) })] : []),
    ]);
    row.addEventListener("click", () => this.choose(item));
    return row;
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) this.render(this.at + step);
    else if (event.key === "Enter") this.choose(this.matches[this.at]?.item);
    else return;
    event.preventDefault();
  }

  choose(category) {
    if (!category) return;
    this.dialog.close();
    this.editor.setCategory(category.id);
    this.editor.say(`Category: ${category.name}`);
  }
}
