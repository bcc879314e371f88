// What the gallery is filtered and sorted by.

import * as api from "./api.js";
import { STATUS_WORDS } from "./display.js";
import { make } from "./dom.js";

const TYPED = 200; // ms without a key after which the text counts
const SORTS = [
  ["added", "Import order"],
  ["unreliable", "Least reliable"],
  ["reliable", "Most reliable"],
  ["name", "Path"],
  ["group", "Group"],
];
const SPLITS = [["train", "train"], ["val", "val"], ["test", "test"], ["none", "no split"]];
const SCORES = [0.25, 0.5, 0.75].map((score) => [String(score), `score from ${score}`]);

/** The controls above the grid; `changed` is called when any of them was. */
export class Choices {
  constructor(changed, signal) {
    this.changed = changed;
    this.signal = signal;
    this.text = make("input", {
      type: "search", className: "hc-search", placeholder: "Name or group", title: "Search (/)",
      "aria-label": "Name or group",
    });
    this.text.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(changed, TYPED);
    }, { signal });
    this.selects = {
      status: this.select("Status", "Status", Object.entries(STATUS_WORDS)),
      group: this.select("Group", "Group", []),
      category: this.select("Category", "Category", []),
      split: this.select("Split", "Split", SPLITS),
      score: this.select("Score", "Score", SCORES),
      sort: this.select("Sort", null, SORTS),
    };
    this.element = make("div", { className: "hc-filters", role: "search" }, [
      this.text, ...Object.values(this.selects),
    ]);
  }

  select(label, any, options) {
    const element = make("select", { className: "hc-select", "aria-label": label });
    element.addEventListener("change", () => this.changed(), { signal: this.signal });
    element.dataset.any = any ?? "";
    this.fill(element, options);
    return element;
  }

  /** Put options into a select and keep what was chosen, where it is still there. */
  fill(element, options) {
    const { value } = element;
    const { any } = element.dataset;
    element.replaceChildren(
      ...(any ? [make("option", { value: "", text: any })] : []),
      ...options.map(([key, text]) => make("option", { value: key, text })),
    );
    element.value = [...element.options].some((one) => one.value === value)
      ? value : element.options[0]?.value ?? "";
  }

  /** Fetch the groups and categories there are. */
  async load() {
    const { groups, categories } = await api.galleryChoices();
    const named = groups.filter(({ name }) => name);
    this.fill(this.selects.group, named.map(({ name, images }) => [name, `${name} (${images})`]));
    this.fill(this.selects.category, categories.map(({ id, name }) => [id, name]));
  }

  /** What is asked for; unset filters are left out. */
  get query() {
    const set = Object.entries(this.selects).map(([name, { value }]) => [name, value]);
    const text = this.text.value.trim();
    return Object.fromEntries([...set, ["text", text]].filter(([, value]) => value));
  }

  /** True when anything but the order is chosen. */
  get filters() {
    return Object.keys(this.query).some((name) => name !== "sort");
  }

  focus() {
    this.text.focus();
  }
}
