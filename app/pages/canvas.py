"""The canvas as a Gradio component: a thin shell around the ES modules in ``app/static``.

The value is a descriptor only, ``{"image_id": str, "doc_url": str}`` or None: Gradio clones a
component's value on every event, so geometry must not lie in it. The canvas fetches the document
itself and saves over REST.
"""

from __future__ import annotations

import hashlib
from typing import Any

import gradio as gr

STATIC_MOUNT = "herdmark-static"

# No ${} and no {{}}: Gradio would re-render the template on every value and drop the canvas's DOM.
# The project's mark keeps the view settings of two projects apart in one browser.
_TEMPLATE = '<div class="hm-root" role="region" aria-label="Image editor" data-project="%s"></div>'
_CSS = ".hm-root { height: 100%; }"
# Gradio allows listeners for exactly the event names that stand quoted in this code. The module is
# addressed from the page's base, so the app works below a sub-path.
_ON_LOAD = """
const events = ['saved', 'answered', 'navigate', 'status'];
const tell = (name, detail) => { if (events.includes(name)) trigger(name, detail); };
import(new URL('%s/editor.js', document.baseURI).href)
  .then((editor) => editor.mount({ element, trigger: tell, props, watch }))
  .catch((error) => {
    console.error(error);
    element.textContent = 'The editor could not be loaded; reload the page.';
  });
"""


def descriptor(image_id: str | None) -> dict[str, str] | None:
    """The component's value for an image id; None stands for "no image yet"."""
    if image_id is None:
        return None
    return {"image_id": image_id, "doc_url": f"api/images/{image_id}/document"}


class AnnotationCanvas(gr.HTML):
    """The editor of one image.

    Events (listen with ``canvas.saved(handler, ...)``; the detail is ``gr.EventData._data``):
    ``saved`` {image, revision}, ``answered`` {image, region or None, action}, ``navigate`` {image},
    ``status`` {image, status, revision}. Set the value to `descriptor` of an id to open that image;
    the id on the screen only fetches its document anew and never drops unsaved edits. A handler of
    ``navigate`` must not set the value: the canvas has gone there already.
    """

    def __init__(
        self,
        value: dict[str, str] | None = None,
        *,
        height: str = "78vh",
        project: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            value=value,
            html_template=_TEMPLATE % hashlib.sha256(project.encode()).hexdigest()[:12],
            css_template=_CSS.replace("100%", height),
            js_on_load=_ON_LOAD % STATIC_MOUNT,
            apply_default_css=False,
            container=False,
            padding=False,
            **kwargs,
        )

    def api_info(self) -> dict[str, Any]:
        """JSON schema of the value for Gradio's API page."""
        return {"type": "object"}
