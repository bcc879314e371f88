// The strip of coming regions: small pictures of this image's open regions and of the next images'.

import * as api from "./api.js";
import { make } from "./dom.js";
import { paintPart } from "./window_pixels.js";

const SIDE = 54; // CSS px of one picture
const MARGIN = 0.35; // of a region's longer side, shown around it (routes_assist.py does the same)
const MOST = 12; // of this image
const MOST_AHEAD = 4; // of each of the next images

/** The square around a box that its picture shows: [x, y, side]. */
function square([x, y, width, height]) {
  const side = Math.max(width, height, 8) * (1 + 2 * MARGIN);
  return [x + (width - side) / 2, y + (height - side) / 2, side];
}

/** Shows what comes; a click goes there. */
export class Strip {
  constructor(editor, line) {
    this.editor = editor;
    this.shown = {};
    this.cuts = { picture: null, byRegion: new Map() };
    this.list = make("ol", { className: "hc-list" });
    this.element = make("nav", {
      className: "hc-strip", "aria-label": "Coming regions", hidden: "",
    }, [this.list]);
    line.before(this.element);
  }

  refresh() {
    const { session, state, review, outlook } = this.editor;
    const now = {
      regions: session?.regions, picture: state.picture, ahead: outlook.ahead,
      current: review.current, filter: review.filter,
    };
    if (Object.keys(now).every((key) => now[key] === this.shown[key])) return;
    this.shown = now;
    const own = session && state.picture ? review.open.slice(0, MOST) : [];
    const ahead = outlook.ahead?.coming ?? [];
    const items = [...this.own(own), ...ahead.flatMap((coming) => this.ahead(coming))];
    this.element.hidden = !items.length;
    this.list.replaceChildren(...items.map((item) => make("li", {}, [item])));
    const current = this.list.querySelector("[aria-current]");
    current?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** Regions of the image on the screen. */
  own(regions) {
    const { session, review, state } = this.editor;
    // Of a large picture the browser has only the tiles on the screen.
    const pictures = state.picture?.thumbnail && regions.length
      ? this.sent(session.id, regions) : regions.map((region) => this.cut(region));
    return regions.map((region, i) => {
      const button = this.button(session, region, [pictures[i]]);
      if (region.id === review.current) button.setAttribute("aria-current", "true");
      button.dataset.state = region.state;
      return button;
    });
  }

  /** Regions of one of the next images. */
  ahead({ image, name, regions }) {
    const { kind } = this.editor.review.filter;
    const shown = regions.filter((region) => !kind || region.kind === kind).slice(0, MOST_AHEAD);
    if (!shown.length) return [];
    const pictures = this.sent(image, shown);
    return shown.map((region, i) => {
      const button = this.button({ id: image, image: { name } }, region, [pictures[i]]);
      button.classList.add("hc-ahead");
      if (i === 0) button.classList.add("hc-first");
      return button;
    });
  }

  /** Cut from the picture on the screen, once for each region. */
  cut(region) {
    const { picture } = this.editor.state;
    if (this.cuts.picture !== picture) this.cuts = { picture, byRegion: new Map() };
    const { byRegion } = this.cuts;
    if (!byRegion.has(region.id)) byRegion.set(region.id, this.paint(region));
    return byRegion.get(region.id);
  }

  paint(region) {
    const { session, state } = this.editor;
    const canvas = make("canvas", { "aria-hidden": "true" });
    canvas.width = canvas.height = Math.round(SIDE * (window.devicePixelRatio || 1));
    const [x, y, side] = square(region.box);
    const context = canvas.getContext("2d");
    paintPart(context, state.picture, session.image, [x, y], canvas.width / side);
    return canvas;
  }

  /** Cut by the server, all in one row. */
  sent(image, regions) {
    const url = api.cropsUrl(image, regions.map(({ box }) => box));
    return regions.map((_, i) => {
      const picture = make("span", { className: "hc-crop", "aria-hidden": "true" });
      picture.style.backgroundImage = `url("${url}")`;
      picture.style.backgroundPosition = `${-i * SIDE}px 0`;
      return picture;
    });
  }

  button({ id, image }, region, children) {
    const title = `${image.name}: ${region.reason} (${region.score.toFixed(2)})`;
    const button = make("button", { type: "button", title, "aria-label": title }, children);
    button.addEventListener("click", () => {
      this.editor.review.jump(id, region.id);
      this.editor.focus();
    });
    return button;
  }
}
