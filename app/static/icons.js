// Line icons of the toolbar, 24 x 24, drawn for this project. Constants only: nothing a person
// typed ever passes through here.

const PATHS = {
  select: '<path d="M6 3.5 18.5 12l-5.6 1.1-2.7 5.2z"/>',
  draw: '<path d="M4.5 9 12 4.5 19.5 10l-3 8.5h-9z"/>'
    + '<circle cx="4.5" cy="9" r="1.6"/><circle cx="12" cy="4.5" r="1.6"/>'
    + '<circle cx="19.5" cy="10" r="1.6"/><circle cx="16.5" cy="18.5" r="1.6"/>'
    + '<circle cx="7.5" cy="18.5" r="1.6"/>',
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
  previous: '<path d="M14.500 5.500 8 12l6.500 6.500"/>',
  next: '<path d="M9.500 5.500 16 12l-6.500 6.500"/>',
  accept: '<path d="m5 12.500 4.500 4.500L19 7.500"/>',
  fix: '<path d="m14.500 5.500 4 4L9 19H5v-4zM12.500 7.500l4 4"/>',
  skip: '<path d="m5.500 6 7 6-7 6zM18 6v12"/>',
};

/** An <svg> element, hidden from assistive technology: its button carries the name. */
export function icon(name) {
  const holder = document.createElement("template");
  const attributes = 'viewBox="0 0 24 24" aria-hidden="true" focusable="false"';
  holder.innerHTML = `<svg ${attributes}>${PATHS[name]}</svg>`;
  return holder.content.firstChild;
}
