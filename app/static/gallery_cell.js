// One cell of the gallery; used again for another row when it has left the screen.

import { absolute, thumbnailUrl } from "./api.js";
import { STATUS_WORDS } from "./display.js";
import { make, setName, setText } from "./dom.js";

/** Text first: a row can be read before its picture is here. */
export class Cell {
  constructor() {
    this.picture = make("img", { alt: "", draggable: "false", decoding: "async" });
    this.settled = () => {}; // ends the load under way
    this.picture.onerror = () => this.settled();
    this.picture.onload = () => {
      this.picture.hidden = false;
      this.settled();
    };
    this.number = make("span", { className: "hc-number" });
    this.name = make("b");
    this.status = make("span", { className: "hc-status" });
    this.score = make("span", { className: "hc-score" });
    this.facts = make("i");
    this.element = make("div", { className: "hc-cell", role: "option" }, [
      make("div", { className: "hc-thumb" }, [this.picture, this.number]),
      this.name,
      make("div", { className: "hc-state" }, [this.status, this.score]),
      this.facts,
    ]);
    this.clear();
  }

  /** Forget the row; a thumbnail under way is given up. */
  clear() {
    this.row = null;
    this.index = -1;
    this.asked = false;
    this.picture.removeAttribute("src");
    this.picture.hidden = true;
    this.settled();
  }

  move(x, y, width, height) {
    const { style } = this.element;
    style.transform = `translate(${x}px, ${y}px)`;
    style.width = `${width}px`;
    style.height = `${height}px`;
  }

  show(index, row, total) {
    if (index === this.index && row === this.row) return;
    if (row?.id !== this.row?.id) this.clear();
    const { element } = this;
    Object.assign(this, { index, row: row ?? null });
    element.id = `hc-cell-${index}`;
    element.dataset.index = String(index);
    element.setAttribute("aria-posinset", String(index + 1));
    element.setAttribute("aria-setsize", String(total));
    element.classList.toggle("hc-blank", !row);
    setText(this.number, (index + 1).toLocaleString("en"));
    setName(this.name, row?.name ?? "");
    setText(this.status, row ? STATUS_WORDS[row.status] : "");
    this.status.dataset.status = row?.status ?? "";
    const scored = row && row.score !== null;
    setText(this.score, scored ? row.score.toFixed(2) : "");
    this.score.title = scored ? "How unreliable the proposal is, 0 to 1" : "";
    setText(this.facts, row ? this.told(row) : "");
    element.title = row ? [row.name, ...this.parts(row)].join(" · ") : "";
  }

  parts({ group, split, instances, regions }) {
    const animals = instances ? `${instances} ${instances === 1 ? "animal" : "animals"}` : "";
    return [group, split, animals, regions ? `${regions} to review` : ""].filter(Boolean);
  }

  told(row) {
    return this.parts(row).join(" · ");
  }

  mark(current, open) {
    this.element.setAttribute("aria-selected", String(current));
    this.element.classList.toggle("hc-open", this.row !== null && this.row.id === open);
  }

  get lacksPicture() {
    return this.row !== null && !this.asked;
  }

  /** Fetch the thumbnail; ends when it is there, failed or given up. */
  load() {
    if (!this.lacksPicture) return Promise.resolve();
    this.asked = true;
    this.picture.src = absolute(thumbnailUrl(this.row.id));
    return new Promise((resolve) => {
      this.settled = resolve;
    });
  }
}
