// The canvas: opens images, wires store, view, tools, review, saves and panel together.
// mount() is the only entrance; Gradio's part is a descriptor {image_id, doc_url} and small events.

import * as api from "./api.js";
import { Clicker } from "./clicker.js";
import { ConflictDialog } from "./conflict.js";
import { Dialogs } from "./dialogs.js";
import { HEAT } from "./display.js";
import { Gallery } from "./gallery.js";
import { addFlow } from "./flow.js";
import { crossesItself } from "./geometry.js";
import { keepFocus } from "./focus.js";
import { bindKeys } from "./keys.js";
import { Look } from "./look.js";
import { Opener } from "./opener.js";
import { Panel } from "./panel.js";
import { Review } from "./review.js";
import { Safety } from "./safety.js";
import { Selection } from "./selection.js";
import { SHAPING, Shaping } from "./shaping.js";
import { Stage } from "./stage.js";
import { watchTheme } from "./theme.js";
import { makeTools } from "./tools/index.js";
import { View } from "./view.js";
import { Walk } from "./walk.js";

const QUIET = new Set([
  "hovered", "pointer", "preview", "closing", "crosshair", "stroke", "trail", "band", "shift",
  "wire",
]);

class Editor {
  constructor(root, { trigger, props }) {
    this.root = root;
    this.props = props;
    this.send = trigger;
    this.ending = new AbortController();
    const { signal } = this.ending;
    this.view = new View();
    this.safety = new Safety(this, signal);
    this.queue = this.safety.queue;
    this.session = null;
    this.colors = new Map();
    this.ready = false;
    this.walk = new Walk(this);
    this.state = {
      tool: "select", selected: null, others: [], hovered: null, vertex: null, preview: null,
      pointer: null, crosshair: null, closing: false, wire: [], category: null,
      picture: null, heat: null, ...HEAT, ...SHAPING,
    };
    this.selection = new Selection(this);
    this.shaping = new Shaping(this);
    this.clicker = new Clicker(this);
    this.tools = makeTools(this);
    this.review = new Review(this);
    this.panel = new Panel(this, root, signal);
    this.look = new Look(this, root, signal);
    this.stage = new Stage(this, this.panel.stage, signal);
    this.gallery = new Gallery(this, root, signal);
    this.dialogs = new Dialogs(this, root, signal);
    this.conflicts = new ConflictDialog(this, root, signal);
    this.opener = new Opener(this, signal);
    addFlow(this, root, signal);
    bindKeys(this, root, signal);
    keepFocus(this, root, signal);
    watchTheme(root, signal);
    this.safety.start();
    this.refresh();
  }

  get tool() {
    return this.tools[this.state.tool];
  }

  get selectedInstance() {
    return this.session?.instance(this.state.selected) ?? null;
  }

  /** All selected animals. */
  get chosen() {
    return this.selection.instances;
  }

  // ---- the image on the screen ----

  /** Another image was asked for; until it is here nothing can be edited. */
  leave() {
    this.ready = false;
    this.clicker.left();
    this.safety.clock.show(null);
    delete this.root.dataset.ready;
    delete this.root.dataset.error;
    this.panel.showOverlay("Loading…", "", true);
  }

  /** Swap session and picture together, so shapes never lie on another image's picture. */
  show(session, picture) {
    const { id, width, height } = session.image;
    this.session = session;
    this.safety.clock.show(id);
    this.closePictures();
    this.view.setImage(width, height);
    this.view.fit();
    this.ready = true;
    const usual = session.categories.length ? this.state.tool : "select";
    const tool = session.draft.length ? session.outliner : usual; // an outline brought back
    this.update({
      picture, heat: null, selected: null, hovered: null, vertex: null, preview: null,
      pointer: null, crosshair: null, others: [], trail: null, tool,
    });
    this.panel.showOverlay("");
    this.stage.invalidate(true);
    this.root.dataset.ready = id;
    this.review.opened();
    this.outlook.opened();
    this.tool.chosen();
    this.refresh();
    if (!session.categories.length) {
      this.say("No category yet: add one on the Data page, then draw.", "warn");
    }
    const { activeElement } = document;
    const free = !activeElement || activeElement === document.body;
    if (free || this.root.contains(activeElement)) this.focus();
    this.tell("status", { image: id, status: session.status, revision: session.revision });
  }

  /** Both give their memory back at once. */
  closePictures() {
    this.state.picture?.close();
    this.state.heat?.close();
  }

  cannotOpen(error) {
    const known = error instanceof api.ApiError;
    if (!known) console.error(error);
    this.session = null;
    this.closePictures();
    this.update({ picture: null, heat: null, selected: null });
    this.stage.invalidate(true);
    const unknown = "Something unexpected went wrong; reload the page.";
    if (error.status === 401) this.panel.showExpired();
    else this.panel.showOverlay("This image cannot be opened", known ? error.message : unknown);
    this.root.dataset.error = known ? error.status : "unexpected";
  }

  // ---- navigation ----

  /** Next (1) or previous (-1) image. */
  navigate(direction) {
    return this.walk.by(direction);
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
    if (this.clicker.drop()) { // what a person wants back is what is about to come
      this.say("Dropped the clicks that waited.");
      return;
    }
    let label = "";
    this.edit((session) => {
      label = session[way]();
    });
    this.update({ vertex: null });
    const back = way === "undo" ? "; P goes back to the image before" : "";
    this.say(label ? `${word}: ${label}.` : `Nothing to ${way} on this image${back}.`);
  }

  deleteSelected() {
    return this.selection.remove();
  }

  setCategory(id) {
    this.selection.setCategory(id);
  }

  setCategoryAt(position) {
    const category = this.session.categories[position];
    if (!category) return false;
    this.setCategory(category.id);
    this.say(`Category: ${category.name}`);
    return true;
  }

  select(id, options) {
    this.selection.set(id === null ? [] : [id], options);
  }

  selectAll(ids) {
    this.selection.set([...ids].reverse(), { reveal: true });
  }

  setTool(name) {
    this.tool.finish();
    if (this.tools[name].constructor.spec.draws && !this.session?.categories.length) {
      this.say("Add a category on the Data page first.", "warn");
      return;
    }
    this.update({ tool: name, vertex: null, crosshair: null, pointer: null, trail: null });
    this.tool.chosen();
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
    this.look.store();
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
    const { paints } = this.tool.constructor.spec;
    return {
      ...state, session, colors, paints, region: this.review.region, display: this.look.display,
    };
  }

  // ---- state, messages, life ----

  update(patch) {
    Object.assign(this.state, patch);
    this.stage?.invalidate();
    if (Object.keys(patch).some((key) => !QUIET.has(key))) this.panel.refresh();
  }

  refresh() {
    this.selection.prune();
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
    this.safety.saveNow();
  }

  /** Try again what was refused for now, the opening of an image included. */
  resume() {
    this.safety.resume();
  }

  destroy() {
    this.tool.finish();
    this.state.picture?.close();
    this.ending.abort();
  }
}

function addStyles() {
  for (const name of ["editor", "panel", "conflict", "flow", "look", "gallery", "options"]) {
    const { href } = new URL(`${name}.css`, import.meta.url);
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
