// Which regions to review: all, those of one kind, or those beside animals of one category.

import { make } from "./dom.js";

const NAMES = { audit: "Random check" };
const spelled = (kind) => kind.charAt(0).toUpperCase() + kind.slice(1).replaceAll(/[-_]/g, " ");
const words = (kind) => NAMES[kind] ?? spelled(kind);

/** Two menus above the list of regions; hidden where there is nothing to choose. */
export class Filter {
  constructor(editor, title, signal) {
    this.editor = editor;
    this.shown = {};
    const menu = (name, label) => {
      const select = make("select", { className: "hc-select", "aria-label": label });
      select.addEventListener("change", () => {
        editor.review.setFilter({ [name]: select.value });
        editor.focus();
      }, { signal });
      return select;
    };
    this.kind = menu("kind", "Review only regions of a kind");
    this.category = menu("category", "Review only regions beside a category");
    this.element = make("div", { className: "hc-filter" }, [this.kind, this.category]);
    title.after(this.element);
  }

  refresh() {
    const { session, review } = this.editor;
    const { regions, categories } = session ?? { regions: [], categories: [] };
    const { filter } = review;
    const same = this.shown.regions === regions && this.shown.categories === categories
      && this.shown.filter === filter;
    if (same) return;
    this.shown = { regions, categories, filter };
    const kinds = [...new Set([...regions.map(({ kind }) => kind), filter.kind])].filter(Boolean);
    this.fill(this.kind, "All kinds", kinds.sort().map((kind) => [kind, words(kind)]), filter.kind);
    this.fill(this.category, "All categories", categories.map(({ id, name }) => [id, name]),
      filter.category);
    this.kind.hidden = kinds.length < 2 && !filter.kind;
    this.category.hidden = categories.length < 2 && !filter.category;
    this.element.hidden = !regions.length || (this.kind.hidden && this.category.hidden);
  }

  fill(select, all, entries, chosen) {
    const option = ([value, text]) => make("option", { value, text });
    select.replaceChildren(option(["", all]), ...entries.map(option));
    select.value = chosen;
  }
}
