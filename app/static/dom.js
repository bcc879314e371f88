// One helper to build elements. Text goes in as text, so a name can never become HTML.

const PROPERTIES = new Set([
  "className", "type", "value", "min", "max", "step", "title", "tabIndex",
]);

const TAIL = 10; // letters of a file name that are never cut (app/pages/words.py says the same)

/** An element with properties, attributes, `text` and children. */
export function make(tag, options = {}, children = []) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "text") element.textContent = value;
    else if (PROPERTIES.has(name)) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Write text only where it differs: screen readers announce every write to a live region. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Write a file name that is cut in its middle where it is too long: frames differ at the end. */
export function setName(element, name) {
  if (element.textContent === name) return;
  const letters = [...name];
  const parts = [letters.slice(0, -TAIL), letters.slice(-TAIL)];
  element.classList.add("hc-cut");
  element.title = name;
  element.replaceChildren(...parts.map((part) => make("span", { text: part.join("") })));
}
