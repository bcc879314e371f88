// How far the herd is reviewed: a bar, what is left, and about how long it will take.

import { make, setText } from "./dom.js";

const many = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

/** A duration for people. */
export const duration = (minutes) =>
  minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;

/** The lines of progress above the buttons that go on. */
export class Progress {
  constructor(editor, footer) {
    this.editor = editor;
    this.bar = make("span", { className: "hc-done" });
    this.track = make("div", {
      className: "hc-progress", role: "progressbar", "aria-label": "Images verified",
      "aria-valuemin": "0",
    }, [this.bar]);
    this.text = make("p", { className: "hc-facts hc-left" });
    this.box = make("div", { hidden: "" }, [this.track, this.text]);
    footer.prepend(this.box);
  }

  refresh() {
    const { counts, minutes } = this.editor.outlook;
    this.box.hidden = !counts;
    if (!counts) return;
    const { images, verified, regions } = counts;
    this.track.setAttribute("aria-valuemax", String(images));
    this.track.setAttribute("aria-valuenow", String(verified));
    this.bar.style.width = `${images ? (100 * verified) / images : 0}%`;
    const left = minutes === null ? "" : ` · about ${duration(minutes)}`;
    setText(this.text,
      `${verified} of ${many(images, "image")} · ${many(regions, "region")} left${left}`);
  }
}
