// The review flow: which region is under review, what a person answers, and what comes after it.

import { logAnswer } from "./commands.js";
import { boxOf } from "./draw.js";
import { boxesMeet, partsMeet } from "./meet.js";

const DONE = {
  accept: "Region accepted.", fix: "Region fixed.", skip: "Region skipped for now.",
  reopen: "The answer is taken back; the region is open again.",
};
const NONE = "not an animal"; // label of the edit that removes one
const GONE = "The animal is removed, the region fixed.";
const UNTOUCHED = "Nothing was changed here yet: edit it first, or accept it as it is (A).";
const UNSEEN = "Nothing is outlined and no proposal has come yet. Accept again if there is no animal.";

const ALL = { kind: "", category: "" };

/** Steps through the open regions of the current session, and on to the next image. */
export class Review {
  constructor(editor) {
    this.editor = editor;
    this.warned = null; // the image whose acceptance has to be confirmed
    this.current = null; // region id
    this.going = false; // the image that opens next goes on with the review
    this.wanted = null; // region id to show once its image is open
    this.filter = ALL;
  }

  /** The region under review, or null. */
  get region() {
    const regions = this.editor.session?.openRegions ?? [];
    return regions.find(({ id }) => id === this.current) ?? null;
  }

  /** Open regions that pass the filter. */
  get open() {
    return (this.editor.session?.openRegions ?? []).filter((region) => this.passes(region));
  }

  passes(region) {
    const { kind, category } = this.filter;
    if (kind && region.kind !== kind) return false;
    return !category || this.editor.session.instances.some((item) =>
      item.category === category && boxesMeet(boxOf(item.parts), region.box));
  }

  /** Review only regions of a kind, or beside animals of a category; "" means all. */
  setFilter(change) {
    this.filter = { ...this.filter, ...change };
    const { region } = this;
    if (region && !this.passes(region)) this.show(this.open[0]?.id ?? null);
    else this.editor.refresh();
  }

  /** An image has come on the screen. */
  opened() {
    const regions = this.open;
    const wanted = regions.find(({ id }) => id === this.wanted);
    const first = this.going || this.wanted ? regions.find(({ state }) => state === "open") : null;
    const next = wanted ?? first;
    Object.assign(this, { current: null, wanted: null, going: false });
    if (next) this.show(next.id);
  }

  /** Put a region under review and zoom to it; null leaves the review. */
  show(id) {
    this.current = id;
    const { region } = this;
    if (region) this.editor.changeView((view) => view.zoomTo(region.box));
    this.editor.refresh();
  }

  /** A region of this or of another image. */
  jump(image, id) {
    if (image === this.editor.session?.id) {
      this.show(id);
      return null;
    }
    this.wanted = id;
    return this.editor.walk.to(image);
  }

  step(direction) {
    const { editor } = this;
    const regions = this.open;
    if (!regions.length) {
      editor.say(this.nothingLeft());
      return;
    }
    const at = regions.findIndex(({ id }) => id === this.current);
    const first = direction > 0 ? 0 : regions.length - 1;
    const next = at < 0 ? first : (at + direction + regions.length) % regions.length;
    this.show(regions[next].id);
  }

  nothingLeft() {
    const { regions, document, openRegions, status } = this.editor.session;
    if (status === "verified") return "The whole image is verified.";
    if (!document.version) return "No proposal yet, so there is no region to review.";
    if (openRegions.length) return "No open region passes the filter.";
    return regions.length
      ? "Every region is answered. Shift+Enter accepts the whole image."
      : "The model is sure everywhere. Look once, then Shift+Enter accepts the whole image.";
  }

  /** The region under review if it can be answered now; says what is missing otherwise. */
  answerable() {
    const { editor, region } = this;
    if (!region) {
      const some = editor.session.openRegions.length;
      const choose = "Choose a region first: ] goes to the next one.";
      editor.say(some ? choose : this.nothingLeft(), "warn");
      return null;
    }
    if (editor.clicker.unanswered()) return null;
    // Twice the same key before the server replied must not answer the region twice.
    if (editor.session.answers.some((waiting) => waiting.region === region.id)) return null;
    editor.tool.finish();
    return region;
  }

  /** Answer the region under review: accept, fix or skip. */
  answer(action) {
    const region = this.answerable();
    if (!region) return;
    if (action === "fix" && !this.edited(region)) {
      this.editor.say(UNTOUCHED, "warn");
      return;
    }
    if (action === "skip") this.after(region.id);
    this.editor.queue.answer(this.editor.session, region.id, action);
  }

  /** Whether an edit reached into a region, as far as undo goes back. */
  edited({ parts }) {
    const meets = (item) => item && partsMeet(item.parts, parts);
    return this.editor.session.undoLog.some(({ changes }) =>
      changes.some(({ before, after }) => meets(before) || meets(after)));
  }

  /**
   * What is proposed in the region is no animal: it goes, and the region is verified ground. Where
   * one may be missing there is none: those beside it stay, unless one is selected.
   */
  reject() {
    const region = this.answerable();
    if (!region) return;
    const { editor } = this;
    const { session } = editor;
    const touching = this.touching(region);
    const chosen = touching.filter(({ id }) => id === editor.state.selected);
    const asked = region.kind !== "possible miss";
    const wrong = chosen.length ? chosen : touching.filter(({ proposed }) => asked && proposed);
    if (wrong.length > 1) {
      const why = "Several animals reach into the region: select the one that is none first.";
      editor.say(why, "warn");
      return;
    }
    if (wrong.length) {
      editor.select(null);
      session.removeInstance(wrong[0].id);
    }
    const edit = wrong.length ? session.undoLog.at(-1) : null;
    if (edit) edit.label = NONE;
    editor.queue.answer(session, region.id, edit ? "fix" : "accept", edit);
  }

  /** Whether the region under review asks if animals that meet are one. */
  get meets() {
    return this.region?.kind === "split or merge";
  }

  /** The selected animals become one; without a selection, those that meet in the region. */
  merge() {
    const { editor } = this;
    if (editor.chosen.length > 1 || !this.meets) {
      editor.shaping.merge();
      return;
    }
    const region = this.answerable();
    if (!region) return;
    const touching = this.touching(region);
    if (touching.length !== 2) {
      const many = touching.length > 2;
      editor.say(many ? "More than two animals meet here: select those that are one first."
        : "Only one animal reaches into the region.", "warn");
      return;
    }
    editor.shaping.merge(touching);
    this.fixed(region, "one animal");
  }

  /**
   * Cut along a line (flat). Where the region asks about two animals and none is selected, the line
   * is the border between them, and the answer; else as `Shaping.split`.
   */
  cut(line) {
    const { editor, region } = this;
    const pair = this.meets && !editor.chosen.length ? this.touching(region) : [];
    if (pair.length !== 2) {
      editor.shaping.split(line);
      return;
    }
    if (!this.answerable() || !editor.shaping.recut(pair, line)) return;
    editor.setTool("select");
    this.fixed(region, "draw the cut");
  }

  /** The last edit, under another name, is the answer to a region. */
  fixed(region, label) {
    const { session } = this.editor;
    const edit = session.undoLog.at(-1);
    edit.label = label;
    this.editor.queue.answer(session, region.id, "fix", edit);
  }

  /** Animals that reach into a region. */
  touching({ parts }) {
    return this.editor.session.instances.filter((item) => partsMeet(item.parts, parts));
  }

  /** Go on to the region behind `id`, if one is open. */
  after(id) {
    const regions = this.open;
    const at = regions.findIndex((region) => region.id === id);
    const rest = [...regions.slice(at + 1), ...regions.slice(0, Math.max(at, 0))];
    const next = rest.find(({ state }) => state === "open");
    this.show(next?.id ?? null);
  }

  /** The server took an answer of a session, on the screen or not. */
  took(session, answer) {
    if (answer.action !== "skip" && !answer.again) logAnswer(session, answer);
    if (session !== this.editor.session) return;
    if (answer.region !== null) this.answered(answer);
    else if (answer.again) this.editor.refresh();
  }

  /** The server took an answer to a region of the image on the screen. */
  answered({ region, action, edit }) {
    const { editor } = this;
    if (action === "reopen") {
      this.show(region);
      editor.say(DONE.reopen);
      return;
    }
    editor.outlook.answered("region");
    if (this.current === region || !this.region) this.after(region);
    const left = this.open.filter(({ state }) => state === "open").length;
    const done = edit?.label === NONE ? GONE : DONE[action];
    editor.say(`${done} ${left ? `${left} to go.` : this.nothingLeft()}`);
    if (!left && !editor.session.answers.length) this.goOn();
  }

  /** After the last region of an image: the next one that has some, else the next of the queue. */
  goOn() {
    const { editor } = this;
    const next = editor.outlook.ahead?.coming.find(({ regions }) =>
      regions.some(({ kind }) => !this.filter.kind || kind === this.filter.kind));
    if (!next) return null; // nothing to review ahead: stay, so that the image can be accepted
    this.going = true;
    return editor.walk.to(next.image);
  }

  /** The whole image is verified, also with no animal in it; then the next one. */
  async acceptImage() {
    const { editor } = this;
    const { session } = editor;
    if (editor.drawingUnfinished() || editor.clicker.unanswered()) return;
    if (session.answers.some(({ region }) => region === null)) return;
    editor.tool.finish();
    if (this.unseen(session)) return;
    const animals = session.instances.length;
    const reviewing = this.region !== null;
    editor.queue.answer(session, null, "accept");
    const stored = await editor.queue.flush(session);
    if (!stored && !editor.queue.waits(session)) return;
    editor.outlook.answered("image");
    const verified = stored ? "is verified" : "will be verified when the server is back";
    editor.say(`${session.image.name} ${verified}${animals ? "." : ": no animal in it."}`);
    this.going = reviewing;
    if (editor.session === session) await editor.navigate(1);
  }

  /** True once for an image that no model and no person has outlined anything on. */
  unseen({ id, instances, document, status }) {
    if (instances.length || document.version || status === "verified") return false;
    if (this.warned === id) return false;
    this.warned = id;
    this.editor.say(UNSEEN, "warn");
    return true;
  }
}
