"""HTML whose buttons call Python, for lists that Gradio has no component for."""

from __future__ import annotations

from typing import Any

import gradio as gr

# One listener on the container outlives every change of its content. The event's name must
# stand quoted in this text, or Gradio offers no listener for it.
_LISTEN = """
element.addEventListener('click', (event) => {
  const target = event.target.closest('[data-action]');
  if (!target || !element.contains(target) || target.disabled) return;
  event.preventDefault();
  const name = 'act';
  trigger(name, {action: target.dataset.action, key: target.dataset.key || ''});
});
"""


class ActionHTML(gr.HTML):
    """Trusted HTML (names escaped); a click on ``[data-action]`` triggers the event `act`."""

    def __init__(self, value: str = "", **options: Any) -> None:
        super().__init__(value=value, js_on_load=_LISTEN, **options)

    def api_info(self) -> dict[str, Any]:
        """Text in, text out."""
        return {"type": "string"}


def clicked(event: gr.EventData) -> tuple[str, str]:
    """(action, key) of an `act` event; both are text from the browser, so check them."""
    data = event._data if isinstance(event._data, dict) else {}
    return str(data.get("action", "")), str(data.get("key", ""))
