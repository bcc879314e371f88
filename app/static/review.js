// The review flow: which region is under review, and what a person answers.

const DONE = { accept: "Region accepted.", fix: "Region fixed.", skip: "Region skipped for now." };

/** Steps through the open regions of the current session. */
export class Review {
  constructor(editor) {
    this.editor = editor;
    this.current = null; // region id
  }

  /** The region under review, or null. */
  get region() {
    const regions = this.editor.session?.openRegions ?? [];
    return regions.find(({ id }) => id === this.current) ?? null;
  }

  /** Put a region under review and zoom to it; null leaves the review. */
  show(id) {
    this.current = id;
    const { region } = this;
    if (region) this.editor.changeView((view) => view.zoomTo(region.box));
    this.editor.refresh();
  }

  step(direction) {
    const { editor } = this;
    const regions = editor.session.openRegions;
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
    const { regions, document } = this.editor.session;
    if (!document.version) return "No proposal yet, so there is no region to review.";
    return regions.length
      ? "Every region is answered. Shift+Enter accepts the whole image."
      : "The model is sure everywhere. Look once, then Shift+Enter accepts the whole image.";
  }

  /** Answer the region under review: accept, fix or skip. */
  answer(action) {
    const { editor, region } = this;
    if (!region) {
      editor.say(
        editor.session.openRegions.length
          ? "Choose a region first: ] goes to the next one."
          : this.nothingLeft(),
        "warn",
      );
      return;
    }
    const { session } = editor;
    // Twice the same key before the server replied must not answer the region twice.
    if (session.answers.some((waiting) => waiting.region === region.id)) return;
    editor.tool.finish();
    if (action === "skip") this.after(region.id);
    editor.queue.answer(session, region.id, action);
  }

  /** Go on to the region behind `id`, if one is open. */
  after(id) {
    const regions = this.editor.session.openRegions;
    const at = regions.findIndex((region) => region.id === id);
    const rest = [...regions.slice(at + 1), ...regions.slice(0, Math.max(at, 0))];
    const next = rest.find(({ state }) => state === "open");
    this.show(next?.id ?? null);
  }

  /** The server took an answer to a region of the image on the screen. */
  answered(region, action) {
    const { editor } = this;
    if (this.current === region || !this.region) this.after(region);
    const left = editor.session.openRegions.length;
    editor.say(`${DONE[action]} ${left ? `${left} to go.` : this.nothingLeft()}`);
  }

  /** The whole image is verified, also with no animal in it; then the next one. */
  async acceptImage() {
    const { editor } = this;
    const { session } = editor;
    if (editor.drawingUnfinished() || session.answers.some(({ region }) => region === null)) return;
    editor.tool.finish();
    const animals = session.instances.length;
    editor.queue.answer(session, null, "accept");
    if (!(await editor.queue.flush(session))) return;
    editor.say(animals ? "Image verified." : "Image verified: no animal in it.");
    if (editor.session === session) await editor.navigate(1);
  }
}
