// The canvas: opens images, wires store, view, tools, review, saves and panel together.
// mount() is the only entrance; Gradio's part is a descriptor {image_id, doc_url} and small events.

import * as api from "./api.js";
import { Dialogs } from "./dialogs.js";
import { crossesItself } from "./geometry.js";
import { bindKeys } from "./keys.js";
import { Opener } from "./opener.js";
import { Panel } from "./panel.js";
import { Review } from "./review.js";
import { SaveQueue } from "./saves.js";
import { Stage } from "./stage.js";
import { watchTheme } from "./theme.js";
import { PolygonTool, SelectTool } from "./tools.js";
import { View } from "./view.js";

const QUIET = new Set(["hovered", "pointer", "preview", "closing", "crosshair"]);

const silent = {
  state() {}, saved() {}, answered() {}, outdated() {}, conflict() {}, error() {},
};

// One queue a page: unsaved work outlives the component, which Gradio may unmount at any time.
const queue = new SaveQueue(silent);
for (const name of ["online", "focus"]) window.addEventListener(name, () => queue.retry());

class Editor {
  constructor(root, { trigger, props }) {
    this.root = root;
    this.props = props;
    this.send = trigger;
    this.ending = new AbortController();
    const { signal } = this.ending;
    this.view = new View();
    this.queue = queue;
    this.session = null;
    this.colors = new Map();
    this.ready = false;
    this.walk = Promise.resolve();
    this.state = {
      tool: "select", selected: null, hovered: null, vertex: null, preview: null, pointer: null,
      crosshair: null, closing: false, category: null,
      picture: null, heat: null, heatOpacity: 0.45, heatBefore: 0.45,
    };
    this.tools = { select: new SelectTool(this), draw: new PolygonTool(this) };
    this.review = new Review(this);
    this.panel = new Panel(this, root, signal);
    this.stage = new Stage(this, this.panel.stage, signal);
    this.dialogs = new Dialogs(this, root, signal);
    this.opener = new Opener(this, signal);
    bindKeys(this, root, signal);
    watchTheme(root, signal);
    window.addEventListener("beforeunload", (event) => this.warnUnsaved(event), { signal });
    window.addEventListener("focus", () => this.reopen(), { signal });
    this.wireQueue();
    this.refresh();
  }

  get tool() {
    return this.tools[this.state.tool];
  }

  get selectedInstance() {
    return this.session?.instance(this.state.selected) ?? null;
  }

  // ---- the image on the screen ----

  /** Another image was asked for; until it is here nothing can be edited. */
  leave() {
    this.ready = false;
    delete this.root.dataset.ready;
    delete this.root.dataset.error;
    this.panel.showOverlay("Loading…", "", true);
  }

  /** Swap session and picture together, so shapes never lie on another image's picture. */
  show(session, picture) {
    const { id, width, height } = session.image;
    this.session = session;
    this.view.setImage(width, height);
    this.view.fit();
    this.review.current = null;
    this.ready = true;
    const tool = session.categories.length ? this.state.tool : "select";
    this.update({
      picture, heat: null, selected: null, hovered: null, vertex: null, preview: null,
      pointer: null, crosshair: null, tool,
    });
    this.panel.showOverlay("");
    this.stage.invalidate(true);
    this.root.dataset.ready = id;
    this.refresh();
    if (!session.categories.length) {
      this.say("No category yet: add one on the Data page, then draw.", "warn");
    }
    const { activeElement } = document;
    const free = !activeElement || activeElement === document.body;
    if (free || this.root.contains(activeElement)) this.focus();
    this.tell("status", { image: id, status: session.status, revision: session.revision });
  }

  cannotOpen(error) {
    const known = error instanceof api.ApiError;
    if (!known) console.error(error);
    this.session = null;
    this.update({ picture: null, heat: null, selected: null });
    this.stage.invalidate(true);
    const unknown = "Something unexpected went wrong; reload the page.";
    if (error.status === 401) this.panel.showExpired();
    else this.panel.showOverlay("This image cannot be opened", known ? error.message : unknown);
    this.root.dataset.error = known ? error.status : "unexpected";
  }

  /** Open what an expired session could not: the person may have signed in meanwhile. */
  reopen() {
    if (this.root.dataset.error === "401") this.opener.open(this.opener.target);
  }

  /** Show the proposals that took the place of those on the screen; the edits are stored. */
  async outdated(session) {
    const shown = session === this.session && this.ready;
    if (shown) await this.opener.reload();
    this.say(`${shown ? "" : `${session.image.name}: `}New proposals arrived; look again.`, "warn");
  }

  // ---- navigation ----

  /** Next (1) or previous (-1) image; presses queue up, so fast ones are neither lost nor mixed. */
  navigate(direction) {
    this.walk = this.walk.then(() => this.step(direction)).catch((error) => {
      this.say(error.message, "warn");
    });
    return this.walk;
  }

  async step(direction) {
    if (this.drawingUnfinished()) return;
    this.tool.finish();
    const { session } = this;
    if (session?.unsaved && !(await this.queue.flush(session))) {
      this.say("This image stays open until its edits are saved.", "warn");
      return;
    }
    const { target } = this.opener;
    const id = await api.nextImage(target, direction);
    if (id === null || id === target) {
      this.say(`This ${direction > 0 ? "was the last image of the queue" : "is the first image"}.`);
      return;
    }
    this.opener.open(id);
    // Keep Gradio's value in step, or choosing the first image again would look like no change.
    this.props.value = { image_id: id, doc_url: api.documentUrl(id) };
    this.tell("navigate", { image: id });
  }

  drawingUnfinished() {
    if (!this.session?.draft.length) return false;
    this.say("Finish the outline (Enter) or cancel it (Esc) first.", "warn");
    return true;
  }

  // ---- editing ----

  /** One finished gesture: change the session, then save. */
  edit(change) {
    if (!this.ready) return;
    change(this.session);
    this.queue.touch(this.session);
  }

  undo() {
    this.again("undo", "Undone");
  }

  redo() {
    this.again("redo", "Redone");
  }

  again(way, word) {
    let label = "";
    this.edit((session) => {
      label = session[way]();
    });
    this.update({ vertex: null });
    this.say(label ? `${word}: ${label}.` : `Nothing to ${way}.`);
  }

  deleteSelected() {
    const { selected } = this.state;
    if (!this.selectedInstance) return false;
    this.select(null);
    this.edit((session) => session.removeInstance(selected));
    return true;
  }

  setCategory(id) {
    const { selected } = this.state;
    this.update({ category: id });
    if (selected) this.edit((session) => session.setCategory(selected, id));
  }

  setCategoryAt(position) {
    const category = this.session.categories[position];
    if (!category) return false;
    this.setCategory(category.id);
    this.say(`Category: ${category.name}`);
    return true;
  }

  select(id, { reveal = false } = {}) {
    this.update({ selected: id, vertex: null });
    const item = this.selectedInstance;
    if (item && reveal) this.panel.reveal(item);
    this.panel.announce(item);
  }

  setTool(name) {
    this.tool.finish();
    if (name === "draw" && !this.session?.categories.length) {
      this.say("Add a category on the Data page first.", "warn");
      return;
    }
    this.update({ tool: name, vertex: null, crosshair: null, pointer: null });
    this.stage.cursor();
  }

  warnIfCrossing(ring) {
    if (crossesItself(ring)) {
      this.say("The outline crosses itself; what is enclosed twice counts as outside.", "warn");
    }
  }

  // ---- view ----

  changeView(change) {
    change(this.view);
    this.stage.invalidate(true);
    this.panel.refreshView();
  }

  zoom(factor) {
    this.changeView((view) => view.zoomAt(factor));
  }

  setHeat(opacity) {
    const heatOpacity = Math.min(Math.max(Math.round(opacity * 100) / 100, 0), 1);
    this.update({ heatOpacity, ...(heatOpacity ? { heatBefore: heatOpacity } : {}) });
    this.stage.invalidate(true);
  }

  changeHeat(by) {
    this.setHeat(this.state.heatOpacity + by);
  }

  toggleHeat() {
    this.setHeat(this.state.heatOpacity ? 0 : this.state.heatBefore);
  }

  holdSpace() {
    this.stage.spaceHeld = true;
    this.stage.cursor();
  }

  pointed([x, y]) {
    const { width, height } = this.session.image;
    const inside = x >= 0 && y >= 0 && x <= width && y <= height;
    this.panel.refreshPointer(inside ? [x, y] : null);
  }

  /** What the upper layer shows. */
  scene() {
    const { session, colors, state } = this;
    return { ...state, session, colors, region: this.review.region };
  }

  // ---- state, messages, life ----

  update(patch) {
    Object.assign(this.state, patch);
    this.stage?.invalidate();
    if (Object.keys(patch).some((key) => !QUIET.has(key))) this.panel.refresh();
  }

  refresh() {
    if (this.session && this.state.selected && !this.selectedInstance) {
      Object.assign(this.state, { selected: null, vertex: null });
    }
    if (this.session) this.root.dataset.revision = this.session.revision;
    this.panel.refresh();
    this.stage.invalidate();
  }

  say(text, kind = "info") {
    this.panel.say(text, kind);
  }

  focus() {
    this.stage.element.focus({ preventScroll: true });
  }

  tell(name, detail) {
    this.send?.(name, detail);
  }

  saveNow() {
    const stuck = [...this.queue.problems].find(([, problem]) => problem.state === "conflict");
    if (stuck) this.dialogs.showConflict(this.queue.pending(stuck[0]), null);
    else this.resume();
  }

  /** Try again what was refused for now, the opening of an image included. */
  resume() {
    this.queue.retry();
    this.reopen();
  }

  wireQueue() {
    this.queue.on = {
      state: (summary) => {
        const before = this.root.dataset.saveState;
        this.root.dataset.saveState = summary.state;
        this.panel.refreshSaves(summary);
        if (before === summary.state) return;
        if (summary.state === "expired") this.panel.showExpired();
        else if (before === "expired" && this.ready) this.panel.showOverlay("");
      },
      saved: ({ id, revision }) => this.tell("saved", { image: id, revision }),
      answered: (session, { region, action }) => {
        if (session === this.session && region !== null) this.review.answered(region, action);
        this.tell("answered", { image: session.id, region, action });
      },
      outdated: (session) => this.outdated(session),
      conflict: (session, error) => this.dialogs.showConflict(session, error.revision),
      error: (session, error) => this.say(`${session.image.name}: ${error.message}`, "warn"),
    };
    this.queue.settle();
  }

  warnUnsaved(event) {
    if (!this.queue.unsaved && !this.session?.draft.length && !this.tool.active) return;
    event.preventDefault();
    event.returnValue = ""; // older browsers ask only with this
  }

  destroy() {
    this.tool.finish();
    this.ending.abort();
    this.queue.on = silent;
  }
}

function addStyles() {
  for (const name of ["editor.css", "panel.css"]) {
    const { href } = new URL(name, import.meta.url);
    if (document.querySelector(`link[href="${href}"]`)) continue;
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = href;
    document.head.append(link);
  }
}

/**
 * Put the editor into `element`. `props.value` is {image_id, doc_url} or null; `watch("value", f)`
 * calls f when it changes; `trigger(name, detail)` tells Gradio: "saved" {image, revision},
 * "answered" {image, region, action}, "navigate" {image}, "status" {image, status, revision}.
 */
export function mount({ element, trigger, props, watch }) {
  addStyles();
  const root = element.querySelector(".hm-root");
  root._herdmark?.destroy();
  const editor = new Editor(root, { trigger, props });
  const gone = new MutationObserver(() => {
    if (!root.isConnected) root._herdmark.destroy();
  });
  root._herdmark = {
    editor,
    state: editor.state,
    get session() {
      return editor.session;
    },
    /** Client coordinates of an image point, for tests. */
    toScreen(x, y) {
      const box = editor.stage.element.getBoundingClientRect();
      const [sx, sy] = editor.view.toScreen(x, y);
      return [sx + box.left, sy + box.top];
    },
    destroy() {
      gone.disconnect();
      editor.destroy();
    },
  };
  gone.observe(document.body, { childList: true, subtree: true });
  watch("value", () => editor.opener.follow(props.value));
  editor.opener.follow(props.value);
}
