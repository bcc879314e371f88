// How the picture looks: brightness, contrast and gamma as a look-up table that the browser applies
// to the picture's layer, so no pixel is ever changed, and CLAHE, which the server computes.

const NAMESPACE = "http://www.w3.org/2000/svg";

/** What "as it is" means; the ranges are those of the sliders. */
export const NEUTRAL = { brightness: 0, contrast: 0, gamma: 1, clahe: 0, on: true };

/**
 * 256 output values in [0, 1]: gamma first (above 1 lifts the dark), then contrast around the
 * middle and brightness, both in [-100, 100].
 */
export function lookUp({ brightness, contrast, gamma }) {
  const slope = contrast < 0 ? 1 + contrast / 100 : 1 / Math.max(1 - contrast / 100, 0.01);
  return Array.from({ length: 256 }, (_, i) => {
    const value = ((i / 255) ** (1 / gamma) - 0.5) * slope + 0.5 + brightness / 200;
    return Math.min(Math.max(value, 0), 1);
  });
}

export const isNeutral = ({ brightness, contrast, gamma }) =>
  !brightness && !contrast && gamma === 1;

/** An SVG filter with one table for the three channels; `use` gives its CSS name. */
export class TableFilter {
  constructor(root) {
    this.id = `hc-table-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
    const make = (name, attributes, parent) => {
      const element = document.createElementNS(NAMESPACE, name);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      parent.append(element);
      return element;
    };
    const svg = make("svg", { class: "hc-unseen", "aria-hidden": "true" }, root);
    // In sRGB: the table is meant for the stored values, not for light.
    const filter = make("filter", {
      id: this.id, x: 0, y: 0, width: 1, height: 1, "color-interpolation-filters": "sRGB",
    }, svg);
    const transfer = make("feComponentTransfer", {}, filter);
    this.channels = ["R", "G", "B"].map((channel) =>
      make(`feFunc${channel}`, { type: "discrete" }, transfer));
  }

  /** The value of CSS `filter` for these adjustments. */
  use(values) {
    if (!values.on || isNeutral(values)) return "none";
    const table = lookUp(values).map((value) => value.toFixed(4)).join(" ");
    for (const channel of this.channels) channel.setAttribute("tableValues", table);
    return `url(#${this.id})`;
  }
}
