// The gallery: all images of the project over the canvas, filtered, sorted and virtualized. Only
// the cells on the screen are in the DOM; rows come in pages, thumbnails when scrolling rests.

import * as api from "./api.js";
import { Choices } from "./gallery_filter.js";
import { Cell } from "./gallery_cell.js";
import { make, setText } from "./dom.js";
import { icon } from "./icons.js";

const PAGE = 100; // rows a request
const KEPT_PAGES = 80;
const CELL = { width: 172, height: 178 }; // px at least, and exactly
const OVERSCAN = 2; // rows beyond the screen
const THUMBNAILS = 4; // requests at once; the browser has six a host, and rows must not wait
const RESTED = 90; // ms after which a fast scroll counts as over

/** A drawer over the editor; `toggle` opens and closes it. */
export class Gallery {
  constructor(editor, root, signal) {
    this.editor = editor;
    this.signal = signal;
    this.pages = new Map(); // page number -> rows
    this.stale = new Set(); // pages shown only until their new rows are here
    this.asking = new Map(); // page number -> AbortController
    this.cells = new Map(); // index -> Cell on the screen
    this.spare = [];
    this.pictures = []; // cells whose thumbnail is to be loaded
    this.loadingPictures = 0;
    this.listing = "";
    this.total = 0;
    this.columns = 1;
    this.current = 0;
    this.chosen = false; // the current row is to be opened, but is not here yet
    this.top = 0;
    this.build(root);
    this.observer = new ResizeObserver(() => this.layout());
    this.observer.observe(this.grid);
    signal.addEventListener("abort", () => this.observer.disconnect());
  }

  build(root) {
    this.choices = new Choices(() => this.restart(), this.signal);
    this.count = make("span", { className: "hc-count", role: "status" });
    this.jump = make("input", {
      type: "number", min: "1", className: "hc-jump", placeholder: "Go to no.",
      "aria-label": "Go to number",
    });
    const close = make("button", {
      type: "button", className: "hc-button hc-bare", title: "Close (G or Esc)",
      "aria-label": "Close the gallery",
    }, [icon("close")]);
    this.space = make("div", { className: "hc-space" });
    this.grid = make("div", {
      className: "hc-grid", tabIndex: 0, role: "listbox", "aria-label": "Images",
    }, [this.space]);
    this.none = make("p", { className: "hc-none", hidden: "" });
    this.element = make("section", {
      className: "hc-gallery", role: "dialog", "aria-label": "Gallery", hidden: "",
    }, [
      make("header", {}, [this.choices.element, this.count, this.jump, close]),
      make("div", { className: "hc-shelf" }, [this.grid, this.none]),
    ]);
    root.append(this.element);
    const on = (element, name, run) =>
      element.addEventListener(name, run, { signal: this.signal });
    on(close, "click", () => this.toggle(false));
    on(this.grid, "scroll", () => this.scrolled());
    on(this.grid, "click", (event) => this.clicked(event));
    on(this.jump, "change", () => this.go(Number(this.jump.value) - 1));
    on(this.element, "keydown", (event) => this.keydown(event));
  }

  get open() {
    return !this.element.hidden;
  }

  /** Open (and find the image on the canvas) or close. */
  toggle(open = !this.open) {
    if (open === this.open) return;
    this.element.hidden = !open;
    this.cover(open);
    if (!open) {
      this.drop();
      this.editor.focus();
      return;
    }
    this.layout();
    this.grid.focus();
    this.choices.load().catch((error) => this.editor.say(error.message, "warn"));
    this.restart(this.editor.opener.target);
  }

  /** What the gallery covers can be reached by no key while it is open. */
  cover(open) {
    for (const child of this.editor.root.children) {
      if (child.matches(".hc-bar, .hc-main")) child.inert = open;
    }
  }

  /** Stop what is under way; the rows stay for the next time. */
  drop() {
    for (const request of this.asking.values()) request.abort();
    this.asking.clear();
    this.chosen = false;
    for (const index of [...this.cells.keys()]) this.release(index);
    delete this.element.dataset.filled;
  }

  // ---- rows ----

  /** Begin a new listing; `find` is the image to go to, else its first row. */
  async restart(find = null) {
    this.listing = "";
    this.element.dataset.filled = "false"; // what is shown until the answer comes is the old one
    if (find) this.stale = new Set(this.pages.keys());
    else this.pages.clear();
    for (const request of this.asking.values()) request.abort();
    this.asking.clear();
    const page = find ? Math.floor(this.current / PAGE) : 0;
    const answer = await this.ask(page, find ? { find } : {});
    if (!answer) return;
    if (find && answer.place !== null) this.center(answer.place);
    this.go(answer.place ?? (find ? this.current : 0), !find);
  }

  /** Fetch a page; the first of a listing brings its token, which the others name. */
  async ask(page, more = {}) {
    const request = new AbortController();
    this.asking.set(page, request);
    const query = {
      ...this.choices.query, ...more, listing: this.listing, offset: page * PAGE, limit: PAGE,
    };
    try {
      const answer = await api.gallery(query, request.signal);
      this.take(page, answer);
      return answer;
    } catch (error) {
      if (!request.signal.aborted) this.editor.say(error.message, "warn");
      return null;
    } finally {
      if (this.asking.get(page) === request) this.asking.delete(page);
    }
  }

  take(page, { listing, total, items }) {
    if (this.listing && listing !== this.listing) {
      this.stale = new Set(this.pages.keys()); // the server began anew
    }
    this.listing = listing;
    this.total = total;
    this.pages.delete(page);
    this.pages.set(page, items);
    this.stale.delete(page);
    if (this.pages.size > KEPT_PAGES) this.pages.delete(this.pages.keys().next().value);
    setText(this.count, `${total.toLocaleString("en")} ${total === 1 ? "image" : "images"}`);
    this.jump.max = String(total);
    this.none.hidden = total > 0;
    setText(this.none, this.choices.filters ? "No image matches these filters." : "No image yet.");
    this.layout();
    if (this.chosen) this.choose();
  }

  row(index) {
    return this.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  /** Ask for the pages of the rows on the screen, and for no other any more. */
  need(first, last) {
    if (!this.listing) return; // the first answer brings the token
    const pages = new Set();
    for (let page = Math.floor(first / PAGE); page <= Math.floor(last / PAGE); page += 1) {
      pages.add(page);
    }
    for (const [page, request] of this.asking) {
      if (pages.has(page)) continue;
      request.abort();
      this.asking.delete(page);
    }
    for (const page of pages) {
      const there = this.pages.has(page) && !this.stale.has(page);
      if (!there && !this.asking.has(page) && page * PAGE < this.total) this.ask(page);
    }
  }

  // ---- cells ----

  layout() {
    const width = this.grid.clientWidth;
    if (!this.open || !width) return;
    const columns = Math.max(Math.floor(width / CELL.width), 1);
    const changed = columns !== this.columns;
    this.columns = columns;
    this.cellWidth = width / columns;
    this.space.style.height = `${Math.ceil(this.total / columns) * CELL.height}px`;
    if (changed) this.reveal();
    this.render();
  }

  scrolled() {
    const moved = Math.abs(this.grid.scrollTop - this.top);
    this.top = this.grid.scrollTop;
    this.fast = moved > this.grid.clientHeight / 2;
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      this.fast = false;
      this.render();
    }, RESTED);
    this.render();
  }

  /** Put cells where the screen is; those that left it are used again. */
  render() {
    if (!this.open) return;
    const { scrollTop, clientHeight } = this.grid;
    const top = Math.max(Math.floor(scrollTop / CELL.height) - OVERSCAN, 0);
    const bottom = Math.ceil((scrollTop + clientHeight) / CELL.height) + OVERSCAN;
    const first = top * this.columns;
    const last = Math.min(bottom * this.columns, this.total) - 1;
    for (const index of [...this.cells.keys()]) {
      if (index < first || index > last) this.release(index);
    }
    for (let index = first; index <= last; index += 1) this.place(index);
    this.need(first, last);
    this.choosePictures();
    const blank = [...this.cells.values()].some((cell) => !cell.row);
    this.element.dataset.filled = String(!blank && this.listing !== "");
  }

  place(index) {
    let cell = this.cells.get(index);
    if (!cell) {
      cell = this.spare.pop() ?? new Cell();
      this.cells.set(index, cell);
      this.space.append(cell.element);
    }
    const x = (index % this.columns) * this.cellWidth;
    const y = Math.floor(index / this.columns) * CELL.height;
    cell.move(x, y, this.cellWidth, CELL.height);
    cell.show(index, this.row(index), this.total);
    cell.mark(index === this.current, this.editor.opener.target);
    if (index === this.current) this.grid.setAttribute("aria-activedescendant", cell.element.id);
  }

  release(index) {
    const cell = this.cells.get(index);
    this.cells.delete(index);
    cell.clear();
    cell.element.remove();
    this.spare.push(cell);
  }

  /** Thumbnails of what is on the screen, top to bottom, a few at a time. */
  choosePictures() {
    if (this.fast) return;
    const { scrollTop, clientHeight } = this.grid;
    const seen = (index) => {
      const y = Math.floor(index / this.columns) * CELL.height;
      return y + CELL.height > scrollTop && y < scrollTop + clientHeight;
    };
    this.pictures = [...this.cells.entries()]
      .filter(([, cell]) => cell.lacksPicture)
      .sort(([a], [b]) => seen(b) - seen(a) || a - b)
      .map(([, cell]) => cell);
    this.nextPicture();
  }

  nextPicture() {
    while (this.loadingPictures < THUMBNAILS && this.pictures.length) {
      this.loadingPictures += 1;
      this.pictures.shift().load().finally(() => {
        this.loadingPictures -= 1;
        this.nextPicture();
      });
    }
  }

  // ---- moving about ----

  /** Make a row the current one and bring it into view. */
  go(index, toTop = false) {
    if (!this.total || !Number.isFinite(index)) return;
    this.current = Math.min(Math.max(Math.round(index), 0), this.total - 1);
    this.chosen = false;
    if (toTop) this.grid.scrollTop = 0;
    this.reveal();
    this.render();
  }

  /** Scroll a row to the middle of the screen. */
  center(index) {
    const y = (Math.floor(index / this.columns) + 0.5) * CELL.height;
    this.grid.scrollTop = y - this.grid.clientHeight / 2;
  }

  reveal() {
    const y = Math.floor(this.current / this.columns) * CELL.height;
    const { scrollTop, clientHeight } = this.grid;
    if (y < scrollTop) this.grid.scrollTop = y;
    else if (y + CELL.height > scrollTop + clientHeight) {
      this.grid.scrollTop = y + CELL.height - clientHeight;
    }
  }

  clicked(event) {
    const cell = event.target.closest(".hc-cell");
    if (!cell) return;
    this.current = Number(cell.dataset.index);
    this.choose();
  }

  /** Open the current row's image on the canvas. */
  choose() {
    const row = this.row(this.current);
    this.chosen = !row; // it opens as soon as one knows which image it is
    if (!row) return;
    this.toggle(false);
    this.editor.walk.to(row.id);
  }

  keydown(event) {
    event.stopPropagation(); // no key in here is meant for the canvas
    const typing = event.target.closest("input, select");
    if (event.key === "Escape" || (event.key.toLowerCase() === "g" && !typing)) {
      this.toggle(false);
    } else if (event.key === "Enter" && event.target === this.jump) {
      this.grid.focus();
    } else if (event.target !== this.grid || !this.key(event)) {
      return;
    }
    event.preventDefault();
  }

  /** The grid's own keys; false for those it does not know. */
  key({ key }) {
    const screen = Math.max(Math.floor(this.grid.clientHeight / CELL.height), 1) * this.columns;
    const steps = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns,
      PageUp: -screen, PageDown: screen, Home: -this.total, End: this.total,
    };
    if (key === "Enter" || key === " ") this.choose();
    else if (key === "/") this.choices.focus();
    else if (key in steps) this.go(this.current + steps[key]);
    else return false;
    return true;
  }
}
