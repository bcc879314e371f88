// Everything around the drawing area: toolbar, side panel, status line, messages. It shows state
// and calls the editor; it holds no state of its own but what it last rendered.

import { ORIGIN_WORDS, originOf, STATUS_WORDS } from "./display.js";
import { make, setName, setText } from "./dom.js";
import { boxOf } from "./draw.js";
import { icon } from "./icons.js";
import { PALETTE } from "./palette.js";
import { animalRow, regionRow } from "./rows.js";
import { TOOLS } from "./tools/index.js";

const OVER = "dialog[open], .hc-gallery:not([hidden])"; // what keeps the focus to itself
const MOST_ROWS = 300; // of the animal list; more would make every edit slow

/** Builds the editor's DOM once and refreshes the parts that changed. */
export class Panel {
  constructor(editor, root, signal) {
    this.editor = editor;
    this.signal = signal;
    this.shown = {};
    this.rebuilt = new Set(); // lists whose current row may be out of sight
    this.parts = []; // what else is refreshed along: {refresh()}
    this.stage = make("div", {
      className: "hc-stage", tabIndex: 0, role: "application",
      "aria-label": "Image canvas. Press question mark for the shortcuts.",
    }, [
      make("canvas", { className: "hc-picture", "aria-hidden": "true" }),
      make("canvas", { className: "hc-heat", "aria-hidden": "true", hidden: "" }),
      make("canvas", { className: "hc-shapes", "aria-hidden": "true" }),
    ]);
    this.overlay = make("div", { className: "hc-overlay", role: "status", hidden: "" });
    this.toast = make("div", { className: "hc-toast", "aria-live": "polite", role: "status" });
    this.hint = make("span", { className: "hc-hint" });
    this.readout = make("span", { className: "hc-readout" });
    this.live = make("span", { className: "hc-unseen", "aria-live": "polite" });
    const place = make("div", { className: "hc-place" }, [
      this.stage, this.overlay, this.toast, this.live,
    ]);
    const line = make("div", { className: "hc-line" }, [this.hint, this.readout]);
    const work = make("div", { className: "hc-work" }, [place, line]);
    root.replaceChildren(
      this.buildBar(),
      make("div", { className: "hc-main" }, [work, this.buildSide()]),
    );
  }

  /** A button with an icon, a visible label unless `bare`, and its shortcut in the tooltip. */
  button(name, label, key, run, { bare = false, className = "" } = {}) {
    const parts = [...(name ? [icon(name)] : []), ...(bare ? [] : [make("span", { text: label })])];
    const button = make("button", {
      type: "button",
      className: `hc-button ${bare ? "hc-bare" : ""} ${className}`,
      title: key ? `${label} (${key})` : label,
      "aria-label": label,
      ...(key ? { "aria-keyshortcuts": key.replace("Ctrl", "Control") } : {}),
    }, parts);
    button.addEventListener("click", (event) => {
      run();
      // After a mouse click the keys should work on the picture again; keyboard users stay put.
      if (event.detail > 0 && !this.editor.root.querySelector(OVER)) this.editor.focus();
    }, { signal: this.signal });
    return button;
  }

  buildBar() {
    const { editor } = this;
    const bare = { bare: true };
    const group = (label, items) =>
      make("div", { className: "hc-group", role: "group", "aria-label": label }, items);
    this.tools = Object.fromEntries(TOOLS.map(({ name, label, key, icon: sign }) =>
      [name, this.button(sign, label, key, () => editor.setTool(name), bare)]));
    this.undo = this.button("undo", "Undo", "Ctrl+Z", () => editor.undo(), bare);
    this.redo = this.button("redo", "Redo", "Ctrl+Shift+Z", () => editor.redo(), bare);
    this.remove = this.button("remove", "Delete", "Delete", () => editor.tool.remove(), bare);
    this.zoom = this.button("", "100%", "0", () => editor.changeView((v) => v.actualSize()), {
      className: "hc-zoom",
    });
    this.zoom.setAttribute("aria-label", "Actual size, 1:1");
    this.zoom.title = "Actual size, 1:1 (0)";
    this.saveState = this.button("", "Saved", "Ctrl+S", () => editor.saveNow(), {
      className: "hc-save",
    });
    return make("div", { className: "hc-bar", role: "toolbar", "aria-label": "Canvas tools" }, [
      group("Tools", Object.values(this.tools)),
      group("Category", [this.buildCategory()]),
      group("Edit", [this.undo, this.redo, this.remove]),
      group("Zoom", [
        this.button("minus", "Zoom out", "-", () => editor.zoom(0.8), bare),
        this.zoom,
        this.button("plus", "Zoom in", "+", () => editor.zoom(1.25), bare),
        this.button("fit", "Fit the image", "F", () => editor.changeView((v) => v.fit()), bare),
      ]),
      this.buildHeat(group),
      group("View", [
        this.lookButton(),
        this.button("gallery", "Gallery", "G", () => editor.gallery.toggle(), bare),
      ]),
      make("span", { className: "hc-spring" }),
      this.saveState,
      this.button("help", "Shortcuts", "?", () => editor.dialogs.showHelp(), bare),
    ]);
  }

  lookButton() {
    const button = this.button("look", "View settings", "", () => this.editor.look.toggle(), {
      bare: true,
    });
    button.setAttribute("aria-expanded", "false");
    button.dataset.look = "";
    return button;
  }

  buildCategory() {
    this.category = make("select", { className: "hc-select", "aria-label": "Category" });
    this.swatch = make("span", { className: "hc-swatch", "aria-hidden": "true" });
    this.category.addEventListener("change", () => {
      this.editor.setCategory(this.category.value);
      this.editor.focus();
    }, { signal: this.signal });
    return make("label", { className: "hc-category" }, [this.swatch, this.category]);
  }

  buildHeat(group) {
    this.heat = make("input", {
      type: "range", min: "0", max: "1", step: "0.05", "aria-label": "Heat-map opacity",
    });
    this.heat.addEventListener("input", () => this.editor.setHeat(Number(this.heat.value)), {
      signal: this.signal,
    });
    this.heatButton = this.button("heat", "Heat-map", "H", () => this.editor.toggleHeat());
    this.heatGroup = group("Heat-map", [this.heatButton, this.heat]);
    return this.heatGroup;
  }

  buildSide() {
    const { editor } = this;
    this.name = make("h2", { className: "hc-name" });
    this.status = make("span", { className: "hc-status" });
    this.facts = make("p", { className: "hc-facts" });
    this.regionTitle = make("h3");
    this.regions = make("ol", { className: "hc-list hc-regions" });
    this.regionNote = make("p", { className: "hc-note" });
    this.meeting = [ // what a region where animals meet asks
      this.button("merge", "One animal", "M", () => editor.review.merge()),
      this.button("split", "Draw the cut", "U", () => editor.setTool("split")),
    ];
    this.answers = make("div", { className: "hc-answers", role: "group", "aria-label": "Answer" }, [
      this.button("accept", "Accept", "A", () => editor.review.answer("accept")),
      this.button("fix", "Fix", "X", () => editor.review.answer("fix")),
      this.button("skip", "Skip", "S", () => editor.review.answer("skip")),
      this.button("reject", "Not an animal", "R", () => editor.review.reject()),
      ...this.meeting,
    ]);
    this.animalTitle = make("h3");
    this.animals = make("ul", { className: "hc-list hc-animals" });
    this.acceptImage = this.button("accept", "Accept image", "Shift+Enter",
      () => editor.review.acceptImage(), { className: "hc-primary" });
    const move = make("div", { className: "hc-move" }, [
      this.button("previous", "Previous image", "P", () => editor.navigate(-1), { bare: true }),
      this.acceptImage,
      this.button("next", "Next image", "N", () => editor.navigate(1), { bare: true }),
    ]);
    return make("aside", { className: "hc-side", "aria-label": "Review" }, [
      make("header", {}, [
        make("div", { className: "hc-title" }, [this.name, this.status]), this.facts,
      ]),
      make("div", { className: "hc-body" }, [
        make("section", { className: "hc-review" }, [
          this.regionTitle, this.regions, this.regionNote, this.answers,
        ]),
        make("section", { className: "hc-herd" }, [this.animalTitle, this.animals]),
      ]),
      make("footer", {}, [move]),
    ]);
  }

  // ---- refreshing ----

  /** Bring everything up to date; lists are rebuilt only where their data is another object. */
  refresh() {
    const { editor } = this;
    const { session, state } = editor;
    for (const [name, button] of Object.entries(this.tools)) {
      button.setAttribute("aria-pressed", String(state.tool === name));
    }
    for (const { name, draws } of TOOLS) {
      this.tools[name].disabled = draws && !session?.categories.length;
    }
    this.undo.disabled = !session?.undoLog.length;
    this.redo.disabled = !session?.redoLog.length;
    this.remove.disabled = !state.selected && !session?.draft.length;
    this.acceptImage.disabled = !editor.ready;
    this.heatGroup.classList.toggle("hc-off", !state.heat);
    this.heat.disabled = !state.heat;
    this.heat.value = String(state.heatOpacity);
    this.heatButton.setAttribute("aria-pressed", String(state.heatOpacity > 0));
    setText(this.hint, editor.ready ? editor.tool.hint : "");
    this.refreshView();
    this.refreshHeader(session);
    this.refreshCategory(session, state);
    this.refreshImage(session);
    this.refreshRegions(session);
    this.refreshAnimals(session, state);
    for (const part of this.parts) part.refresh();
    this.showCurrent();
  }

  /** What belongs to a selection takes height from the lists, so this comes behind all the rest. */
  showCurrent() {
    for (const list of this.rebuilt) {
      list.querySelector("[aria-current=true]")?.scrollIntoView({ block: "nearest" });
    }
    this.rebuilt.clear();
  }

  refreshView() {
    setText(this.zoom.firstChild, `${Math.round(this.editor.view.scale * 100)}%`);
  }

  refreshPointer(point) {
    setText(this.readout, point ? `x ${point[0].toFixed(1)}  y ${point[1].toFixed(1)}` : "");
  }

  refreshHeader(session) {
    setName(this.name, session?.image.name ?? "No image");
    setText(this.status, session ? STATUS_WORDS[session.status] ?? session.status : "");
    this.status.dataset.status = session?.status ?? "";
    const { image } = session ?? {};
    const revision = session?.revision ? `revision ${session.revision}` : "no revision";
    const facts = session
      ? [`${image.width} × ${image.height}`, image.group, image.split, revision]
      : [];
    setText(this.facts, facts.filter(Boolean).join(" · "));
  }

  /** The lists of another image begin at their top, wherever those of the last one were left. */
  refreshImage(session) {
    if (this.shown.image === session?.id) return;
    this.shown.image = session?.id;
    this.regions.scrollTop = this.animals.scrollTop = 0;
  }

  refreshCategory(session, state) {
    const categories = session?.categories ?? [];
    if (this.shown.categories !== categories) {
      this.shown.categories = categories;
      this.category.replaceChildren(...categories.map((item, i) =>
        make("option", { value: item.id, text: i < 9 ? `${i + 1}  ${item.name}` : item.name })));
      if (!categories.length) this.category.append(make("option", { text: "No category" }));
    }
    this.category.disabled = !categories.length;
    const chosen = session?.instance(state.selected)?.category ?? state.category;
    if (chosen) this.category.value = chosen;
    this.category.title = session?.category(chosen)?.name ?? "No category yet";
    this.swatch.style.background = this.editor.colors.get(chosen) ?? PALETTE.at(-1);
  }

  refreshRegions(session) {
    const { review } = this.editor;
    const current = review.region?.id ?? null;
    const regions = session?.regions ?? [];
    const open = session?.openRegions.length ?? 0;
    const answering = this.answers.querySelectorAll("button");
    for (const button of answering) button.disabled = !current;
    const { filter } = review;
    if (this.shown.regions === regions && this.shown.region === current
      && this.shown.filter === filter) return;
    Object.assign(this.shown, { regions, region: current, filter });
    const count = regions.length ? ` · ${open} of ${regions.length}` : "";
    setText(this.regionTitle, `To review${count}`);
    this.regions.hidden = !regions.length;
    this.answers.hidden = !open;
    for (const button of this.meeting) button.hidden = !review.meets;
    this.regions.replaceChildren(...regions.map((region, i) =>
      (review.passes(region) ? regionRow(this.editor, region, i, current) : "")));
    setText(this.regionNote, this.noteOn(session, open));
    this.rebuilt.add(this.regions);
  }

  noteOn(session, open) {
    if (!session) return "";
    if (!session.document.version) {
      return "No proposal yet: proposals follow once an animal is drawn and learned.";
    }
    return open ? "" : this.editor.review.nothingLeft();
  }

  refreshAnimals(session, state) {
    const instances = session?.instances ?? [];
    const { by } = this.editor.look.display;
    const { selected, others } = state;
    const now = { instances, selected, others, named: session?.categories, by };
    if (Object.entries(now).every(([name, value]) => this.shown[name] === value)) return;
    Object.assign(this.shown, now);
    setText(this.animalTitle, `Animals · ${instances.length}`);
    const rows = instances.slice(0, MOST_ROWS).map((item) => animalRow(this.editor, item));
    if (instances.length > MOST_ROWS) {
      const more = `and ${instances.length - MOST_ROWS} more`;
      rows.push(make("li", { className: "hc-note", text: more }));
    }
    this.animals.replaceChildren(...rows);
    this.rebuilt.add(this.animals);
  }

  /** Bring an instance into view where it lies outside. */
  reveal(item) {
    const { view } = this.editor;
    const box = boxOf(item.parts);
    const [x0, y0] = view.toScreen(box[0], box[1]);
    const [x1, y1] = view.toScreen(box[0] + box[2], box[1] + box[3]);
    const seen = x0 >= 0 && y0 >= 0 && x1 <= view.width && y1 <= view.height;
    if (!seen) this.editor.changeView((v) => v.zoomTo(box));
  }

  /** Tell a screen reader what is selected. */
  announce(item, count = 1) {
    if (!item) return setText(this.live, "Nothing selected");
    if (count > 1) return setText(this.live, `${count} animals selected`);
    const { session } = this.editor;
    const name = session.category(item.category)?.name ?? "unknown category";
    const origin = ORIGIN_WORDS[originOf(item)];
    const place = `${session.instances.indexOf(item) + 1} of ${session.instances.length}`;
    return setText(this.live, `${name}, ${origin}, ${place}`);
  }

  /** The chip that says whether the work is safe. */
  refreshSaves({ state, text, detail }) {
    this.saveState.dataset.state = state;
    setText(this.saveState.firstChild, text);
    this.saveState.setAttribute("aria-label", text);
    const next = { retry: "Click to try now.", offline: "Click to try now.",
      error: "Click to try again.",
      expired: "Click to try again.", conflict: "Click to choose.",
      saved: "Every edit is stored." }[state] ?? "";
    this.saveState.title = [detail, next].filter(Boolean).join(" ");
  }

  /** A sentence in the middle of the drawing area, for no image, loading and errors. */
  showOverlay(title, text = "", busy = false) {
    this.overlay.hidden = !title;
    this.overlay.classList.toggle("hc-busy", busy);
    this.overlay.replaceChildren(
      ...(title ? [make("strong", { text: title })] : []),
      ...(text ? [make("span", { text })] : []),
    );
  }

  /** The session has run out; signing in elsewhere brings it back, with all that is unsaved. */
  showExpired() {
    this.showOverlay("Session expired",
      "Nothing is lost: sign in in another tab, then click here.");
    this.overlay.append(
      make("a", { href: "./", target: "_blank", rel: "noopener", text: "Sign in" }),
      this.button("", "Try again", "", () => this.editor.resume(), { className: "hc-primary" }),
    );
  }

  /** A short message that screen readers announce; it stays until the next, or some seconds. */
  say(text, kind) {
    clearTimeout(this.fading);
    this.toast.dataset.kind = kind;
    setText(this.toast, text);
    this.toast.classList.toggle("hc-visible", Boolean(text));
    const stay = kind === "warn" ? 9000 : 4000;
    this.fading = setTimeout(() => this.toast.classList.remove("hc-visible"), stay);
  }
}
