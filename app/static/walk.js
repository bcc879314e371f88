// Going from image to image. Presses queue up, so fast ones are neither lost nor mixed. No image is
// left before its edits are stored, or the server is away and they wait in the queue.

import * as api from "./api.js";
import { firstUrl } from "./picture.js";

const REMEMBERED = 200; // images one can walk back through

/** Next, previous and chosen images for an editor. */
export class Walk {
  constructor(editor) {
    this.editor = editor;
    this.turn = Promise.resolve();
    this.opening = null; // resolves once the image asked for last is on the screen, or cannot be
    this.past = []; // ids of the images left, newest last
    this.ahead = new Map(); // image id -> the next one, as the server last said
    this.waiting = null; // the next image's picture, held so that the browser keeps it decoded
  }

  /** Next (1) or previous (-1) image; previous is the one seen before, else the queue's. */
  by(direction) {
    return this.after(() => this.step(direction));
  }

  /** A chosen image. */
  to(id) {
    return this.after(async () => {
      if (id === this.editor.opener.target || !(await this.mayLeave())) return;
      this.remember();
      this.open(id);
    });
  }

  after(run) {
    this.turn = this.turn.then(run).catch((error) => this.editor.say(error.message, "warn"));
    return this.turn;
  }

  async step(direction) {
    const { editor } = this;
    if (!(await this.mayLeave())) return;
    const { target } = editor.opener;
    const seen = direction < 0 ? this.past.pop() : undefined;
    const id = seen ?? await this.ask(target, direction);
    if (id === null || id === target) {
      const end = direction > 0 ? "was the last image of the queue" : "is the first image";
      editor.say(`This ${end}.`);
      return;
    }
    if (direction > 0) this.remember();
    this.open(id);
  }

  /** The server's next image; without it, the one it named last time. */
  async ask(target, direction) {
    try {
      const id = await api.nextImage(target, direction);
      if (direction > 0) this.ahead.set(target, id);
      return id;
    } catch (error) {
      if (!error.temporary || direction < 0 || !this.ahead.get(target)) throw error;
      return this.ahead.get(target);
    }
  }

  /** Fetch the next image's picture while a person looks at this one. */
  async lookAhead() {
    const { opener, look } = this.editor;
    const { target } = opener;
    try {
      const id = await this.ask(target, 1);
      if (id === null || id === target) return;
      const document = await api.getDocument(api.documentUrl(id));
      if (target !== opener.target) return;
      this.waiting = await api.loadPicture(firstUrl(document, look.clahe));
    } catch {
      // Nothing is lost: opening that image fetches it, or says what is wrong.
    }
  }

  async mayLeave() {
    const { editor } = this;
    if (editor.drawingUnfinished()) return false;
    editor.tool.finish();
    const { session } = editor;
    if (!session?.unsaved || editor.queue.waits(session)) return true;
    if ((await editor.queue.flush(session)) || editor.queue.waits(session)) return true;
    editor.say("This image stays open until its edits are saved.", "warn");
    return false;
  }

  remember() {
    const { target } = this.editor.opener;
    if (target && target !== this.past.at(-1)) this.past.push(target);
    if (this.past.length > REMEMBERED) this.past.shift();
  }

  open(id) {
    const { editor } = this;
    this.opening = editor.opener.open(id);
    // Keep Gradio's value in step, or choosing the first image again would look like no change.
    editor.props.value = { image_id: id, doc_url: api.documentUrl(id) };
    editor.tell("navigate", { image: id });
  }
}
