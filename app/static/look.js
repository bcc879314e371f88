// The "View" panel: how picture and outlines look. What is set here is kept in this browser, one
// set a project, and never touches what is stored.

import { isNeutral, NEUTRAL, TableFilter } from "./adjust.js";
import { make, setText } from "./dom.js";
import { DISPLAY, HEAT, MODES } from "./display.js";
import { icon } from "./icons.js";

const SLIDERS = [
  ["brightness", "Brightness", -100, 100, 1],
  ["contrast", "Contrast", -100, 100, 1],
  ["gamma", "Gamma", 0.3, 3, 0.05],
  ["clahe", "CLAHE", 0, 4, 1],
];
const OPACITIES = [["fill", "Fill"], ["regions", "Review regions"]];
const SETTLED = 250; // ms a slider must rest before the server computes

function stored(key) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? {};
  } catch {
    return {}; // no storage in this browser, or nothing we wrote
  }
}

/** `defaults` with what was kept of them, and nothing of another kind or name. */
function restored(kept, defaults) {
  const same = (name) => typeof kept?.[name] === typeof defaults[name];
  const known = Object.keys(defaults).filter(same);
  return { ...defaults, ...Object.fromEntries(known.map((name) => [name, kept[name]])) };
}

/** Owns the settings; the editor asks for `adjust` and `display`. */
export class Look {
  constructor(editor, root, signal) {
    this.editor = editor;
    this.key = `herdmark-view-${root.dataset.project ?? ""}`;
    const { adjust, display, heat } = stored(this.key);
    this.adjust = restored(adjust, NEUTRAL);
    this.display = restored(display, DISPLAY);
    Object.assign(editor.state, restored(heat, HEAT));
    this.filter = new TableFilter(root);
    this.signal = signal;
    this.inputs = new Map();
    this.element = this.build();
    root.querySelector(".hc-place").append(this.element);
    this.button = root.querySelector("[data-look]");
    this.show();
  }

  /** The contrast limit the picture is asked for with. */
  get clahe() {
    return this.adjust.on ? this.adjust.clahe : 0;
  }

  get adjusts() {
    return !isNeutral(this.adjust) || this.adjust.clahe > 0;
  }

  // ---- the panel ----

  build() {
    const reset = make("button", { type: "button", className: "hc-button", text: "Reset" });
    reset.addEventListener("click", () => this.reset(), { signal: this.signal });
    const close = make("button", {
      type: "button", className: "hc-button hc-bare", "aria-label": "Close", title: "Close (Esc)",
    }, [icon("close")]);
    close.addEventListener("click", () => this.toggle(false), { signal: this.signal });
    const panel = make("section", {
      className: "hc-look", role: "group", "aria-label": "View settings", hidden: "",
    }, [
      make("header", {}, [make("h3", { text: "Picture" }), close]),
      this.check("on", "Adjust the picture (Z)", this.adjust),
      ...SLIDERS.map((row) => this.slider(this.adjust, ...row)),
      make("h3", { text: "Outlines" }),
      this.choice(),
      ...OPACITIES.map(([name, label]) => this.slider(this.display, name, label, 0, 1, 0.05)),
      this.check("details", "Score and origin on labels", this.display),
      make("footer", {}, [reset]),
    ]);
    panel.addEventListener("keydown", (event) => this.keydown(event), { signal: this.signal });
    return panel;
  }

  slider(owner, name, label, min, max, step) {
    const input = make("input", {
      type: "range", min: String(min), max: String(max), step: String(step), "aria-label": label,
    });
    const value = make("output");
    input.addEventListener("input", () => {
      owner[name] = Number(input.value);
      if (owner === this.adjust) owner.on = true; // who moves a slider wants to see it
      this.changed(name);
    }, { signal: this.signal });
    input.addEventListener("dblclick", () => {
      owner[name] = (owner === this.adjust ? NEUTRAL : DISPLAY)[name];
      this.changed(name);
    }, { signal: this.signal });
    this.inputs.set(name, { owner, input, value });
    return make("label", { className: "hc-slide" }, [make("span", { text: label }), input, value]);
  }

  check(name, label, owner) {
    const input = make("input", { type: "checkbox" });
    input.addEventListener("change", () => {
      owner[name] = input.checked;
      this.changed(name);
    }, { signal: this.signal });
    this.inputs.set(name, { owner, input });
    return make("label", { className: "hc-tick" }, [input, make("span", { text: label })]);
  }

  choice() {
    const input = make("select", { className: "hc-select", "aria-label": "Color by" },
      Object.entries(MODES).map(([value, text]) => make("option", { value, text })));
    input.addEventListener("change", () => {
      this.display.by = input.value;
      this.changed("by");
    }, { signal: this.signal });
    this.inputs.set("by", { owner: this.display, input });
    return make("label", { className: "hc-slide" }, [make("span", { text: "Color by" }), input]);
  }

  keydown(event) {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    this.toggle(false);
  }

  /** Open or close the panel. */
  toggle(open = this.element.hidden) {
    this.element.hidden = !open;
    this.button?.setAttribute("aria-expanded", String(open));
    if (open) this.element.querySelector("input").focus();
    else this.editor.focus();
  }

  // ---- changes ----

  reset() {
    Object.assign(this.adjust, NEUTRAL);
    Object.assign(this.display, DISPLAY);
    this.changed("clahe");
  }

  /** One key: the picture with and without the adjustments. */
  toggleAdjust() {
    if (!this.adjusts) {
      this.toggle(true);
      return;
    }
    this.adjust.on = !this.adjust.on;
    this.changed("on");
    this.editor.say(this.adjust.on ? "Picture adjusted." : "Picture as it is.");
  }

  /** Outlines: all, then only the selected animal's, then none. */
  nextShapes() {
    const { shapes } = this.display;
    const alone = shapes === "all" && this.editor.state.selected;
    this.display.shapes = alone ? "selected" : shapes === "none" ? "all" : "none";
    this.changed("shapes");
    const words = {
      all: "All outlines shown.",
      none: "Outlines hidden; Shift+H shows them.",
      selected: "Only the selected animal is shown; Shift+H goes on.",
    };
    this.editor.say(words[this.display.shapes]);
  }

  changed(name) {
    this.show();
    this.store();
    this.editor.refresh();
    if (name !== "clahe" && name !== "on") return;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.editor.opener.renewPicture(), SETTLED);
  }

  /** Bring controls and the picture's layer up to date. */
  show() {
    for (const [name, { owner, input, value }] of this.inputs) {
      if (input.type === "checkbox") input.checked = owner[name];
      else input.value = String(owner[name]);
      if (value) setText(value, String(owner[name]));
    }
    this.editor.root.querySelector(".hc-picture").style.filter = this.filter.use(this.adjust);
    this.button?.classList.toggle("hc-lit", this.adjusts && this.adjust.on);
  }

  store() {
    const { key, adjust, display } = this;
    const { heatOpacity, heatBefore } = this.editor.state;
    const heat = { heatOpacity, heatBefore };
    const lasting = { ...display, shapes: "all" }; // hidden outlines must not surprise tomorrow
    try {
      localStorage.setItem(key, JSON.stringify({ adjust, heat, display: lasting }));
    } catch {
      // A full or forbidden storage only means that the settings end with this page.
    }
  }
}
