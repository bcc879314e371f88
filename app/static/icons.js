// Line icons of the toolbar, 24 x 24, drawn for this project. Constants only: nothing a person
// typed ever passes through here.

const PATHS = {
  select: '<path d="M6 3.5 18.5 12l-5.6 1.1-2.7 5.2z"/>',
  draw: '<path d="M4.5 9 12 4.5 19.5 10l-3 8.5h-9z"/>'
    + '<circle cx="4.5" cy="9" r="1.6"/><circle cx="12" cy="4.5" r="1.6"/>'
    + '<circle cx="19.5" cy="10" r="1.6"/><circle cx="16.5" cy="18.5" r="1.6"/>'
    + '<circle cx="7.5" cy="18.5" r="1.6"/>',
  lasso: '<path d="M12 5c5 0 8.5 2.3 8.5 5.5S17 16 12 16s-8.5-2.2-8.5-5.5S7 5 12 5z"/>'
    + '<path d="M7 15.2c-1.6 1.2-1.2 3.3.8 4.3"/>',
  brush: '<path d="M19.5 4.5c-3 1-8 5.5-9.5 8.5l1.5 1.500c3-1.5 7-6.5 8-10z"/>'
    + '<path d="M9 13.5c-2.5 0-2.5 3.5-5 5 3 1.5 7 .5 6.5-3.5z"/>',
  eraser: '<path d="m13 5 6.5 6.5L12 19H8.5l-4-4z"/><path d="m8.5 9.5 6.5 6.5M12 19h7.5"/>',
  split: '<path d="M4.5 8H10v9H4.5zM14 8h5.5v9H14z"/><path d="M12 4v17" stroke-dasharray="2.5 2"/>',
  merge: '<path d="M4.5 6h9v4h6v9h-9v-4h-6z"/>',
  fill: '<circle cx="12" cy="12" r="7.5"/>'
    + '<circle cx="12" cy="12" r="2.5" stroke-dasharray="2 1.5"/>',
  snap: '<path d="M6 4.5v8a6 6 0 0 0 12 0v-8h-4v8a2 2 0 0 1-4 0v-8zM6 8h4M14 8h4"/>',
  undo: '<path d="M8.5 5 4 9.5 8.5 14"/><path d="M4.5 9.5H14a5 5 0 0 1 0 10H9"/>',
  redo: '<path d="M15.5 5 20 9.5 15.5 14"/><path d="M19.5 9.5H10a5 5 0 0 0 0 10h5"/>',
  remove: '<path d="M5 7h14M9.5 7V4.5h5V7M7 7l1 12.5h8L17 7M10.3 10.5v5.5M13.7 10.5v5.5"/>',
  fit: '<path d="M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5"/>',
  plus: '<path d="M12 5v14M5 12h14"/>',
  minus: '<path d="M5 12h14"/>',
  heat: '<path d="M12 3.5c.6 3.6 5.5 5.7 5.5 10.6a5.5 5.5 0 0 1-11 0c0-2.1 1-3.6 2.2-4.7'
    + '.2 1.500.8 2.300 1.600 2.800C10.200 9 10.500 6 12 3.500z"/>',
  help: '<circle cx="12" cy="12" r="8.500"/><circle cx="12" cy="16.600" r=".6"/>'
    + '<path d="M9.600 9.500a2.400 2.400 0 1 1 3.500 2.200c-.8.4-1.100.9-1.100 1.800"/>',
  look: '<path d="M4 7h9M19 7h1M4 17h2M12 17h8"/><circle cx="16" cy="7" r="2.4"/>'
    + '<circle cx="9" cy="17" r="2.4"/>',
  gallery: '<path d="M4.500 4.500h6v6h-6zM13.500 4.500h6v6h-6zM4.500 13.500h6v6h-6z'
    + 'M13.500 13.500h6v6h-6z"/>',
  close: '<path d="m6 6 12 12M18 6 6 18"/>',
  previous: '<path d="M14.500 5.500 8 12l6.500 6.500"/>',
  next: '<path d="M9.500 5.500 16 12l-6.500 6.500"/>',
  accept: '<path d="m5 12.500 4.500 4.500L19 7.500"/>',
  fix: '<path d="m14.500 5.500 4 4L9 19H5v-4zM12.500 7.500l4 4"/>',
  reject: '<circle cx="12" cy="12" r="8"/><path d="m6.500 6.500 11 11"/>',
  carry: '<path d="M4 7h6v10H4z"/><path d="M12 12h8M17 8.500l3.500 3.500-3.500 3.500"/>',
  wire: '<path d="M5 19c0-6 4-4 6-8s4-6 8-6"/><circle cx="5" cy="19" r="1.600"/>'
    + '<circle cx="19" cy="5" r="1.600"/><circle cx="11" cy="11" r="1.600"/>',
  click: '<circle cx="10" cy="10" r="5.5" stroke-dasharray="3 2"/>'
    + '<path d="M10 2v3M2 10h3M10 10l9.500 4-4 1.500-1.500 4z"/>',
  skip: '<path d="m5.500 6 7 6-7 6zM18 6v12"/>',
};

/** An <svg> element, hidden from assistive technology: its button carries the name. */
export function icon(name) {
  const holder = document.createElement("template");
  const attributes = 'viewBox="0 0 24 24" aria-hidden="true" focusable="false"';
  holder.innerHTML = `<svg ${attributes}>${PATHS[name]}</svg>`;
  return holder.content.firstChild;
}
